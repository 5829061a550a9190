"""Where sequences of one batch end."""

from typing import Any

import jax
import jax.numpy as jnp


def before_end(steps: int, lengths: Any) -> jax.Array:
    """Whether each of `steps` steps is before the end of its sequence: booleans `(steps, *batch)`."""
    lengths = jnp.asarray(lengths)
    return jnp.arange(steps).reshape(-1, *(1,) * lengths.ndim) < lengths[None]
