"""Long short-term memory whose output is a projection of its cells."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Additive, Weights
from jaxrnn.cells.initializers import uniform


class ProjectedLSTMParams(NamedTuple):
    """θ of an LSTM with a projection; gates in the order i, f, g, o."""

    U: jax.Array  # (input, 4·hidden)
    W: jax.Array  # (projection, 4·hidden)
    b: jax.Array  # (4·hidden,)
    P: jax.Array  # (hidden, projection)

    gates = "ifgo"  # of b, in order


class ProjectedLSTMState(NamedTuple):
    """s(t) of an LSTM with a projection."""

    h: jax.Array  # (*batch, projection)
    c: jax.Array  # (*batch, hidden)


@dataclass(frozen=True)
class ProjectedLSTM(Additive):
    """Long short-term memory with a projection: many cells, and few outputs to read them by.

        i, f, o = σ(b + h(t-1) W + x(t) U)      input, forget and output gate, each with its own columns
        g       = tanh(b + h(t-1) W + x(t) U)   the new content
        c(t)    = f ⊙ c(t-1) + i ⊙ g
        h(t)    = (o ⊙ tanh(c(t))) P

    Shapes: x `(*batch, input)`, c `(*batch, hidden)`, h and the output `(*batch, projection)`, U `(input, 4·hidden)`,
    W `(projection, 4·hidden)`, b `(4·hidden,)`, the gates side by side in the order i, f, g, o; P `(hidden,
    projection)`. All start uniform in ±1/√hidden.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of c(t).
        projection_size: entries of h(t).

    Raises:
        ValueError: a size below 1; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = ProjectedLSTM(input_size=40, hidden_size=512, projection_size=128)
        h = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 40))).outputs  # (20, 128)

    Source: Sak, Senior, Beaufays, *Long short-term memory recurrent neural network architectures for large scale
    acoustic modeling* (2014), without peepholes and without the part of the projection that is not recurrent, as
    PyTorch's `proj_size`.
    """

    input_size: int
    hidden_size: int
    projection_size: int

    def __post_init__(self):
        sizes = {"input_size": self.input_size, "hidden_size": self.hidden_size}
        checks.positive(self, **sizes, projection_size=self.projection_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> ProjectedLSTMParams:
        hidden, projection = self.hidden_size, self.projection_size
        shapes = (self.input_size, 4 * hidden), (projection, 4 * hidden), (4 * hidden,), (hidden, projection)
        return ProjectedLSTMParams(*uniform(key, hidden**-0.5, *shapes, dtype=dtype))

    def initial_state(self, params: ProjectedLSTMParams, batch_shape: tuple[int, ...] = ()) -> ProjectedLSTMState:
        h, c = (jnp.zeros((*batch_shape, size), params.W.dtype) for size in (self.projection_size, self.hidden_size))
        return ProjectedLSTMState(h, c)

    def weights(self, params: ProjectedLSTMParams) -> Weights:
        return Weights(params.U, params.W, params.b)

    def hidden(self, params: ProjectedLSTMParams, state: ProjectedLSTMState) -> jax.Array:
        return state.h

    def gate(self, params: ProjectedLSTMParams, state: ProjectedLSTMState, z: jax.Array) -> ProjectedLSTMState:
        i, f, g, o = jnp.split(z, 4, axis=-1)
        c = jax.nn.sigmoid(f) * state.c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return ProjectedLSTMState((jax.nn.sigmoid(o) * jnp.tanh(c)) @ params.P, c)

    def output(self, params: ProjectedLSTMParams, state: ProjectedLSTMState) -> jax.Array:
        return state.h
