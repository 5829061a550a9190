"""Which symbols may come: a table of the vocabulary, or a function of what came before."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

Function = Callable[..., Any]  # allowed(t, token) -> booleans (*axes, vocabulary)


class Allowed(NamedTuple):
    """What was given as `allowed`: one of the two, or neither."""

    function: Function | None  # static: the program is compiled for it
    table: jax.Array | None  # booleans (vocabulary,) or (*batch, vocabulary)


def checked_allowed(owner: str, allowed: Any, vocabulary: Callable[[], int], batch: tuple[int, ...]) -> Allowed:
    """Raise unless it is None, a function, or a table that leaves every sequence a symbol."""
    if allowed is None or callable(allowed):
        return Allowed(allowed, None)
    table = jnp.asarray(allowed)
    if table.dtype != jnp.bool_:
        raise TypeError(f"{owner}: allowed must hold booleans, got {table.dtype}: pass a mask of the vocabulary")
    size = vocabulary()
    if table.shape not in ((size,), (*batch, size)):
        raise ValueError(
            f"{owner}: allowed must be (vocabulary,) = ({size},) or (*batch, vocabulary), got {table.shape}"
        )
    if not isinstance(allowed, Tracer) and not np.asarray(allowed).any(axis=-1).all():
        raise ValueError(f"{owner}: allowed leaves no symbol: allow one at least")
    return Allowed(None, table)


def mask(owner: str, allowed: Allowed, t: jax.Array, token: jax.Array, shape: tuple[int, ...]) -> jax.Array | None:
    """What may come at step t after these symbols, booleans of the logits' shape; None where everything may."""
    may = allowed.table if allowed.function is None else jnp.asarray(allowed.function(t, token))
    if may is None:
        return None
    if may.dtype != jnp.bool_:
        raise TypeError(f"{owner}: allowed must give booleans, got {may.dtype}: compare, such as token[..., None] > k")
    if may.ndim < 1 or may.shape != shape[len(shape) - may.ndim :]:
        raise ValueError(f"{owner}: allowed must give (*axes, vocabulary) = {shape}, got {may.shape}")
    return jnp.broadcast_to(may.reshape((1,) * (len(shape) - may.ndim) + may.shape), shape)
