"""Layer normalisation."""

import jax
import jax.numpy as jnp
from jax import lax


def normalise(a: jax.Array, epsilon: float) -> jax.Array:
    """`(a - mean) / √(variance + epsilon)` over the last axis."""
    a = a - jnp.mean(a, axis=-1, keepdims=True)
    return a * lax.rsqrt(jnp.mean(jnp.square(a), axis=-1, keepdims=True) + jnp.asarray(epsilon, a.dtype))
