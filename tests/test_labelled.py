"""Tagger and classifier against NumPy, PyTorch's way of reading a padded batch, finite differences, and bad input."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    BPTT,
    GRU,
    LSTM,
    AttentionPooling,
    Autodiff,
    Bidirectional,
    Dropout,
    Elman,
    Embedding,
    Highway,
    LastPooling,
    LearnedInitialState,
    MaxPooling,
    MeanPooling,
    Recurrent,
    Residual,
    Sequential,
    transition,
)
from jaxrnn.layers.ends import output_size
from jaxrnn.models import Classifier, Tagger
from tests import grid

T, B, D, H, C = 5, 3, 2, 3, 4
LENGTHS = np.array([T, 0, 3], np.int32)
POOLINGS = (LastPooling(), MeanPooling(), MaxPooling(), AttentionPooling(2 * H, 4))
BOTH = Bidirectional(Elman(D, H), Elman(D, H))


@pytest.fixture
def xs(rng: np.random.Generator) -> np.ndarray:
    xs = rng.normal(size=(T, B, D))
    for row, n in enumerate(LENGTHS):
        xs[n:, row] = np.nan  # what stands in the padding reaches nothing
    return xs


def elman(p: Any, xs: np.ndarray) -> np.ndarray:
    """h(1), ..., h(τ) of one sequence."""
    h, states = np.zeros(H), []
    for x in xs:
        h = np.tanh(p.b + p.W.T @ h + p.U.T @ x)
        states.append(h)
    return np.array(states).reshape(-1, H)


def pooled(pooling: Any, p: Any, xs: np.ndarray) -> np.ndarray:
    """One sequence as one vector, from the equations."""
    f, b = elman(p.layer.forward, xs), elman(p.layer.backward, xs[::-1])
    if len(xs) == 0:
        return np.zeros(2 * H)
    if isinstance(pooling, LastPooling):
        return np.concatenate([f[-1], b[-1]])
    y = np.concatenate([f, b[::-1]], axis=1)
    if isinstance(pooling, MeanPooling):
        return y.mean(axis=0)
    if isinstance(pooling, MaxPooling):
        return y.max(axis=0)
    q = p.pooling
    e = np.exp(np.tanh(y @ q.W + q.b) @ q.v)
    return (e / e.sum()) @ y


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("pooling", POOLINGS, ids=lambda pooling: type(pooling).__name__)
def test_a_classifier_is_its_equations_at_the_true_lengths(pooling: Any, xs: np.ndarray) -> None:
    model, labels = Classifier(BOTH, C, pooling), np.array([1, 3, 2])
    params = grid.quick(lambda key: model.init(key, jnp.float64))(jax.random.key(0))
    params = params._replace(c=jnp.arange(C) / C)

    @grid.quick
    def program(params: Any) -> Any:
        (value, aux), gradient = jax.value_and_grad(
            lambda p: model.loss(p, None, (xs, labels, jnp.asarray(LENGTHS))), has_aux=True
        )(params)
        return model.apply(params, None, xs, lengths=jnp.asarray(LENGTHS)).outputs, value, aux, gradient

    def expected(p: Any) -> tuple[np.ndarray, float]:
        o = np.stack([p.c + pooled(pooling, p, xs[:n, row]) @ p.V for row, n in enumerate(LENGTHS)])
        return o, float(np.mean([np.log(np.exp(o[k]).sum()) - o[k, label] for k, label in enumerate(labels)]))

    o, value, (state, metrics), gradient = program(params)
    p = grid.host(params)
    np.testing.assert_allclose(o, expected(p)[0], rtol=1e-12)
    np.testing.assert_allclose(value, expected(p)[1], rtol=1e-12)
    np.testing.assert_allclose(metrics["accuracy"], np.mean(np.argmax(expected(p)[0], axis=1) == labels))
    assert state is None
    rng, leaves = np.random.default_rng(1), jax.tree.leaves(p)
    direction = [rng.normal(size=a.shape) for a in leaves]
    ahead, behind = (
        expected(jax.tree.unflatten(jax.tree.structure(p), [a + e * d for a, d in zip(leaves, direction, strict=True)]))
        for e in (1e-5, -1e-5)
    )
    slope = sum((d * np.asarray(g)).sum() for d, g in zip(direction, jax.tree.leaves(gradient), strict=True))
    np.testing.assert_allclose(slope, (ahead[1] - behind[1]) / 2e-5, rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_a_tagger_is_its_equations_at_every_step_before_the_end(xs: np.ndarray, rng: np.random.Generator) -> None:
    model, classes = Tagger(BOTH, C), rng.integers(0, C, (T, B))
    for row, n in enumerate(LENGTHS):
        classes[n:, row] = -1
    params = grid.quick(lambda key: model.init(key, jnp.float64))(jax.random.key(0))
    params = params._replace(c=jnp.arange(C) / C)
    p, o, L, right = grid.host(params), np.zeros((T, B, C)), np.zeros((T, B)), 0
    for row, n in enumerate(LENGTHS):
        f, b = elman(p.layer.forward, xs[:n, row]), elman(p.layer.backward, xs[:n, row][::-1])[::-1]
        for t in range(n):
            o[t, row] = p.c + np.concatenate([f[t], b[t]]) @ p.V
            L[t, row] = np.log(np.exp(o[t, row]).sum()) - o[t, row, classes[t, row]]
            right += np.argmax(o[t, row]) == classes[t, row]
    batch = xs, classes, LENGTHS
    np.testing.assert_allclose(model.apply(params, None, xs, lengths=LENGTHS).outputs, o, rtol=1e-12)
    np.testing.assert_allclose(model.losses(params, None, batch).outputs, L, rtol=1e-12)
    (value, (state, metrics)), gradient = jax.value_and_grad(model.loss, has_aux=True)(params, None, batch)
    np.testing.assert_allclose(value, L.sum() / LENGTHS.sum(), rtol=1e-12)
    np.testing.assert_allclose(metrics["accuracy"], right / LENGTHS.sum(), rtol=1e-12)
    assert state is None
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


LAYERS = (
    Recurrent(LSTM(D, H)),
    Recurrent(GRU(D, H), reverse=True),
    Bidirectional(GRU(D, H), Sequential([LSTM(D, 2), Elman(2, H)]), merge="product"),
    Sequential([GRU(D, H), Bidirectional(GRU(H, H), GRU(H, 2))]),
    Sequential([GRU(D, H), Residual(GRU(H, H)), Highway(GRU(H, H), H), Dropout(0.5)]),
    Recurrent(LearnedInitialState(GRU(D, H))),
)


@pytest.mark.parametrize("layer", LAYERS, ids=range(len(LAYERS)))
def test_what_a_layer_ends_with_is_what_it_gives_at_the_end(layer: Any, rng: np.random.Generator) -> None:
    """Of each sequence alone, its last output; the output size is that of the outputs."""
    xs, model = rng.normal(size=(T, B, D)).astype(np.float32), Classifier(layer, C)
    params = jax.jit(model.init)(jax.random.key(0))
    padded = jax.jit(model.apply)(params, None, xs, lengths=jnp.array([T, 1, 3])).outputs
    for row, n in enumerate((T, 1, 3)):
        alone = jax.jit(model.apply)(params, None, xs[:n, row]).outputs
        np.testing.assert_allclose(padded[row], alone, rtol=1e-5, atol=1e-6)
    y = jax.jit(layer.apply)(params.layer, xs).outputs
    assert y.shape[-1] == output_size("test", layer, params.layer) == params.V.shape[0]
    if not isinstance(layer, Bidirectional) and not isinstance(getattr(layer, "layers", [0])[-1], Bidirectional):
        last = y[0] if getattr(layer, "reverse", False) else y[-1]
        full = jax.jit(model.apply)(params, None, xs).outputs
        np.testing.assert_allclose(full, np.asarray(last) @ np.asarray(params.V), rtol=1e-5, atol=1e-6)


def test_a_sequence_without_steps_is_its_start(rng: np.random.Generator) -> None:
    model = Classifier(LearnedInitialState(Elman(D, H)), C)
    params = model.init(jax.random.key(0))
    start = jnp.array([0.5, -1.0, 2.0])
    params = params._replace(layer=params.layer._replace(state=params.layer.state._replace(h=start)))
    xs = jnp.asarray(rng.normal(size=(T, D)), jnp.float32)
    np.testing.assert_allclose(model.apply(params, None, xs, lengths=jnp.array(0)).outputs, start @ params.V, rtol=1e-6)
    for pooling in (LastPooling(), MeanPooling(), MaxPooling(), AttentionPooling(H, 2)):
        model = Classifier(Elman(D, H), C, pooling)
        params = model.init(jax.random.key(0))
        empty, gradient = grid.quick(jax.value_and_grad(lambda p, m=model: m.apply(p, None, xs[:0]).outputs.sum()))(
            params
        )
        assert empty == 0
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
        value, _ = model.loss(params, None, (jnp.zeros((T, 0, D)), jnp.zeros(0, int)))
        assert value == 0


def test_tokens_are_rows_of_an_embedding(rng: np.random.Generator) -> None:
    tokens = rng.integers(0, 7, (T, B))
    tokens[3:, 2] = -1
    net = Sequential([Embedding(7, D), Elman(D, H)])
    params = net.init(jax.random.key(0))
    E = np.asarray(params[0].E)
    found = net.apply(params, tokens, lengths=LENGTHS.clip(1)).outputs
    expected = Recurrent(Elman(D, H)).apply(params[1], jnp.asarray(E[tokens]), lengths=LENGTHS.clip(1)).outputs
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    model = Classifier(net, C, MeanPooling())
    value, _ = jax.jit(model.loss)(model.init(jax.random.key(0)), None, (tokens % 7, jnp.zeros(B, int)))
    assert np.isfinite(value)


def test_dropout_is_drawn_from_the_key_alone(rng: np.random.Generator) -> None:
    xs, labels = jnp.asarray(rng.normal(size=(T, B, D)), jnp.float32), jnp.array([0, 1, 2])
    model = Classifier(GRU(D, 20), C, MeanPooling(), dropout=0.5)
    params, loss = model.init(jax.random.key(0)), jax.jit(model.loss)
    plain = Classifier(GRU(D, 20), C, MeanPooling()).loss(params, None, (xs, labels))[0]
    np.testing.assert_allclose(loss(params, None, (xs, labels))[0], plain, rtol=1e-6)
    drawn = [float(loss(params, None, (xs, labels), jax.random.key(k))[0]) for k in (1, 1, 2)]
    assert drawn[0] == drawn[1]
    assert len({*drawn, float(plain)}) == 3


MODEL = Classifier(Bidirectional(Elman(D, H), Elman(D, H)), C, AttentionPooling(2 * H, 2))


def test_adjoints_types_and_transformations(rng: np.random.Generator) -> None:
    xs, labels = jnp.asarray(rng.normal(size=(T, B, D)), jnp.float32), jnp.array([0, 1, 2])
    params = MODEL.init(jax.random.key(0))

    def gradient(p: Any, adjoint: Any, x: Any, y: Any, n: Any) -> Any:
        return jax.grad(lambda p: MODEL.loss(p, None, (x, y, n), adjoint=adjoint)[0])(p)

    @grid.quick
    def program(p: Any, n: Any) -> Any:
        each = jax.vmap(lambda x, y, n: gradient(p, BPTT(), x, y, n), in_axes=(1, 0, 0))(xs, labels, n)
        return *(gradient(p, a, xs, labels, n) for a in (Autodiff(), BPTT(block=2))), jax.tree.map(
            lambda a: a.mean(axis=0), each
        )

    lengths = jnp.asarray(LENGTHS)
    expected, *others = program(params, lengths)
    for found in others:
        grid.close(found, expected, 1e-4, 1e-6)
    for model in (MODEL, Tagger(MODEL.layer, C)):
        low = jax.eval_shape(lambda model=model: model.init(jax.random.key(0), jnp.bfloat16))
        run = jax.eval_shape(lambda p, x, m=model: m.apply(p, None, x, lengths=lengths), low, xs.astype(jnp.bfloat16))
        assert run.outputs.dtype == jnp.bfloat16
        assert hash(model) == hash(replace(model))


XS, NONE = jnp.zeros((T, B, D)), jnp.zeros(B, int)
TWO_ARRAYS = transition(
    lambda p, s, x: (s, s), init=lambda key, dtype: {}, initial_state=lambda p, batch: (jnp.zeros((*batch, 2)),) * 2
)


def loss(*batch: Any, model: Any = Classifier(Elman(D, H), C)) -> Any:  # noqa: B008
    return model.loss(model.init(jax.random.key(0)), None, batch)


def embedded(x: Any, vocabulary: int = 7) -> Any:
    return Embedding(7, 2).apply(Embedding(vocabulary, 2).init(jax.random.key(0)), x)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Classifier(Elman(D, H), 0), ValueError, "classes must be at least 1"),
        (lambda: Classifier(Elman, 2), TypeError, "expected a layer or a cell"),  # pyright: ignore
        (lambda: Classifier(Elman(D, H), 2, "mean"), TypeError, "such as MeanPooling"),  # pyright: ignore
        (lambda: Classifier(Elman(D, H), 2, dropout=1.0), ValueError, "dropout must be"),
        (lambda: loss(XS), TypeError, r"batch must be \(inputs, classes\)"),
        (lambda: loss(XS, jnp.zeros(B)), TypeError, "pass the index of each class"),
        (lambda: loss(XS, NONE + C), ValueError, "between 0 and classes - 1 = 3, got 4 to 4"),
        (lambda: loss(XS, NONE[1:]), ValueError, r"classes must be \(\*batch,\) = \(3,\)"),
        (lambda: loss(XS, NONE, NONE + T + 1), ValueError, "lengths must be between"),
        (lambda: loss(XS, NONE, model=Tagger(Elman(D, H), C)), ValueError, r"= \(5, 3\), as the inputs are"),
        (lambda: Embedding(7, 0), ValueError, "embedding_size must be at least 1"),
        (lambda: embedded(XS), TypeError, "must be integers"),
        (lambda: embedded(jnp.full(2, 7)), ValueError, "between 0 and vocabulary_size - 1 = 6"),
        (lambda: embedded(jnp.zeros(2, int), 6), ValueError, r"\(vocabulary_size, embedding_size\) = \(7, 2\)"),
        (
            lambda: loss(XS, NONE, model=Classifier(Bidirectional(Residual(GRU(D, D)), GRU(D, D)), 2)),
            TypeError,
            "pool with MeanPooling",
        ),
        (lambda: loss(XS, NONE, model=Classifier(TWO_ARRAYS, 2)), TypeError, "must be one array"),
        (
            lambda: loss(XS, NONE, model=Classifier(GRU(D, H), 2, AttentionPooling(H + 1, 2))),
            ValueError,
            "input_size = 4",
        ),
    ],
)
def test_bad_input(call: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()
