"""A state s(0) that is learned."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Cell, Inputs, Outputs, Params, State, Wrapped


class LearnedInitialStateParams(NamedTuple):
    """θ of a cell with a learned start."""

    cell: Params  # of the inner cell
    state: State  # s(0), without batch axes


@dataclass(frozen=True)
class LearnedInitialState(Wrapped):
    """A cell with its start among the parameters: s(0) = state, the same for every sequence of a batch.

    Where `unfold` is given no state, and where resets return to s(0), gradients flow to it. It starts as the inner
    cell's own s(0).

    Args:
        inner: any cell whose state is of real floating-point numbers.

    Raises:
        TypeError: an inner that is not a cell; in `init`, a state of integers or complex numbers.

    Example:
        cell = LearnedInitialState(GRU(8, 64))
        params = cell.init(jax.random.key(0))  # params.state.h: (64,)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.2, where the gradient of s(0) is for this.
    """

    inner: Cell

    def __post_init__(self):
        checks.cell(self, self.inner)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LearnedInitialStateParams:
        cell = self.inner.init(key, dtype)
        state = self.inner.initial_state(cell)
        checks.learnable(self, self.inner, state)
        return LearnedInitialStateParams(cell, state)

    def initial_state(self, params: LearnedInitialStateParams, batch_shape: tuple[int, ...] = ()) -> State:
        return jax.tree.map(lambda s: jnp.broadcast_to(s, (*batch_shape, *s.shape)), params.state)

    def inner_params(self, params: LearnedInitialStateParams) -> Params:
        return params.cell

    def inner_state(self, state: State) -> State:
        return state

    def inner_input(self, x: Inputs) -> Inputs:
        return x

    def extend(self, state: State, x: Inputs) -> State:
        return state

    def output(self, params: LearnedInitialStateParams, state: State) -> Outputs:
        return self.inner.output(params.cell, state)
