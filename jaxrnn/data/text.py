"""Text as a language model reads it: characters as integers, cut into chunks that are read in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.cells.checks import whole_number


@dataclass(frozen=True)
class Alphabet:
    """The characters that a model knows; the token of a character is its place among them.

    `dataclasses.asdict(alphabet)` is JSON, and `Alphabet(**read)` makes the same alphabet of it again.

    Args:
        symbols: the characters, each once.

    Raises:
        ValueError: no symbols, or one of them twice.
        TypeError: symbols that are not a string.

    Example:
        letters = Alphabet.from_text("hello")  # Alphabet(symbols="ehlo")
        letters.decode(letters.encode("hole"))  # "hole"
    """

    symbols: str

    def __post_init__(self):
        if not isinstance(self.symbols, str):
            raise TypeError(f"Alphabet: symbols must be a string, got {type(self.symbols).__name__}")
        if not self.symbols:
            raise ValueError("Alphabet: symbols is empty: pass the characters of the text, or use Alphabet.from_text")
        if len(set(self.symbols)) < len(self.symbols):
            twice = sorted({s for s in self.symbols if self.symbols.count(s) > 1})
            raise ValueError(f"Alphabet: symbols must differ, but {_quoted(twice)} stand there more than once")

    @classmethod
    def from_text(cls, text: str) -> "Alphabet":
        """The characters of a text, in the order of their code points."""
        return cls("".join(sorted(set(text))))

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> np.ndarray:
        """The tokens of a text: `(len(text),)`, int32.

        Raises:
            ValueError: a character that is not in the alphabet.
        """
        points, known = _code_points(text), _code_points(self.symbols)
        order = np.argsort(known)
        places = np.minimum(np.searchsorted(known, points, sorter=order), len(known) - 1)
        tokens = order[places].astype(np.int32)
        wrong = np.flatnonzero(known[tokens] != points)
        if wrong.size:
            unknown = sorted({text[i] for i in wrong.tolist()})
            raise ValueError(
                f"unknown character{'s' * (len(unknown) > 1)} {_quoted(unknown)}, the first at position {wrong[0]} "
                f"(counted from 0): the model knows only {self.symbols!r}; leave out what is not there, or train on a "
                "text that has it"
            )
        return tokens

    def decode(self, tokens: Any) -> str:
        """The text of tokens `(n,)`.

        Raises:
            ValueError: tokens of other shapes, or that are no place in the alphabet.
            TypeError: tokens that are not integers.
        """
        tokens = _tokens("decode", tokens)
        if tokens.size and (tokens.min() < 0 or tokens.max() >= len(self)):
            raise ValueError(
                f"decode: tokens must be between 0 and {len(self) - 1}, got {tokens.min()} to {tokens.max()}"
            )
        return "".join(self.symbols[token] for token in tokens.tolist())


def read_text(path: str | Path) -> str:
    r"""The text of a UTF-8 file; `\r\n` becomes `\n`, and a byte order mark is left out.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a directory.
        ValueError: it is empty, or not UTF-8.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a directory: pass a text file")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}: pass the path of a text file")
    data = path.read_bytes()
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}: save the text as UTF-8"
        ) from None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if not text:
        raise ValueError(f"{path} is empty: pass a file with text")
    return text


def split(text: str, held_out: float = 0.1) -> tuple[str, str]:
    """A text's first part, to train on, and its last `held_out` of the whole, to evaluate on.

    Raises:
        ValueError: `held_out` not between 0 and 1; a text so short that a part would be empty.

    Example:
        training, validation = split(shakespeare())
    """
    if not 0 < held_out < 1:
        raise ValueError(
            f"split: held_out must be between 0 and 1, got {held_out}: pass a part of the whole, such as 0.1"
        )
    cut = len(text) - round(len(text) * held_out)
    if cut in (0, len(text)):
        raise ValueError(
            f"split: a text of {len(text)} characters leaves nothing on one side of held_out = {held_out}: pass a "
            "longer text"
        )
    return text[:cut], text[cut:]


class Chunks(NamedTuple):
    """Text in reading order: a loop over chunks carries the state of each stream from one to the next."""

    inputs: np.ndarray  # (chunks, time, batch), int32
    targets: np.ndarray  # (chunks, time, batch), int32: what comes after each input


