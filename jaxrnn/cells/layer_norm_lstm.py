"""Long short-term memory with layer normalisation."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import add_row, product, times_row
from jaxrnn.cells.base import Gated
from jaxrnn.cells.initializers import uniform_by_hidden
from jaxrnn.cells.lstm import LSTMState
from jaxrnn.cells.normalise import center, normalise, scale


class LayerNormLSTMParams(NamedTuple):
    """θ of an LSTM with layer normalisation; gates in the order i, f, g, o."""

    U: jax.Array  # (input, 4·hidden)
    W: jax.Array  # (hidden, 4·hidden)
    b: jax.Array  # (4·hidden,)
    gain_U: jax.Array  # (4·hidden,), of x U
    gain_W: jax.Array  # (4·hidden,), of h W
    gain_c: jax.Array  # (hidden,), of c
    bias_c: jax.Array  # (hidden,), of c

    gates = "ifgo"  # of b, in order


@dataclass(frozen=True)
class LayerNormLSTM(Gated):
    """Long short-term memory whose sums, and whose cell as it is read, are normalised over the units.

        N(a)    = (a - mean a) / √(var a + ε)                                over all entries of one a
        i, f, o = σ(gain_U ⊙ N(x(t) U) + gain_W ⊙ N(h(t-1) W) + b)           each with its own columns
        g       = tanh(gain_U ⊙ N(x(t) U) + gain_W ⊙ N(h(t-1) W) + b)
        c(t)    = f ⊙ c(t-1) + i ⊙ g
        h(t)    = o ⊙ tanh(gain_c ⊙ N(c(t)) + bias_c)

    The four gates are normalised together, as in the paper; the biases of its two normalised sums and its b are one b.

    Shapes: x `(*batch, input)`, h, c and the output `(*batch, hidden)`, U `(input, 4·hidden)`, W `(hidden, 4·hidden)`,
    b, gain_U and gain_W `(4·hidden,)`, the gates side by side in the order i, f, g, o; gain_c and bias_c `(hidden,)`.
    U and W start uniform in ±1/√hidden, gains at one, biases at zero.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t) and of c(t).
        epsilon: ε, added to the variance.

    Raises:
        ValueError: a size below 1; an epsilon that is not above 0; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = LayerNormLSTM(input_size=65, hidden_size=256)
        run = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 65)))  # run.final.c: (256,)

    Source: Ba, Kiros, Hinton, *Layer normalization* (2016), Eq. 20 to 22.
    """

    input_size: int
    hidden_size: int
    epsilon: float = 1e-5

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)
        checks.number(self, "epsilon", self.epsilon, above=0)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LayerNormLSTMParams:
        U, W, b = uniform_by_hidden(key, self.input_size, self.hidden_size, gates=4, dtype=dtype)
        gates, one = jnp.ones_like(b), jnp.ones((self.hidden_size,), dtype)
        return LayerNormLSTMParams(U, W, jnp.zeros_like(b), gates, gates, one, jnp.zeros_like(one))

    def initial_state(self, params: LayerNormLSTMParams, batch_shape: tuple[int, ...] = ()) -> LSTMState:
        zeros = jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype)
        return LSTMState(zeros, zeros)

    def drive(self, params: LayerNormLSTMParams, x: jax.Array) -> jax.Array:
        checks.features(self, x, self.input_size)
        return add_row(times_row(scale(product(x, center(params.U)), self.epsilon), params.gain_U), params.b)

    def recurrent(self, params: LayerNormLSTMParams) -> jax.Array:
        return center(params.W)

    def hidden(self, params: LayerNormLSTMParams, state: LSTMState) -> jax.Array:
        return state.h

    def activate(self, params: LayerNormLSTMParams, state: LSTMState, u: jax.Array, a: jax.Array) -> LSTMState:
        z = u + times_row(scale(a, self.epsilon), params.gain_W)
        i, f, g, o = jnp.split(z, 4, axis=-1)
        c = jax.nn.sigmoid(f) * state.c + jax.nn.sigmoid(i) * jnp.tanh(g)
        read = add_row(times_row(normalise(c, self.epsilon), params.gain_c), params.bias_c)
        return LSTMState(jax.nn.sigmoid(o) * jnp.tanh(read), c)

    def output(self, params: LayerNormLSTMParams, state: LSTMState) -> jax.Array:
        return state.h
