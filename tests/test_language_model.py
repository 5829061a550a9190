"""The language model against NumPy, finite differences, and its own laws."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

from jaxrnn import GRU, LSTM, Autodiff, Elman, Stack, TruncatedBPTT, decoding, losses, transition
from jaxrnn.models import LanguageModel

V, E, H, T, B = 7, 4, 5, 6, 3
MODEL = LanguageModel(V, E, Stack([Elman(E, H), Elman(H, H)]))
DROPPING = LanguageModel(V, E, Stack([Elman(E, H), Elman(H, H)]), dropout=0.5)
INIT = jax.jit(MODEL.init)
LOSS = jax.jit(MODEL.loss)
LOSSES = jax.jit(MODEL.losses)
DROPPED_LOSS = jax.jit(DROPPING.loss)
APPLY = jax.jit(MODEL.apply)


@pytest.fixture
def params() -> Any:
    return INIT(jax.random.key(1))


@pytest.fixture
def tokens(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, V, (T + 1, B))


def numpy_losses(params: Any, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The logits after each token and -log p of the next, of one sequence, from the equations."""
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    h = [np.zeros(H), np.zeros(H)]
    logits, nats = [], []
    for token, target in pairwise(tokens):
        below = p.embedding[token]
        for k, q in enumerate(p.readout.cell):
            h[k] = below = np.tanh(q.b + q.W.T @ h[k] + q.U.T @ below)
        o = p.readout.c + p.readout.V.T @ below
        logits.append(o)
        nats.append(np.log(np.exp(o).sum()) - o[target])
    return np.array(logits), np.array(nats)


def test_apply_and_loss_are_the_equations(params: Any, tokens: np.ndarray) -> None:
    found = [numpy_losses(params, tokens[:, b]) for b in range(B)]
    run = APPLY(params, None, tokens[:-1])
    np.testing.assert_allclose(run.outputs, np.stack([o for o, _ in found], axis=1), rtol=1e-4, atol=1e-5)
    nats = np.mean([L for _, L in found])
    value, (state, metrics) = LOSS(params, None, (tokens[:-1], tokens[1:]))
    np.testing.assert_allclose(value, nats, rtol=1e-5)
    each = LOSSES(params, None, (tokens[:-1], tokens[1:]))
    np.testing.assert_allclose(each.outputs, np.stack([L for _, L in found], axis=1), rtol=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), each.final, run.final)
    np.testing.assert_allclose(metrics["bits_per_character"], nats / np.log(2), rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), state, run.final)
    bits, after = MODEL.bits_per_character(params, MODEL.initial_state(params, (B,)), (tokens[:-1], tokens[1:]))
    np.testing.assert_allclose(bits, nats / np.log(2), rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), state, after)


def test_lengths_count_each_step_once(params: Any, tokens: np.ndarray) -> None:
    lengths = np.array([T, 2, 0])
    total = sum(numpy_losses(params, tokens[:, b])[1][:n].sum() for b, n in enumerate(lengths))
    inputs, targets = tokens[:-1].copy(), tokens[1:].copy()
    for b, n in enumerate(lengths):
        inputs[n:, b] = targets[n:, b] = -1  # padding may be anything
    value, _ = MODEL.loss(params, None, (inputs, targets), lengths=lengths)
    np.testing.assert_allclose(value, total / lengths.sum(), rtol=1e-5)
    bits, _ = MODEL.bits_per_character(params, None, (inputs, targets), lengths=lengths)
    np.testing.assert_allclose(bits, total / lengths.sum() / np.log(2), rtol=1e-5)


def test_a_reset_forgets(params: Any, tokens: np.ndarray) -> None:
    resets = np.zeros((T, B), bool)
    resets[2] = True
    whole, (state, _) = LOSS(params, None, (tokens[:-1], tokens[1:]), resets=resets)
    first, _ = LOSS(params, None, (tokens[:2], tokens[1:3]))
    second, (expected, _) = LOSS(params, None, (tokens[2:-1], tokens[3:]))
    np.testing.assert_allclose(whole, (2 * first + (T - 2) * second) / T, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), state, expected)


