"""Pairs of sequences, each of its own length, in batches of similar lengths."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.data.buckets import buckets


class PairBucket(NamedTuple):
    """A batch of sources and their targets, each padded with zeros to the batch's time."""

    source: np.ndarray  # (time, batch, ...), as the sources have it
    source_lengths: np.ndarray  # (batch,), int32
    target: np.ndarray  # (time, batch, ...), as the targets have it
    target_lengths: np.ndarray  # (batch,), int32
    places: np.ndarray  # (batch,), int32: where these pairs stand among those given


def pair_buckets(
    sources: Sequence[Any],
    targets: Sequence[Any],
    batch: int,
    *,
    seed: int | None = None,
    pool: int | None = None,
    multiple: int = 1,
) -> list[PairBucket]:
    """Batches of pairs whose longer sequences are of similar length; every pair comes once.

    Sources and targets of a batch have one time axis of the same length, so that there are few shapes, each of which is
    a program to compile.

    Args:
        sources: arrays `(length, ...)`, alike but for their lengths.
        targets: the same, one for each source.
        batch: pairs in a batch; what is left makes a smaller one.
        seed: see `buckets`, also for the next two.
        pool: how many pairs are sorted together.
        multiple: the time of each batch is a multiple of it.

    Raises:
        ValueError: no pairs; another number of targets than of sources; what `buckets` refuses.
        TypeError: sizes that are not whole numbers.

    Example:
        for source, source_lengths, target, target_lengths, _ in pair_buckets(spellings, phonemes, batch=32, seed=0):
            model.loss(params, None, Pairs(source, source_lengths, target, target_lengths), key)
    """
    sources, targets = [np.asarray(s) for s in sources], [np.asarray(t) for t in targets]
    if len(sources) != len(targets):
        raise ValueError(f"pair_buckets: every source needs a target, got {len(sources)} and {len(targets)}")
    lengths = np.array([[len(s), len(t)] for s, t in zip(sources, targets, strict=True)], np.int32).reshape(-1, 2)
    whole = [(_to(s, n), _to(t, n)) for s, t, n in zip(sources, targets, lengths.max(axis=1), strict=True)]
    found = buckets(whole, batch, seed=seed, pool=pool, multiple=multiple)
    return [PairBucket(xs[0], lengths[places, 0], xs[1], lengths[places, 1], places) for xs, _, places in found]


def _to(array: np.ndarray, length: int) -> np.ndarray:
    """The array with zeros after it."""
    whole = np.zeros((length, *array.shape[1:]), array.dtype)
    whole[: len(array)] = array
    return whole
