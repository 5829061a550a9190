"""The gated recurrent unit."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import add_row
from jaxrnn.cells.base import Affine, Weights
from jaxrnn.cells.initializers import uniform_by_hidden


class GRUParams(NamedTuple):
    """θ of a GRU; gates in the order r, z, n."""

    U: jax.Array  # (input, 3·hidden)
    W: jax.Array  # (hidden, 3·hidden)
    b: jax.Array  # (3·hidden,)
    c: jax.Array  # (hidden,), the recurrent bias of n, inside the reset

    gates = "rzn"  # of b, in order


class GRUState(NamedTuple):
    """s(t) of a GRU."""

    h: jax.Array  # (*batch, hidden)


@dataclass(frozen=True)
class GRU(Affine):
    """The gated recurrent unit, its reset after the matrix product (as in cuDNN and PyTorch).

        r, z = σ(b + h(t-1) W + x(t) U)                 reset and update gate, each with its own columns
        n    = tanh(b + x(t) U + r ⊙ (h(t-1) W + c))    the new content
        h(t) = (1 - z) ⊙ n + z ⊙ h(t-1)

    Shapes: x `(*batch, input)`, h and the output `(*batch, hidden)`, U `(input, 3·hidden)`, W `(hidden, 3·hidden)`,
    b `(3·hidden,)`, the gates side by side in the order r, z, n; c `(hidden,)`. All start uniform in ±1/√hidden.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).

    Raises:
        ValueError: a size below 1; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = GRU(input_size=65, hidden_size=256)
        h = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 65))).outputs  # (20, 256)

    Source: Cho et al. (2014); the reset after the product: Chung et al. (2014) as implemented in cuDNN. *Deep
    Learning*, Eq. 10.45 to 10.47, writes u for z, has σ for the new content and resets before the product.
    """

    input_size: int
    hidden_size: int

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> GRUParams:
        key, key_c = jax.random.split(key)
        U, W, b = uniform_by_hidden(key, self.input_size, self.hidden_size, gates=3, dtype=dtype)
        bound = self.hidden_size**-0.5
        return GRUParams(U, W, b, jax.random.uniform(key_c, (self.hidden_size,), dtype, -bound, bound))

    def initial_state(self, params: GRUParams, batch_shape: tuple[int, ...] = ()) -> GRUState:
        return GRUState(jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype))

    def weights(self, params: GRUParams) -> Weights:
        return Weights(params.U, params.W, params.b)

    def hidden(self, params: GRUParams, state: GRUState) -> jax.Array:
        return state.h

    def activate(self, params: GRUParams, state: GRUState, u: jax.Array, a: jax.Array) -> GRUState:
        (u_r, u_z, u_n), (a_r, a_z, a_n) = jnp.split(u, 3, axis=-1), jnp.split(a, 3, axis=-1)
        r, z = jax.nn.sigmoid(u_r + a_r), jax.nn.sigmoid(u_z + a_z)
        n = jnp.tanh(u_n + r * add_row(a_n, params.c))
        return GRUState(n + z * (state.h - n))

    def output(self, params: GRUParams, state: GRUState) -> jax.Array:
        return state.h
