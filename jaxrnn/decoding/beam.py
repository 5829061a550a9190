"""Beam search: the likeliest sequences of a network, as far as a beam of candidates finds them."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxrnn.cells import checks
from jaxrnn.cells.base import Cell, Params, State
from jaxrnn.cells.padding import before_end
from jaxrnn.decoding.allowed import Allowed, checked_allowed
from jaxrnn.decoding.sampling import MOST


class Beams(NamedTuple):
    """What `beam_search` found, the best first. What was not found has the score -inf and the length 0."""

    tokens: jax.Array  # (steps, *batch, n_best), int32; the end symbol from the end on, else 0 past the length
    lengths: jax.Array  # (*batch, n_best), int32: symbols, the end symbol counted
    scores: jax.Array  # (*batch, n_best), log_probs normalised by length
    log_probs: jax.Array  # (*batch, n_best), nats
    finished: jax.Array  # (*batch, n_best), booleans: ends with the end symbol


def beam_search(
    cell: Cell,
    params: Params,
    *,
    prompt: Any,
    end: int | None,
    width: int,
    steps: int,
    state: State = None,
    n_best: int | None = None,
    length_penalty: Any = 0.0,
    allowed: Any = None,
) -> Beams:
    """The likeliest sequences after a prompt, of p(y(1..n)) = Π_t softmax(o(t))_y(t), where o(t) is the cell's output.

        score(y) = log p(y) / ((5 + n) / 6)^α

    n counts the symbols of y, its end symbol too; α = 0 leaves log p. Each step continues the candidates that have not
    ended by every symbol, and keeps the likeliest of these: as many as `width` less the candidates that have ended,
    which keep their places. So width 1 is greedy, whatever α, and a beam that holds all sequences is exhaustive.
    Sequences that have ended come before those that `steps` cut short, and of either kind the highest score first.

    One compiled program, nothing in it is drawn: the same arguments give the same sequences. It stops when all have
    ended. Another cell, prompt shape, `width`, `steps`, `end`, or function `allowed` compiles anew; values do not.

    Args:
        cell: reads integers `(*batch,)` and has logits `(*batch, vocabulary)` as its output; every array of its state
            has the batch axes first.
        params: its parameters.
        prompt: integers `(n, *batch)`, what is read first, n at least 1.
        end: the symbol that ends a sequence; None where nothing does, and all have `steps` symbols.
        width: candidates that are kept for each row of the batch; at most as many as there are sequences.
        steps: the most symbols of a sequence, the end symbol counted.
        state: the state before the prompt; default `cell.initial_state(params, batch)`.
        n_best: how many sequences come back; default: `width`.
        length_penalty: α, at least 0; more favours longer sequences.
        allowed: which symbols may come: booleans `(vocabulary,)` or `(*batch, vocabulary)`; or a pure function
            `allowed(t, token) -> booleans (*axes, vocabulary)` of the step t = 0, 1, ... and the symbols before it,
            integers `(*axes,)`. Probabilities are those of the cell, not renormalised over what is left.

    Returns:
        `Beams(tokens, lengths, scores, log_probs, finished)`; the prompt is not repeated.

    Raises:
        ValueError: an empty prompt; sizes below 1; a width beyond the number of sequences; n_best beyond the width; an
            end outside the vocabulary; a penalty below 0; `allowed` of another shape, or that allows nothing.
        TypeError: a prompt that is not of integers; `allowed` that is not of booleans; sizes that are no whole numbers.

    Example:
        found = beam_search(cell, params, prompt=jnp.zeros((1, 32), int), end=0, width=4, steps=30, length_penalty=0.6)
        found.tokens[:, 0, 0], found.log_probs[0]  # the best of the first row; all four of its log-probabilities

    Source: Graves, *Sequence transduction with recurrent neural networks* (2012); that what has ended keeps its place:
    Sutskever, Vinyals, Le (2014), Sec. 3.2; the score: Wu et al., *Google's neural machine translation system* (2016),
    Eq. 14, without coverage.
    """
    prompt = jnp.asarray(prompt)
    if prompt.ndim < 1 or prompt.shape[0] < 1:
        raise ValueError(f"beam_search: prompt must have at least one token (n, *batch), got shape {prompt.shape}")
    if not jnp.issubdtype(prompt.dtype, jnp.integer):
        raise TypeError(f"beam_search: prompt must be integers, got {prompt.dtype}: pass alphabet.encode(text)")
    steps = checks.whole_number("beam_search: steps", steps, 1)
    width = checks.whole_number("beam_search: width", width, 1)
    if steps > MOST:
        raise ValueError(f"beam_search: steps must be at most {MOST}, got {steps}")
    n_best = width if n_best is None else checks.whole_number("beam_search: n_best", n_best, 1)
    if n_best > width:
        raise ValueError(f"beam_search: n_best = {n_best} is more than width = {width}: pass a wider beam")
    if not isinstance(length_penalty, Tracer):
        checks.number("beam_search", "length_penalty", length_penalty, least=0, below=math.inf)
    batch = prompt.shape[1:]
    prompt = prompt.astype(jnp.int32)
    if state is None:
        state = cell.initial_state(params, batch)
    vocabulary = _vocabulary(cell, params, state, prompt[0], batch)
    end = _end(end, vocabulary)
    most = _sequences(vocabulary, end, steps, width)
    if width > most:
        raise ValueError(
            f"beam_search: width = {width}, but {vocabulary} symbols make only {most} sequences of at most {steps}: "
            "pass a smaller width"
        )
    may = checked_allowed("beam_search", allowed, lambda: vocabulary, batch)
    penalty = jnp.asarray(length_penalty, jnp.float32)
    return _search(cell, steps, width, n_best, end, params, prompt, state, penalty, may)


class _Candidates(NamedTuple):
    """The candidates after some steps; those that have ended keep their places."""

    state: State  # leaves (width, *batch, ...)
    token: jax.Array  # (width, *batch), the last symbol
    log_prob: jax.Array  # (width, *batch); -inf where there is no candidate
    finished: jax.Array  # (width, *batch)
    lengths: jax.Array  # (width, *batch)


@partial(jax.jit, static_argnums=(0, 1, 2, 3, 4))
def _search(
    cell: Cell,
    steps: int,
    width: int,
    n_best: int,
    end: int | None,
    params: Params,
    prompt: jax.Array,
    state: State,
    penalty: jax.Array,
    allowed: Allowed,
) -> Beams:
    batch = prompt.shape[1:]

    def one(state: State, token: jax.Array) -> tuple[State, jax.Array]:
        state = cell.step(params, state, token)
        return state, cell.output(params, state)

    def step(now: _Candidates, t: jax.Array) -> tuple[_Candidates, tuple[jax.Array, jax.Array]]:
        # A vmap, and not a batch axis: parameters may have batch axes of their own.
        state, logits = jax.vmap(one)(now.state, now.token)
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        log_p = jax.nn.log_softmax(logits, axis=-1)
        may = allowed.mask(t, now.token, log_p.shape)
        log_p = log_p if may is None else jnp.where(may, log_p, -jnp.inf)
        vocabulary = log_p.shape[-1]
        rank = now.log_prob[..., None] + log_p
        # What has ended goes on by one symbol alone, before all others.
        kept = jnp.where(jnp.arange(vocabulary) == (end or 0), jnp.inf, -jnp.inf)
        kept = jnp.broadcast_to(kept.reshape((1,) * (rank.ndim - 1) + kept.shape), rank.shape)
        rank = jnp.where(now.finished[..., None], kept, rank)
        flat = jnp.moveaxis(rank, 0, -2).reshape(*batch, width * vocabulary)
        best, place = jax.lax.top_k(flat, width)
        best, place = jnp.moveaxis(best, -1, 0), jnp.moveaxis(place, -1, 0)
        parent, token = (place // vocabulary).astype(jnp.int32), (place % vocabulary).astype(jnp.int32)
        was_finished = _take(now.finished, parent) & (best == jnp.inf)
        log_prob = jnp.where(was_finished, _take(now.log_prob, parent), best)
        lengths = _take(now.lengths, parent) + jnp.where(was_finished, 0, 1)
        finished = was_finished
        if end is not None:
            finished = was_finished | ((token == end) & (log_prob > -jnp.inf))
        state = jax.tree.map(lambda s: _take(s, parent), state)
        return _Candidates(state, token, log_prob, finished, lengths), (token, parent)

    def goes_on(carry: Any) -> jax.Array:
        t, now, *_ = carry
        return (t < steps) & ~(now.finished | (now.log_prob == -jnp.inf)).all()

    def advance(carry: Any) -> Any:
        t, now, tokens, parents = carry
        now, (token, parent) = step(now, t)
        return t + 1, now, tokens.at[t].set(token), parents.at[t].set(parent)

    state, _ = jax.lax.scan(lambda s, x: (cell.step(params, s, x), None), state, prompt[:-1])
    first = jnp.arange(width).reshape(width, *(1 for _ in batch)) == 0
    axes = (width, *batch)
    dtype = jax.eval_shape(lambda: one(state, prompt[-1])[1]).dtype
    now = _Candidates(
        jax.tree.map(lambda s: jnp.broadcast_to(s[None], (width, *s.shape)), state),
        jnp.broadcast_to(prompt[-1], axes),
        jnp.broadcast_to(jnp.where(first, 0.0, -jnp.inf), axes).astype(jnp.promote_types(dtype, jnp.float32)),
        jnp.zeros(axes, bool),
        jnp.zeros(axes, jnp.int32),
    )
    itself = jnp.broadcast_to(jnp.arange(width, dtype=jnp.int32).reshape(width, *(1 for _ in batch)), axes)
    tokens = jnp.zeros((steps, *axes), jnp.int32)
    parents = jnp.broadcast_to(itself, tokens.shape)
    _, now, tokens, parents = jax.lax.while_loop(goes_on, advance, (jnp.int32(0), now, tokens, parents))
    score = now.log_prob / ((5 + now.lengths) / 6).astype(now.log_prob.dtype) ** penalty.astype(now.log_prob.dtype)
    order = jnp.lexsort((-score, ~now.finished), axis=0)[:n_best]
    return _traced_back(now, score, tokens, parents, order, end)


def _traced_back(
    now: _Candidates, score: jax.Array, tokens: jax.Array, parents: jax.Array, order: jax.Array, end: int | None
) -> Beams:
    """The sequences of the candidates at these places, from the last symbol to the first."""

    def back(place: jax.Array, at: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        token, parent = at
        return _take(parent, place), _take(token, place)

    _, tokens = jax.lax.scan(back, order, (tokens, parents), reverse=True)
    log_probs, finished = _take(now.log_prob, order), _take(now.finished, order)
    lengths = jnp.where(log_probs == -jnp.inf, 0, _take(now.lengths, order))
    tokens = jnp.where(before_end(len(tokens), lengths), tokens, 0 if end is None else end)
    last = partial(jnp.moveaxis, source=0, destination=-1)
    found = lengths, _take(score, order), log_probs, finished
    return Beams(jnp.moveaxis(tokens, 1, -1), *(last(a) for a in found))


def _take(array: jax.Array, place: jax.Array) -> jax.Array:
    """`array[place]` along the first axis, row by row of the batch: (width, *batch, ...) at (n, *batch)."""
    return jnp.take_along_axis(array, place.reshape(*place.shape, *(1 for _ in array.shape[place.ndim :])), axis=0)


def _vocabulary(cell: Cell, params: Params, state: State, token: jax.Array, batch: tuple[int, ...]) -> int:
    """How many logits the cell has; raise unless they, and its state, have the batch axes."""
    after, logits = jax.eval_shape(
        lambda p, s, x: (new := cell.step(p, s, x), cell.output(p, new)), params, state, token
    )
    if not hasattr(logits, "shape") or logits.shape[:-1] != batch or len(logits.shape) != len(batch) + 1:
        raise ValueError(f"beam_search: the cell's output must be logits (*batch = {batch}, vocabulary), got {logits}")
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(f"beam_search: the cell's output must be floating-point logits, got {logits.dtype}")
    wrong = [s.shape for s in jax.tree.leaves(after) if s.shape[: len(batch)] != batch]
    if wrong:
        raise ValueError(
            f"beam_search: every array of the cell's state must have the batch axes {batch} first, got shape {wrong[0]}"
        )
    return logits.shape[-1]


def _end(end: Any, vocabulary: int) -> int | None:
    if end is None:
        return None
    if checks.whole_number("beam_search: end", end, 0) >= vocabulary:
        raise ValueError(f"beam_search: end must be below the {vocabulary} symbols of the vocabulary, got {end}")
    return int(end)


def _sequences(vocabulary: int, end: int | None, steps: int, enough: int) -> int:
    """How many sequences there are; counted no further than `enough`."""
    live, total = 1, 0
    for _ in range(steps):
        total += 0 if end is None else live
        live *= vocabulary - (end is not None)
        if (total + live >= enough and (live >= enough or total >= enough)) or live == 0:
            break
    return total + live
