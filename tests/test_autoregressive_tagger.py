"""Classes that depend on those before: enumeration, a walk in NumPy, frequencies; teacher forcing without a loop."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrnn import GRU, Associative, FeedForward, MinGRU, conditioned, given, training
from jaxrnn.models import AutoregressiveTagger
from tests import grid, oracles

D, K, E, T = 2, 3, 4, 4
CELLS = [GRU(D + E, 5), FeedForward(D + E, 5)]
every_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: type(cell).__name__)
XS = np.random.default_rng(0).normal(size=(T, 1, D))
EVERY = np.array(list(itertools.product(range(K), repeat=T))).T  # (T, 81)


def _model(cell: Any) -> tuple[AutoregressiveTagger, Any]:
    """A model whose probabilities are far from even."""
    model = AutoregressiveTagger(D, K, E, cell)
    params = model.init(jax.random.key(2))
    return model, params._replace(readout=params.readout._replace(V=params.readout.V * 4))


def _walk(cell: Any, params: Any, xs: np.ndarray, fed: np.ndarray) -> np.ndarray:
    """In NumPy, from the equations: p(y(t)) of each step `(time, classes)`, where the steps feed `fed`."""
    p = grid.host(params)
    state: Any = grid.host(cell.initial_state(params.readout.cell))
    found = []
    for x, before in zip(xs, [K, *fed], strict=False):
        read = np.concatenate([x, p.embedding[before]])
        if isinstance(cell, GRU):
            state = oracles.GRU.step(p.readout.cell, state, read)
        else:
            state = state._replace(h=np.tanh(p.readout.cell.b + read @ p.readout.cell.U))
        o = p.readout.c + state.h @ p.readout.V
        found.append(np.exp(o) / np.exp(o).sum())
    return np.array(found)


@pytest.mark.usefixtures("x64")
@every_cell
def test_probabilities_are_the_equations_and_sum_to_one(cell: Any) -> None:
    model, params = _model(cell)
    params = jax.tree.map(lambda a: a.astype(jnp.float64), params)
    xs = np.broadcast_to(XS, (T, EVERY.shape[1], D))
    p = np.exp(model.log_prob(params, xs, EVERY))
    walked = [_walk(cell, params, XS[:, 0], y)[np.arange(T), y].prod() for y in EVERY.T]
    np.testing.assert_allclose(p, walked, rtol=1e-10)
    np.testing.assert_allclose(p.sum(), 1, atol=1e-12)
    assert p.min() < 0.004 < 0.02 < p.max()
    first = [p[(EVERY[:1] == k).all(0)].sum() for k in range(K)]
    np.testing.assert_allclose(first, _walk(cell, params, XS[:1, 0], EVERY[:1, 0])[0], rtol=1e-10)


@every_cell
def test_draws_are_as_frequent_as_they_are_likely(cell: Any, key: jax.Array) -> None:
    model, params = _model(cell)
    n, steps = 20_000, 2
    drawn = np.asarray(model.sample(params, key, np.broadcast_to(XS[:steps], (steps, n, D)).astype(np.float32)))
    assert drawn.dtype == np.int32
    pairs = np.array(list(itertools.product(range(K), repeat=steps))).T
    xs = np.broadcast_to(XS[:steps], (steps, pairs.shape[1], D)).astype(np.float32)
    p = np.exp(model.log_prob(params, xs, pairs))
    counts = np.array([(drawn == pair[:, None]).all(0).sum() for pair in pairs.T])
    assert ((counts - n * p) ** 2 / (n * p)).sum() < 26.1  # 99.9 % of draws with 8 degrees of freedom


@pytest.mark.usefixtures("x64")
@every_cell
def test_padding_reaches_nothing_and_slopes_are_differences(cell: Any) -> None:
    """The mean over the steps before the lengths, alone or batched; NaN past them."""
    model, params = _model(cell)
    params = jax.tree.map(lambda a: a.astype(jnp.float64), params)
    rng, lengths = np.random.default_rng(1), np.array([T, 0, 2])
    xs, ys = rng.normal(size=(T, 3, D)), rng.integers(K, size=(T, 3))
    alone = [model.log_prob(params, xs[:n, row], ys[:n, row]) for row, n in enumerate(lengths)]
    past = np.arange(T)[:, None] >= lengths
    xs[past], ys[past] = np.nan, -7
    np.testing.assert_allclose(model.log_prob(params, xs, ys, lengths=lengths), alone, rtol=1e-12)

    program = grid.quick(jax.value_and_grad(lambda p: model.loss(p, None, (xs, ys, lengths))[0]))
    value, gradient = program(params)
    np.testing.assert_allclose(value, -np.sum(alone) / lengths.sum(), rtol=1e-12)
    direction = jax.tree.map(lambda a: np.cos(1 + np.arange(a.size)).reshape(a.shape), params)
    ahead, behind = (program(jax.tree.map(lambda a, d, e=e: a + e * d, params, direction))[0] for e in (1e-5, -1e-5))
    slope = sum(jax.tree.leaves(jax.tree.map(lambda d, g: (d * g).sum(), direction, gradient)))
    np.testing.assert_allclose(slope, (ahead - behind) / 2e-5, rtol=1e-7)
    drawn = model.sample(params, jax.random.key(0), xs, lengths=lengths)
    assert not drawn[past].any()


@pytest.mark.usefixtures("x64")
@every_cell
def test_scheduled_sampling_scores_the_truth_on_what_was_fed(cell: Any, key: jax.Array) -> None:
    """With probability 1 it is teacher forcing; with 0, of one step's inputs, the mean over what may be drawn."""
    model, params = _model(cell)
    params = jax.tree.map(lambda a: a.astype(jnp.float64), params)
    n = 20_000
    xs, ys = np.broadcast_to(XS[:2], (2, n, D)), np.broadcast_to(np.array([[0], [1]]), (2, n))
    forced = model.loss(params, None, (xs, ys))[0]
    found = jax.jit(lambda truth: model.loss(params, None, (xs, ys), key, truth=truth)[0])
    np.testing.assert_allclose(found(1.0), forced, rtol=1e-12)
    p = _walk(cell, params, XS[:2, 0], EVERY[:2, 0])[0]
    second = np.array([-np.log(_walk(cell, params, XS[:2, 0], np.array([k, 0]))[1, 1]) for k in range(K)])
    for truth in (0.0, 0.5):
        fed = truth * np.eye(K)[0] + (1 - truth) * p
        spread = np.sqrt(fed @ second**2 - (fed @ second) ** 2) / np.sqrt(n) / 2
        assert abs(found(truth) - (-np.log(p[0]) + fed @ second) / 2) < 4 * spread
    assert abs(found(0.0) - forced) > 0.05


