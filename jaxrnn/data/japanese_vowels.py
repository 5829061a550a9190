"""Recordings that ship with the package: nine speakers saying two vowels."""

from importlib import resources
from typing import NamedTuple

import numpy as np

MILLIONTHS = 1e6  # the file holds whole numbers


class Recordings(NamedTuple):
    """Sequences of unlike lengths, and who spoke each."""

    sequences: list[np.ndarray]  # (length, 12) each, float32
    speakers: np.ndarray  # (recordings,), int32, 0 to 8


def japanese_vowels() -> tuple[Recordings, Recordings]:
    """Nine men saying the Japanese vowels "ae": 270 recordings to train on and 370 to test on, 7 to 29 steps each.

    A step is 12 coefficients of a linear prediction of the sound; what is to be told is the speaker, one of 9.

    Example:
        training, test = japanese_vowels()
        xs, lengths = pad(training.sequences)  # (26, 270, 12), (270,)

    Source: Kudo, Toyama, Shimbo, *Multidimensional curve classification using passing-through regions* (1999), from the
    UCI archive by way of the package sktime 1.2.0 (BSD 3-clause), by `jaxrnn/data/build_japanese_vowels.py`.
    """
    with resources.files("jaxrnn.data").joinpath("japanese_vowels.npz").open("rb") as file:
        arrays = dict(np.load(file))

    def part(name: str) -> Recordings:
        ends = np.cumsum(arrays[f"{name}_lengths"], dtype=np.int64)
        values = (arrays[f"{name}_values"] / MILLIONTHS).astype(np.float32)
        return Recordings(np.split(values, ends[:-1]), arrays[f"{name}_speakers"].astype(np.int32))

    return part("train"), part("test")
