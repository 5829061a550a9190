"""Beam search against all sequences there are, against greedy, and against log-probabilities computed anew."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import decoding, transition
from jaxrnn.decoding import Beams, beam_search, edit_distance, error_rates, log_prob

V, STEPS, END = 3, 3, 1
TABLE = jnp.asarray(np.random.default_rng(5).normal(size=(2, V, V, V)) * 1.5)  # rows, of two batches
PROMPT = jnp.array([[0, 2]])


def _step(params: Any, state: Any, x: Any) -> Any:
    return {"last": x, "before": state["last"], "row": state["row"]}


# Logits by the last two symbols and the row of the batch: what comes depends on the order of the beam's states.
CHAIN = transition(_step, output=lambda params, s: params[s["row"], s["before"], s["last"]])
STATE = {"last": jnp.array([1, 1]), "before": jnp.array([0, 0]), "row": jnp.array([0, 1])}


def _log_p(row: int, before: int, last: int) -> np.ndarray:
    o = np.asarray(TABLE, np.float32)[row, before, last]
    return o - np.log(np.exp(o).sum())


def _score(row: int, y: tuple[int, ...], alpha: float) -> tuple[float, float]:
    """Log p and the score of a sequence; Wu et al. (2016), Eq. 14."""
    total, before, last = 0.0, int(STATE["last"][row]), int(PROMPT[0, row])
    for symbol in y:
        total += _log_p(row, before, last)[symbol]
        before, last = last, symbol
    return total, total / ((5 + len(y)) / 6) ** alpha


def _all(row: int, alpha: float, end: int | None, steps: int = STEPS) -> list[tuple[bool, float, float, tuple]]:
    """All sequences, the best first: those that end, then those that `steps` cut short."""
    found = []
    for n in range(1, steps + 1):
        for y in itertools.product(range(V), repeat=n):
            ends = end is not None and y[-1] == end
            if end in y[:-1] or not (ends or n == steps):
                continue
            log_p, score = _score(row, y, alpha)
            found.append((ends, score, log_p, y))
    return sorted(found, key=lambda item: (not item[0], -item[1]))


def _search(**choices: Any) -> Beams:
    given: dict[str, Any] = {"prompt": PROMPT, "end": END, "width": 3, "steps": STEPS, "state": STATE} | choices
    return beam_search(CHAIN, TABLE.astype(jnp.float32), **given)


@pytest.mark.parametrize("alpha", [0.0, 0.7, 2.0])
def test_a_wide_beam_is_exhaustive(alpha: float) -> None:
    """All 15 sequences in order, from a beam that holds them all."""
    count = len(_all(0, alpha, END))
    assert count == 15
    found = _search(width=count, length_penalty=alpha)
    for row in range(2):
        for k, (ends, score, log_p, y) in enumerate(_all(row, alpha, END)):
            n = int(found.lengths[row, k])
            assert tuple(np.asarray(found.tokens)[:n, row, k].tolist()) == y
            assert bool(found.finished[row, k]) == ends
            np.testing.assert_allclose(found.log_probs[row, k], log_p, rtol=1e-5)
            np.testing.assert_allclose(found.scores[row, k], score, rtol=1e-5)
            assert (np.asarray(found.tokens)[n:, row, k] == END).all()


def test_without_an_end_all_are_as_long() -> None:
    found = _search(end=None, width=27)
    for row in range(2):
        expected = [y for *_, y in _all(row, 0.0, None)]
        assert [tuple(y) for y in np.asarray(found.tokens)[:, row].T.tolist()] == expected
    assert not np.asarray(found.finished).any()
    best = _search(end=None, width=27, n_best=2)
    np.testing.assert_array_equal(best.tokens, found.tokens[..., :2])


@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_width_1_is_greedy(alpha: float) -> None:
    found = _search(width=1, steps=6, length_penalty=alpha)
    for row in range(2):
        before, last, y = int(STATE["last"][row]), int(PROMPT[0, row]), []
        while len(y) < 6 and END not in y:
            symbol = int(_log_p(row, before, last).argmax())
            y.append(symbol)
            before, last = last, symbol
        assert np.asarray(found.tokens)[: len(y), row, 0].tolist() == y
        assert found.lengths[row, 0] == len(y)
    drawn = decoding.generate(
        CHAIN, TABLE.astype(jnp.float32), jax.random.key(0), prompt=PROMPT, steps=6, state=STATE, temperature=0
    )
    free = _search(width=1, steps=6, end=None)
    np.testing.assert_array_equal(free.tokens[..., 0], drawn)


def test_scores_are_log_probabilities_computed_anew() -> None:
    found = _search(width=4, steps=5, length_penalty=0.6)
    for k in range(4):
        n = found.lengths[:, k]
        anew = log_prob(CHAIN, TABLE.astype(jnp.float32), found.tokens[..., k], prompt=PROMPT, state=STATE, lengths=n)
        np.testing.assert_allclose(anew, found.log_probs[:, k], rtol=1e-5)
        np.testing.assert_allclose(found.scores[:, k], anew / ((5 + n) / 6) ** 0.6, rtol=1e-5)
    assert (np.diff(np.asarray(found.scores)[np.asarray(found.finished).all(-1)]) <= 0).all()


def test_log_prob_of_a_longer_prompt_and_its_gradient() -> None:
    tokens = jnp.array([[2, 0], [0, 1], [1, 2]])
    whole = jnp.concatenate([PROMPT, tokens])
    table = TABLE.astype(jnp.float32)
    parts = [
        log_prob(CHAIN, table, tokens[:1], prompt=PROMPT, state=STATE),
        log_prob(CHAIN, table, tokens[1:], prompt=whole[:2], state=STATE),
    ]
    np.testing.assert_allclose(log_prob(CHAIN, table, tokens, prompt=PROMPT, state=STATE), sum(parts), rtol=1e-5)
    expected = [_score(row, tuple(np.asarray(tokens)[:, row].tolist()), 0.0)[0] for row in range(2)]
    np.testing.assert_allclose(sum(parts), expected, rtol=1e-5)
    nothing = log_prob(CHAIN, table, tokens, prompt=PROMPT, state=STATE, lengths=jnp.array([0, 0]))
    np.testing.assert_array_equal(nothing, [0, 0])
    gradient = jax.grad(lambda p: log_prob(CHAIN, p, tokens, prompt=PROMPT, state=STATE).sum())(table)
    np.testing.assert_allclose(gradient.sum(-1), 0, atol=1e-5)  # of a softmax's logits
    assert np.asarray(gradient).any()


def test_what_is_allowed() -> None:
    """By symbol, by row, and by what came before."""
    found = _search(width=2, steps=4, allowed=jnp.array([True, True, False]))
    assert not (np.asarray(found.tokens) == 2).any()
    rows = jnp.array([[True, True, False], [False, True, True]])
    found = _search(width=2, steps=4, allowed=rows)
    assert not (np.asarray(found.tokens)[:, 0] == 2).any()
    assert not (np.asarray(found.tokens)[:, 1] == 0).any()

    def no_repeats(t: jax.Array, token: jax.Array) -> jax.Array:
        return token[..., None] != jnp.arange(V).reshape((1,) * token.ndim + (V,))

    found = _search(width=4, steps=4, end=None, allowed=no_repeats)
    tokens = np.concatenate([np.broadcast_to(np.asarray(PROMPT)[..., None], (1, 2, 4)), np.asarray(found.tokens)])
    assert (tokens[1:] != tokens[:-1]).all()
    expected = [y for *_, y in _all(0, 0.0, None, 4) if all(a != b for a, b in itertools.pairwise((0, *y)))][:1]
    whole = _search(width=16, steps=4, end=None, allowed=no_repeats)
    assert tuple(np.asarray(whole.tokens)[:, 0, 0].tolist()) == expected[0]


def test_what_is_not_there_has_no_probability() -> None:
    """Two sequences are left of a beam of four: the others have -inf and the length 0."""
    found = _search(
        width=4, steps=2, allowed=lambda t, token: jnp.broadcast_to(jnp.array([t == 0, True, False]), (*token.shape, V))
    )
    log_probs = np.asarray(found.log_probs)
    assert np.isfinite(log_probs[:, :2]).all()
    assert (log_probs[:, 2:] == -np.inf).all()
    assert (np.asarray(found.lengths)[:, 2:] == 0).all()
    assert np.asarray(found.finished)[:, :2].all()


def test_one_row_jit_and_vmap() -> None:
    state = jax.tree.map(lambda s: s[0], STATE)
    table, whole = TABLE.astype(jnp.float32), _search()
    one = beam_search(CHAIN, table, prompt=PROMPT[:, 0], end=END, width=3, steps=STEPS, state=state)
    np.testing.assert_array_equal(one.tokens, whole.tokens[:, 0])
    jitted = jax.jit(
        lambda p, a: beam_search(CHAIN, p, prompt=PROMPT, end=END, width=3, steps=STEPS, state=STATE, length_penalty=a)
    )(table, 0.0)
    jax.tree.map(np.testing.assert_array_equal, jitted, whole)
    mapped = jax.vmap(lambda p: beam_search(CHAIN, p, prompt=PROMPT, end=END, width=3, steps=STEPS, state=STATE))(
        jnp.stack([table, 2 * table])
    )
    np.testing.assert_array_equal(mapped.tokens[0], whole.tokens)
    none = _search(prompt=PROMPT[:, :0], state=jax.tree.map(lambda s: s[:0], STATE))
    assert none.tokens.shape == (STEPS, 0, 3)


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "too wide": ({"width": 16}, ValueError, "3 symbols make only 15 sequences of at most 3"),
    "too wide without an end": ({"width": 28, "end": None}, ValueError, "make only 27 sequences"),
    "width 0": ({"width": 0}, ValueError, "width must be at least 1"),
    "width": ({"width": 1.5}, TypeError, "width must be a whole number"),
    "steps": ({"steps": 0}, ValueError, "steps must be at least 1"),
    "n_best": ({"n_best": 4}, ValueError, "n_best = 4 is more than width = 3"),
    "end": ({"end": 3}, ValueError, "end must be below the 3 symbols"),
    "penalty": ({"length_penalty": -1.0}, ValueError, "length_penalty must be"),
    "prompt": ({"prompt": PROMPT[:0]}, ValueError, "at least one token"),
    "floats": ({"prompt": PROMPT * 1.0}, TypeError, "prompt must be integers"),
    "allowed": ({"allowed": jnp.ones(4, bool)}, ValueError, "allowed must be"),
    "allowed numbers": ({"allowed": jnp.ones(3)}, TypeError, "must hold booleans"),
    "a function of numbers": (
        {"allowed": lambda t, token: jnp.ones((*token.shape, 3))},
        TypeError,
        "allowed must give booleans, got float",
    ),
    "a function of another vocabulary": (
        {"allowed": lambda t, token: jnp.ones((*token.shape, 4), bool)},
        ValueError,
        r"allowed must give \(\*axes, vocabulary\)",
    ),
    "nothing allowed": ({"allowed": jnp.zeros(3, bool)}, ValueError, "leaves no symbol"),
    "state": ({"state": STATE | {"row": jnp.array(0)}}, ValueError, "must have the batch axes"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    choices, kind, says = BAD[name]
    with pytest.raises(kind, match=says):
        _search(**choices)


@pytest.mark.parametrize("tokens", [jnp.array([[0.5, 1]]), jnp.array([1]), jnp.array([[1, 1, 1]])])
def test_log_prob_of_bad_input(tokens: jax.Array) -> None:
    with pytest.raises((ValueError, TypeError), match="log_prob:"):
        log_prob(CHAIN, TABLE, tokens, prompt=PROMPT, state=STATE)


def _by_recursion(a: str, b: str) -> int:
    if not a or not b:
        return len(a) + len(b)
    return min(_by_recursion(a[1:], b) + 1, _by_recursion(a, b[1:]) + 1, _by_recursion(a[1:], b[1:]) + (a[0] != b[0]))


def test_edit_distance(rng: np.random.Generator) -> None:
    for _ in range(30):
        a, b = ("".join(rng.choice(list("xyz"), rng.integers(0, 6))) for _ in range(2))
        assert edit_distance(a, b) == _by_recursion(a, b)


def test_error_rates() -> None:
    rates = error_rates(["ab", "cd", "x"], [["ab"], ["ce", "d"], ["yz", "x"]])
    # The closest: ab (0 of 2), ce (1 of 2; as near as d, and longer), x (0 of 1); the first: 0 of 2, 1 of 2, 2 of 2.
    assert rates == pytest.approx((1 / 5, 1 / 3, 3 / 6, 2 / 3))
    arrays = error_rates(np.array([[1, 2]]), [np.array([[1, 3]])])  # pyright: ignore[reportArgumentType]
    assert arrays == pytest.approx((1 / 2, 1, 1 / 2, 1))
    for found, references in (([], []), (["a"], []), (["a"], [[]])):
        with pytest.raises(ValueError, match="every sequence needs a reference"):
            error_rates(found, references)
