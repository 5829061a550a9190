"""Long short-term memory that forgets as much as it takes in."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Additive, Weights
from jaxrnn.cells.initializers import uniform_by_hidden
from jaxrnn.cells.lstm import LSTMState


class CoupledLSTMParams(NamedTuple):
    """θ of an LSTM with a coupled forget gate; gates in the order i, g, o."""

    U: jax.Array  # (input, 3·hidden)
    W: jax.Array  # (hidden, 3·hidden)
    b: jax.Array  # (3·hidden,)

    gates = "igo"  # of b, in order


@dataclass(frozen=True)
class CoupledLSTM(Additive):
    """Long short-term memory with a coupled forget gate, f = 1 - i: a quarter fewer weights.

        i, o = σ(b + h(t-1) W + x(t) U)         input and output gate, each with its own columns
        g    = tanh(b + h(t-1) W + x(t) U)      the new content
        c(t) = (1 - i) ⊙ c(t-1) + i ⊙ g
        h(t) = o ⊙ tanh(c(t))

    Shapes: x `(*batch, input)`, h, c and the output `(*batch, hidden)`, U `(input, 3·hidden)`, W `(hidden, 3·hidden)`,
    b `(3·hidden,)`, the gates side by side in the order i, g, o. All start uniform in ±1/√hidden. The state is an
    `LSTMState`.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t) and of c(t).

    Raises:
        ValueError: a size below 1; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = CoupledLSTM(input_size=3, hidden_size=16)
        run = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 3)))  # run.final.c: (16,)

    Source: Greff et al., *LSTM: a search space odyssey* (2017), the variant CIFG, without peepholes.
    """

    input_size: int
    hidden_size: int

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> CoupledLSTMParams:
        return CoupledLSTMParams(*uniform_by_hidden(key, self.input_size, self.hidden_size, gates=3, dtype=dtype))

    def initial_state(self, params: CoupledLSTMParams, batch_shape: tuple[int, ...] = ()) -> LSTMState:
        zeros = jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype)
        return LSTMState(zeros, zeros)

    def weights(self, params: CoupledLSTMParams) -> Weights:
        return Weights(params.U, params.W, params.b)

    def hidden(self, params: CoupledLSTMParams, state: LSTMState) -> jax.Array:
        return state.h

    def gate(self, params: CoupledLSTMParams, state: LSTMState, z: jax.Array) -> LSTMState:
        i, g, o = jnp.split(z, 3, axis=-1)
        c = state.c + jax.nn.sigmoid(i) * (jnp.tanh(g) - state.c)
        return LSTMState(jax.nn.sigmoid(o) * jnp.tanh(c), c)

    def output(self, params: CoupledLSTMParams, state: LSTMState) -> jax.Array:
        return state.h
