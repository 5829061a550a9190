"""A memory that is addressed by content alone: fast weights, changed by the delta rule."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine
from jaxrnn.cells.base import Cell, Params, State
from jaxrnn.cells.controlled import control, output_size


class FastWeightsParams(NamedTuple):
    """θ of a controller with fast weights; the columns of V and c are k, q, v, β."""

    controller: Params  # of the controller
    V: jax.Array  # (hidden, 2·keys + width + 1)
    c: jax.Array  # (2·keys + width + 1,)


class FastWeightsState(NamedTuple):
    """s(t) of a controller with fast weights."""

    controller: State  # of the controller
    M: jax.Array  # (*batch, keys, width), the fast weights
    r: jax.Array  # (*batch, 1, width), what was read


@dataclass(frozen=True)
class FastWeights(Cell):
    """A controller with fast weights: a memory of pairs of key and value, addressed by content.

    The controller, any cell, reads x(t) and r(t-1) side by side. Of its output h(t),

        k, q = softmax(c + h(t) V)     the key that is written and the one that is asked for, each with its own columns
        v    = c + h(t) V              the value
        β    = σ(c + h(t) V)           how much of it is written
        M(t) = M(t-1) + β k ⊗ (v - k M(t-1))
        r(t) = q M(t)

    so that what stood under k gives way to v, and what stands under other keys stays. The output is h(t) and r(t) side
    by side. M(0) and r(0) are zero.

    Shapes: x `(*batch, input)`, M `(*batch, keys, width)`, r `(*batch, 1, width)`, the output `(*batch, hidden +
    width)`. V starts uniform in ±1/√hidden, c at zero.

    Args:
        controller: a cell whose `input_size` is that of x plus width, such as an `LSTM` or a `FeedForward`, and whose
            output is one array `(*batch, hidden)`.
        keys: entries of a key: at most as many values can be kept apart.
        width: entries of a value.

    Raises:
        ValueError: a size below 1; x that is not what the controller reads.
        TypeError: a controller that is no cell, or whose output is not one array; x of integers or complex numbers.

    Example:
        net = Readout(FastWeights(LSTM(9 + 20, 100), keys=32, width=20), output_size=8)
        o = unfold(net, net.init(jax.random.key(0)), jnp.ones((21, 9))).outputs  # (21, 8)

    Source: Schlag, Irie, Schmidhuber, *Linear transformers are secretly fast weight programmers* (2021), Sec. 4.2, with
    the softmax of Irie et al., *Going beyond linear transformers with recurrent fast weight programmers* (2021), whose
    slow net is recurrent, too. Fast weights: Schmidhuber (1992).
    """

    controller: Cell
    keys: int
    width: int

    def __post_init__(self):
        checks.cell(self, self.controller)
        checks.positive(self, keys=self.keys, width=self.width)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> FastWeightsParams:
        key_controller, key_V = jax.random.split(key)
        controller = self.controller.init(key_controller, dtype)
        shape = output_size(self, controller), 2 * self.keys + self.width + 1
        V = jax.random.uniform(key_V, shape, dtype, -(shape[0] ** -0.5), shape[0] ** -0.5)
        return FastWeightsParams(controller, V, jnp.zeros(shape[1:], dtype))

    def initial_state(self, params: FastWeightsParams, batch_shape: tuple[int, ...] = ()) -> FastWeightsState:
        controller = self.controller.initial_state(params.controller, batch_shape)
        M, r = (jnp.zeros((*batch_shape, n, self.width), params.V.dtype) for n in (self.keys, 1))
        return FastWeightsState(controller, M, r)

    def step(self, params: FastWeightsParams, state: FastWeightsState, x: jax.Array) -> FastWeightsState:
        controller, h = control(self, params.controller, state.controller, x, state.r)
        k, q, v, beta = jnp.split(
            affine(h, params.V, params.c)[..., None, :],
            [self.keys, 2 * self.keys, 2 * self.keys + self.width],
            axis=-1,
        )
        k, q = jax.nn.softmax(k), jax.nn.softmax(q)
        change = jax.nn.sigmoid(beta) * (v - k @ state.M)
        M = state.M + jnp.swapaxes(k, -1, -2) * change
        return FastWeightsState(controller, M, q @ M)

    def output(self, params: FastWeightsParams, state: FastWeightsState) -> jax.Array:
        h = self.controller.output(params.controller, state.controller)
        return jnp.concatenate([h, state.r[..., 0, :]], axis=-1)
