"""A layer without recurrence, as a cell."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import activations, checks
from jaxrnn.cells.activations import Activation
from jaxrnn.cells.affine import affine
from jaxrnn.cells.base import Linear
from jaxrnn.cells.elman import ElmanState
from jaxrnn.cells.initializers import uniform


class FeedForwardParams(NamedTuple):
    """θ of a layer without recurrence."""

    U: jax.Array  # (input, hidden)
    b: jax.Array  # (hidden,)


@dataclass(frozen=True)
class FeedForward(Linear):
    """A cell that remembers nothing: a layer of units, anew in each step.

        h(t) = φ(b + x(t) U),  φ = tanh by default

    For what has its memory elsewhere, as the controller of an `NTM`, and for a layer between others in a `Stack`.

    Shapes: x `(*batch, input)`, h and the output `(*batch, hidden)`, U `(input, hidden)`, b `(hidden,)`, both uniform
    in ±1/√input at the start. The state is an `ElmanState`.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).
        activation: φ, as in `Elman`.

    Raises:
        ValueError: a size below 1; an unknown activation; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = NTM(FeedForward(input_size=9 + 20, hidden_size=100), slots=128, width=20)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Eq. 6.36 in Sec. 6.4; as a controller: Graves et al.,
    *Neural Turing machines* (2014), Sec. 3.3.
    """

    input_size: int
    hidden_size: int
    activation: Activation = "tanh"

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)
        activations.function(self, self.activation)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> FeedForwardParams:
        shapes = (self.input_size, self.hidden_size), (self.hidden_size,)
        return FeedForwardParams(*uniform(key, self.input_size**-0.5, *shapes, dtype=dtype))

    def initial_state(self, params: FeedForwardParams, batch_shape: tuple[int, ...] = ()) -> ElmanState:
        return ElmanState(jnp.zeros((*batch_shape, self.hidden_size), params.U.dtype))

    def coefficients(self, params: FeedForwardParams, xs: jax.Array) -> tuple[ElmanState, ElmanState]:
        checks.features(self, xs, self.input_size)
        h = activations.function(self, self.activation)(affine(xs, params.U, params.b))
        return ElmanState(jnp.zeros_like(h)), ElmanState(h)

    def output(self, params: FeedForwardParams, state: ElmanState) -> jax.Array:
        return state.h
