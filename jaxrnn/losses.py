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


def ctc(logits: jax.Array, labels: Any, *, lengths: Any = None, label_lengths: Any = None, blank: int = 0) -> jax.Array:
    """Connectionist temporal classification: -log p of labels, over all ways to lay them out over the frames, in nats.

        L = -log Σ_π Π_t p(π(t)),  p(t) = softmax(o(t)), over the paths π that are the labels once repeats are joined
        and blanks removed

    It is inf, without a gradient, where there are fewer frames than labels and blanks between equal labels.

    Args:
        logits: o, `(time, *batch, classes)`, of a floating type; types of less than 32 bits are widened.
        labels: integers `(n, *batch)`, none of them the blank; n may be 0.
        lengths: integers `(*batch,)`, the frames of each sequence; None for all.
        label_lengths: integers `(*batch,)`, the labels of each sequence; None for all.
        blank: the class that stands for no label.

    Returns:
        `(*batch,)`.

    Raises:
        ValueError: labels that are no classes or are the blank (where they are known), a blank that is no class, shapes
            that do not agree, lengths out of range.
        TypeError: logits that are not floating-point, labels that are not integers.

    Example:
        ctc(jnp.zeros((4, 2, 3)), jnp.array([[1, 2], [2, 2]]), lengths=jnp.array([4, 3]))  # (2,)

    Source: Graves et al., *Connectionist temporal classification* (2006); computed by optax.
    """
    logits = jnp.asarray(logits)
    check_frames("ctc", logits, blank)
    given, labels = labels, jnp.asarray(labels, jnp.int32 if np.size(labels) == 0 else None)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"ctc: labels must be integers, got {labels.dtype}: pass the index of each class")
    batch = logits.shape[1:-1]
    if labels.ndim < 1 or labels.shape[1:] != batch:
        raise ValueError(f"ctc: labels must be (n, *batch) with batch axes {batch} of the logits, got {labels.shape}")
    frames = _counts("lengths", lengths, logits.shape[0], batch)
    counts = _counts("label_lengths", label_lengths, labels.shape[0], batch)
    place = jnp.arange(len(labels)).reshape(-1, *(1 for _ in batch))
    valid = place < counts[None]
    if not any(isinstance(a, Tracer) for a in (given, counts)):
        known = np.asarray(labels)[np.asarray(valid)]
        if ((known < 0) | (known >= logits.shape[-1]) | (known == blank)).any():
            raise ValueError(
                f"ctc: labels must be classes from 0 to {logits.shape[-1] - 1} other than the blank, {blank}, got "
                f"{sorted({int(k) for k in known})}"
            )
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    labels = jnp.where(valid, labels, 0)
    repeats = ((labels[1:] == labels[:-1]) & valid[1:]).sum(0)
    time = jnp.arange(len(logits)).reshape(-1, *(1 for _ in batch))
    logits = jnp.where((time < frames[None])[..., None], logits, 0)  # whatever the padding holds
    # One frame and one label of padding, so that there is one of each.
    ended = jnp.concatenate([time >= frames[None], jnp.ones((1, *batch), bool)])
    unused = jnp.concatenate([~valid, jnp.ones((1, *batch), bool)])

    def rows(a: jax.Array, *after: int) -> jax.Array:
        """`(time, *batch, ...)` as `(rows of the batch, time, ...)`."""
        return jnp.moveaxis(a.reshape(len(a), frames.size, *after), 0, 1)

    L = optax.ctc_loss(
        rows(jnp.concatenate([logits, jnp.zeros((1, *logits.shape[1:]), logits.dtype)]), logits.shape[-1]),
        rows(ended).astype(logits.dtype),
        rows(jnp.concatenate([labels, jnp.zeros((1, *batch), labels.dtype)])),
        rows(unused).astype(logits.dtype),
        blank_id=blank,
    ).reshape(batch)
    return jnp.where(counts + repeats <= frames, L, jnp.inf)


def check_frames(owner: str, logits: jax.Array, blank: Any) -> None:
    """Raise unless logits are `(time, *batch, classes)` and the blank is a class."""
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(f"{owner}: logits must be of a floating type, got {logits.dtype}")
    if logits.ndim < 2 or logits.shape[-1] < 1:
        raise ValueError(f"{owner}: logits must be (time, *batch, classes), got shape {logits.shape}")
    if isinstance(blank, bool) or not isinstance(blank, int | np.integer) or not 0 <= blank < logits.shape[-1]:
        raise ValueError(f"{owner}: blank must be a class from 0 to {logits.shape[-1] - 1}, got {blank!r}")


def _counts(name: str, counts: Any, most: int, batch: tuple[int, ...]) -> jax.Array:
    """How many frames or labels count, `(*batch,)`."""
    if counts is None:
        return jnp.full(batch, most)
    given, counts = counts, jnp.asarray(counts)
    if not jnp.issubdtype(counts.dtype, jnp.integer):
        raise TypeError(f"ctc: {name} must be integers, got {counts.dtype}")
    if counts.shape != batch:
        raise ValueError(f"ctc: {name} must have the batch axes of the logits, {batch}, got shape {counts.shape}")
    if not isinstance(given, Tracer) and counts.size:
        low, high = np.asarray(given).min(), np.asarray(given).max()
        if low < 0 or high > most:
            raise ValueError(f"ctc: {name} must be between 0 and {most}, got {low} to {high}")
    return counts


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
