"""The gated recurrent unit with layer normalisation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import add_row, product, times_row
from jaxrnn.cells.base import Gated
from jaxrnn.cells.gru import GRUState
from jaxrnn.cells.initializers import uniform_by_hidden
from jaxrnn.cells.normalise import center, scale


class LayerNormGRUParams(NamedTuple):
    """θ of a GRU with layer normalisation; gates in the order r, z, n."""

    U: jax.Array  # (input, 3·hidden)
    W: jax.Array  # (hidden, 3·hidden)
    b: jax.Array  # (3·hidden,)
    c: jax.Array  # (hidden,), the recurrent bias of n, inside the reset
    gain_U: jax.Array  # (3·hidden,), of x U
    gain_W: jax.Array  # (3·hidden,), of h W

    gates = "rzn"  # of b, in order


@dataclass(frozen=True)
class LayerNormGRU(Gated):
    """The gated recurrent unit whose sums are normalised over the units.

        N(a) = (a - mean a) / √(var a + ε)                          over the entries of r and z together, of n alone
        r, z = σ(gain_U ⊙ N(x(t) U) + gain_W ⊙ N(h(t-1) W) + b)     each with its own columns
        n    = tanh(gain_U ⊙ N(x(t) U) + b + r ⊙ (gain_W ⊙ N(h(t-1) W) + c))
        h(t) = (1 - z) ⊙ n + z ⊙ h(t-1)

    The paper's z is 1 - z here; the biases of its two normalised sums are one b, but for c, which is inside the reset.

    Shapes: x `(*batch, input)`, h and the output `(*batch, hidden)`, U `(input, 3·hidden)`, W `(hidden, 3·hidden)`,
    b, gain_U and gain_W `(3·hidden,)`, the gates side by side in the order r, z, n; c `(hidden,)`. U and W start
    uniform in ±1/√hidden, gains at one, biases at zero.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).
        epsilon: ε, added to the variance.

    Raises:
        ValueError: a size below 1; an epsilon that is not above 0; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = LayerNormGRU(input_size=65, hidden_size=256)
        h = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 65))).outputs  # (20, 256)

    Source: Ba, Kiros, Hinton, *Layer normalization* (2016), Eq. 23 to 25.
    """

    input_size: int
    hidden_size: int
    epsilon: float = 1e-5

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)
        checks.number(self, "epsilon", self.epsilon, above=0)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LayerNormGRUParams:
        U, W, b = uniform_by_hidden(key, self.input_size, self.hidden_size, gates=3, dtype=dtype)
        gain = jnp.ones_like(b)
        return LayerNormGRUParams(U, W, jnp.zeros_like(b), jnp.zeros((self.hidden_size,), dtype), gain, gain)

    def initial_state(self, params: LayerNormGRUParams, batch_shape: tuple[int, ...] = ()) -> GRUState:
        return GRUState(jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype))

    def drive(self, params: LayerNormGRUParams, x: jax.Array) -> jax.Array:
        checks.features(self, x, self.input_size)
        return add_row(times_row(self._scale(product(x, self._center(params.U))), params.gain_U), params.b)

    def recurrent(self, params: LayerNormGRUParams) -> jax.Array:
        return self._center(params.W)

    def hidden(self, params: LayerNormGRUParams, state: GRUState) -> jax.Array:
        return state.h

    def activate(self, params: LayerNormGRUParams, state: GRUState, u: jax.Array, a: jax.Array) -> GRUState:
        a = times_row(self._scale(a), params.gain_W)
        (u_r, u_z, u_n), (a_r, a_z, a_n) = jnp.split(u, 3, axis=-1), jnp.split(a, 3, axis=-1)
        r, z = jax.nn.sigmoid(u_r + a_r), jax.nn.sigmoid(u_z + a_z)
        n = jnp.tanh(u_n + r * add_row(a_n, params.c))
        return GRUState(n + z * (state.h - n))

    def output(self, params: LayerNormGRUParams, state: GRUState) -> jax.Array:
        return state.h

    def _center(self, W: jax.Array) -> jax.Array:
        """A matrix whose products are those with W, less means of the gates together and of the new content."""
        return self._apart(center, W)

    def _scale(self, a: jax.Array) -> jax.Array:
        """N of products less their means."""
        return self._apart(lambda part: scale(part, self.epsilon), a)

    def _apart(self, function: Callable[[jax.Array], jax.Array], a: jax.Array) -> jax.Array:
        gates, new = jnp.split(a, [2 * self.hidden_size], axis=-1)
        return jnp.concatenate([function(gates), function(new)], axis=-1)
