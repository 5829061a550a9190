"""Batches of similar lengths: what they hold, how many steps they take, and that no result depends on them."""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from jaxrnn import GRU, LSTM, Bidirectional
from jaxrnn.data import buckets, pad
from tests import grid

with warnings.catch_warnings():  # of PyTorch's own imports
    warnings.simplefilter("ignore")
    import torch


def _sequences(rng: np.random.Generator, count: int, longest: int) -> list[np.ndarray]:
    lengths = [longest, 0, *rng.integers(0, longest, count - 2)]
    return [rng.normal(size=(n, 2)).astype(np.float32) for n in lengths]


@pytest.mark.parametrize("choices", [{}, {"seed": 1}, {"seed": 1, "pool": 20}, {"seed": 1, "multiple": 8}], ids=str)
def test_every_sequence_comes_once_and_padded_to_its_batch(choices: dict[str, int], rng: np.random.Generator) -> None:
    sequences = _sequences(rng, 50, 37)
    found = buckets(sequences, 8, **choices)
    assert sorted(np.concatenate([b.places for b in found]).tolist()) == list(range(50))
    for xs, lengths, places in found:
        multiple = choices.get("multiple", 1)
        assert xs.shape == (-(-lengths.max() // multiple) * multiple, len(places), 2)
        for k, place in enumerate(places):
            np.testing.assert_array_equal(xs[: lengths[k], k], sequences[place])
            assert len(sequences[place]) == lengths[k]
            assert not xs[lengths[k] :, k].any()


def test_one_seed_is_one_order(rng: np.random.Generator) -> None:
    sequences = _sequences(rng, 50, 9)

    def order(**choices: Any) -> list[list[int]]:
        return [b.places.tolist() for b in buckets(sequences, 8, **choices)]

    assert order(seed=3) == order(seed=3)
    assert order(seed=3) != order(seed=4)
    assert sorted(map(sorted, order(seed=3))) != sorted(map(sorted, order(seed=4)))  # sequences of one length mix
    lengths = np.concatenate([b.lengths for b in buckets(sequences, 8)])
    assert (np.diff(lengths) <= 0).all()


def test_steps_are_those_of_sorting_and_rows_nearly_those_of_packing(rng: np.random.Generator) -> None:
    """A batch takes as many steps as its longest; PyTorch's packed sequences compute no padding at all."""
    sequences, n = _sequences(rng, 512, 100), 16
    sequences[1] = sequences[0]  # PyTorch takes no empty sequence
    sequences = [s if len(s) else sequences[0] for s in sequences]
    lengths = np.sort([len(s) for s in sequences])[::-1]
    packed = torch.nn.utils.rnn.pack_sequence([torch.tensor(s) for s in sequences], enforce_sorted=False)
    for choices in ({}, {"seed": 0}):
        found = buckets(sequences, n, **choices)
        assert sum(len(b.xs) for b in found) == lengths[::n].sum()
        rows = sum(len(b.xs) * len(b.places) for b in found)
        assert int(packed.batch_sizes.sum()) <= rows < 1.05 * int(packed.batch_sizes.sum())
        assert rows < 0.55 * pad(sequences)[0].shape[0] * len(sequences)  # one batch, or any order
    pools = buckets(sequences, n, seed=0, pool=8 * n)
    assert sum(len(b.xs) for b in pools) < 1.25 * lengths[::n].sum()


def test_results_are_those_without_buckets(rng: np.random.Generator) -> None:
    sequences = _sequences(rng, 7, 9)
    layer = Bidirectional(GRU(2, 3), LSTM(2, 3))
    params = layer.init(jax.random.key(0))
    (xs, lengths), parts = pad(sequences), buckets(sequences, 4, seed=0, multiple=3)
    whole, runs = grid.quick(
        lambda: (
            layer.apply(params, xs, lengths=lengths),
            [layer.apply(params, part.xs, lengths=part.lengths) for part in parts],
        )
    )()
    for (part, _, places), run in zip(parts, runs, strict=True):
        steps = min(len(part), len(xs))
        np.testing.assert_allclose(run.outputs[:steps], whole.outputs[:steps, places], 1e-5, 1e-6)
        for a, b in zip(jax.tree.leaves(run.final), jax.tree.leaves(whole.final), strict=True):
            np.testing.assert_allclose(a, b[places], 1e-5, 1e-6)


def test_pairs_stay_pairs() -> None:
    pairs = [(np.full((n, 2), n, np.float32), np.full(n, n, np.int32)) for n in (1, 3, 2)]
    (xs, ys), lengths = pad(pairs, multiple=2)
    assert (xs.shape, xs.dtype, ys.shape, ys.dtype) == ((4, 3, 2), np.float32, (4, 3), np.int32)
    assert lengths.tolist() == ys.max(axis=0).tolist() == xs.max(axis=(0, 2)).tolist() == [1, 3, 2]


ONE = [np.ones((3, 2))]
WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "nothing": (lambda: buckets([], 2), ValueError, "sequences is empty"),
    "batches of none": (lambda: buckets(ONE, 0), ValueError, "batch must be at least 1, got 0"),
    "half a batch": (lambda: buckets(ONE, 0.5), TypeError, "batch must be a whole number"),  # pyright: ignore
    "a pool without a seed": (lambda: buckets(ONE, 2, pool=4), ValueError, "pass a seed too"),
    "numbers": (lambda: pad([1.0]), ValueError, "sequence 0 must hold arrays (length, ...)"),
    "a pair of two lengths": (lambda: pad([(np.ones(3), np.ones(2))]), ValueError, "of one length"),
    "unlike sequences": (lambda: pad([*ONE, np.ones((3, 4))]), ValueError, "sequence 1 is float64[3, 4]"),
}


@pytest.mark.parametrize(("call", "kind", "says"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit_raises(call: Callable[[], Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as error:
        call()
    assert says in str(error.value)
