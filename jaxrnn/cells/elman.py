"""The recurrent net of the textbook, with recurrence between hidden units (Elman 1990)."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import activations, checks
from jaxrnn.cells.activations import Activation
from jaxrnn.cells.base import Additive, Weights
from jaxrnn.cells.initializers import uniform_by_hidden


class ElmanParams(NamedTuple):
    """θ of an Elman net."""

    U: jax.Array  # (input, hidden)
    W: jax.Array  # (hidden, hidden)
    b: jax.Array  # (hidden,)

    gates = "h"  # of b


class ElmanState(NamedTuple):
    """s(t) of an Elman net."""

    h: jax.Array  # (*batch, hidden)


@dataclass(frozen=True)
class Elman(Additive):
    """The textbook's recurrent net.

        a(t) = b + h(t-1) W + x(t) U
        h(t) = φ(a(t)),  φ = tanh by default

    Shapes: x `(*batch, input)`, h and the output `(*batch, hidden)`, U `(input, hidden)`, W `(hidden, hidden)`,
    b `(hidden,)`. Vectors are rows, so the book's `W h` is `h @ W` here. U, W and b start uniform in ±1/√hidden.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).
        activation: φ, a function of `jax.nn` by its name, such as "tanh" or "relu", or a pure function of one array.
            With a function, a call of `unfold` outside `jax.jit` compiles anew each time; with a name, once.

    Raises:
        ValueError: a size below 1; an unknown activation; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = Elman(input_size=3, hidden_size=8)
        h = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 3))).outputs  # (20, 8)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Eq. 10.8 and 10.9; Elman, *Finding structure in
    time* (1990).
    """

    input_size: int
    hidden_size: int
    activation: Activation = "tanh"

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)
        activations.function(self, self.activation)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> ElmanParams:
        return ElmanParams(*uniform_by_hidden(key, self.input_size, self.hidden_size, gates=1, dtype=dtype))

    def initial_state(self, params: ElmanParams, batch_shape: tuple[int, ...] = ()) -> ElmanState:
        return ElmanState(jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype))

    def weights(self, params: ElmanParams) -> Weights:
        return Weights(params.U, params.W, params.b)

    def hidden(self, params: ElmanParams, state: ElmanState) -> jax.Array:
        return state.h

    def gate(self, params: ElmanParams, state: ElmanState, z: jax.Array) -> ElmanState:
        return ElmanState(activations.function(self, self.activation)(z))

    def output(self, params: ElmanParams, state: ElmanState) -> jax.Array:
        return state.h
