"""The net whose recurrence runs through its output (Jordan 1986)."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import activations, checks
from jaxrnn.cells.activations import Activation
from jaxrnn.cells.affine import affine
from jaxrnn.cells.base import Additive, Weights
from jaxrnn.cells.initializers import uniform


class JordanParams(NamedTuple):
    """θ of a Jordan net."""

    U: jax.Array  # (input, hidden)
    W: jax.Array  # (output, hidden)
    b: jax.Array  # (hidden,)
    V: jax.Array  # (hidden, output)
    c: jax.Array  # (output,)

    gates = "h"  # of b


class JordanState(NamedTuple):
    """s(t) of a Jordan net: all that the next step reads."""

    o: jax.Array  # (*batch, output)


@dataclass(frozen=True)
class Jordan(Additive):
    """The net whose only recurrence runs from the output to the hidden units.

        h(t) = φ(b + o(t-1) W + x(t) U),  φ = tanh by default
        o(t) = c + h(t) V

    It is weaker than `Elman`: what o does not show of the past is lost. In exchange, as the state is o alone, a target
    can take the place of o(t-1) (teacher forcing).

    Shapes: x `(*batch, input)`, h `(*batch, hidden)`, o and the output `(*batch, output)`, U `(input, hidden)`,
    W `(output, hidden)`, b `(hidden,)`, V `(hidden, output)`, c `(output,)`. All start uniform in ±1/√hidden; o(0) = 0.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).
        output_size: entries of o(t).
        activation: φ, as in `Elman`.

    Raises:
        ValueError: a size below 1; an unknown activation; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = Jordan(input_size=3, hidden_size=16, output_size=2)
        o = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 3))).outputs  # (20, 2)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Fig. 10.4; Jordan, *Serial order: a parallel
    distributed processing approach* (1986).
    """

    input_size: int
    hidden_size: int
    output_size: int
    activation: Activation = "tanh"

    def __post_init__(self):
        sizes = {"input_size": self.input_size, "hidden_size": self.hidden_size}
        checks.positive(self, **sizes, output_size=self.output_size)
        activations.function(self, self.activation)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> JordanParams:
        hidden, output = self.hidden_size, self.output_size
        shapes = (self.input_size, hidden), (output, hidden), (hidden,), (hidden, output), (output,)
        return JordanParams(*uniform(key, hidden**-0.5, *shapes, dtype=dtype))

    def initial_state(self, params: JordanParams, batch_shape: tuple[int, ...] = ()) -> JordanState:
        return JordanState(jnp.zeros((*batch_shape, self.output_size), params.W.dtype))

    def weights(self, params: JordanParams) -> Weights:
        return Weights(params.U, params.W, params.b)

    def hidden(self, params: JordanParams, state: JordanState) -> jax.Array:
        return state.o

    def gate(self, params: JordanParams, state: JordanState, z: jax.Array) -> JordanState:
        return JordanState(affine(activations.function(self, self.activation)(z), params.V, params.c))

    def output(self, params: JordanParams, state: JordanState) -> jax.Array:
        return state.o
