"""The minimal gated unit: a GRU with one gate."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Affine, Weights
from jaxrnn.cells.gru import GRUState
from jaxrnn.cells.initializers import uniform_by_hidden


class MGUParams(NamedTuple):
    """θ of a minimal gated unit; gates in the order f, n."""

    U: jax.Array  # (input, 2·hidden)
    W: jax.Array  # (hidden, 2·hidden)
    b: jax.Array  # (2·hidden,)

    gates = "fn"  # of b, in order


@dataclass(frozen=True)
class MGU(Affine):
    """The minimal gated unit: one gate that resets, before the matrix product, and updates.

        f    = σ(b + h(t-1) W + x(t) U)             the gate
        n    = tanh(b + x(t) U + (f ⊙ h(t-1)) W)    the new content, with its own columns
        h(t) = (1 - f) ⊙ h(t-1) + f ⊙ n

    Shapes: x `(*batch, input)`, h and the output `(*batch, hidden)`, U `(input, 2·hidden)`, W `(hidden, 2·hidden)`,
    b `(2·hidden,)`, side by side in the order f, n. All start uniform in ±1/√hidden. The state is a `GRUState`.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).

    Raises:
        ValueError: a size below 1; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = MGU(input_size=3, hidden_size=16)
        h = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 3))).outputs  # (20, 16)

    Source: Zhou, Wu, Zhang, Zhou, *Minimal gated unit for recurrent neural networks* (2016).
    """

    input_size: int
    hidden_size: int

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> MGUParams:
        return MGUParams(*uniform_by_hidden(key, self.input_size, self.hidden_size, gates=2, dtype=dtype))

    def initial_state(self, params: MGUParams, batch_shape: tuple[int, ...] = ()) -> GRUState:
        return GRUState(jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype))

    def weights(self, params: MGUParams) -> Weights:
        return Weights(params.U, params.W[:, : self.hidden_size], params.b)

    def hidden(self, params: MGUParams, state: GRUState) -> jax.Array:
        return state.h

    def activate(self, params: MGUParams, state: GRUState, u: jax.Array, a: jax.Array) -> GRUState:
        u_f, u_n = jnp.split(u, 2, axis=-1)
        f = jax.nn.sigmoid(u_f + a)
        n = jnp.tanh(u_n + (f * state.h) @ params.W[:, self.hidden_size :])
        return GRUState(state.h + f * (n - state.h))

    def output(self, params: MGUParams, state: GRUState) -> jax.Array:
        return state.h