@pytest.mark.parametrize("dropout_key", [None, 3])
def test_gradient_is_the_finite_difference(
    x64: None, tokens: np.ndarray, rng: np.random.Generator, dropout_key: int | None
) -> None:
    params = DROPPING.init(jax.random.key(1), jnp.float64)
    key = None if dropout_key is None else jax.random.key(dropout_key)
    lengths = jnp.array([T, 4, 0])

    @jax.jit
    @jax.value_and_grad
    def loss(params: Any) -> jax.Array:
        return DROPPING.loss(params, None, (tokens[:-1], tokens[1:]), key, lengths=lengths)[0]

    _, gradient = loss(params)
    leaves, structure = jax.tree.flatten(params)
    for k, leaf in enumerate(leaves):
        direction = [rng.normal(size=leaf.shape) if i == k else np.zeros(a.shape) for i, a in enumerate(leaves)]
        ahead, behind = (
            loss(jax.tree.unflatten(structure, [a + e * d for a, d in zip(leaves, direction, strict=True)]))[0]
            for e in (1e-5, -1e-5)
        )
        slope = (direction[k] * jax.tree.leaves(gradient)[k]).sum()
        assert slope != 0
        np.testing.assert_allclose(slope, (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-9)


def test_adjoints_pass_through(params: Any, tokens: np.ndarray) -> None:
    batch = tokens[:-1], tokens[1:]

    def gradient(**choices: Any) -> Any:
        return jax.jit(jax.grad(lambda p: MODEL.loss(p, None, batch, **choices)[0]))(params).embedding

    np.testing.assert_allclose(gradient(), gradient(adjoint=Autodiff()), rtol=1e-4, atol=1e-6)
    assert np.abs(gradient() - gradient(adjoint=TruncatedBPTT(2))).max() > 1e-3


def test_state_carries_over_from_chunk_to_chunk(params: Any, tokens: np.ndarray) -> None:
    whole, (end, _) = LOSS(params, None, (tokens[:-1], tokens[1:]))
    state, total = MODEL.initial_state(params, (B,)), 0.0
    for start, stop in [(0, T // 2), (T // 2, T)]:
        value, (state, _) = LOSS(params, state, (tokens[start:stop], tokens[start + 1 : stop + 1]))
        total += value * (stop - start)
    np.testing.assert_allclose(total / T, whole, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), state, end)


def test_dropout_has_one_loss_a_key_and_none_without(params: Any, tokens: np.ndarray) -> None:
    batch = tokens[:-1], tokens[1:]
    plain = LOSS(params, None, batch)[0]
    assert DROPPED_LOSS(params, None, batch)[0] == plain
    state = MODEL.initial_state(params, (B,))
    first, again, other = (DROPPED_LOSS(params, state, batch, jax.random.key(k))[0] for k in (0, 0, 1))
    assert first == again
    assert len({float(first), float(other), float(plain)}) == 3
    _, (end, _) = DROPPED_LOSS(params, state, batch, jax.random.key(0))
    assert jax.tree.structure(end) == jax.tree.structure(state)
    # The layer below the dropout never feels it.
    np.testing.assert_allclose(end[0].h, APPLY(params, None, tokens[:-1]).final[0].h, rtol=1e-6)
    run = jax.jit(DROPPING.apply)(params, None, tokens[:-1], key=jax.random.key(0))
    nats = losses.negative_log_likelihood(run.outputs, jnp.asarray(tokens[1:]))
    np.testing.assert_allclose(losses.reduce(nats).per_step, first, rtol=1e-5)


def test_dropout_keeps_the_mean_and_is_drawn_anew_each_step() -> None:
    """A top layer that only reads: its outputs are those of the layer below, dropped."""
    below = Elman(E, 40)
    above = transition(
        lambda p, s, x: x,
        output=lambda p, s: s,
        init=lambda key, dtype: (),
        initial_state=lambda p, batch: jnp.zeros((*batch, 40)),
    )
    model = LanguageModel(40, E, Stack([below, above]), dropout=0.25)
    params = model.init(jax.random.key(0))
    params = params._replace(readout=params.readout._replace(V=jnp.eye(40)))
    tokens = jnp.zeros((50, 8), int)
    apply = jax.jit(model.apply)
    full = apply(params, None, tokens).outputs
    dropped = np.asarray(apply(params, None, tokens, key=jax.random.key(1)).outputs)
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], np.asarray(full / 0.75)[kept], rtol=1e-5)
    assert kept.mean() == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / kept.size))
    for axis in range(3):  # no axis shares its mask
        agreement = (kept == np.roll(kept, 1, axis)).mean()
        assert agreement == pytest.approx(0.75**2 + 0.25**2, abs=0.02)


