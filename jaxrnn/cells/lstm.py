"""Long short-term memory."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Additive, Weights
from jaxrnn.cells.initializers import uniform_by_hidden


class LSTMParams(NamedTuple):
    """θ of an LSTM; gates in the order i, f, g, o."""

    U: jax.Array  # (input, 4·hidden)
    W: jax.Array  # (hidden, 4·hidden)
    b: jax.Array  # (4·hidden,)

    gates = "ifgo"  # of b, in order


class LSTMState(NamedTuple):
    """s(t) of an LSTM."""

    h: jax.Array  # (*batch, hidden)
    c: jax.Array  # (*batch, hidden)


@dataclass(frozen=True)
class LSTM(Additive):
    """Long short-term memory with a forget gate.

        i, f, o = σ(b + h(t-1) W + x(t) U)      input, forget and output gate, each with its own columns
        g       = tanh(b + h(t-1) W + x(t) U)   the new content
        c(t)    = f ⊙ c(t-1) + i ⊙ g
        h(t)    = o ⊙ tanh(c(t))

    Shapes: x `(*batch, input)`, h, c and the output `(*batch, hidden)`, U `(input, 4·hidden)`, W `(hidden, 4·hidden)`,
    b `(4·hidden,)`, the gates side by side in the order i, f, g, o. All start uniform in ±1/√hidden.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t) and of c(t).

    Raises:
        ValueError: a size below 1; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = LSTM(input_size=65, hidden_size=256)
        run = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 65)))  # run.final.c: (256,)

    Source: Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000); *Deep Learning*, Eq. 10.40
    to 10.44, calls the gates g, f, q and the state s, and has σ for the new content.
    """

    input_size: int
    hidden_size: int

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LSTMParams:
        return LSTMParams(*uniform_by_hidden(key, self.input_size, self.hidden_size, gates=4, dtype=dtype))

    def initial_state(self, params: LSTMParams, batch_shape: tuple[int, ...] = ()) -> LSTMState:
        zeros = jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype)
        return LSTMState(zeros, zeros)

    def weights(self, params: LSTMParams) -> Weights:
        return Weights(params.U, params.W, params.b)

    def hidden(self, params: LSTMParams, state: LSTMState) -> jax.Array:
        return state.h

    def gate(self, params: LSTMParams, state: LSTMState, z: jax.Array) -> LSTMState:
        i, f, g, o = jnp.split(z, 4, axis=-1)
        c = jax.nn.sigmoid(f) * state.c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return LSTMState(jax.nn.sigmoid(o) * jnp.tanh(c), c)

    def output(self, params: LSTMParams, state: LSTMState) -> jax.Array:
        return state.h
