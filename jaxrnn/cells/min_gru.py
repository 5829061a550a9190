"""The GRU without recurrence in its gates."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine
from jaxrnn.cells.base import Linear
from jaxrnn.cells.gru import GRUState
from jaxrnn.cells.initializers import uniform


class MinGRUParams(NamedTuple):
    """θ of a minGRU; gates in the order z, n."""

    U: jax.Array  # (input, 2·hidden)
    b: jax.Array  # (2·hidden,)


@dataclass(frozen=True)
class MinGRU(Linear):
    """The minimal GRU: its gate and its new content read x alone, so the recurrence is linear.

        z    = σ(b + x(t) U)        the update gate
        n    = b + x(t) U           the new content, with its own columns
        h(t) = (1 - z) ⊙ h(t-1) + z ⊙ n

    Here z is the weight of the new content, as in the paper; in `GRU` it is that of the old state.

    Shapes: x `(*batch, input)`, h and the output `(*batch, hidden)`, U `(input, 2·hidden)`, b `(2·hidden,)`, side by
    side in the order z, n. Both start uniform in ±1/√input. The state is a `GRUState`.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).

    Raises:
        ValueError: a size below 1; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = MinGRU(input_size=3, hidden_size=16)
        h = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 3))).outputs  # (20, 16)

    Source: Feng et al., *Were RNNs all we needed?* (2024), Sec. 3.1, not in logarithms: h may be negative.
    """

    input_size: int
    hidden_size: int

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> MinGRUParams:
        shapes = (self.input_size, 2 * self.hidden_size), (2 * self.hidden_size,)
        return MinGRUParams(*uniform(key, self.input_size**-0.5, *shapes, dtype=dtype))

    def initial_state(self, params: MinGRUParams, batch_shape: tuple[int, ...] = ()) -> GRUState:
        return GRUState(jnp.zeros((*batch_shape, self.hidden_size), params.U.dtype))

    def coefficients(self, params: MinGRUParams, xs: jax.Array) -> tuple[GRUState, GRUState]:
        checks.features(self, xs, self.input_size)
        z, n = jnp.split(affine(xs, params.U, params.b), 2, axis=-1)
        # σ(-z) and not 1 - σ(z), which is 0 long before the gate is.
        return GRUState(jax.nn.sigmoid(-z)), GRUState(jax.nn.sigmoid(z) * n)

    def output(self, params: MinGRUParams, state: GRUState) -> jax.Array:
        return state.h
