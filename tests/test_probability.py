"""Probabilities of sequences against enumeration and frequencies; streams against generation."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import GRU, LSTM, Associative, MinGRU, Stack, conditioned, decoding, given, transition
from jaxrnn.models import LanguageModel
from tests import grid

V = 3
MODEL = LanguageModel(V, 4, conditioned(GRU(6, 5), 2))
VECTOR = jnp.array([3.0, -2.0])


def _params(model: LanguageModel = MODEL, vector: Any = VECTOR) -> Any:
    params = model.init(jax.random.key(3))
    params = params._replace(readout=params.readout._replace(V=params.readout.V * 8))
    return params if vector is None else given(params, vector)


def _all(steps: int) -> np.ndarray:
    """Every sequence of a length, `(steps, V ** steps)`."""
    return np.array(list(itertools.product(range(V), repeat=steps)), int).reshape(-1, steps).T


@pytest.mark.parametrize("vector", [None, VECTOR])
@pytest.mark.parametrize("prompt", [[1], [0, 2, 2]])
def test_probabilities_of_all_sequences_sum_to_one(prompt: list[int], vector: Any) -> None:
    params, tokens = _params(vector=vector), _all(5)
    first = np.tile(np.array(prompt)[:, None], (1, tokens.shape[1]))
    found = jax.jit(lambda p, y, n: MODEL.log_prob(p, y, prompt=first, lengths=n))
    lengths = np.full(tokens.shape[1], 5)
    np.testing.assert_allclose(np.exp(found(params, tokens, lengths)).sum(), 1, atol=1e-6)
    shorter = np.exp(found(params, tokens, lengths - 2))  # each of the sequences of 3 comes V² times
    np.testing.assert_allclose(shorter.sum(), V**2, atol=1e-5)
    np.testing.assert_array_equal(found(params, tokens, lengths * 0), 0)


def test_draws_are_as_frequent_as_they_are_likely(key: jax.Array) -> None:
    params, tokens, n = _params(), _all(3), 20_000
    p = np.exp(MODEL.log_prob(params, tokens, prompt=np.full((2, V**3), 1)))
    drawn = np.asarray(MODEL.sample(params, key, prompt=np.full((2, n), 1), steps=3))
    counts = np.bincount(drawn[0] * V**2 + drawn[1] * V + drawn[2], minlength=V**3)
    assert p.max() / p.min() > 20
    assert ((counts - n * p) ** 2 / (n * p)).sum() < 54.1  # 99.9 % of draws with 26 degrees of freedom


@pytest.mark.usefixtures("x64")
def test_a_log_probability_is_the_sum_over_steps(rng: np.random.Generator) -> None:
    """Step by step through the cell, with lengths; through a model, through a cell that reads symbols, from a state."""
    model = LanguageModel(V, 4, Stack([LSTM(4, 5), MinGRU(5, 3)]))
    params = model.init(jax.random.key(0), jnp.float64)
    prompt, tokens, lengths = rng.integers(0, V, (2, 4)), rng.integers(0, V, (6, 4)), np.array([6, 0, 3, 1])
    net, E = model.network, params.embedding
    reads = transition(
        lambda p, s, x: net.step(p.readout, s, p.embedding[x]),
        output=lambda p, s: net.output(p.readout, s),
        initial_state=lambda p, batch: net.initial_state(p.readout, batch),
    )
    state, expected = net.initial_state(params.readout, (4,)), np.zeros(4)
    step = grid.quick(lambda state, x: net.step(params.readout, state, E[x]))
    for t, x in enumerate([*prompt, *tokens]):
        if t >= 2:
            o = np.asarray(net.output(params.readout, state))
            picked = o[np.arange(4), x] - np.log(np.exp(o).sum(-1))
            expected += np.where(t - 2 < lengths, picked, 0)
        state = step(state, x)
    found = model.log_prob(params, tokens, prompt=prompt, lengths=lengths)
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    generic = decoding.log_prob(reads, params, tokens, prompt=prompt, lengths=lengths)
    np.testing.assert_allclose(generic, expected, rtol=1e-11)
    for one in (decoding.log_prob(reads, params, tokens[:0, 0], prompt=prompt[:, 0]), generic[1]):
        assert one == 0
    half = net.step(params.readout, net.initial_state(params.readout, (4,)), E[prompt[0]])
    for f in (
        lambda **k: model.log_prob(params, tokens, **k),
        lambda **k: decoding.log_prob(reads, params, tokens, **k),
    ):
        carried = f(prompt=prompt[1:], lengths=lengths, state=half)
        np.testing.assert_allclose(carried, expected, rtol=1e-11)


def test_methods_and_gradients(key: jax.Array) -> None:
    model = LanguageModel(V, 4, MinGRU(4, 5))
    params, tokens, prompt = model.init(key), _all(3), np.zeros((1, V**3), int)

    def total(params: Any, **choices: Any) -> Any:
        return model.log_prob(params, tokens, prompt=prompt, **choices).sum()

    expected, slope = jax.value_and_grad(total)(params)
    found = jax.value_and_grad(lambda p: total(p, method=Associative()))(params)
    grid.close(found, (expected, slope), 1e-4, 1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("choices", [{}, {"temperature": 0.7, "top_k": 2}, {"temperature": 0, "top_p": 0.9}])
def test_a_stream_is_what_is_generated(batch: tuple[int, ...], choices: Any, key: jax.Array) -> None:
    params, prompt = _params(), np.ones((3, *batch), int)
    expected = MODEL.generate(params, key, prompt=prompt, steps=60, **choices)
    np.testing.assert_array_equal(list(MODEL.stream(params, key, prompt=prompt, steps=60, **choices)), expected)
    endless = MODEL.stream(params, key, prompt=prompt, **choices)
    first = list(itertools.islice(endless, 5))
    np.testing.assert_array_equal(first, expected[:5])
    assert first[0].dtype == jnp.int32
    np.testing.assert_array_equal(next(endless), expected[5])


def test_a_stream_compiles_one_step_and_starts_from_a_state(key: jax.Array) -> None:
    traces = []

    def add(p: Any, s: jax.Array, x: jax.Array) -> jax.Array:
        traces.append(None)
        return (s + x) % 9

    adds = transition(add, output=lambda p, s: jnp.where(jnp.arange(9) == s, 50.0, 0.0))
    text = decoding.stream(adds, None, key, prompt=[1], steps=20, state=jnp.array(3))
    assert [int(next(text)), int(next(text))] == [4, 8]
    traced = len(traces)
    assert len(list(text)) == 18
    list(decoding.stream(adds, None, key, prompt=[2], steps=9, state=jnp.array(1), temperature=2))
    assert len(traces) == traced


def _log_prob(tokens: Any, prompt: Any = (1,), **choices: Any) -> Any:
    return MODEL.log_prob(_params(), tokens, prompt=np.asarray(prompt), **choices)


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "symbols outside": (lambda: _log_prob(np.array([0, 3])), ValueError, "between 0 and vocabulary_size - 1 = 2"),
    "a prompt outside": (lambda: _log_prob(np.array([0]), [7]), ValueError, "prompt must be between 0 and"),
    "text": (lambda: _log_prob("aa"), TypeError, "pass alphabet.encode(text)"),
    "numbers": (lambda: _log_prob(np.ones(2)), TypeError, "tokens must be integers, got float32"),
    "no prompt": (lambda: _log_prob(np.array([0]), np.zeros(0, int)), ValueError, "prompt must have at least one"),
    "another batch": (lambda: _log_prob(np.ones((2, 3), int)), ValueError, "of one batch, got shapes (1,) and (2, 3)"),
    "negative lengths": (
        lambda: _log_prob(np.array([0, 1]), [1, 1], lengths=-1),
        ValueError,
        "lengths must be between 0 and the 2 steps",
    ),
    "long lengths": (lambda: _log_prob(np.array([0, 1]), lengths=3), ValueError, "the 2 steps of xs, got 3 to 3"),
    "stream without end before its start": (
        lambda: MODEL.stream(_params(), jax.random.key(0), prompt=np.array([1]), steps=0),
        ValueError,
        "stream: steps must be at least 1",
    ),
    "stream of no prompt": (
        lambda: decoding.stream(MODEL.cell, None, jax.random.key(0), prompt=np.zeros(0, int)),
        ValueError,
        "stream: prompt must have at least one token",
    ),
    "stream too cold": (
        lambda: MODEL.stream(_params(), jax.random.key(0), prompt=np.array([1]), temperature=-1),
        ValueError,
        "temperature must be",
    ),
}


@pytest.mark.parametrize(("act", "kind", "says"), WRONG.values(), ids=WRONG.keys())
def test_wrong_sequences(act: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        act()
    assert says in str(caught.value)


def test_padding_may_hold_anything() -> None:
    tokens = np.array([[0, 1], [2, -7]])
    found = _log_prob(tokens, [[1, 1]], lengths=np.array([2, 1]))
    np.testing.assert_allclose(found[1], _log_prob(tokens[:1, 1]), rtol=1e-5)
