"""Losses of sequences: the loss of each step, and its sum and means over the steps that count."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer


class SequenceLoss(NamedTuple):
    """A loss summed over time and batch, and its usual means; all in the unit of the loss of a step."""

    sum: jax.Array  # (), L = Σ_t L(t), over the batch too
    per_step: jax.Array  # (), L / number of steps before their sequence's end
    per_sequence: jax.Array  # (), L / number of sequences


def negative_log_likelihood(o: jax.Array, y: jax.Array) -> jax.Array:
    """The loss of one symbol, in nats: `L = -log p(y | o)`, where `p = softmax(o)`.

        L = log Σ_k exp(o_k) - o_y

    Shapes: o `(..., classes)`, y and L `(...)`. Types of less than 32 bits are widened to float32.

    Args:
        o: logits (log-probabilities up to a constant), of a floating type.
        y: the classes that came, integers.

    Raises:
        ValueError: the axes of y are not those of o without the last.
        TypeError: o that is not floating-point, y that is not of integers.

    Example:
        negative_log_likelihood(jnp.zeros((5, 27)), jnp.zeros(5, int))  # (5,), each log 27

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Eq. 10.12 to 10.14.
    """
    o, y = jnp.asarray(o), jnp.asarray(y)
    if not jnp.issubdtype(o.dtype, jnp.floating):
        raise TypeError(f"negative_log_likelihood: o must be of a floating type, got {o.dtype}: pass logits")
    if not jnp.issubdtype(y.dtype, jnp.integer):
        raise TypeError(f"negative_log_likelihood: y must be of integers, got {y.dtype}: pass the index of each class")
    if o.ndim < 1 or o.shape[:-1] != y.shape:
        raise ValueError(
            f"negative_log_likelihood: o must be (*y.shape, classes), got o of shape {o.shape} and y of {y.shape}"
        )
    o = o.astype(jnp.promote_types(o.dtype, jnp.float32))
    return optax.softmax_cross_entropy_with_integer_labels(o, y)


def reduce(L: jax.Array, lengths: Any = None) -> SequenceLoss:
    """The sum of the losses of all steps, `L = Σ_t L(t)`, over the batch too, and its means.

    Steps at and past the length are not counted: what stands there, NaN included, reaches neither value nor gradient.
    Where no step counts, all three are 0. Types of less than 32 bits are summed in float32.

    Args:
        L: the loss of each step, `(time, *batch)`, of a floating type.
        lengths: integers `(*batch,)`, the steps of each sequence; None counts all steps.

    Raises:
        ValueError: L without a time axis, lengths of another shape than the batch, lengths below 0 or beyond the time
            axis (where they are known).
        TypeError: L that is not floating-point, lengths that are not integers.

    Example:
        reduce(jnp.ones((10, 2)), lengths=jnp.array([10, 5]))  # sum 15, per_step 1, per_sequence 7.5

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Eq. 10.12.
    """
    L = jnp.asarray(L)
    if not jnp.issubdtype(L.dtype, jnp.floating):
        raise TypeError(f"reduce: L must be of a floating type, got {L.dtype}: pass the loss of each step")
    if L.ndim < 1:
        raise ValueError("reduce: L must be (time, *batch), got a scalar: pass the loss of each step")
    L = L.astype(jnp.promote_types(L.dtype, jnp.float32))
    steps, sequences = L.size, L[0].size if len(L) else 1
    if lengths is not None:
        lengths = _lengths(lengths, L)
        time = jnp.arange(len(L)).reshape(-1, *(1 for _ in L.shape[1:]))
        L = jnp.where(time < lengths[None], L, 0)
        steps = lengths.sum()
    total = L.sum()
    return SequenceLoss(total, total / jnp.maximum(steps, 1), total / max(sequences, 1))


def _lengths(lengths: Any, L: jax.Array) -> jax.Array:
    """Lengths that fit the losses, as an array."""
    given, lengths = lengths, jnp.asarray(lengths)
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise TypeError(f"reduce: lengths must be integers, got {lengths.dtype}")
    if lengths.shape != L.shape[1:]:
        raise ValueError(f"reduce: lengths must have the batch axes of L, {L.shape[1:]}, got shape {lengths.shape}")
    if not isinstance(given, Tracer) and lengths.size:
        least, most = np.asarray(given).min(), np.asarray(given).max()
        if least < 0 or most > len(L):
            raise ValueError(f"reduce: lengths must be between 0 and the {len(L)} steps of L, got {least} to {most}")
    return lengths
