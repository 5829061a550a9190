"""What all kinds of dropout do with a mask."""

import jax
import jax.numpy as jnp


def keep(key: jax.Array, shape: tuple[int, ...], rate: float) -> jax.Array:
    """A mask of booleans, False with the probability `rate`."""
    return jax.random.bernoulli(key, 1 - float(rate), shape)  # which takes no whole numbers


def drop(x: jax.Array, mask: jax.Array, rate: float) -> jax.Array:
    """`mask ⊙ x / (1 - rate)`, in the type of x: the mean of x, where the mask keeps with probability 1 - rate."""
    return jnp.where(jnp.broadcast_to(mask, x.shape), x / (1 - float(rate)), jnp.zeros_like(x))