def arrays(jaxpr: Jaxpr) -> Iterator[Any]:
    """Every array in a program and in the programs within it."""
    for variable in [*jaxpr.invars, *jaxpr.constvars]:
        yield variable.aval
    for equation in jaxpr.eqns:
        for variable in equation.outvars:
            yield variable.aval
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda v: isinstance(v, (Jaxpr, ClosedJaxpr))
        ):
            if isinstance(value, ClosedJaxpr):
                yield from arrays(value.jaxpr)
            elif isinstance(value, Jaxpr):
                yield from arrays(value)


@pytest.mark.parametrize("cell", [GRU(16, 64), LSTM(16, 64), Stack([Elman(16, 64), Elman(64, 64)])])
def test_nothing_of_all_steps_and_symbols_ever_lives(cell: Any) -> None:
    steps, batch, vocabulary = 2000, 32, 2048  # a block of outputs is some 100 steps
    model = LanguageModel(vocabulary, 16, cell, dropout=0.1 if isinstance(cell, Stack) else 0.0)
    params = jax.eval_shape(model.init, jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((steps, batch), jnp.int32)
    whole = steps * batch * vocabulary

    def largest(function: Any) -> int:
        return max(getattr(a, "size", 0) for a in arrays(jax.make_jaxpr(function)(params, tokens).jaxpr))

    def loss(params: Any, tokens: Any) -> jax.Array:
        return model.loss(params, None, (tokens, tokens), jax.random.key(0))[0]

    assert largest(jax.value_and_grad(loss)) < whole / 4
    assert largest(lambda p, t: model.apply(p, None, t).outputs) == whole  # what the search would have found


def test_generation_equals_a_plain_loop(params: Any) -> None:
    prompt, key, choices = np.array([1, 2, 3]), jax.random.key(4), {"temperature": 0.9, "top_p": 0.95}
    net = MODEL.network
    state = net.initial_state(params.readout)
    for token in prompt[:-1]:
        state = net.step(params.readout, state, params.embedding[token])
    token, written = prompt[-1], []
    for t in range(8):
        state = net.step(params.readout, state, params.embedding[token])
        token = decoding.sample(net.output(params.readout, state), jax.random.fold_in(key, t), **choices)
        written.append(int(token))
    assert MODEL.generate(params, key, prompt=prompt, steps=8, **choices).tolist() == written


def test_greedy_text_is_the_likeliest_token_of_apply(params: Any) -> None:
    prompt = np.array([[1, 4], [2, 0]])
    text = MODEL.generate(params, jax.random.key(0), prompt=prompt, steps=5, temperature=0)
    assert text.shape == (5, 2)
    read = np.concatenate([prompt, np.asarray(text)])
    logits = APPLY(params, None, read).outputs
    np.testing.assert_array_equal(np.argmax(logits, -1)[1:-1], text)


def test_loss_and_generation_are_compiled_once(tokens: np.ndarray) -> None:
    traces: list[None] = []

    def step(params: Any, state: jax.Array, x: jax.Array) -> jax.Array:
        traces.append(None)
        return jnp.tanh(params * state + x)

    cell = transition(
        step,
        output=lambda p, s: s,
        init=lambda key, dtype: jnp.ones((), dtype),
        initial_state=lambda p, batch: jnp.zeros((*batch, E)),
    )
    model = LanguageModel(V, E, cell)
    loss = jax.jit(jax.value_and_grad(model.loss, has_aux=True))
    traced = 0
    for seed in range(3):
        params = model.init(jax.random.key(seed))
        (_, (state, _)), _ = loss(params, model.initial_state(params, (B,)), (tokens[:-1], tokens[1:]))
        loss(params, state, (tokens[1:], tokens[:-1]))
        model.generate(params, jax.random.key(seed), prompt=tokens[seed], steps=4, temperature=seed)
        traced = traced or len(traces)
    assert len(traces) == traced > 0


def test_parameters_have_the_shapes_and_types_that_are_documented() -> None:
    model = LanguageModel(11, 300, LSTM(300, 8))
    params = jax.eval_shape(lambda key: model.init(key, jnp.bfloat16), jax.random.key(0))
    assert params.embedding.shape == (11, 300)
    assert params.readout.V.shape == (8, 11)
    assert params.readout.c.shape == (11,)
    assert {a.dtype for a in jax.tree.leaves(params)} == {jnp.dtype(jnp.bfloat16)}
    embedding = jax.jit(model.init)(jax.random.key(0)).embedding
    assert float(embedding.std()) == pytest.approx(1, abs=0.05)
    assert float(embedding.mean()) == pytest.approx(0, abs=0.06)


def test_no_batch_axis(params: Any, tokens: np.ndarray) -> None:
    one, _ = LOSS(params, None, (tokens[:-1, 0], tokens[1:, 0]))
    mapped = jax.jit(jax.vmap(lambda t: MODEL.loss(params, None, (t[:-1], t[1:]))[0], in_axes=1))(jnp.asarray(tokens))
    np.testing.assert_allclose(one, mapped[0], rtol=1e-5)


def test_models_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="vocabulary_size must be at least 1, got 0"):
        LanguageModel(0, 4, GRU(4, 8))
    with pytest.raises(TypeError, match="embedding_size must be a whole number"):
        LanguageModel(5, 4.0, GRU(4, 8))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"cell must be a Cell, got .*GRU"):
        LanguageModel(5, 4, GRU)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"must read embeddings of embedding_size = 4: GRU: the last axis .* 6"):
        LanguageModel(5, 4, GRU(6, 8))
    with pytest.raises(ValueError, match=r"must read embeddings of embedding_size = 4: Elman: the last axis .* 9"):
        LanguageModel(5, 4, Stack([GRU(4, 8), Elman(9, 8)]))
    for dropout in (-0.1, 1.0):
        with pytest.raises(ValueError, match="dropout must be at least 0 and below 1"):
            LanguageModel(5, 4, Stack([GRU(4, 8), GRU(8, 8)]), dropout=dropout)
    with pytest.raises(ValueError, match="stands between layers, and this cell has only one"):
        LanguageModel(5, 4, GRU(4, 8), dropout=0.1)
    two = transition(
        lambda p, s, x: s, output=lambda p, s: (s, s), init=lambda k, d: (), initial_state=lambda p, b: jnp.zeros(b)
    )
    with pytest.raises(ValueError, match="output of cell must be one array"):
        LanguageModel(5, 4, two)