class PaddedChunks(NamedTuple):
    """Chunks that hold all of a text; past its length, a stream is padded with zeros."""

    inputs: np.ndarray  # (chunks, time, batch), int32
    targets: np.ndarray  # (chunks, time, batch), int32: what comes after each input
    lengths: np.ndarray  # (chunks, batch), int32: steps of each stream in each chunk


def chunks(tokens: Sequence[int] | np.ndarray, batch: int, seq_len: int) -> Chunks:
    """A text to train on: `batch` streams, each one contiguous part of it, in chunks of `seq_len` steps.

    `inputs[k + 1]` goes on in every stream where `inputs[k]` ended. What does not fill a chunk at the end is left out.

    Args:
        tokens: the text, integers `(n,)`.
        batch: streams that are read side by side.
        seq_len: steps in a chunk.

    Raises:
        ValueError: fewer tokens than one chunk needs, `batch · seq_len + 1`; sizes below 1.
        TypeError: tokens or sizes that are not integers.

    Example:
        inputs, targets = chunks(alphabet.encode(text), batch=32, seq_len=128)
    """
    tokens = _tokens("chunks", tokens)
    batch, seq_len = whole_number("chunks: batch", batch, 1), whole_number("chunks: seq_len", seq_len, 1)
    count = (len(tokens) - 1) // (batch * seq_len)
    if count < 1:
        raise ValueError(
            f"the text is too short: a chunk of {batch} streams (batch) and {seq_len} steps (seq_len) needs "
            f"{batch * seq_len + 1} characters, got {len(tokens)}: pass a longer text, or a smaller batch or seq_len"
        )
    used = batch * count * seq_len

    def cut(part: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(part.reshape(batch, count, seq_len).transpose(1, 2, 0))

    return Chunks(cut(tokens[:used]), cut(tokens[1 : used + 1]))


def padded_chunks(tokens: Sequence[int] | np.ndarray, batch: int, seq_len: int) -> PaddedChunks:
    """A text to evaluate on: as `chunks`, and every token but the first is a target exactly once.

    Streams differ by at most one step; a mean over the text weighs each chunk by `lengths[k].sum()`.

    Args:
        tokens: the text, integers `(n,)`.
        batch: streams that are read side by side.
        seq_len: steps in a chunk.

    Raises:
        ValueError: fewer than two tokens; sizes below 1.
        TypeError: tokens or sizes that are not integers.

    Example:
        inputs, targets, lengths = padded_chunks(alphabet.encode(text), batch=32, seq_len=128)
    """
    tokens = _tokens("padded_chunks", tokens)
    batch, seq_len = whole_number("padded_chunks: batch", batch, 1), whole_number("padded_chunks: seq_len", seq_len, 1)
    if len(tokens) < 2:
        raise ValueError(f"the text is too short: it must have at least 2 characters, got {len(tokens)}")
    steps, longer = divmod(len(tokens) - 1, batch)
    of_stream = steps + (np.arange(batch) < longer)
    count = -(-of_stream[0] // seq_len)
    time = np.arange(count * seq_len)
    start = np.cumsum(of_stream) - of_stream
    valid = time[:, None] < of_stream
    place = np.where(valid, start + time[:, None], 0)

    def cut(part: np.ndarray) -> np.ndarray:
        return np.where(valid, part, 0).astype(np.int32).reshape(count, seq_len, batch)

    lengths = np.clip(of_stream - seq_len * np.arange(count)[:, None], 0, seq_len)
    return PaddedChunks(cut(tokens[place]), cut(tokens[place + 1]), lengths.astype(np.int32))


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _quoted(characters: Sequence[str], most: int = 10) -> str:
    more = f" and {len(characters) - most} more" if len(characters) > most else ""
    return ", ".join(repr(c) for c in characters[:most]) + more


def _tokens(owner: str, tokens: Any) -> np.ndarray:
    array = np.asarray(tokens)
    if array.ndim != 1:
        raise ValueError(f"{owner}: tokens must be one sequence (n,), got shape {array.shape}")
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{owner}: tokens must be integers, got {array.dtype}: pass alphabet.encode(text)")
    return array.astype(np.int32)
