"""Words and their pronunciations, pairs in batches of similar lengths, and training on batches of unlike shapes."""

from collections import Counter
from importlib import resources
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrnn.data import (
    LETTERS,
    PHONEMES,
    cmudict,
    decode_phonemes,
    encode_phonemes,
    encode_spelling,
    pair_buckets,
    split_words,
)
from jaxrnn.models import Pairs
from jaxrnn.training import fit_batches


@pytest.fixture(scope="module")
def words() -> dict[str, Any]:
    return cmudict()


def test_the_dictionary(words: dict[str, Any]) -> None:
    assert len(words) == 124926
    assert sum(len(said) for said in words.values()) == 133667
    assert words["tomato"] == [("T", "AH", "M", "EY", "T", "OW"), ("T", "AH", "M", "AA", "T", "OW")]
    assert {letter for word in words for letter in word} == set(LETTERS)
    assert {p for said in words.values() for one in said for p in one} == set(PHONEMES)
    assert len(PHONEMES) == 39
    assert cmudict(stress=True)["tomato"][0] == ("T", "AH0", "M", "EY1", "T", "OW2")
    files = resources.files("jaxrnn.data")
    assert len(files.joinpath("cmudict.txt.xz").read_bytes()) < 750_000
    assert "Carnegie Mellon University" in files.joinpath("cmudict.LICENSE").read_text()


def test_words_are_split_by_seed(words: dict[str, Any]) -> None:
    parts = split_words(words)
    assert [len(part) for part in parts] == [110426, 2500, 12000]
    assert Counter(word for part in parts for word in part) == Counter(list(words))
    assert parts == split_words(dict(reversed(words.items())))
    assert parts.test != split_words(words, seed=1).test
    with pytest.raises(ValueError, match="leave nothing of 2 words"):
        split_words({"a": [], "b": []}, validation=1, test=1)
    with pytest.raises(ValueError, match="validation must be at least 1"):
        split_words(words, validation=0)


def test_spellings_and_phonemes() -> None:
    assert "".join(LETTERS[k] for k in encode_spelling("o'clock")) == "o'clock"
    tokens = encode_phonemes(("AA", "ZH"))
    np.testing.assert_array_equal(tokens, [1, 39, 0])
    assert decode_phonemes(np.array([*tokens, 3])) == ("AA", "ZH")
    assert decode_phonemes(tokens[:2]) == ("AA", "ZH")
    with pytest.raises(ValueError, match="only the letters"):
        encode_spelling("Über")
    with pytest.raises(ValueError, match="AH0"):
        encode_phonemes(("AH0",))


def test_pairs_in_buckets(rng: np.random.Generator) -> None:
    lengths = rng.integers(0, 9, (23, 2))
    sources = [np.arange(n) + 1 for n, _ in lengths]
    targets = [10 + np.arange(n) for _, n in lengths]
    found = pair_buckets(sources, targets, 5, seed=3, multiple=2)
    assert sorted(np.concatenate([b.places for b in found]).tolist()) == list(range(23))
    for bucket in found:
        assert bucket.source.shape == bucket.target.shape
        assert len(bucket.source) % 2 == 0
        assert len(bucket.source) - max(bucket.source_lengths.max(), bucket.target_lengths.max()) < 2
        for k, place in enumerate(bucket.places):
            np.testing.assert_array_equal(bucket.source[: bucket.source_lengths[k], k], sources[place])
            np.testing.assert_array_equal(bucket.target[: bucket.target_lengths[k], k], targets[place])
            assert not bucket.source[bucket.source_lengths[k] :, k].any()
            assert not bucket.target[bucket.target_lengths[k] :, k].any()
    with pytest.raises(ValueError, match="every source needs a target, got 23 and 22"):
        pair_buckets(sources, targets[1:], 5)
    with pytest.raises(ValueError, match="sequences is empty"):
        pair_buckets([], [], 5)


def _line(params: Any, state: None, batch: Pairs, key: Any) -> Any:
    time = jnp.arange(len(batch.source))[:, None]
    error = jnp.where(time < batch.source_lengths[None], params["w"] * batch.source - batch.target, 0.0)
    return (error**2).sum() / error.shape[1], (None, {})


def _batches(epoch: int) -> list[Pairs]:
    rng = np.random.default_rng(epoch)
    return [
        Pairs(rng.normal(size=(n, 4)).astype(np.float32), np.array([n, 0, 1, n], np.int32), np.ones((n, 4)), None)
        for n in (2, 5, 2)
    ]


def _plain(steps: int) -> tuple[float, list[float]]:
    """Gradient descent in NumPy."""
    w, losses, given = 0.5, [], [b for epoch in range(3) for b in _batches(epoch)]
    for batch in given[:steps]:
        valid = np.arange(len(batch.source))[:, None] < batch.source_lengths
        error = np.where(valid, w * batch.source - 1, 0)
        losses.append((error**2).sum() / 4)
        w -= 0.01 * (2 * error * batch.source).sum() / 4
    return w, losses


@pytest.mark.parametrize("devices", [1, 2])
def test_training_on_batches_of_unlike_shapes(devices: int) -> None:
    """Equals gradient descent in NumPy, epoch after epoch, on one device and on two."""
    seen = []
    found = fit_batches(
        _line,
        {"w": jnp.array(0.5)},
        _batches,
        optimizer=optax.sgd(0.01),
        steps=8,
        report=lambda step, params: seen.append((step, float(params["w"]))),
        report_every=3,
        devices=jax.devices()[:devices],
        progress=False,
    )
    w, losses = _plain(8)
    np.testing.assert_allclose(found.params["w"], w, rtol=1e-5)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-5)
    assert [step for step, _ in seen] == [3, 6, 8]
    np.testing.assert_allclose([value for _, value in seen], [_plain(3)[0], _plain(6)[0], w], rtol=1e-5)


def test_batches_that_do_not_fit() -> None:
    given: Any = {"optimizer": optax.sgd(0.1), "progress": False}
    with pytest.raises(ValueError, match="steps must be at least 1"):
        fit_batches(_line, {"w": jnp.array(0.5)}, _batches, steps=0, **given)
    with pytest.raises(ValueError, match=r"batches\(0\) has no batch"):
        fit_batches(_line, {"w": jnp.array(0.5)}, lambda epoch: [], steps=1, **given)
    with pytest.raises(ValueError, match="arrays of a batch must be"):
        fit_batches(_line, {"w": jnp.array(0.5)}, lambda epoch: [(np.ones((2, 3)), np.ones(2))], steps=1, **given)