def test_tokens_that_are_no_symbols(params: Any, tokens: np.ndarray) -> None:
    good = tokens[:-1]
    for bad, found in [(good + V, "got"), (good - V, "got -")]:
        with pytest.raises(ValueError, match=f"inputs must be between 0 and vocabulary_size - 1 = 6, {found}"):
            MODEL.loss(params, None, (bad, good))
        with pytest.raises(ValueError, match=f"targets must be between 0 and vocabulary_size - 1 = 6, {found}"):
            MODEL.loss(params, None, (good, bad))
        with pytest.raises(ValueError, match="tokens must be between"):
            MODEL.apply(params, None, bad)
        with pytest.raises(ValueError, match="prompt must be between"):
            MODEL.generate(params, jax.random.key(0), prompt=bad[:, 0], steps=1)
    with pytest.raises(TypeError, match="inputs must be integers, got float"):
        MODEL.loss(params, None, (good * 1.0, good))
    with pytest.raises(TypeError, match=r"prompt must be integers, got text: pass alphabet.encode"):
        MODEL.generate(params, jax.random.key(0), prompt="ROMEO:", steps=1)
    with pytest.raises(ValueError, match=r"one shape \(time, \*batch\), got \(6, 3\) and \(5, 3\)"):
        MODEL.loss(params, None, (good, good[1:]))
    with pytest.raises(ValueError, match="got one number"):
        MODEL.apply(params, None, 3)
