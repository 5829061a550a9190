"""The scalar LSTM of xLSTM: exponential gates, and recurrence within heads."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Affine, Weights


class SLSTMParams(NamedTuple):
    """θ of an sLSTM; gates in the order i, f, g, o."""

    U: jax.Array  # (input, 4·hidden)
    W: jax.Array  # (heads, hidden/heads, 4·hidden/heads), the gates of a head side by side
    b: jax.Array  # (4·hidden,)

    gates = "ifgo"  # of b, in order


class SLSTMState(NamedTuple):
    """s(t) of an sLSTM; c and n are those of the paper divided by exp(m)."""

    h: jax.Array  # (*batch, hidden)
    c: jax.Array  # (*batch, hidden), the cell
    n: jax.Array  # (*batch, hidden), the normaliser, at least 1 after the first step, 0 before it
    m: jax.Array  # (*batch, hidden), the stabiliser, a logarithm


@dataclass(frozen=True)
class SLSTM(Affine):
    """Long short-term memory with an exponential input gate, whose cell is an average of what was written.

        ĩ, f̃, g̃, õ = b + h(t-1) W + x(t) U            each with its own columns; h W within each head
        m(t) = max(log σ(f̃) + m(t-1), ĩ)              the stabiliser; ĩ in the first step, where n(t-1) = 0
        i    = exp(ĩ - m(t)),  f = exp(log σ(f̃) + m(t-1) - m(t))
        c(t) = f ⊙ c(t-1) + i ⊙ tanh(g̃)
        n(t) = f ⊙ n(t-1) + i
        h(t) = σ(õ) ⊙ c(t) / n(t)

    h does not depend on m, which only keeps the exponentials at most 1. The forget gate is σ, which is one of the two
    that the paper offers, and the one of its authors' code.

    Shapes: x `(*batch, input)`, h, c, n, m and the output `(*batch, hidden)`, U `(input, 4·hidden)`,
    W `(heads, hidden/heads, 4·hidden/heads)`, b `(4·hidden,)`, the gates side by side in the order i, f, g, o, in W
    those of each head. U and b start uniform in ±1/√hidden, W in ±1/√(hidden/heads).

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).
        heads: parts of h(t) that do not see each other; a divisor of `hidden_size`.

    Raises:
        ValueError: a size below 1; heads that do not divide `hidden_size`; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = SLSTM(input_size=65, hidden_size=256, heads=4)
        h = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 65))).outputs  # (20, 256)

    Source: Beck et al., *xLSTM: extended long short-term memory* (2024), Eq. 8 to 18; its z is g here.
    """

    input_size: int
    hidden_size: int
    heads: int = 1

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size, heads=self.heads)
        if self.hidden_size % self.heads:
            raise ValueError(f"SLSTM: heads must divide hidden_size = {self.hidden_size}, got {self.heads}")

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> SLSTMParams:
        size, bound = self.hidden_size // self.heads, self.hidden_size**-0.5
        key_U, key_W, key_b = jax.random.split(key, 3)
        return SLSTMParams(
            jax.random.uniform(key_U, (self.input_size, 4 * self.hidden_size), dtype, -bound, bound),
            jax.random.uniform(key_W, (self.heads, size, 4 * size), dtype, -(size**-0.5), size**-0.5),
            jax.random.uniform(key_b, (4 * self.hidden_size,), dtype, -bound, bound),
        )

    def initial_state(self, params: SLSTMParams, batch_shape: tuple[int, ...] = ()) -> SLSTMState:
        zeros = jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype)
        return SLSTMState(zeros, zeros, zeros, zeros)

    def weights(self, params: SLSTMParams) -> Weights:
        return Weights(params.U, params.W, params.b)

    def hidden(self, params: SLSTMParams, state: SLSTMState) -> jax.Array:
        return state.h

    def activate(self, params: SLSTMParams, state: SLSTMState, u: jax.Array, a: jax.Array) -> SLSTMState:
        by_head = a.reshape(*a.shape[:-1], self.heads, 4, self.hidden_size // self.heads)
        parts = [by_head[..., k, :].reshape(*a.shape[:-1], self.hidden_size) for k in range(4)]
        i, f, g, o = (u_k + a_k for u_k, a_k in zip(jnp.split(u, 4, axis=-1), parts, strict=True))
        # Where nothing was written yet, nothing is forgotten: the stabiliser is the input gate's alone.
        kept = jnp.where(state.n == 0, i, jax.nn.log_sigmoid(f) + state.m)
        m = jnp.maximum(kept, i)
        i, f = jnp.exp(i - m), jnp.exp(kept - m)
        c, n = f * state.c + i * jnp.tanh(g), f * state.n + i
        return SLSTMState(jax.nn.sigmoid(o) * c / n, c, n, m)

    def output(self, params: SLSTMParams, state: SLSTMState) -> jax.Array:
        return state.h
