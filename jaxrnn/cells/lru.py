"""The linear recurrent unit: a diagonal recurrence of complex numbers."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import as_row, product, times_row
from jaxrnn.cells.base import Linear


class LRUParams(NamedTuple):
    """θ of a linear recurrent unit: real arrays, λ = exp(-exp(nu_log) + i exp(theta_log))."""

    nu_log: jax.Array  # (hidden,)
    theta_log: jax.Array  # (hidden,)
    gamma_log: jax.Array  # (hidden,)
    B_re: jax.Array  # (input, hidden)
    B_im: jax.Array  # (input, hidden)
    C_re: jax.Array  # (hidden, input)
    C_im: jax.Array  # (hidden, input)
    D: jax.Array  # (input,)


class LRUState(NamedTuple):
    """s(t) of a linear recurrent unit."""

    h: jax.Array  # (*batch, hidden), complex
    x: jax.Array  # (*batch, input), the input of this step, which the output reads


@dataclass(frozen=True)
class LRU(Linear):
    """The linear recurrent unit: complex, diagonal, and stable whatever its parameters are.

        λ    = exp(-exp(ν) + i exp(θ))                  |λ| < 1
        h(t) = λ ⊙ h(t-1) + exp(γ) ⊙ (x(t) B)           B = B_re + i B_im
        y(t) = Re(h(t) C) + D ⊙ x(t)                    C = C_re + i C_im, the output

    ν, θ, γ are the fields `nu_log`, `theta_log`, `gamma_log`. x(t) is kept in the state, for the output to read.

    Shapes: x and the output `(*batch, input)`, h `(*batch, hidden)`, complex; ν, θ, γ `(hidden,)`, B_re and B_im
    `(input, hidden)`, C_re and C_im `(hidden, input)`, D `(input,)`. λ starts uniform in the part of the ring r_min to
    r_max whose phase is 0 to max_phase (radians); exp(γ) at √(1 - |λ|²), so that h has the size of x B; B, C and D
    normal, with variance 1 / (2 input), 1 / hidden, 1. JAX has no complex numbers of 16 bits: with parameters of
    bfloat16, h is of complex64 and the output of bfloat16.

    Args:
        input_size: entries of x(t) and of y(t).
        hidden_size: entries of h(t).
        r_min: least |λ| at the start, 0 or more.
        r_max: greatest |λ| at the start, above r_min and at most 1.
        max_phase: greatest phase of λ at the start, above 0 and at most 2π.

    Raises:
        ValueError: a size below 1; a ring or phase out of range; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers; a ring or phase that is no number.

    Example:
        cell = LRU(input_size=3, hidden_size=16, r_min=0.9, r_max=0.999)
        y = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 3))).outputs  # (20, 3)

    Source: Orvieto et al., *Resurrecting recurrent neural networks for long sequences* (2023), Sec. 3 and App. A.
    """

    input_size: int
    hidden_size: int
    r_min: float = 0.0
    r_max: float = 1.0
    max_phase: float = 2 * math.pi

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)
        checks.number(self, "r_max", self.r_max, above=0, most=1)
        checks.number(self, "max_phase", self.max_phase, above=0, most=2 * math.pi)
        checks.number(self, "r_min", self.r_min, least=0, below=self.r_max)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LRUParams:
        size, hidden = self.input_size, self.hidden_size
        keys = jax.random.split(key, 6)
        fine = jnp.promote_types(dtype, jnp.float32)  # logarithms of what 16 bits round to 0 or 1

        def normal(key: jax.Array, *shape: int, variance: float) -> jax.Array:
            return math.sqrt(variance) * jax.random.normal(key, shape, dtype)

        area, turn = jax.random.uniform(keys[0], (2, hidden), fine, minval=1e-6)
        ring = self.r_max**2 - self.r_min**2
        squared, rest = self.r_min**2 + area * ring, 1 - self.r_max**2 + (1 - area) * ring  # |λ|² and 1 - |λ|²
        nu = -0.5 * jnp.where(squared < 0.5, jnp.log(squared), jnp.log1p(-rest))  # near 1, |λ|² rounds to 1
        return LRUParams(
            jnp.log(nu).astype(dtype),
            jnp.log(self.max_phase * turn).astype(dtype),
            (0.5 * jnp.log(rest)).astype(dtype),
            normal(keys[1], size, hidden, variance=0.5 / size),
            normal(keys[2], size, hidden, variance=0.5 / size),
            normal(keys[3], hidden, size, variance=1 / hidden),
            normal(keys[4], hidden, size, variance=1 / hidden),
            normal(keys[5], size, variance=1.0),
        )

    def initial_state(self, params: LRUParams, batch_shape: tuple[int, ...] = ()) -> LRUState:
        real = params.D.dtype
        h = jnp.zeros((*batch_shape, self.hidden_size), jnp.promote_types(real, jnp.complex64))
        return LRUState(h, jnp.zeros((*batch_shape, self.input_size), real))

    def coefficients(self, params: LRUParams, xs: jax.Array) -> tuple[LRUState, LRUState]:
        checks.features(self, xs, self.input_size)
        real = jnp.promote_types(params.D.dtype, jnp.float32)
        nu, theta, gamma = (jnp.exp(a.astype(real)) for a in (params.nu_log, params.theta_log, params.gamma_log))
        size = jnp.exp(-nu)
        eigenvalues = lax.complex(size * jnp.cos(theta), size * jnp.sin(theta))
        both = product(xs, jnp.concatenate([params.B_re, params.B_im], axis=-1)).astype(real)
        b = lax.complex(*(times_row(part, gamma) for part in jnp.split(both, 2, axis=-1)))
        x = xs.astype(jnp.promote_types(xs.dtype, params.D.dtype))
        # x(t) = 0 x(t-1) + x(t)
        return LRUState(jnp.broadcast_to(as_row(eigenvalues, b.ndim), b.shape), jnp.zeros_like(x)), LRUState(b, x)

    def output(self, params: LRUParams, state: LRUState) -> jax.Array:
        parts = jnp.concatenate([state.h.real, state.h.imag], axis=-1).astype(params.D.dtype)
        return product(parts, jnp.concatenate([params.C_re, -params.C_im])) + times_row(state.x, params.D)
