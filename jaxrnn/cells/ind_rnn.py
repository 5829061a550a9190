"""Recurrence of each unit with itself alone."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import activations, checks
from jaxrnn.cells.activations import Activation
from jaxrnn.cells.affine import affine, times_row
from jaxrnn.cells.base import Gated
from jaxrnn.cells.elman import ElmanState
from jaxrnn.cells.initializers import uniform


class IndRNNParams(NamedTuple):
    """θ of an independently recurrent net."""

    U: jax.Array  # (input, hidden)
    w: jax.Array  # (hidden,), the recurrent weight of each unit
    b: jax.Array  # (hidden,)


@dataclass(frozen=True)
class IndRNN(Gated):
    """The independently recurrent net: each unit reads its own past, and the next layer mixes units.

        h(t) = φ(b + x(t) U + w ⊙ h(t-1)),  φ = relu by default

    Shapes: x `(*batch, input)`, h and the output `(*batch, hidden)`, U `(input, hidden)`, w and b `(hidden,)`. U and b
    start uniform in ±1/√input, w in 0 to 1. Over τ steps the gradient keeps its size where |w|^τ does.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).
        activation: φ, as in `Elman`.

    Raises:
        ValueError: a size below 1; an unknown activation; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = IndRNN(input_size=3, hidden_size=16)
        h = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 3))).outputs  # (20, 16)

    Source: Li et al., *Independently recurrent neural network (IndRNN): building a longer and deeper RNN* (2018),
    Eq. 2.
    """

    input_size: int
    hidden_size: int
    activation: Activation = "relu"

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)
        activations.function(self, self.activation)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> IndRNNParams:
        key, key_w = jax.random.split(key)
        U, b = uniform(
            key, self.input_size**-0.5, (self.input_size, self.hidden_size), (self.hidden_size,), dtype=dtype
        )
        return IndRNNParams(U, jax.random.uniform(key_w, (self.hidden_size,), dtype), b)

    def initial_state(self, params: IndRNNParams, batch_shape: tuple[int, ...] = ()) -> ElmanState:
        return ElmanState(jnp.zeros((*batch_shape, self.hidden_size), params.w.dtype))

    def drive(self, params: IndRNNParams, x: jax.Array) -> jax.Array:
        checks.features(self, x, self.input_size)
        return affine(x, params.U, params.b)

    def recurrent(self, params: IndRNNParams) -> tuple[()]:
        return ()

    def hidden(self, params: IndRNNParams, state: ElmanState) -> jax.Array:
        return state.h

    def activate(self, params: IndRNNParams, state: ElmanState, u: jax.Array, a: tuple[()]) -> ElmanState:
        return ElmanState(activations.function(self, self.activation)(u + times_row(state.h, params.w)))

    def output(self, params: IndRNNParams, state: ElmanState) -> jax.Array:
        return state.h
