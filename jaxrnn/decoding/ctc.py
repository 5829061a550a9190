"""From frames to labels: decoding of connectionist temporal classification."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn import losses
from jaxrnn.cells import checks
from jaxrnn.cells.padding import before_end
from jaxrnn.unfold import validate


class Labelling(NamedTuple):
    """Labels that were read from frames; of a beam, the n best of them, each array with the axis `(beam,)` first."""

    tokens: jax.Array  # (time, *batch), int32: labels, then zeros
    lengths: jax.Array  # (*batch,), int32: how many labels
    log_probs: jax.Array  # (*batch,), nats


def ctc_greedy(logits: jax.Array, *, lengths: Any = None, blank: int = 0) -> Labelling:
    """The labels of the likeliest path: the likeliest class of each frame, repeats joined, blanks removed.

    Args:
        logits: `(time, *batch, classes)`, of a floating type.
        lengths: integers `(*batch,)`, the frames of each sequence; None for all.
        blank: the class that stands for no label.

    Returns:
        `Labelling`; log_probs are those of the one path, at most those of its labels.

    Raises:
        ValueError: logits without classes, a blank that is none of them, lengths beyond the frames.
        TypeError: logits that are not floating-point.

    Example:
        ctc_greedy(jnp.log(jnp.eye(3)[jnp.array([1, 1, 0, 1, 2])] + 1e-3)).tokens  # [1, 1, 2, 0, 0]

    Source: Graves et al., *Connectionist temporal classification* (2006), Sec. 3.2.
    """
    log_p, lengths = _frames("ctc_greedy", logits, lengths, blank)
    best = jnp.argmax(log_p, axis=-1).astype(jnp.int32)
    before = jnp.concatenate([jnp.full_like(best[:1], blank), best[:-1]])
    valid = before_end(len(best), lengths)
    keep = (best != blank) & (best != before) & valid
    order = jnp.argsort(~keep, axis=0, stable=True)  # the labels first
    count = keep.sum(0, dtype=jnp.int32)
    tokens = jnp.where(before_end(len(best), count), jnp.take_along_axis(best, order, axis=0), 0)
    path = jnp.where(valid, log_p.max(-1, initial=-jnp.inf), 0).sum(0)
    return Labelling(tokens, count, path)


def ctc_beam_search(logits: jax.Array, beam: int, *, lengths: Any = None, blank: int = 0) -> Labelling:
    """The likeliest labels, each with the probability of all its paths that a beam of prefixes finds.

    For each prefix two probabilities are carried on, of the paths that end in a blank and of those that do not; a
    prefix that is reached in two ways is one. With a beam as wide as there are prefixes the probabilities are exact.

    Args:
        logits: `(time, *batch, classes)`, of a floating type.
        beam: prefixes that are kept at each frame, at least 1.
        lengths: integers `(*batch,)`, the frames of each sequence; None for all.
        blank: the class that stands for no label.

    Returns:
        `Labelling` with the axis of the beam first, the likeliest first: tokens `(beam, time, *batch)`, lengths and
        log_probs `(beam, *batch)`. Where there are fewer labellings than that, the rest have log-probability -inf.

    Raises:
        ValueError: a beam below 1, logits without classes, a blank that is none of them, lengths beyond the frames.
        TypeError: logits that are not floating-point.

    Example:
        found = ctc_beam_search(logits, beam=16, lengths=lengths)
        found.tokens[0], found.log_probs[0]  # the best

    Source: Hannun et al., *First-pass large vocabulary continuous speech recognition using bi-directional recurrent
    DNNs* (2014), Algorithm 1, without a language model.
    """
    beam = checks.whole_number("ctc_beam_search: beam", beam, 1)
    log_p, lengths = _frames("ctc_beam_search", logits, lengths, blank)
    return _searched(beam, blank, log_p, lengths)


class _Beam(NamedTuple):
    tokens: jax.Array  # (beam, time), int32: prefixes
    lengths: jax.Array  # (beam,), int32; -1 where there is none
    blank: jax.Array  # (beam,), log p of the paths that end in a blank
    label: jax.Array  # (beam,), log p of those that end in the prefix's last label


@partial(jax.jit, static_argnums=(0, 1))
def _searched(beam: int, blank: int, log_p: jax.Array, lengths: jax.Array) -> Labelling:
    time, batch = len(log_p), lengths.shape
    rows = log_p.reshape(time, lengths.size, log_p.shape[-1])

    def one(log_p: jax.Array, length: jax.Array) -> _Beam:
        never = jnp.full(beam, -jnp.inf, log_p.dtype)
        first = _Beam(
            jnp.zeros((beam, time), jnp.int32), jnp.full(beam, -1, jnp.int32).at[0].set(0), never.at[0].set(0), never
        )

        def step(now: _Beam, frame: tuple[jax.Array, jax.Array]) -> tuple[_Beam, None]:
            t, p = frame
            return jax.tree.map(lambda a, b: jnp.where(t < length, a, b), _extended(now, p, blank), now), None

        return jax.lax.scan(step, first, (jnp.arange(time), log_p))[0]

    found = jax.vmap(one, in_axes=(1, 0), out_axes=-1)(rows, lengths.reshape(-1))
    found = jax.tree.map(lambda a: a.reshape(*a.shape[:-1], *batch), found)
    place = jnp.arange(time).reshape(1, time, *(1 for _ in batch))
    tokens = jnp.where(place < found.lengths[:, None], found.tokens, 0)  # none of what is not there
    return Labelling(tokens, jnp.maximum(found.lengths, 0), jnp.logaddexp(found.blank, found.label))


def _extended(now: _Beam, p: jax.Array, blank: int) -> _Beam:
    """The likeliest prefixes after one more frame, whose log-probabilities of the classes are p."""
    beam, time = now.tokens.shape
    classes, place = jnp.arange(len(p))[None], jnp.arange(time)[None]
    total = jnp.logaddexp(now.blank, now.label)
    last = jnp.where(
        now.lengths > 0,
        jnp.take_along_axis(now.tokens, jnp.maximum(now.lengths - 1, 0)[:, None], axis=1)[:, 0],
        blank,  # no label is one
    )
    # A label again is a new one only after a blank.
    longer = jnp.where(classes == last[:, None], now.blank[:, None], total[:, None]) + p[None]
    longer = jnp.where(classes == blank, -jnp.inf, longer)
    # Prefix j may be prefix i and one label more: then it is reached from there too.
    same = (now.tokens[:, None] == now.tokens[None]) | (place[None] >= now.lengths[:, None, None])
    child = (now.lengths[None] == now.lengths[:, None] + 1) & (now.lengths[None] > 0) & same.all(-1)
    reached = jnp.where(child, longer[:, last], -jnp.inf)
    label = jnp.where(now.lengths > 0, now.label + p[last], -jnp.inf)
    label = jnp.logaddexp(label, jax.nn.logsumexp(reached, axis=0))
    there = (child[:, :, None] & (classes[None] == last[None, :, None])).any(1)
    longer = jnp.where(there, -jnp.inf, longer)

    stay = total + p[blank]
    score, pick = jax.lax.top_k(jnp.concatenate([jnp.logaddexp(stay, label), longer.reshape(-1)]), beam)
    grown = pick >= beam
    parent = jnp.where(grown, (pick - beam) // len(p), pick)
    put = grown[:, None] & (place == now.lengths[parent][:, None])
    return _Beam(
        jnp.where(put, ((pick - beam) % len(p))[:, None], now.tokens[parent]).astype(jnp.int32),
        jnp.where(score > -jnp.inf, now.lengths[parent] + grown, -1).astype(jnp.int32),
        jnp.where(grown, -jnp.inf, stay[parent]),
        jnp.where(grown, score, label[parent]),
    )


def _frames(owner: str, logits: Any, lengths: Any, blank: Any) -> tuple[jax.Array, jax.Array]:
    """Log p of the classes, in float32 at least, and the lengths `(*batch,)`."""
    logits = jnp.asarray(logits)
    losses.check_frames(owner, logits, blank)
    lengths, _ = validate.lengths_and_resets(lengths, None, len(logits), logits.shape[1:-1], logits)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    lengths = jnp.full(logits.shape[1:-1], len(logits)) if lengths is None else lengths
    return jax.nn.log_softmax(logits, axis=-1), lengths