def test_teacher_forcing_of_what_remembers_nothing_has_no_loop() -> None:
    def program(cell: Any, truth: Any = None) -> str:
        model, params = _model(cell)
        batch = XS.astype(np.float32), EVERY[:, :1]

        def loss(params: Any) -> Any:
            return model.loss(params, None, batch, jax.random.key(0), truth=truth)[0]

        return str(jax.make_jaxpr(jax.grad(loss))(params))

    assert "scan[" in program(CELLS[0])
    assert "scan[" not in program(CELLS[1])
    assert "while[" not in program(CELLS[1])
    assert program(CELLS[1], 0.5).count("scan[") == 1  # what is fed is drawn; the gradient is parallel there too


def test_training_finds_classes_that_depend_on_those_before(key: jax.Array) -> None:
    """The first class is a toss that no x tells, the rest repeat it; a vector says by how much they grow."""
    model = AutoregressiveTagger(D, K, E, conditioned(MinGRU(D + E + 2, 16), 2))
    ys = (np.arange(T)[:, None] * np.array([0, 0, 0, 1, 1, 1]) + np.array([0, 1, 2, 0, 1, 2])) % K
    xs, vectors = np.zeros((T, 6, D), np.float32), jnp.eye(2)[jnp.array([0, 0, 0, 1, 1, 1])]

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        return model.loss(given(params, vectors), state, batch, key)

    optimizer = optax.adam(0.03)
    step = jax.jit(training.make_train_step(loss, optimizer))
    state = training.init_train_state(model.init(key), None, key, optimizer)
    for _ in range(200):
        state, _ = step(state, (xs, ys))
    params = given(state.params, vectors)
    likely = [model.log_prob(params, xs, ys, **choice) for choice in ({}, {"method": Associative()})]
    np.testing.assert_allclose(likely[0], np.log(1 / K), atol=0.1)
    np.testing.assert_allclose(likely[1], likely[0], rtol=1e-4)
    drawn = np.asarray(model.sample(params, key, xs))
    np.testing.assert_array_equal(drawn, (drawn[:1] + np.arange(T)[:, None] * np.array([0, 0, 0, 1, 1, 1])) % K)
    assert model.log_prob(state.params, xs[:0], ys[:0]).shape == (6,)


X, Y = np.zeros((T, 2, D), np.float32), np.zeros((T, 2), int)
WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "another cell": (lambda m, p: AutoregressiveTagger(D, K, E, GRU(D, 5)), ValueError, "= 6"),
    "no cell": (lambda m, p: AutoregressiveTagger(D, K, E, GRU), TypeError, "expected a cell"),  # pyright: ignore
    "no classes": (lambda m, p: AutoregressiveTagger(D, 0, E, GRU(6, 5)), ValueError, "classes must be at least 1"),
    "classes outside": (lambda m, p: m.log_prob(p, X, Y + K), ValueError, "between 0 and classes - 1 = 2"),
    "classes of numbers": (lambda m, p: m.log_prob(p, X, Y / 2), TypeError, "the index of each class"),
    "other classes": (lambda m, p: m.log_prob(p, X, Y[1:]), ValueError, r"(time, *batch) = (4, 2)"),
    "integers": (lambda m, p: m.log_prob(p, Y[..., None], Y), TypeError, "floating type"),
    "other features": (lambda m, p: m.sample(p, jax.random.key(0), X[..., :1]), ValueError, "input_size = 2"),
    "lengths beyond": (lambda m, p: m.log_prob(p, X, Y, lengths=np.array([9, 1])), ValueError, "the 4 steps"),
    "truth without a key": (lambda m, p: m.loss(p, None, (X, Y), truth=0.5), ValueError, "pass a key"),
    "truth above 1": (
        lambda m, p: m.loss(p, None, (X, Y), jax.random.key(0), truth=1.5),
        ValueError,
        "truth must be at least 0 and at most 1, got 1.5",
    ),
    "truth of many": (
        lambda m, p: m.loss(p, None, (X, Y), jax.random.key(0), truth=np.ones(2)),
        TypeError,
        "truth must be a number",
    ),
    "no batch": (lambda m, p: m.loss(p, None, X), TypeError, "batch must be"),
}


@pytest.mark.parametrize(("act", "kind", "says"), WRONG.values(), ids=WRONG.keys())
def test_bad_input(act: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        act(*_model(CELLS[0]))
    assert says in str(caught.value)
