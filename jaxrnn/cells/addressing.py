"""Where a head of a memory is: weights over the slots, by content and by location."""

import jax
import jax.numpy as jnp

SMALL = 1e-8  # added to the squared product of norms: what is empty resembles nothing


def similarity(k: jax.Array, M: jax.Array) -> jax.Array:
    """Cosines of keys k `(*batch, heads, width)` and slots M `(*batch, slots, width)`: `(*batch, heads, slots)`."""
    squares = (k**2).sum(-1)[..., :, None] * (M**2).sum(-1)[..., None, :]
    return jnp.einsum("...hm,...nm->...hn", k, M) * jax.lax.rsqrt(squares + jnp.asarray(SMALL, M.dtype))


def by_content(k: jax.Array, beta: jax.Array, M: jax.Array) -> jax.Array:
    """W = softmax(β cos(k, M)), for β `(*batch, heads, 1)`."""
    return jax.nn.softmax(beta * similarity(k, M))


def shifted(w: jax.Array, s: jax.Array) -> jax.Array:
    """w(i) = Σ_j s(j) w(i - j), the slots in a circle, for shifts j = -n..n and s `(*batch, heads, 2n + 1)`."""
    n = s.shape[-1] // 2
    return sum((s[..., j + n, None] * jnp.roll(w, j, axis=-1) for j in range(-n, n + 1)), jnp.zeros_like(w))


def sharpened(w: jax.Array, gamma: jax.Array) -> jax.Array:
    """w(i)^γ / Σ_j w(j)^γ, for γ `(*batch, heads, 1)`."""
    # A softmax of logarithms: no power of a small weight falls to zero before it is divided.
    return jax.nn.softmax(gamma * jnp.log(jnp.maximum(w, jnp.finfo(w.dtype).tiny)))
