"""Neural Turing machine: a controller beside a memory that it addresses by content and by location."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.addressing import by_content, sharpened, shifted
from jaxrnn.cells.affine import affine
from jaxrnn.cells.base import Cell, Params, State
from jaxrnn.cells.controlled import control, output_size

EMPTY = 1e-6  # every entry of M(0)


class NTMParams(NamedTuple):
    """θ of a neural Turing machine; n columns: k, β, g, γ, s of each head, then e, a of each head that writes."""

    controller: Params  # of the controller
    V: jax.Array  # (hidden, n), n = heads·(width + 2·shift + 4) + writes·2·width
    c: jax.Array  # (n,)
    w: jax.Array  # (heads, slots): w(0) = softmax(w)


class NTMState(NamedTuple):
    """s(t) of a neural Turing machine."""

    controller: State  # of the controller
    M: jax.Array  # (*batch, slots, width), the memory
    w: jax.Array  # (*batch, heads, slots), where the heads are: those that read, then those that write
    r: jax.Array  # (*batch, reads, width), what was read


@dataclass(frozen=True)
class NTM(Cell):
    """A neural Turing machine: a controller that reads and writes a memory through heads.

    The controller, any cell, reads x(t) and all r(t-1) side by side. Of its output h(t), each head is told (V, c) a key
    k = tanh, its strength β = softplus, a gate g = σ, a distribution s = softmax over shifts and γ = 1 + softplus, and
    each head that writes e = σ and a = tanh. For each head, over the slots i of the memory:

        w_c(i)  = softmax_i(β cos(k, M(t-1, i)))             by content,
        w_g     = g w_c + (1 - g) w(t-1)                     or where it was,
        w_s(i)  = Σ_j s(j) w_g(i - j),  j = -shift..shift    moved, in a circle,
        w(t)    = w_s^γ / Σ_i w_s(i)^γ                       and sharpened
        r(t)    = Σ_i w(t, i) M(t-1, i)                      of each head that reads
        M(t, i) = M(t-1, i) ⊙ (1 - w(t, i) e) + w(t, i) a    by each head that writes, one after another

    and the output is h(t) and all r(t) side by side. M(0) is constant, 1e-6, r(0) the same; w(0) is learned.

    Shapes: x `(*batch, input)`, M `(*batch, slots, width)`, w `(*batch, reads + writes, slots)`, r `(*batch, reads,
    width)`, the output `(*batch, hidden + reads·width)`. V starts uniform in ±1/√hidden, c at zero, the parameter w
    normal.

    Args:
        controller: a cell whose `input_size` is that of x plus reads·width, such as an `LSTM` or a `FeedForward`, and
            whose output is one array `(*batch, hidden)`.
        slots: rows of the memory.
        width: entries of a row.
        reads: heads that read.
        writes: heads that write.
        shift: how many slots a head may move in one step; 0 leaves only the content.

    Raises:
        ValueError: a size below 1; a shift below 0, or of half the slots or more; x that is not what the controller
            reads.
        TypeError: a controller that is no cell, or whose output is not one array; x of integers or complex numbers.

    Example:
        net = Readout(NTM(LSTM(9 + 20, 100), slots=128, width=20), output_size=8)
        o = unfold(net, net.init(jax.random.key(0)), jnp.ones((21, 9))).outputs  # (21, 8)

    Source: Graves, Wayne, Danihelka, *Neural Turing machines* (2014), Eq. 2 to 9; constant M(0), tanh of
    keys and of what is added, reading before writing: Collier and Beel, *Implementing neural Turing machines* (2018).
    *Deep Learning*, Sec. 10.12.
    """

    controller: Cell
    slots: int
    width: int
    reads: int = 1
    writes: int = 1
    shift: int = 1

    def __post_init__(self):
        checks.cell(self, self.controller)
        checks.positive(self, slots=self.slots, width=self.width, reads=self.reads, writes=self.writes)
        checks.at_least(self, 0, shift=self.shift)
        if 2 * self.shift + 1 > self.slots:
            raise ValueError(f"NTM: 2·shift + 1 must be at most slots = {self.slots}, got shift = {self.shift}")

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> NTMParams:
        key_controller, key_V, key_w = jax.random.split(key, 3)
        controller = self.controller.init(key_controller, dtype)
        hidden = output_size(self, controller)
        told = self._heads * self._told + self.writes * 2 * self.width
        V = jax.random.uniform(key_V, (hidden, told), dtype, -(hidden**-0.5), hidden**-0.5)
        w = jax.random.normal(key_w, (self._heads, self.slots), dtype)
        return NTMParams(controller, V, jnp.zeros((told,), dtype), w)

    def initial_state(self, params: NTMParams, batch_shape: tuple[int, ...] = ()) -> NTMState:
        controller = self.controller.initial_state(params.controller, batch_shape)
        M, r = (jnp.full((*batch_shape, n, self.width), EMPTY, params.V.dtype) for n in (self.slots, self.reads))
        return NTMState(controller, M, jnp.broadcast_to(jax.nn.softmax(params.w), (*batch_shape, *params.w.shape)), r)

    def step(self, params: NTMParams, state: NTMState, x: jax.Array) -> NTMState:
        controller, h = control(self, params.controller, state.controller, x, state.r)
        told = affine(h, params.V, params.c)
        each, write = jnp.split(told, [self._heads * self._told], axis=-1)
        w = self._address(each.reshape(*h.shape[:-1], self._heads, self._told), state)
        r = w[..., : self.reads, :] @ state.M
        M = state.M
        e, a = jnp.split(write.reshape(*h.shape[:-1], self.writes, 1, 2 * self.width), 2, axis=-1)
        for head in range(self.writes):
            at = w[..., self.reads + head, :, None]
            M = M * (1 - at * jax.nn.sigmoid(e[..., head, :, :])) + at * jnp.tanh(a[..., head, :, :])
        return NTMState(controller, M, w, r)

    def output(self, params: NTMParams, state: NTMState) -> jax.Array:
        h = self.controller.output(params.controller, state.controller)
        return jnp.concatenate([h, state.r.reshape(*h.shape[:-1], self.reads * self.width)], axis=-1)

    @property
    def _heads(self) -> int:
        return self.reads + self.writes

    @property
    def _told(self) -> int:
        """How many numbers each head is told: k, β, g, γ, s."""
        return self.width + 3 + 2 * self.shift + 1

    def _address(self, told: jax.Array, state: NTMState) -> jax.Array:
        """w(t) of all heads."""
        m = self.width
        k, beta, g, gamma, s = jnp.split(told, [m, m + 1, m + 2, m + 3], axis=-1)
        g = jax.nn.sigmoid(g)
        w = g * by_content(jnp.tanh(k), jax.nn.softplus(beta), state.M) + (1 - g) * state.w
        return sharpened(shifted(w, jax.nn.softmax(s)), 1 + jax.nn.softplus(gamma))
