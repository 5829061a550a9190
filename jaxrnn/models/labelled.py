"""Batches of sequences with classes: what the tagger and the classifier learn from."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxrnn.cells import checks

Batch = tuple[Any, Any] | tuple[Any, Any, Any]  # inputs, classes, and lengths where sequences are padded


def parts(owner: object, batch: Any) -> tuple[Any, Any, Any]:
    """Inputs, classes, and lengths or None."""
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise TypeError(
            f"{type(owner).__name__}: batch must be (inputs, classes), or (inputs, classes, lengths), got "
            f"{type(batch).__name__}{f' of {len(batch)}' if isinstance(batch, tuple | list) else ''}"
        )
    return (*batch, None) if len(batch) == 2 else tuple(batch)


def as_time(classes: Any) -> Any:
    """Classes `(*batch,)` with an axis of time before them; what is no array as it is."""
    return classes if isinstance(classes, str) else jnp.asarray(classes)[None]


def same_shape(owner: object, classes: jax.Array, shape: tuple[int, ...], axes: str) -> None:
    """Raise unless there is a class for each output."""
    if classes.shape != shape:
        raise ValueError(
            f"{type(owner).__name__}: classes must be {axes} = {shape}, as the inputs are, got shape {classes.shape}"
        )


def sampling_key(owner: object, truth: Any, key: jax.Array | None) -> jax.Array:
    """The key; raise where there is none, or where `truth`, if it is known, is no probability."""
    if key is None:
        raise ValueError(f"{type(owner).__name__}: truth = ... draws what is fed: pass a key, or leave truth out")
    if not isinstance(truth, Tracer):
        known = truth.item() if getattr(truth, "shape", None) == () else truth  # of an array of one number
        checks.number(owner, "truth", known, least=0, most=1)
    return key
