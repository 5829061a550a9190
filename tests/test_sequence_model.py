"""Distributions over sequences of any length: enumeration, an independent walk over all prefixes, frequencies."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrnn import GRU, Associative, ConditionedInitialState, MinGRU, conditioned, given, training
from jaxrnn.models import BernoulliStop, EndSymbol, LanguageModel, PredictedLength, SequenceModel
from tests import grid, oracles

V, LONGEST = 2, 4
ENDINGS = [EndSymbol(), BernoulliStop(), PredictedLength(LONGEST)]
every_ending = pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: type(ending).__name__)
VECTOR = jnp.array([1.5, -1.0])


def _model(ending: Any) -> tuple[SequenceModel, Any]:
    """A model that depends on a vector twice, with probabilities that are far from even."""
    model = SequenceModel(V, 3, ConditionedInitialState(conditioned(GRU(5, 4), 2), 2), ending)
    params = model.init(jax.random.key(2))
    return model, params._replace(readout=params.readout._replace(V=params.readout.V * 4))


def _all(longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Every sequence of at most so many symbols, `(longest, n)`, and their lengths."""
    found = [y for n in range(longest + 1) for y in itertools.product(range(V), repeat=n)]
    tokens = np.zeros((longest, len(found)), int)
    for k, y in enumerate(found):
        tokens[: len(y), k] = y
    return tokens, np.array([len(y) for y in found])


def _softmax(o: Any) -> np.ndarray:
    return np.exp(o - o.max()) / np.exp(o - o.max()).sum()


def _walk(ending: Any, params: Any, y: tuple[int, ...]) -> tuple[Any, Any]:
    """In NumPy, from Sec. 10.2.3: p(y, and the end after it), and p(a sequence that begins with y and goes on)."""
    p = grid.host(params)
    cell, v = p.readout.cell, np.asarray(VECTOR)

    def outputs(left: int | None) -> list[np.ndarray]:
        state, found = cell.q._replace(h=cell.q.h + v @ cell.Q.h), []
        for t, token in enumerate([V, *y]):
            x = p.embedding[token] + (0 if left is None else p.ending.R[max(left - t, 0)])
            state = oracles.GRU.step(cell.cell.cell, state, np.concatenate([x, v]))
            found.append(p.readout.c + p.readout.V.T @ state.h)
        return found

    if isinstance(ending, PredictedLength):
        tau = _softmax(outputs(None)[0][V:])

        def with_length(n: int) -> float:
            return tau[n] * np.prod([_softmax(o[:V])[k] for o, k in zip(outputs(n), y, strict=False)])

        return with_length(len(y)), sum(with_length(n) for n in range(len(y) + 1, LONGEST + 1))
    alive, o = 1.0, outputs(None)
    for k, token in enumerate(y):
        if isinstance(ending, EndSymbol):
            alive *= _softmax(o[k])[token]
        else:
            alive *= (1 - oracles.sigmoid(o[k][V])) * _softmax(o[k][:V])[token]
    stop = _softmax(o[-1])[V] if isinstance(ending, EndSymbol) else oracles.sigmoid(o[-1][V])
    return alive * stop, alive * (1 - stop)


@pytest.mark.usefixtures("x64")
@every_ending
def test_probabilities_are_the_equations_and_sum_to_one(ending: Any) -> None:
    """All sequences up to a length, and what is left for longer ones."""
    model, params = _model(ending)
    params = given(jax.tree.map(lambda a: a.astype(jnp.float64), params), VECTOR)
    tokens, lengths = _all(LONGEST)
    found = np.exp(model.log_prob(params, tokens, lengths=lengths))
    walked = [_walk(ending, params, tuple(tokens[:n, k])) for k, n in enumerate(lengths)]
    np.testing.assert_allclose(found, [ended for ended, _ in walked], rtol=1e-10)
    left = sum(more for (_, more), n in zip(walked, lengths, strict=True) if n == LONGEST)
    np.testing.assert_allclose(found.sum() + left, 1, atol=1e-9)
    assert (left > 0.01) != isinstance(ending, PredictedLength)
    assert found.min() < 0.01 < 0.05 < found.max()


@every_ending
def test_in_single_precision_they_sum_to_one_too(ending: Any) -> None:
    model, params = _model(ending)
    params = given(params, VECTOR)
    tokens, lengths = _all(LONGEST)
    p = np.exp(np.asarray(model.log_prob(params, tokens, lengths=lengths), np.float64))
    last = [k for k, n in enumerate(lengths) if n == LONGEST]
    left = sum(_walk(ending, params, tuple(tokens[:, k]))[1] for k in last)
    np.testing.assert_allclose(p.sum() + left, 1, atol=1e-6)


