"""Sequences of unlike lengths in batches of similar lengths, so that little is computed for padding."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrnn.cells.checks import whole_number


class Bucket(NamedTuple):
    """A batch of sequences, padded with zeros to the longest of them."""

    xs: Any  # leaves (time, batch, ...), as the sequences have them
    lengths: np.ndarray  # (batch,), int32
    places: np.ndarray  # (batch,), int32: where these sequences stand among those given


def pad(sequences: Sequence[Any], multiple: int = 1) -> tuple[Any, np.ndarray]:
    """Sequences side by side, `(time, batch, ...)`, padded with zeros, and their lengths, int32 `(batch,)`.

    Args:
        sequences: arrays `(length, ...)`, alike but for their lengths; or pytrees of such, such as pairs of inputs and
            targets.
        multiple: time is a multiple of it.

    Raises:
        ValueError: no sequences; sequences that are not alike; a multiple below 1.
        TypeError: a multiple that is not a whole number.

    Example:
        xs, lengths = pad([np.ones((3, 8)), np.ones((5, 8))])  # xs: (5, 2, 8), lengths: [3, 5]
    """
    multiple = whole_number("pad: multiple", multiple, 1)
    arrays, lengths = _checked("pad", sequences)
    return _padded(arrays, lengths, multiple), lengths


def buckets(
    sequences: Sequence[Any], batch: int, *, seed: int | None = None, pool: int | None = None, multiple: int = 1
) -> list[Bucket]:
    """Batches of sequences of similar lengths, each padded to its own longest; every sequence comes once.

    In all they take Σ_k max(lengths of batch k) steps, which no other order makes fewer. A program is compiled for
    each shape: `multiple` makes shapes fewer and steps more.

    Args:
        sequences: arrays `(length, ...)`, alike but for their lengths; or pytrees of such, such as pairs of inputs and
            targets.
        batch: sequences in a batch; what is left makes a smaller one.
        seed: None for the longest first. A whole number shuffles sequences of one length, and the order of the
            batches. Pass another one in each epoch.
        pool: with a seed, sort only so many sequences together, drawn anew, instead of all: batches of more chance and
            more padding.
        multiple: the time of each batch is a multiple of it.

    Raises:
        ValueError: no sequences; sequences that are not alike; sizes below 1; a pool without a seed.
        TypeError: sizes that are not whole numbers.

    Example:
        for xs, lengths, places in buckets(sequences, batch=32, seed=epoch):
            run = layer.apply(params, xs, lengths=lengths)  # labels[places] belong to these sequences

    Source: Khomenko et al., *Accelerating recurrent neural network training using sequence bucketing* (2016).
    """
    batch, multiple = whole_number("buckets: batch", batch, 1), whole_number("buckets: multiple", multiple, 1)
    arrays, lengths = _checked("buckets", sequences)
    order = np.arange(len(arrays))
    if seed is None:
        if pool is not None:
            raise ValueError(f"buckets: pool = {pool} is drawn by chance: pass a seed too, or leave pool out")
        pools = [order]
        chance = None
    else:
        chance = np.random.default_rng(seed)
        size = len(order) if pool is None else whole_number("buckets: pool", pool, 1)
        pools = np.split(chance.permutation(order), range(size, len(order), size))
    groups = []
    for places in pools:
        places = places[np.argsort(-lengths[places], kind="stable")]
        groups += np.split(places, range(batch, len(places), batch))
    if chance is not None:
        groups = [groups[k] for k in chance.permutation(len(groups))]
    return [
        Bucket(_padded([arrays[k] for k in group], lengths[group], multiple), lengths[group], group.astype(np.int32))
        for group in groups
    ]


def _checked(owner: str, sequences: Sequence[Any]) -> tuple[list[Any], np.ndarray]:
    """The sequences as NumPy arrays, and their lengths."""
    arrays = [jax.tree.map(np.asarray, sequence) for sequence in sequences]
    if not arrays:
        raise ValueError(f"{owner}: sequences is empty: pass at least one")
    lengths = []
    for k, sequence in enumerate(arrays):
        leaves = jax.tree.leaves(sequence)
        times = {leaf.shape[:1] for leaf in leaves}
        if len(times) != 1 or times == {()}:
            raise ValueError(
                f"{owner}: sequence {k} must hold arrays (length, ...) of one length, got {_like(sequence)}"
            )
        if _like(sequence, 1) != _like(arrays[0], 1):
            raise ValueError(
                f"{owner}: sequences must be alike but for their lengths: sequence {k} is {_like(sequence)}, the first "
                f"{_like(arrays[0])}"
            )
        lengths.append(len(leaves[0]))
    return arrays, np.asarray(lengths, np.int32)


def _padded(sequences: list[Any], lengths: np.ndarray, multiple: int) -> Any:
    time = -(-int(lengths.max()) // multiple) * multiple

    def join(*leaves: np.ndarray) -> np.ndarray:
        whole = np.zeros((time, len(leaves), *leaves[0].shape[1:]), leaves[0].dtype)
        for k, leaf in enumerate(leaves):
            whole[: len(leaf), k] = leaf
        return whole

    return jax.tree.map(join, *sequences)


def _like(sequence: Any, first: int = 0) -> str:
    """The shapes from an axis on, and the types."""
    return str(jax.tree.map(lambda a: f"{a.dtype}{list(a.shape[first:])}", sequence))
