"""A GRU whose two gates are one."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import add_row
from jaxrnn.cells.base import Affine, Weights
from jaxrnn.cells.gru import GRUState
from jaxrnn.cells.initializers import uniform_by_hidden


class TiedGRUParams(NamedTuple):
    """θ of a GRU with one gate; in the order z, n."""

    U: jax.Array  # (input, 2·hidden)
    W: jax.Array  # (hidden, 2·hidden)
    b: jax.Array  # (2·hidden,)
    c: jax.Array | None  # (hidden,), the recurrent bias of n, inside the reset; None without the reset

    gates = "zn"  # of b, in order


@dataclass(frozen=True)
class TiedGRU(Affine):
    """A `GRU` whose one gate both resets and updates, r = z; or, without the reset, updates only, r = 1.

        z    = σ(b + h(t-1) W + x(t) U)                 the gate
        n    = tanh(b + x(t) U + z ⊙ (h(t-1) W + c))    the new content, with its own columns
        h(t) = (1 - z) ⊙ n + z ⊙ h(t-1)

    This is what Flax calls MGU. That of the paper, `MGU`, resets before the product, and its gate, where it is open,
    lets the new content in, not the old: no weights of the one give the numbers of the other.

    Shapes: x `(*batch, input)`, h and the output `(*batch, hidden)`, U `(input, 2·hidden)`, W `(hidden, 2·hidden)`,
    b `(2·hidden,)`, side by side in the order z, n; c `(hidden,)`. All start uniform in ±1/√hidden. The state is a
    `GRUState`.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).
        reset: False: n = tanh(b + x(t) U + h(t-1) W), and c is None.

    Raises:
        ValueError: a size below 1; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers; a reset that is not True or False.

    Example:
        cell = TiedGRU(input_size=3, hidden_size=16)
        h = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 3))).outputs  # (20, 16)

    Source: `flax.linen.MGUCell`, after Zhou, Wu, Zhang, Zhou, *Minimal gated unit for recurrent neural networks*
    (2016).
    """

    input_size: int
    hidden_size: int
    reset: bool = True

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)
        if not isinstance(self.reset, bool):
            raise TypeError(f"TiedGRU: reset must be True or False, got {self.reset!r}")

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> TiedGRUParams:
        key, key_c = jax.random.split(key)
        U, W, b = uniform_by_hidden(key, self.input_size, self.hidden_size, gates=2, dtype=dtype)
        bound = self.hidden_size**-0.5
        c = jax.random.uniform(key_c, (self.hidden_size,), dtype, -bound, bound) if self.reset else None
        return TiedGRUParams(U, W, b, c)

    def initial_state(self, params: TiedGRUParams, batch_shape: tuple[int, ...] = ()) -> GRUState:
        return GRUState(jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype))

    def weights(self, params: TiedGRUParams) -> Weights:
        return Weights(params.U, params.W, params.b)

    def hidden(self, params: TiedGRUParams, state: GRUState) -> jax.Array:
        return state.h

    def activate(self, params: TiedGRUParams, state: GRUState, u: jax.Array, a: jax.Array) -> GRUState:
        (u_z, u_n), (a_z, a_n) = jnp.split(u, 2, axis=-1), jnp.split(a, 2, axis=-1)
        z = jax.nn.sigmoid(u_z + a_z)
        n = jnp.tanh(u_n + (a_n if params.c is None else z * add_row(a_n, params.c)))
        return GRUState(n + z * (state.h - n))

    def output(self, params: TiedGRUParams, state: GRUState) -> jax.Array:
        return state.h
