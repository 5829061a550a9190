"""Attention and the encoder-decoder in NumPy, one sequence at a time, from the papers' equations."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests import oracles


def softmax(a: np.ndarray) -> np.ndarray:
    """exp(a_i) / Σ_k exp(a_k)."""
    e = np.exp(a - a.max())
    return e / e.sum()


class Score(NamedTuple):
    """A score in two parts: the keys of items, once for all, and the scores of keys."""

    keys: Callable[[Any, np.ndarray], np.ndarray]
    score: Callable[[Any, np.ndarray, np.ndarray], Any]  # of one key


# Bahdanau et al. (2015), A.1.2: v · tanh(W q + U x + b)
ADDITIVE = Score(lambda p, x: p.U.T @ x + p.b, lambda p, q, key: p.v @ np.tanh(p.W.T @ q + key))
# Luong et al. (2015), Eq. 8, general: q · W x
MULTIPLICATIVE = Score(lambda p, x: p.U.T @ x, lambda p, q, key: q @ key)


def context(score: Score, p: Any, query: np.ndarray, items: np.ndarray, keys: Any = None) -> np.ndarray:
    """Σ_i α_i x_i; 0 without items."""
    keys = [score.keys(p, item) for item in items] if keys is None else keys
    if not len(items):
        return np.zeros(items.shape[1:])
    return softmax(np.array([score.score(p, query, key) for key in keys])) @ items


def _seen(score: Score, p: Any, query: np.ndarray) -> np.ndarray:
    """The context of a memory without batch axes."""
    memory = p.memory
    there = slice(None) if memory.mask is None else np.asarray(memory.mask)
    return context(score, p.attention, query, memory.values[there], memory.keys[there])


def _combined(p: Any, h: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Luong et al. (2015), Eq. 5: tanh(W [h; c])."""
    return np.tanh(p.V.T @ np.concatenate([h, k]) + p.c)


def after(inner: oracles.Oracle, score: Score) -> oracles.Oracle:
    """The step first, then the look."""

    def output(p: Any, s: Any) -> np.ndarray:
        h = inner.output(p.cell, s)
        return _combined(p, h, _seen(score, p, h))

    return oracles.Oracle(lambda p, s, x: inner.step(p.cell, s, x), output)


def before(inner: oracles.Oracle, score: Score) -> oracles.Oracle:
    """Bahdanau et al. (2015), Sec. 3.1: the look by the state before, then the step."""

    def step(p: Any, s: Any, x: np.ndarray) -> Any:
        k = _seen(score, p, inner.output(p.cell, s.cell))
        return s._replace(cell=inner.step(p.cell, s.cell, np.concatenate([x, k])), context=k)

    return oracles.Oracle(step, lambda p, s: _combined(p, inner.output(p.cell, s.cell), s.context))
