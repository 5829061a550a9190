"""A cell of cells: several layers of recurrence, one above the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Cell, Inputs, Outputs, Params, State


@dataclass(frozen=True)
class Stack(Cell):
    """Layers of cells in which each reads the output of the one below it.

        s_k(t) = f_k(s_k(t-1), x_k(t)),   x_1(t) = x(t),   x_k(t) = output_{k-1}(s_{k-1}(t))

    Parameters and state are tuples with one entry a layer. `step` does one step of time through all layers (to
    generate); `unfold` runs layer by layer (to be fast); both give the same numbers.

    Args:
        cells: the layers, the lowest first; each one's input is the size of the output below it.

    Raises:
        ValueError: no cells.
        TypeError: no list; in it, what is no cell.

    Example:
        net = Stack([LSTM(8, 64), LSTM(64, 64)])
        run = unfold(net, net.init(jax.random.key(0)), jnp.ones((20, 8)))  # run.final[1].h: (64,)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.5 and Fig. 10.13a.
    """

    cells: Sequence[Cell]

    def __post_init__(self):
        if not isinstance(self.cells, Iterable):
            raise TypeError(f"Stack: cells must be a list of cells, got {self.cells!r}")
        object.__setattr__(self, "cells", tuple(self.cells))  # hashable, whatever sequence was given
        if not self.cells:
            raise ValueError("Stack: cells is empty; pass at least one cell")
        for cell in self.cells:
            checks.cell(self, cell)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> tuple[Params, ...]:
        keys = jax.random.split(key, len(self.cells))
        return tuple(cell.init(k, dtype) for cell, k in zip(self.cells, keys, strict=True))

    def initial_state(self, params: tuple[Params, ...], batch_shape: tuple[int, ...] = ()) -> tuple[State, ...]:
        return tuple(cell.initial_state(p, batch_shape) for cell, p in zip(self.cells, params, strict=True))

    def step(self, params: tuple[Params, ...], state: tuple[State, ...], x: Inputs) -> tuple[State, ...]:
        new = []
        for cell, p, s in zip(self.cells, params, state, strict=True):
            new.append(cell.step(p, s, x))
            x = cell.output(p, new[-1])
        return tuple(new)

    def output(self, params: tuple[Params, ...], state: tuple[State, ...]) -> Outputs:
        return self.cells[-1].output(params[-1], state[-1])
