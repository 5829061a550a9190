"""Checks of the symbols that a model is given, before any arithmetic."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def checked(owner: str, name: str, tokens: Any, vocabulary_size: int, lengths: Any) -> jax.Array:
    """Tokens as an array, checked; those past the lengths may be anything, and what is traced is not known."""
    if isinstance(tokens, str):
        raise TypeError(f"{owner}: {name} must be integers, got text: pass alphabet.encode(text)")
    given, tokens = tokens, jnp.asarray(tokens)
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise TypeError(f"{owner}: {name} must be integers, got {tokens.dtype}: pass alphabet.encode(text)")
    if tokens.ndim < 1:
        raise ValueError(f"{owner}: {name} must be (time, *batch), got one number")
    if any(isinstance(a, Tracer) for a in (given, lengths)):
        return tokens
    values = np.asarray(given)
    if lengths is not None and np.shape(lengths) == values.shape[1:]:
        time = np.arange(len(values)).reshape(-1, *(1 for _ in values.shape[1:]))
        values = values[time < np.asarray(lengths)]
    if values.size and (values.min() < 0 or values.max() >= vocabulary_size):
        raise ValueError(
            f"{owner}: {name} must be between 0 and vocabulary_size - 1 = {vocabulary_size - 1}, got "
            f"{values.min()} to {values.max()}"
        )
    return tokens
