"""Long short-term memory whose gates see the cell."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import times_row
from jaxrnn.cells.base import Additive, Weights
from jaxrnn.cells.initializers import uniform, uniform_by_hidden
from jaxrnn.cells.lstm import LSTMState


class PeepholeLSTMParams(NamedTuple):
    """θ of an LSTM with peepholes; gates in the order i, f, g, o."""

    U: jax.Array  # (input, 4·hidden)
    W: jax.Array  # (hidden, 4·hidden)
    b: jax.Array  # (4·hidden,)
    p: jax.Array  # (3·hidden,), the peepholes of i, f, o

    gates = "ifgo"  # of b, in order


@dataclass(frozen=True)
class PeepholeLSTM(Additive):
    """Long short-term memory with peepholes: the gates see the cell c, each entry its own.

        i, f = σ(b + h(t-1) W + x(t) U + p ⊙ c(t-1))    input and forget gate, each with its own columns
        g    = tanh(b + h(t-1) W + x(t) U)              the new content
        c(t) = f ⊙ c(t-1) + i ⊙ g
        o    = σ(b + h(t-1) W + x(t) U + p ⊙ c(t))      the output gate sees the new cell
        h(t) = o ⊙ tanh(c(t))

    Shapes: x `(*batch, input)`, h, c and the output `(*batch, hidden)`, U `(input, 4·hidden)`, W `(hidden, 4·hidden)`,
    b `(4·hidden,)`, the gates side by side in the order i, f, g, o; p `(3·hidden,)` in the order i, f, o. All start
    uniform in ±1/√hidden. The state is an `LSTMState`.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t) and of c(t).

    Raises:
        ValueError: a size below 1; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = PeepholeLSTM(input_size=3, hidden_size=16)
        run = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 3)))  # run.final.c: (16,)

    Source: Gers and Schmidhuber, *Recurrent nets that time and count* (2000); with recurrence from h to every gate as
    in Graves, *Generating sequences with recurrent neural networks* (2013), Eq. 7 to 11.
    """

    input_size: int
    hidden_size: int

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> PeepholeLSTMParams:
        key, key_p = jax.random.split(key)
        U, W, b = uniform_by_hidden(key, self.input_size, self.hidden_size, gates=4, dtype=dtype)
        (p,) = uniform(key_p, self.hidden_size**-0.5, (3 * self.hidden_size,), dtype=dtype)
        return PeepholeLSTMParams(U, W, b, p)

    def initial_state(self, params: PeepholeLSTMParams, batch_shape: tuple[int, ...] = ()) -> LSTMState:
        zeros = jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype)
        return LSTMState(zeros, zeros)

    def weights(self, params: PeepholeLSTMParams) -> Weights:
        return Weights(params.U, params.W, params.b)

    def hidden(self, params: PeepholeLSTMParams, state: LSTMState) -> jax.Array:
        return state.h

    def gate(self, params: PeepholeLSTMParams, state: LSTMState, z: jax.Array) -> LSTMState:
        (i, f, g, o), (p_i, p_f, p_o) = jnp.split(z, 4, axis=-1), jnp.split(params.p, 3)
        i = jax.nn.sigmoid(i + times_row(state.c, p_i))
        f = jax.nn.sigmoid(f + times_row(state.c, p_f))
        c = f * state.c + i * jnp.tanh(g)
        return LSTMState(jax.nn.sigmoid(o + times_row(c, p_o)) * jnp.tanh(c), c)

    def output(self, params: PeepholeLSTMParams, state: LSTMState) -> jax.Array:
        return state.h
