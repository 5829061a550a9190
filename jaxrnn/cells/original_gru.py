"""The gated recurrent unit as it was first published."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Affine, Weights
from jaxrnn.cells.gru import GRUState
from jaxrnn.cells.initializers import uniform_by_hidden


class OriginalGRUParams(NamedTuple):
    """θ of the original GRU; gates in the order r, z, n."""

    U: jax.Array  # (input, 3·hidden)
    W: jax.Array  # (hidden, 3·hidden)
    b: jax.Array  # (3·hidden,)

    gates = "rzn"  # of b, in order


@dataclass(frozen=True)
class OriginalGRU(Affine):
    """The gated recurrent unit as first published, its reset before the matrix product.

        r, z = σ(b + h(t-1) W + x(t) U)                reset and update gate, each with its own columns
        n    = tanh(b + x(t) U + (r ⊙ h(t-1)) W)       the new content
        h(t) = (1 - z) ⊙ n + z ⊙ h(t-1)

    `GRU`, its reset after the product, is the faster: all its products of h(t-1) are one. This one is for weights of
    networks that were trained with it (Keras: `reset_after=False`; ONNX: `linear_before_reset=0`).

    Shapes: x `(*batch, input)`, h and the output `(*batch, hidden)`, U `(input, 3·hidden)`, W `(hidden, 3·hidden)`,
    b `(3·hidden,)`, the gates side by side in the order r, z, n. All start uniform in ±1/√hidden. The state is a
    `GRUState`.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).

    Raises:
        ValueError: a size below 1; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = OriginalGRU(input_size=3, hidden_size=16)
        h = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 3))).outputs  # (20, 16)

    Source: Cho et al., *Learning phrase representations using RNN encoder-decoder for statistical machine translation*
    (2014), Eq. 5 to 8, with biases.
    """

    input_size: int
    hidden_size: int

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> OriginalGRUParams:
        return OriginalGRUParams(*uniform_by_hidden(key, self.input_size, self.hidden_size, gates=3, dtype=dtype))

    def initial_state(self, params: OriginalGRUParams, batch_shape: tuple[int, ...] = ()) -> GRUState:
        return GRUState(jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype))

    def weights(self, params: OriginalGRUParams) -> Weights:
        return Weights(params.U, params.W[:, : 2 * self.hidden_size], params.b)

    def hidden(self, params: OriginalGRUParams, state: GRUState) -> jax.Array:
        return state.h

    def activate(self, params: OriginalGRUParams, state: GRUState, u: jax.Array, a: jax.Array) -> GRUState:
        (u_r, u_z, u_n), (a_r, a_z) = jnp.split(u, 3, axis=-1), jnp.split(a, 2, axis=-1)
        r, z = jax.nn.sigmoid(u_r + a_r), jax.nn.sigmoid(u_z + a_z)
        n = jnp.tanh(u_n + (r * state.h) @ params.W[:, 2 * self.hidden_size :])
        return GRUState(n + z * (state.h - n))

    def output(self, params: OriginalGRUParams, state: GRUState) -> jax.Array:
        return state.h
