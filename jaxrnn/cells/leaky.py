"""Leaky units: recurrence in continuous time, by Euler's steps."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import activations, checks
from jaxrnn.cells.activations import Activation
from jaxrnn.cells.affine import times_row
from jaxrnn.cells.base import Additive, Weights
from jaxrnn.cells.elman import ElmanState
from jaxrnn.cells.initializers import uniform, uniform_by_hidden


class LeakyElmanParams(NamedTuple):
    """θ of an Elman net of leaky units."""

    U: jax.Array  # (input, hidden)
    W: jax.Array  # (hidden, hidden)
    b: jax.Array  # (hidden,)
    r: jax.Array | None  # (hidden,), α = σ(r); None where α is fixed


@dataclass(frozen=True)
class LeakyElman(Additive):
    """An Elman net of leaky units: Euler's steps dt of τ dh/dt = -h + φ(b + h W + x U), with α = dt / τ.

        z(t) = b + h(t-1) W + x(t) U
        h(t) = (1 - α) ⊙ h(t-1) + α ⊙ φ(z(t)),  φ = tanh by default

    Shapes: x `(*batch, input)`, h and the output `(*batch, hidden)`, U `(input, hidden)`, W `(hidden, hidden)`,
    b `(hidden,)`; r `(hidden,)` where α is learned, one for each unit. All start uniform in ±1/√hidden, so that α
    starts near 1/2. The state is an `ElmanState`.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).
        rate: α, above 0 and at most 1, the same for all units; None learns α = σ(r).
        activation: φ, as in `Elman`.

    Raises:
        ValueError: a size below 1; a rate out of range; an unknown activation; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers; a rate that is no number.

    Example:
        cell = LeakyElman(input_size=3, hidden_size=16, rate=0.1)
        h = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 3))).outputs  # (20, 16)

    Source: Jaeger et al., *Optimization and applications of echo state networks with leaky-integrator neurons* (2007);
    leaky units: *Deep Learning*, Sec. 10.9.2.
    """

    input_size: int
    hidden_size: int
    rate: float | None = None
    activation: Activation = "tanh"

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)
        activations.function(self, self.activation)
        if self.rate is not None:
            checks.number(self, "rate", self.rate, above=0, most=1)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LeakyElmanParams:
        key, key_r = jax.random.split(key)
        U, W, b = uniform_by_hidden(key, self.input_size, self.hidden_size, gates=1, dtype=dtype)
        (r,) = uniform(key_r, self.hidden_size**-0.5, (self.hidden_size,), dtype=dtype)
        return LeakyElmanParams(U, W, b, r if self.rate is None else None)

    def initial_state(self, params: LeakyElmanParams, batch_shape: tuple[int, ...] = ()) -> ElmanState:
        return ElmanState(jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype))

    def weights(self, params: LeakyElmanParams) -> Weights:
        return Weights(params.U, params.W, params.b)

    def hidden(self, params: LeakyElmanParams, state: ElmanState) -> jax.Array:
        return state.h

    def gate(self, params: LeakyElmanParams, state: ElmanState, z: jax.Array) -> ElmanState:
        change = activations.function(self, self.activation)(z) - state.h
        if self.rate is not None:
            return ElmanState(state.h + float(self.rate) * change)
        assert params.r is not None
        return ElmanState(state.h + times_row(change, jax.nn.sigmoid(params.r)))

    def output(self, params: LeakyElmanParams, state: ElmanState) -> jax.Array:
        return state.h
