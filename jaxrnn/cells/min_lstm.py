"""The LSTM without recurrence in its gates."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine
from jaxrnn.cells.base import Linear
from jaxrnn.cells.initializers import uniform


class MinLSTMParams(NamedTuple):
    """θ of a minLSTM; gates in the order i, f, g."""

    U: jax.Array  # (input, 3·hidden)
    b: jax.Array  # (3·hidden,)


class MinLSTMState(NamedTuple):
    """s(t) of a minLSTM."""

    h: jax.Array  # (*batch, hidden)


@dataclass(frozen=True)
class MinLSTM(Linear):
    """The minimal LSTM: its gates and its new content read x alone, so the recurrence is linear.

        i, f = σ(b + x(t) U)        input and forget gate, each with its own columns
        g    = b + x(t) U           the new content
        h(t) = f / (f + i) ⊙ h(t-1) + i / (f + i) ⊙ g

    Shapes: x `(*batch, input)`, h and the output `(*batch, hidden)`, U `(input, 3·hidden)`, b `(3·hidden,)`, side by
    side in the order i, f, g. Both start uniform in ±1/√input.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).

    Raises:
        ValueError: a size below 1; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = MinLSTM(input_size=3, hidden_size=16)
        h = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 3))).outputs  # (20, 16)

    Source: Feng et al., *Were RNNs all we needed?* (2024), Sec. 3.2, the form whose scale does not depend on time, not
    in logarithms: h may be negative.
    """

    input_size: int
    hidden_size: int

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> MinLSTMParams:
        shapes = (self.input_size, 3 * self.hidden_size), (3 * self.hidden_size,)
        return MinLSTMParams(*uniform(key, self.input_size**-0.5, *shapes, dtype=dtype))

    def initial_state(self, params: MinLSTMParams, batch_shape: tuple[int, ...] = ()) -> MinLSTMState:
        return MinLSTMState(jnp.zeros((*batch_shape, self.hidden_size), params.U.dtype))

    def coefficients(self, params: MinLSTMParams, xs: jax.Array) -> tuple[MinLSTMState, MinLSTMState]:
        checks.features(self, xs, self.input_size)
        i, f, g = jnp.split(affine(xs, params.U, params.b), 3, axis=-1)
        # f / (f + i) = σ(log f - log i): where both gates are shut, the quotient would be 0 / 0.
        odds = jax.nn.log_sigmoid(f) - jax.nn.log_sigmoid(i)
        return MinLSTMState(jax.nn.sigmoid(odds)), MinLSTMState(jax.nn.sigmoid(-odds) * g)

    def output(self, params: MinLSTMParams, state: MinLSTMState) -> jax.Array:
        return state.h