@every_ending
def test_after_a_prefix_it_is_the_quotient(ending: Any) -> None:
    """Log p(rest | prefix) = log p(prefix, rest) - log p(a sequence that begins so); empty prefixes change nothing."""
    model, params = _model(ending)
    params = given(params, VECTOR)
    tokens, lengths = _all(LONGEST - 2)
    for prefix in ((), (1,), (0, 1)):
        begin = np.tile(np.array(prefix, int)[:, None], (1, len(lengths)))
        found = model.log_prob(params, tokens, lengths=lengths, prefix=begin)
        whole = model.log_prob(params, np.concatenate([begin, tokens]), lengths=lengths + len(prefix))
        np.testing.assert_allclose(found, whole - np.log(sum(_walk(ending, params, prefix))), rtol=1e-4, atol=1e-5)


@every_ending
@pytest.mark.parametrize("prefix", [None, (1,)])
def test_draws_are_as_frequent_as_they_are_likely(ending: Any, prefix: Any, key: jax.Array) -> None:
    model, params = _model(ending)
    params, n, steps = given(params, VECTOR), 20_000, 2
    choice: Any = {"batch_shape": (n,)} if prefix is None else {"prefix": np.tile(np.array(prefix)[:, None], (1, n))}
    drawn = model.sample(params, key, steps=steps, **choice)
    tokens, lengths = _all(steps)
    begin = None if prefix is None else np.tile(np.array(prefix)[:, None], (1, len(lengths)))
    p = np.exp(model.log_prob(params, tokens, lengths=lengths, prefix=begin))
    given_tokens = np.asarray(drawn.tokens)
    assert not given_tokens[np.arange(steps)[:, None] >= np.asarray(drawn.lengths)].any()
    assert (np.asarray(drawn.lengths)[~np.asarray(drawn.ended)] == steps).all()
    counts = [
        int((drawn.ended & (drawn.lengths == k) & (given_tokens == tokens[:, [i]]).all(0)).sum())
        for i, k in enumerate(lengths)
    ]
    counts, p = np.array([*counts, n - sum(counts)]), np.array([*p, 1 - p.sum()])
    assert ((counts - n * p) ** 2 / (n * p)).sum() < 24.3  # 99.9 % of draws with 7 degrees of freedom


def test_a_batch_of_vectors_and_shapes(key: jax.Array) -> None:
    model, params = _model(EndSymbol())
    vectors = jnp.array([[1.5, -1.0], [-2.0, 0.5], [0.0, 0.0]])
    tokens, lengths = np.array([[0, 1, 1], [1, 1, 0]]), np.array([2, 0, 1])
    whole = model.log_prob(given(params, vectors), tokens, lengths=lengths)
    alone = [
        model.log_prob(given(params, v), tokens[:n, k]) for k, (v, n) in enumerate(zip(vectors, lengths, strict=True))
    ]
    np.testing.assert_allclose(whole, alone, rtol=1e-5)
    assert model.sample(given(params, vectors), key, steps=5, batch_shape=(3,)).tokens.shape == (5, 3)
    assert model.sample(params, key, steps=5).lengths.shape == ()
    one = model.sample(params, key, steps=9, batch_shape=(4,))
    np.testing.assert_array_equal(one.tokens, model.sample(params, key, steps=9, batch_shape=(4,)).tokens)
    np.testing.assert_array_equal(one.tokens[:3], model.sample(params, key, steps=3, batch_shape=(4,)).tokens)
    assert model.log_prob(params, []).shape == ()
    assert model.log_prob(params, np.zeros((0, 0), int)).shape == (0,)


def test_padding_may_hold_anything_and_a_longer_sequence_is_impossible() -> None:
    model, params = _model(PredictedLength(LONGEST))
    found = model.log_prob(params, np.array([[1, 1], [-9, 0]]), lengths=np.array([1, 2]))
    np.testing.assert_allclose(found[0], model.log_prob(params, np.array([1])), rtol=1e-5)
    assert model.log_prob(params, np.zeros(LONGEST + 1, int)) == -np.inf


