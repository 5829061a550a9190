"""Attention and the encoder-decoder: against NumPy, with padding, without items, and what feeds back."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    GRU,
    LSTM,
    AdditiveAttention,
    AttendAfter,
    AttendBefore,
    Bidirectional,
    Cell,
    Elman,
    Memory,
    MultiplicativeAttention,
    Stack,
    Wrapped,
    attend_to,
    decoding,
    plotting,
    unfold,
)
from jaxrnn.models import EncoderDecoder, Pairs
from tests import grid, oracles, oracles_attention

KINDS = {
    "additive": (AdditiveAttention(3, 2, 4), oracles_attention.ADDITIVE),
    "multiplicative": (MultiplicativeAttention(3, 2), oracles_attention.MULTIPLICATIVE),
}
SOURCE = np.random.default_rng(1).integers(0, 6, (5, 3))
TARGET = np.random.default_rng(2).integers(0, 4, (4, 3))
PAIRS = Pairs(SOURCE, np.array([5, 0, 3]), TARGET, np.array([4, 2, 1]))


def _model(after: bool = True, **choices: Any) -> EncoderDecoder:
    encoder = Bidirectional(GRU(3, 2), GRU(3, 2))
    if after:
        return EncoderDecoder(6, 4, 3, encoder, AttendAfter(LSTM(3, 5), MultiplicativeAttention(5, 4)), **choices)
    return EncoderDecoder(6, 4, 3, encoder, AttendBefore(GRU(3 + 4, 5), AdditiveAttention(5, 4, 3)), **choices)


@cache
def _made(after: bool = True, dtype: Any = jnp.float32) -> tuple[EncoderDecoder, Any]:
    """A model and its parameters, drawn once for all tests."""
    model = _model(after)
    return model, grid.quick(lambda key: model.init(key, dtype))(jax.random.key(0))


@cache
def _losses(after: bool = True) -> Any:
    """The losses of pairs, compiled once for each shape."""
    return grid.quick(lambda params, pairs: _model(after).losses(params, pairs).outputs)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", KINDS)
def test_weights_and_context(name: str, key: jax.Array, rng: np.random.Generator) -> None:
    """Each row of a batch against the equations, items padded with what must reach nothing, one row without items."""
    attention, score = KINDS[name]
    params = grid.quick(lambda key: attention.init(key, jnp.float64))(key)
    values, query, lengths = rng.normal(size=(5, 3, 2)), rng.normal(size=(3, 3)), np.array([5, 0, 2])
    padded = np.where(np.arange(5)[:, None, None] < lengths[:, None], values, np.nan)

    def read(params: Any, padded: jax.Array, query: jax.Array) -> Any:
        memory = attention.memory(params, padded, lengths)
        return attention.read(params, memory, query), attention.weights(params, memory, query)

    @grid.quick
    def program(params: Any, padded: jax.Array, query: jax.Array) -> Any:
        return read(params, padded, query), jax.grad(lambda v: read(params, v, query)[0].sum())(padded)

    (context, weights), of_values = program(params, padded, jnp.asarray(query))
    for row, n in enumerate(lengths):
        items = values[:n, row]
        expected = oracles_attention.context(score, grid.host(params), query[row], items)
        np.testing.assert_allclose(context[row], expected, rtol=1e-12)
        np.testing.assert_allclose(weights[row].sum(), float(n > 0))
        assert not np.asarray(weights)[row, n:].any()
    past = np.arange(5)[:, None] >= lengths
    assert not np.asarray(of_values)[past].any()
    assert np.isfinite(of_values).all()
    assert np.asarray(of_values)[~past].any()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("after", [True, False])
def test_a_memory_of_each_sequence(after: bool, key: jax.Array, rng: np.random.Generator) -> None:
    """A batch with a memory for each row equals each row by itself, values and gradients of values, items and θ."""
    attention, score = KINDS["additive"]
    cell: Any = AttendAfter(GRU(2, 3), attention) if after else AttendBefore(GRU(4, 3), attention)
    make = oracles_attention.after if after else oracles_attention.before
    params, xs = grid.quick(lambda key: cell.init(key, jnp.float64))(key), rng.normal(size=(6, 3, 2))
    values, lengths = rng.normal(size=(4, 3, 2)), np.array([4, 0, 1])

    def run(params: Any, values: jax.Array) -> jax.Array:
        return unfold(cell, attend_to(cell, params, values, lengths), xs).outputs

    @grid.quick
    def program(params: Any, values: jax.Array) -> Any:
        return run(params, values), jax.grad(lambda p, v: grid.weigh(run(p, v)), argnums=(0, 1))(params, values)

    outputs, gradients = program(params, values)

    def expected(params: Any, values: np.ndarray) -> np.ndarray:
        params, found = grid.host(params), []
        for row, n in enumerate(lengths):
            items = values[:n, row]
            keys = np.array([score.keys(params.attention, item) for item in items])
            p = params._replace(memory=Memory(keys, items, None))  # pyright: ignore
            first = grid.host(cell.initial_state(params))
            states, _ = oracles.run(make(oracles.GRU, score), p, first, xs[:, row], 6)
            found.append([make(oracles.GRU, score).output(p, s) for s in states])
        return np.moveaxis(np.array(found), 0, 1)

    host = grid.host((params, values))
    np.testing.assert_allclose(outputs, expected(*host), rtol=1e-10, atol=1e-12)
    for k in range(2):
        along, slope = oracles.differences(
            lambda part, k=k: grid.weigh(expected(*[*host[:k], part, *host[k + 1 :]])), host[k], rng
        )
        found = [np.sum(np.asarray(g) * d) for g, d in zip(jax.tree.leaves(gradients[k]), along, strict=True)]
        grid.close(found, slope, 1e-7, 1e-8)


def test_no_memory_for_each_step(key: jax.Array) -> None:
    """What backpropagation keeps does not grow by a memory a step: the program has no array (time, source, ...)."""
    cell = AttendAfter(GRU(2, 3), MultiplicativeAttention(3, 5))
    params, xs, values = jax.eval_shape(cell.init, key), jnp.ones((64, 2, 2)), jnp.ones((7, 2, 5))

    def loss(params: Any, values: jax.Array) -> jax.Array:
        return unfold(cell, attend_to(cell, params, values), xs).outputs.sum()

    text = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, values).as_text()
    assert "7x2x5xf32" in text
    assert "64x7x2x5xf32" not in text
    assert "64x2x7x5xf32" not in text


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("after", [True, False])
def test_teacher_forcing_equals_the_reader(after: bool) -> None:
    """Losses of all steps at once equal those of the cell run step by step, as it is when it writes."""
    model, params = _made(after, jnp.float64)

    def stepped(params: Any) -> jax.Array:
        decoder, state = model.encode(params, SOURCE, lengths=PAIRS.source_lengths)
        token, found = jnp.zeros(3, int), []
        for target in TARGET:
            state = model.reader.step(decoder, state, token)
            found.append(model.reader.output(decoder, state))
            token = jnp.asarray(target)
        return jnp.stack(found)

    @grid.quick
    def program(params: Any) -> Any:
        losses, logits = model.losses(params, PAIRS).outputs, model.apply(params, PAIRS).outputs
        found = losses, logits, stepped(params), model.loss(params, None, PAIRS), model.attention(params, PAIRS)
        decoder, state = model.encode(params, SOURCE, lengths=PAIRS.source_lengths)
        return *found, decoding.log_prob(
            model.reader, decoder, TARGET, prompt=jnp.zeros((1, 3), int), state=state, lengths=PAIRS.target_lengths
        )

    losses, logits, expected, (value, (_, metrics)), weights, log_prob = jax.tree.map(np.asarray, program(params))
    valid = np.arange(4)[:, None] < PAIRS.target_lengths
    np.testing.assert_allclose(logits[valid], expected[valid], rtol=1e-10)
    log_p = expected - np.log(np.exp(expected).sum(-1, keepdims=True))
    chosen = np.take_along_axis(log_p, TARGET[..., None], -1)[..., 0]
    np.testing.assert_allclose(losses, np.where(valid, -chosen, 0), rtol=1e-10)
    np.testing.assert_allclose(log_prob, -losses.sum(0), rtol=1e-10)
    np.testing.assert_allclose(value, losses.sum() / 3)
    np.testing.assert_allclose(metrics["nats_per_symbol"], losses.sum() / 7)
    np.testing.assert_allclose(weights[valid].sum(-1), np.array([1.0, 0.0, 1.0])[np.where(valid)[1]])
    assert not weights[:, 2, 3:].any()


@pytest.mark.parametrize("after", [True, False])
def test_a_batch_equals_its_rows(after: bool) -> None:
    """And what stands in the padding, and the order of the rows, change nothing."""
    _, params = _made(after)

    def program(params: Any, pairs: Pairs) -> np.ndarray:
        return np.asarray(_losses(after)(params, pairs)).sum(0)

    together = program(params, PAIRS)
    rows = [2, 0, 1]
    turned = Pairs(SOURCE[:, rows], PAIRS.source_lengths[rows], TARGET[:, rows], PAIRS.target_lengths[rows])
    np.testing.assert_allclose(program(params, turned), together[rows], rtol=1e-5)
    dirty = Pairs(
        np.where(np.arange(5)[:, None] < PAIRS.source_lengths, SOURCE, 1_000),
        PAIRS.source_lengths,
        np.where(np.arange(4)[:, None] < PAIRS.target_lengths, TARGET, -5),
        PAIRS.target_lengths,
    )
    np.testing.assert_array_equal(program(params, dirty), together)
    one = Pairs(SOURCE[:3, 2], None, TARGET[:1, 2], None)
    np.testing.assert_allclose(program(params, one), together[2], rtol=1e-5)


def test_probabilities_sum_to_one() -> None:
    """Over all targets of at most two symbols and the end, and those that go on after them."""
    _, params = _made()
    ended = [(0,), *((a, 0) for a in range(1, 4)), *((a, b) for a in range(1, 4) for b in range(1, 4))]
    target = np.array([[*y, 0][:2] for y in ended]).T
    n = target.shape[1]
    source = np.repeat(SOURCE[:, :1], n, axis=1)
    pairs = Pairs(source, None, target, np.array([len(y) for y in ended]))
    total = np.exp(-np.asarray(_losses()(params, pairs)).sum(0)).sum()
    np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_beam_search_of_the_model() -> None:
    """Its log-probabilities are those of teacher forcing, for padded sources too."""
    model, params = _made()

    @grid.quick
    def program(params: Any) -> Any:
        found = model.beam_search(params, SOURCE, lengths=PAIRS.source_lengths, width=3, steps=4)
        return found, model.beam_search(params, SOURCE[:3, 2:], width=3, steps=4)

    found, alone = jax.tree.map(np.asarray, program(params))
    for k in range(3):
        pairs = Pairs(SOURCE, PAIRS.source_lengths, found.tokens[..., k], found.lengths[:, k])
        expected = -np.asarray(_losses()(params, pairs)).sum(0)
        np.testing.assert_allclose(expected, found.log_probs[:, k], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(alone.tokens[:, 0], found.tokens[:, 2])


@dataclass(frozen=True)
class Copying(Wrapped):
    """A decoder that copies with the probability 1/2: log((p_write + p_copy) / 2), p_copy = Σ_i α_i [source_i = y]."""

    inner: Cell

    def init(self, key: jax.Array, dtype: Any = jnp.float32) -> Any:
        return self.inner.init(key, dtype)

    def initial_state(self, params: Any, batch_shape: tuple[int, ...] = ()) -> Any:
        return self.inner.initial_state(params, batch_shape)

    def inner_params(self, params: Any) -> Any:
        return params

    def inner_state(self, state: Any) -> Any:
        return state

    def inner_input(self, x: Any) -> Any:
        return x

    def extend(self, state: Any, x: Any) -> Any:
        return state

    def output(self, params: Any, state: Any) -> jax.Array:
        network: Any = self.inner
        attend = network.inner
        h, p = attend.inner.output(params.cell.cell, state), params.cell
        weights = attend.attention.weights(p.attention, p.memory, h)
        symbols = jax.nn.one_hot(p.memory.source, 4)
        copied = jnp.einsum("...s,s...v->...v", weights, symbols)
        return jnp.log((jax.nn.softmax(self.inner.output(params, state)) + copied) / 2)


def test_a_copy_mechanism_is_a_cell_around() -> None:
    """It runs over time and in a beam search, by the source that the memory carries."""
    model, params = _made()
    cell = Copying(model.network)

    @grid.quick
    def program(params: Any) -> Any:
        decoder, state = model.encode(params, SOURCE % 4, lengths=np.array([5, 5, 3]))
        xs = decoder.embedding[jnp.asarray(TARGET)]
        copied, written = (unfold(c, decoder.readout, xs, state=state).outputs for c in (cell, model.network))
        reader = type(model.reader)(cell)  # pyright: ignore
        prompt = np.zeros((1, 3), int)
        beam = decoding.beam_search(reader, decoder, prompt=prompt, end=0, width=2, steps=3, state=state)
        return jnp.exp(copied), jax.nn.softmax(written), beam.log_probs

    p, written, log_probs = map(np.asarray, program(params))
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-5)
    absent = [(row, y) for row in range(3) for y in range(4) if y not in SOURCE[: [5, 5, 3][row], row] % 4]
    for row, y in absent:
        np.testing.assert_allclose(p[:, row, y], written[:, row, y] / 2, rtol=1e-5)
    assert absent
    assert np.isfinite(log_probs).all()


def test_dropout_and_devices_types(key: jax.Array) -> None:
    """Dropout only with a key; bfloat16 and vmap over seeds give what they should."""
    model = _model(dropout=0.5)
    without, params = _made()
    loss = grid.quick(lambda p, k: model.loss(p, None, PAIRS, k)[0])
    in_evaluation = grid.quick(lambda p: (model.loss(p, None, PAIRS)[0], without.loss(p, None, PAIRS)[0]))
    drawn = [float(loss(params, jax.random.key(k))) for k in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    plain, other = in_evaluation(params)
    assert plain == other
    half = _made(dtype=jnp.bfloat16)[1]
    np.testing.assert_allclose(in_evaluation(half)[0], plain, rtol=0.05)
    several = grid.quick(jax.vmap(model.init))(jax.random.split(key, 2))
    found = grid.quick(jax.vmap(lambda p: model.loss(p, None, PAIRS)[0]))(several)
    for k in range(2):
        one = in_evaluation(jax.tree.map(lambda a, k=k: a[k], several))[0]
        np.testing.assert_allclose(found[k], one, rtol=1e-5)


def test_empty_sources_and_targets() -> None:
    model, params = _made()
    nothing = Pairs(np.zeros((0, 2), int), None, TARGET[:, :2], None)
    padded = Pairs(SOURCE[:, :2], np.array([0, 0]), TARGET[:, :2], None)
    np.testing.assert_allclose(_losses()(params, nothing), _losses()(params, padded), rtol=1e-5)
    empty = PAIRS._replace(target_lengths=np.zeros(3, int))
    value, gradients = grid.quick(jax.value_and_grad(lambda p: model.loss(p, None, empty)[0]))(params)
    assert value == 0
    assert not any(np.asarray(g).any() for g in jax.tree.leaves(gradients))


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "no attention": (lambda: AttendAfter(GRU(2, 3), GRU(2, 3)), TypeError, "attention must be an instance"),  # pyright: ignore
    "query size": (
        lambda: AttendAfter(GRU(2, 3), MultiplicativeAttention(4, 2)),
        ValueError,
        "must be the inner cell's",
    ),
    "no cell": (lambda: AttendBefore(3, MultiplicativeAttention(4, 2)), TypeError, "expected a cell"),  # pyright: ignore
    "size 0": (lambda: AdditiveAttention(1, 0, 2), ValueError, "value_size must be at least 1"),
    "a decoder that does not attend": (
        lambda: EncoderDecoder(3, 3, 2, GRU(2, 3), GRU(2, 3)),  # pyright: ignore
        TypeError,
        "decoder must attend",
    ),
    "sizes": (
        lambda: EncoderDecoder(3, 3, 2, GRU(2, 4), AttendAfter(GRU(2, 3), MultiplicativeAttention(3, 5))),
        ValueError,
        "attend to what the encoder gives",
    ),
    "end": (lambda: _model(end=4), ValueError, "end must be below target_size = 4, got 4"),
    "dropout": (lambda: _model(dropout=1.0), ValueError, "dropout must be"),
    "source symbol": (
        lambda: _model().loss(_made()[1], None, PAIRS._replace(source=SOURCE + 1)),
        ValueError,
        "source must be between 0 and source_size - 1 = 5",
    ),
    "target symbol": (
        lambda: _model().loss(_made()[1], None, PAIRS._replace(target=TARGET - 1)),
        ValueError,
        "target must be between 0 and target_size - 1 = 3",
    ),
    "batches": (
        lambda: _model().loss(_made()[1], None, Pairs(SOURCE[:, :2], None, TARGET, None)),
        ValueError,
        "must have one batch",
    ),
    "not pairs": (
        lambda: _model().loss(_made()[1], None, (SOURCE, TARGET)),  # pyright: ignore
        TypeError,
        "expected Pairs",
    ),
    "floats": (
        lambda: _model().loss(_made()[1], None, PAIRS._replace(source=SOURCE * 1.0)),
        TypeError,
        "source must be integers",
    ),
    "lengths": (
        lambda: _model().loss(_made()[1], None, PAIRS._replace(source_lengths=[9, 1, 1])),
        ValueError,
        "lengths must be between 0 and the 5 steps",
    ),
    "lengths of a beam": (
        lambda: _model().beam_search(_made()[1], SOURCE, lengths=[5, -1, 3], width=2, steps=3),
        ValueError,
        "lengths must be between 0 and the 5 steps",
    ),
    "text": (
        lambda: _model().encode(_made()[1], "abc"),
        TypeError,
        "source must be integers, got text: pass numbers of symbols",
    ),
    "state of a decoder": (
        lambda: EncoderDecoder(
            6, 4, 3, GRU(3, 4), AttendAfter(Stack([grid.COUNTING, Elman(2, 5)]), MultiplicativeAttention(5, 4))
        ),
        TypeError,
        "must be arrays",
    ),
    "attend_to": (lambda: attend_to(GRU(2, 3), (), jnp.ones((2, 3))), TypeError, "expected AttendAfter"),  # pyright: ignore
    "items": (
        lambda: KINDS["additive"][0].memory(None, jnp.ones((2, 3))),
        ValueError,
        "value_size = 2",
    ),
    "lengths of items": (
        lambda: KINDS["additive"][0].memory(None, jnp.ones((2, 3, 2)), [1, 2]),
        ValueError,
        "lengths must have the batch axes of values",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    make, kind, says = BAD[name]
    with pytest.raises(kind, match=says):
        make()


def test_a_memory_of_another_batch(key: jax.Array) -> None:
    cell = AttendAfter(GRU(2, 3), MultiplicativeAttention(3, 2))
    params = attend_to(cell, cell.init(key), jnp.ones((4, 5, 2)))
    with pytest.raises(ValueError, match=r"memory has batch axes \(5,\), but the query has \(3,\)"):
        unfold(cell, params, jnp.ones((6, 3, 2)))


def test_attention_is_drawn() -> None:
    figure = plotting.attention(np.eye(2, 3), ["K", "end"], "cat")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == list("cat")
    np.testing.assert_array_equal(np.asarray(axes.images[0].get_array()), np.eye(2, 3))
    with pytest.raises(ValueError, match=r"must be \(written, read\) = \(2, 3\)"):
        plotting.attention(np.eye(3), ["K", "end"], "cat")
