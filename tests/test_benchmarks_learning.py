"""The benchmarks of what is learned run as they say, at the smallest settings; what they learn is not asked."""

import re
from typing import Any

import numpy as np
import pytest

from benchmarks import ctc, exposure, pixels, vowels
from jaxrnn.data import decode_phonemes, encode_phonemes, japanese_vowels


def _rows(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The cells of the tables that were printed, without their heads."""
    lines = [line.strip("| ") for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    heads = {k - 1 for k, line in enumerate(lines) if re.fullmatch(r"[-:| ]+", line)}
    return [line.split(" | ") for k, line in enumerate(lines) if k not in heads and k - 1 not in heads]


def test_speakers_are_told_after_a_choice_within_the_training_recordings(capsys: pytest.CaptureFixture[str]) -> None:
    training, _ = japanese_vowels()
    for rest, part in vowels.folds(training, 3):
        assert len(rest.speakers) + len(part.speakers) == len(training.speakers)
        assert np.bincount(part.speakers).tolist() == [10] * vowels.SPEAKERS
        assert not {s.tobytes() for s in rest.sequences} & {s.tobytes() for s in part.sequences}
    chosen = ["--hidden", "2", "--epochs", "1", "--folds", "2", "--seeds", "1", "--batch", "45"]
    vowels.main([*chosen, "--only", "GRU, last", "GRU, mean"])
    printed = capsys.readouterr().out
    held_out = dict(re.findall(r"^\| (GRU, \w+) \| (\S+) \|$", printed, re.MULTILINE))
    assert set(held_out) == {"GRU, last", "GRU, mean"}
    best = max(held_out, key=lambda name: float(held_out[name]))
    assert f"The best of these, {best}, trained" in printed


def test_free_runs_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    exposure.main(["--hidden", "3", "--steps", "10", "--seeds", "1"])
    rows = _rows(capsys)
    errors = {row[0]: row[1:5] for row in rows}
    assert len(errors) == 6
    assert errors["the truth, in parallel"] == errors["the truth, step by step"]
    assert errors["its own outputs"] != errors["the truth, in parallel"]
    assert all(float(figure) > 0 for figures in errors.values() for figure in figures)


def test_pixels_start_from_one_net_and_take_the_same_steps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    drawn = pixels.Images(rng.random((6, 20, 1), np.float32), rng.integers(10, size=20).astype(np.int32))
    monkeypatch.setattr(pixels, "images", lambda name: drawn)
    pixels.main(["digits", "--hidden", "4", "--epochs", "2", "--batch", "8", "--seeds", "1"])
    rows = _rows(capsys)
    assert [row[1] for row in rows] == ["jaxrnn", "PyTorch"]
    own, torch = ([float(figure) for figure in row[2:3] + row[4:]] for row in rows)
    np.testing.assert_allclose(own, torch, rtol=1e-4)
    with pytest.raises(SystemExit, match="pip install"):
        pixels.packaged("no-such-package", "csv")


def test_words_are_read_as_frames(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctc.encode("b'", 2).tolist() == [4, 5, 0, 1]
    assert ctc.has_path("ab", ("T", "T", "T"), 2) is False
    assert ctc.has_path("ab", ("T", "S", "T", "S"), 2)
    assert decode_phonemes(encode_phonemes(("T", "S"))[:-1]) == ("T", "S")
    monkeypatch.setattr(ctc, "AT_ONCE", 4)
    chosen = ["--embedding", "2", "--hidden", "2", "--batch", "16", "--words", "16", "--epochs", "1", "--beam", "2"]
    ctc.main([*chosen, "--test-words", "3"])
    rows: Any = _rows(capsys)
    assert [row[0] for row in rows] == ["greedy", "beam of 2 prefixes"]
    assert all(float(figure) >= 0 for row in rows for figure in row[1:])
