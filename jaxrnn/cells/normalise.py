"""Layer normalisation."""

import jax
import jax.numpy as jnp
from jax import lax


def center(a: jax.Array) -> jax.Array:
    """`a - mean` over the last axis.

    `h @ center(W)` is `center(h @ W)`: a matrix is centred once, a product in every step.
    """
    return a - jnp.mean(a, axis=-1, keepdims=True)


def scale(a: jax.Array, epsilon: float) -> jax.Array:
    """`a / √(mean of squares + epsilon)` over the last axis."""
    return a * lax.rsqrt(jnp.mean(jnp.square(a), axis=-1, keepdims=True) + jnp.asarray(epsilon, a.dtype))


def normalise(a: jax.Array, epsilon: float) -> jax.Array:
    """`(a - mean) / √(variance + epsilon)` over the last axis."""
    return scale(center(a), epsilon)
