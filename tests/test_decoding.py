"""Sampling against NumPy and statistics; generation against a plain loop."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import GRU, Readout, decoding, transition

V = 8
LOGITS = np.random.default_rng(1).normal(size=(5, V)) * 2


def softmax(o: np.ndarray) -> np.ndarray:
    p = np.exp(o - o.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def left(restricted: jax.Array) -> np.ndarray:
    return np.isfinite(np.asarray(restricted))


def test_temperature_divides() -> None:
    found = decoding.restrict(jnp.asarray(LOGITS), temperature=0.5)
    np.testing.assert_allclose(found, (LOGITS - LOGITS.max(-1, keepdims=True)) * 2, rtol=1e-5)


@pytest.mark.parametrize("temperature", [1e-30, 2e-38, 1e-38, 1e-44, 1e-300])
@pytest.mark.parametrize("shift", [0.0, 80.0, -1e5])
def test_a_tiny_temperature_is_greedy(temperature: float, shift: float) -> None:
    found = decoding.restrict(jnp.asarray(LOGITS + shift, jnp.float32), temperature=temperature)
    best = np.arange(V) == LOGITS.argmax(-1)[:, None]
    np.testing.assert_array_equal(np.exp(found), best)


def test_logits_that_are_not_finite() -> None:
    low, high = jnp.array([0.0, -jnp.inf, 1.0]), jnp.array([0.0, jnp.inf, 1.0])
    np.testing.assert_allclose(decoding.restrict(low, temperature=0.5), [-2.0, -np.inf, 0.0])
    assert decoding.sample(high, jax.random.key(0), temperature=0.5) == 1
    assert np.isnan(decoding.restrict(jnp.array([0.0, jnp.nan]))).any()  # said, not patched over


def test_temperature_zero_and_top_1_are_greedy() -> None:
    logits = jnp.asarray(LOGITS)
    best = LOGITS.argmax(-1)
    for choice in ({"temperature": 0}, {"temperature": 0.0, "top_p": 0.9}, {"top_k": 1}, {"top_p": 1e-6}):
        for seed in range(3):
            np.testing.assert_array_equal(decoding.sample(logits, jax.random.key(seed), **choice), best)


def test_ties_leave_the_first_ones() -> None:
    even = jnp.zeros(4)
    np.testing.assert_array_equal(left(decoding.restrict(even, temperature=0)), [True, False, False, False])
    np.testing.assert_array_equal(left(decoding.restrict(even, top_k=2)), [True, True, False, False])
    np.testing.assert_array_equal(left(decoding.restrict(even, top_p=0.7)), [True, True, True, False])


@pytest.mark.parametrize("k", [1, 3, V, V + 5])
def test_top_k_leaves_the_k_likeliest(k: int) -> None:
    expected = (LOGITS[:, :, None] < LOGITS[:, None, :]).sum(-1) < k  # fewer than k are likelier
    np.testing.assert_array_equal(left(decoding.restrict(jnp.asarray(LOGITS), top_k=k)), expected)


def test_values_that_no_array_holds_are_the_largest_that_one_does(key: jax.Array) -> None:
    for k in (2**31, 10**30):
        assert left(decoding.restrict(jnp.asarray(LOGITS), top_k=k)).all()
    assert left(decoding.restrict(jnp.asarray(LOGITS, jnp.float32), temperature=1e300)).all()
    even = decoding.generate(
        CHAIN, jnp.asarray(LOGITS, jnp.float32), key, prompt=[2] * 2, steps=3, temperature=1e300, top_k=10**30
    )
    assert ((np.asarray(even) >= 0) & (np.asarray(even) < V)).all()
    with pytest.raises(ValueError, match="steps must be at most 2147483647"):
        decoding.generate(CHAIN, jnp.zeros((4, 4)), key, prompt=[0], steps=10**11)


def nucleus(p: np.ndarray, least: float) -> np.ndarray:
    """The smallest set of likeliest symbols whose probability reaches `least`."""
    keep, total = np.zeros(len(p), bool), 0.0
    for i in np.argsort(-p):
        keep[i] = True
        total += p[i]
        if total >= least:
            break
    return keep


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9, 0.99, 1.0])
def test_top_p_leaves_the_nucleus(p: float) -> None:
    expected = [nucleus(row, p) for row in softmax(LOGITS / 1.5)]
    restricted = decoding.restrict(jnp.asarray(LOGITS), temperature=1.5, top_p=p)
    np.testing.assert_array_equal(left(restricted), expected)
    scaled = (LOGITS - LOGITS.max(-1, keepdims=True)) / 1.5
    np.testing.assert_allclose(restricted[left(restricted)], scaled[left(restricted)], rtol=1e-5)


def test_top_p_1_leaves_what_rounding_would_lose() -> None:
    logits = jnp.array([0.0, -30.0, -60.0])
    assert left(decoding.restrict(logits, top_p=1)).all()
    assert left(decoding.restrict(logits, top_k=1, top_p=1)).sum() == 1


def test_the_smallest_choices_leave_the_likeliest() -> None:
    best = np.arange(V) == LOGITS.argmax(-1)[:, None]
    for choices in (
        {"top_p": 1e-300},
        {"top_k": 1, "top_p": 1e-6},
        {"top_k": V, "top_p": 1e-6},
        {"top_k": jnp.array(1)},
    ):
        np.testing.assert_array_equal(left(decoding.restrict(jnp.asarray(LOGITS), **choices)), best)
    one = jnp.zeros((2, 1))  # a single symbol
    assert left(decoding.restrict(one, temperature=0, top_k=1, top_p=0.5)).all()


def test_top_p_is_of_what_top_k_left() -> None:
    p = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
    # Of the first two, the likelier has 0.3 / 0.55 = 0.545.
    found = decoding.restrict(jnp.log(jnp.asarray(p)), top_k=2, top_p=0.5)
    np.testing.assert_array_equal(left(found), [True, False, False, False, False])


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"), [(1.0, None, None), (0.7, None, None), (1.0, 4, None), (1.3, None, 0.8)]
)
def test_frequencies_are_the_distribution(
    key: jax.Array, temperature: float, top_k: int | None, top_p: float | None
) -> None:
    p = softmax(LOGITS[0] / temperature)
    keep = np.ones(V, bool)
    if top_k is not None:
        keep = p >= np.sort(p)[-top_k]
    if top_p is not None:
        keep = nucleus(p, top_p)
    p = np.where(keep, p, 0) / p[keep].sum()
    n = 20_000
    logits = jnp.broadcast_to(jnp.asarray(LOGITS[0]), (n, V))
    drawn = decoding.sample(logits, key, temperature=temperature, top_k=top_k, top_p=top_p)
    counts = np.bincount(np.asarray(drawn), minlength=V)
    assert not counts[~keep].any()
    chi_square = ((counts - n * p)[keep] ** 2 / (n * p[keep])).sum()
    assert chi_square < 24.3  # 99.9 % of draws with 7 degrees of freedom


def test_choices_that_make_no_sense() -> None:
    logits = jnp.zeros(3)
    for temperature in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="temperature must be a finite number of at least 0"):
            decoding.restrict(logits, temperature=temperature)
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        decoding.restrict(logits, top_k=0)
    with pytest.raises(TypeError, match=r"top_k must be a whole number, got 1.5"):
        decoding.restrict(logits, top_k=1.5)
    for top_p in (0, -0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="top_p must be above 0 and at most 1"):
            decoding.restrict(logits, top_p=top_p)
    for name, value in (("temperature", "hot"), ("temperature", jnp.ones(2)), ("top_k", "all"), ("top_p", np.ones(1))):
        with pytest.raises(TypeError, match=f"{name} must be one number, got"):
            decoding.restrict(logits, **{name: value})
    with pytest.raises(TypeError, match="temperature must be a number, got None"):
        decoding.restrict(logits, temperature=None)
    with pytest.raises(TypeError, match="logits must be floating-point"):
        decoding.restrict(jnp.zeros(3, int))


# A chain: the state is the last token, and its row of the parameters has the logits of the next one.
TRACES: list[None] = []


def _remember(params: jax.Array, state: jax.Array, x: jax.Array) -> jax.Array:
    TRACES.append(None)
    return x


CHAIN = transition(
    _remember,
    output=lambda params, state: params[state],
    initial_state=lambda params, batch: jnp.zeros(batch, jnp.int32),
)


def test_generation_follows_the_chain() -> None:
    successor = np.array([3, 0, 1, 2])
    table = jnp.where(jnp.arange(4)[None] == successor[:, None], 50.0, 0.0)
    text = decoding.generate(CHAIN, table, jax.random.key(0), prompt=jnp.array([1, 2]), steps=6)
    np.testing.assert_array_equal(text, [1, 0, 3, 2, 1, 0])
    assert text.dtype == jnp.int32


def test_generation_draws_from_the_distribution(key: jax.Array) -> None:
    n = 20_000
    table, prompt = jnp.asarray(LOGITS, jnp.float32), jnp.full((1, n), 2)
    (drawn,) = decoding.generate(CHAIN, table, key, prompt=prompt, steps=1, temperature=1.2)
    p = softmax(LOGITS[2] / 1.2)
    counts = np.bincount(np.asarray(drawn), minlength=V)
    assert ((counts - n * p) ** 2 / (n * p)).sum() < 24.3


def test_steps_are_drawn_apart(key: jax.Array) -> None:
    """Every step has noise of its own: pairs of a memoryless chain are as frequent as their product."""
    table = jnp.zeros((4, 4))
    text = np.asarray(decoding.generate(CHAIN, table, key, prompt=jnp.array([0]), steps=8_000))
    pairs = np.zeros((4, 4))
    np.add.at(pairs, (text[:-1:2], text[1::2]), 1)
    assert ((pairs - 250) ** 2 / 250).sum() < 37.7  # 99.9 % with 15 degrees of freedom


def _loop(net: Any, params: Any, key: jax.Array, prompt: Any, steps: int, **choices: Any) -> list[Any]:
    state, written = net.initial_state(params, prompt.shape[1:]), []
    step = jax.jit(lambda state, token: net.step(params, state, jax.nn.one_hot(token, V)))
    draw = jax.jit(lambda state, t: decoding.sample(net.output(params, state), jax.random.fold_in(key, t), **choices))
    for token in prompt[:-1]:
        state = step(state, token)
    token = prompt[-1]
    for t in range(steps):
        state = step(state, token)
        token = draw(state, t)
        written.append(token)
    return written


@pytest.mark.parametrize("batch", [(), (3,)])
def test_generation_equals_a_plain_loop(batch: tuple[int, ...], rng: np.random.Generator) -> None:
    net = Readout(GRU(V, 16), V)
    reads_tokens = transition(
        lambda params, state, x: net.step(params, state, jax.nn.one_hot(x, V)),
        output=net.output,
        initial_state=net.initial_state,
    )
    params, key = net.init(jax.random.key(1)), jax.random.key(2)
    params = params._replace(V=params.V * 10)
    prompt = jnp.asarray(rng.integers(0, V, (4, *batch)))
    choices = {"temperature": 0.8, "top_k": 6, "top_p": 0.95}
    text = decoding.generate(reads_tokens, params, key, prompt=prompt, steps=12, **choices)
    np.testing.assert_array_equal(text, _loop(net, params, key, prompt, 12, **choices))


def test_one_key_one_text_and_fewer_steps_its_beginning() -> None:
    table, prompt = jnp.asarray(LOGITS[:, :5], jnp.float32), jnp.array([1])
    texts = [
        np.asarray(decoding.generate(CHAIN, table, jax.random.key(k), prompt=prompt, steps=n))
        for k, n in [(0, 40), (0, 40), (1, 40), (0, 10)]
    ]
    np.testing.assert_array_equal(texts[0], texts[1])
    assert (texts[0] != texts[2]).any()
    np.testing.assert_array_equal(texts[0][:10], texts[3])


def test_a_state_before_the_prompt(key: jax.Array) -> None:
    adds = transition(lambda p, s, x: s + x, output=lambda p, s: jnp.where(jnp.arange(9) == s, 50.0, 0.0))
    text = decoding.generate(adds, None, key, prompt=jnp.array([1]), steps=2, state=jnp.array(3))
    np.testing.assert_array_equal(text, [4, 8])


def test_other_values_are_not_compiled_anew(key: jax.Array) -> None:
    table = jnp.asarray(LOGITS[:, :5], jnp.float32)
    first = {"prompt": jnp.array([1, 2, 3]), "temperature": 1.0, "top_k": 3, "top_p": 0.9}
    decoding.generate(CHAIN, table, key, steps=7, **first)
    traced = len(TRACES)
    assert traced
    for change in ({"temperature": 0}, {"top_k": 2}, {"top_p": 1}, {"prompt": np.array([0, 0, 1])}):
        decoding.generate(CHAIN, table * 2, jax.random.key(5), steps=7, **(first | change))
    assert len(TRACES) == traced
    decoding.generate(CHAIN, table, key, steps=8, **first)
    assert len(TRACES) > traced  # the count can tell


def test_what_may_come_is_drawn_among_itself(key: jax.Array) -> None:
    """A table for all, of which top_k counts only what may come; the distribution is that of the softmax over it."""
    n, may = 20_000, np.arange(V) % 2 == 1
    table, prompt = jnp.asarray(LOGITS, jnp.float32), jnp.full((1, n), 2)
    draw = partial(decoding.generate, CHAIN, table, key, prompt=prompt, steps=1, allowed=may)
    p = np.where(may, softmax(LOGITS[2]), 0)
    p /= p.sum()
    counts = np.bincount(np.asarray(draw()[0]), minlength=V)
    assert not counts[~may].any()
    assert ((counts - n * p)[may] ** 2 / (n * p[may])).sum() < 16.3  # 99.9 % with 3 degrees of freedom
    best = np.argsort(-p)[:2]
    assert set(np.unique(draw(top_k=2))) == set(best.tolist())
    np.testing.assert_array_equal(draw(temperature=0), np.full((1, n), best[0]))


def test_what_may_come_by_row_and_by_what_came_before(key: jax.Array) -> None:
    table, rows = jnp.asarray(LOGITS, jnp.float32)[:, :5], jnp.eye(2, 5, dtype=bool)
    text = decoding.generate(CHAIN, table, key, prompt=jnp.zeros((1, 2), int), steps=3, allowed=rows)
    np.testing.assert_array_equal(text, [[0, 1]] * 3)

    def rising(t: jax.Array, token: jax.Array) -> jax.Array:
        return (jnp.arange(5) > token[..., None]) & (t < 9)

    with jax.numpy_rank_promotion("allow"):
        text = np.asarray(decoding.generate(CHAIN, table, key, prompt=jnp.zeros((1, 2), int), steps=6, allowed=rising))
        streamed = list(decoding.stream(CHAIN, table, key, prompt=jnp.zeros((1, 2), int), steps=6, allowed=rising))
    np.testing.assert_array_equal(streamed, text)
    for column in text.T:
        written = column[: np.argmin(column)]  # at most 1, 2, 3, 4, and nothing after the last
        assert (np.diff([0, *written]) > 0).all()
        assert (column[len(written) :] == -1).all()


def test_generation_errors(key: jax.Array) -> None:
    table = jnp.zeros((4, 4))
    with pytest.raises(ValueError, match=r"at least one token \(n, \*batch\), got shape \(0,\)"):
        decoding.generate(CHAIN, table, key, prompt=jnp.zeros(0, int), steps=1)
    with pytest.raises(TypeError, match=r"prompt must be integers, got float32"):
        decoding.generate(CHAIN, table, key, prompt=jnp.zeros(1), steps=1)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        decoding.generate(CHAIN, table, key, prompt=[0], steps=0)
    with pytest.raises(TypeError, match=r"steps must be a whole number, got 2.0"):
        decoding.generate(CHAIN, table, key, prompt=[0], steps=2.0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="temperature must be"):
        decoding.generate(CHAIN, table, key, prompt=[0], steps=1, temperature=-1)
    for verb in (decoding.generate, decoding.stream):
        with pytest.raises(ValueError, match=rf"{verb.__name__}: allowed leaves no symbol"):
            verb(CHAIN, table, key, prompt=[0], steps=1, allowed=jnp.zeros(4, bool))
        with pytest.raises(ValueError, match=rf"{verb.__name__}: allowed must be \(vocabulary,\) = \(4,\)"):
            verb(CHAIN, table, key, prompt=[0], steps=1, allowed=jnp.ones(3, bool))
        with pytest.raises(TypeError, match=rf"{verb.__name__}: allowed must hold booleans, got int"):
            verb(CHAIN, table, key, prompt=[0], steps=1, allowed=[1, 0, 0, 0])
