"""Which symbols may come: a table of the vocabulary, or a function of what came before."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


@partial(jax.tree_util.register_dataclass, data_fields=["table"], meta_fields=["owner", "function"])
@dataclass(frozen=True)
class Allowed:
    """What was given as `allowed`: a table, or a function, for which a program is compiled anew; or neither."""

    owner: str  # whose errors are raised
    table: jax.Array | None = None  # booleans (vocabulary,) or (*batch, vocabulary)
    function: Callable[..., Any] | None = None  # (t, token) -> booleans (*axes, vocabulary)

    def mask(self, t: jax.Array, token: jax.Array, shape: tuple[int, ...]) -> jax.Array | None:
        """What may come at step t after these symbols, booleans of the logits' shape; None where everything may."""
        may = self.table if self.function is None else jnp.asarray(self.function(t, token))
        if may is None:
            return None
        if may.dtype != jnp.bool_:
            raise TypeError(
                f"{self.owner}: allowed must give booleans, got {may.dtype}: compare, such as token[..., None] > k"
            )
        if may.ndim < 1 or may.shape != shape[len(shape) - may.ndim :]:
            raise ValueError(f"{self.owner}: allowed must give (*axes, vocabulary) = {shape}, got {may.shape}")
        return jnp.broadcast_to(may.reshape((1,) * (len(shape) - may.ndim) + may.shape), shape)


def checked_allowed(owner: str, allowed: Any, vocabulary: Callable[[], int], batch: tuple[int, ...]) -> Allowed:
    """Raise unless it is None, a function, or a table that leaves every sequence a symbol."""
    if allowed is None or callable(allowed):
        return Allowed(owner, function=allowed)
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
    return Allowed(owner, table)
