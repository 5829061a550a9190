"""What is run: a cell, a shape, and one draw of weights and inputs that every entrant is given."""

import math
from typing import NamedTuple

import numpy as np

GATES = {"elman": 1, "lstm": 4, "gru": 3}


class Shape(NamedTuple):
    """Sizes of one run."""

    time: int
    batch: int
    input: int
    hidden: int

    def __str__(self) -> str:
        return ",".join(map(str, self))


SHAPES = (
    Shape(128, 32, 64, 128),
    Shape(128, 32, 256, 256),
    Shape(256, 64, 128, 512),
    Shape(1000, 1, 32, 64),
    Shape(784, 128, 1, 128),
    Shape(2048, 4, 16, 32),
)


class Weights(NamedTuple):
    """Parameters, or gradients with respect to them, in jaxrnn's layout."""

    U: np.ndarray  # (input, gates·hidden)
    W: np.ndarray  # (hidden, gates·hidden)
    b: np.ndarray  # (gates·hidden,)
    c: np.ndarray | None = None  # (hidden,), of a GRU that has it


class Task(NamedTuple):
    """One combination of cell and shape, with numbers."""

    cell: str  # a key of GATES
    shape: Shape
    weights: Weights  # float32
    xs: np.ndarray  # (time, batch, input), float32


def draw(cell: str, shape: Shape, seed: int = 0) -> Task:
    """Weights uniform in ±1/√hidden, normal inputs."""
    rng = np.random.default_rng(seed)
    width, bound = GATES[cell] * shape.hidden, shape.hidden**-0.5

    def uniform(*size: int) -> np.ndarray:
        return rng.uniform(-bound, bound, size).astype(np.float32)

    weights = Weights(
        uniform(shape.input, width),
        uniform(shape.hidden, width),
        uniform(width),
        uniform(shape.hidden) if cell == "gru" else None,
    )
    xs = rng.standard_normal((shape.time, shape.batch, shape.input)).astype(np.float32)
    return Task(cell, shape, weights, xs)


def operations(cell: str, shape: Shape) -> float:
    """Operations of the matrix products of a forward pass; with the backward pass, three times as many."""
    return 2.0 * math.prod((shape.time, shape.batch, shape.input + shape.hidden, GATES[cell], shape.hidden))