@every_ending
def test_training_finds_the_sequences(ending: Any, key: jax.Array) -> None:
    """Of two vectors, each has its one sequence; also through a parallel method, with the same gradient."""
    model = SequenceModel(V, 3, conditioned(MinGRU(5, 16), 2), ending)
    tokens, lengths, vectors = np.array([[0, 1], [0, 1], [0, 1]]), np.array([1, 3]), jnp.eye(2)

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        return model.loss(given(params, batch[2]), state, batch[:2], key)

    params, optimizer = model.init(key), optax.adam(0.03)
    slopes = [
        jax.grad(lambda p, m=m: model.log_prob(given(p, vectors), tokens, lengths=lengths, **m).sum())(params)
        for m in ({}, {"method": Associative()})
    ]
    grid.close(slopes[1], slopes[0], 1e-4, 1e-5)
    step = jax.jit(training.make_train_step(loss, optimizer))
    state = training.init_train_state(params, None, key, optimizer)
    metrics = {}
    for _ in range(150):
        state, metrics = step(state, (tokens, lengths, vectors))
    assert metrics["loss"] < 0.2
    drawn = model.sample(given(state.params, vectors[1]), key, steps=6)
    np.testing.assert_array_equal(drawn.tokens, [1, 1, 1, 0, 0, 0])


def _log_prob(tokens: Any, ending: Any = ENDINGS[0], **choices: Any) -> Any:
    model, params = _model(ending)
    return model.log_prob(params, tokens, **choices)


def _sample(**choices: Any) -> Any:
    model, params = _model(ENDINGS[0])
    return model.sample(params, jax.random.key(0), **choices)


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "symbols outside": (lambda: _log_prob([0, V]), ValueError, "between 0 and vocabulary_size - 1 = 1"),
    "text": (lambda: _log_prob("01"), TypeError, "got text"),
    "numbers": (lambda: _log_prob([0.5]), TypeError, "tokens must be integers"),
    "lengths beyond": (lambda: _log_prob([0, 1], lengths=3), ValueError, "between 0 and the 2 steps"),
    "a prefix of another batch": (lambda: _log_prob([0], prefix=[[0, 1]]), ValueError, "of one batch"),
    "a prefix that is too long": (
        lambda: _log_prob([0], ENDINGS[2], prefix=[0] * (LONGEST + 1)),
        ValueError,
        "no sequence begins with a prefix of 5",
    ),
    "no steps": (lambda: _sample(steps=0), ValueError, "at least 1, got 0"),
    "a batch beside a prefix": (lambda: _sample(steps=1, batch_shape=(2,), prefix=[1]), ValueError, "leave it out"),
    "no ending": (lambda: SequenceModel(V, 3, GRU(3, 4), EndSymbol), TypeError, "such as EndSymbol()"),  # pyright: ignore
    "no length": (lambda: PredictedLength(0), ValueError, "longest must be at least 1"),
    "another cell": (lambda: SequenceModel(V, 3, GRU(5, 4), EndSymbol()), ValueError, "embedding_size = 3"),
    "another vector": (
        lambda: _model(ENDINGS[0])[0].log_prob(given(_model(ENDINGS[0])[1], jnp.ones(3)), [0]),
        ValueError,
        "must be size = 2, got shape (3,)",
    ),
}


@pytest.mark.parametrize(("act", "kind", "says"), WRONG.values(), ids=WRONG.keys())
def test_wrong_sequences(act: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        act()
    assert says in str(caught.value)


def test_a_loss_without_lengths_counts_all_steps_and_of_no_sequences_is_0() -> None:
    model, params = _model(ENDINGS[0])
    tokens = np.array([[0, 1], [1, 1], [0, 0]])
    (plain, (_, metrics)), (whole, (_, counted)) = (
        model.loss(params, None, (tokens, lengths)) for lengths in (None, np.array([3, 3]))
    )
    assert plain == whole
    assert metrics["nats_per_symbol"] == counted["nats_per_symbol"]
    np.testing.assert_allclose(plain, -model.log_prob(params, tokens).sum() / 2, rtol=1e-6)
    np.testing.assert_allclose(metrics["nats_per_symbol"], plain / 4, rtol=1e-6)
    nothing, (_, metrics) = model.loss(params, None, (tokens[:, :0], np.zeros(0, int)))
    assert (nothing, metrics["nats_per_symbol"]) == (0, 0)


def test_a_language_model_checks_the_same_way() -> None:
    with pytest.raises(ValueError, match="LanguageModel: cell must read embeddings of embedding_size = 3"):
        LanguageModel(V, 3, GRU(4, 5))
