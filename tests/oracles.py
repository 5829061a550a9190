"""Recurrences in NumPy, written from the papers' equations and not from the package.

An oracle runs one sequence, without batch axes, padding, directions or blocks: `unfolded` cuts every sequence of a
batch to its length, turns it round, starts it anew at a reset, and puts the results where they belong. Gradients are
central differences in double precision.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np


class Oracle(NamedTuple):
    """One cell: s(t) = step(params, s(t-1), x(t)) and what is read of s(t)."""

    step: Callable[[Any, Any, Any], Any]
    output: Callable[[Any, Any], Any]


def sigmoid(a: np.ndarray) -> np.ndarray:
    """σ(a) = 1 / (1 + exp(-a))."""
    return 1 / (1 + np.exp(-a))


def columns(array: np.ndarray, gate: int, hidden: int) -> np.ndarray:
    """The columns of one gate."""
    return array[..., gate * hidden : (gate + 1) * hidden]


def _elman(p: Any, s: Any, x: np.ndarray) -> Any:
    # Deep Learning, Eq. 10.8 and 10.9: a(t) = b + W h(t-1) + U x(t), h(t) = tanh(a(t))
    return s._replace(h=np.tanh(p.b + p.W.T @ s.h + p.U.T @ x))


def _lstm(p: Any, s: Any, x: np.ndarray) -> Any:
    # Gers, Schmidhuber, Cummins (2000), without peepholes
    n = s.h.shape[-1]
    a = [columns(p.b, k, n) + columns(p.U, k, n).T @ x + columns(p.W, k, n).T @ s.h for k in range(4)]
    c = sigmoid(a[1]) * s.c + sigmoid(a[0]) * np.tanh(a[2])
    return s._replace(h=sigmoid(a[3]) * np.tanh(c), c=c)


def _gru(p: Any, s: Any, x: np.ndarray) -> Any:
    # Chung et al. (2014), the reset after the product
    n = s.h.shape[-1]
    u = [columns(p.b, k, n) + columns(p.U, k, n).T @ x for k in range(3)]
    w = [columns(p.W, k, n).T @ s.h for k in range(3)]
    r, z = sigmoid(u[0] + w[0]), sigmoid(u[1] + w[1])
    new = np.tanh(u[2] + r * (w[2] + p.c))
    return s._replace(h=(1 - z) * new + z * s.h)


ELMAN = Oracle(_elman, lambda p, s: s.h)
LSTM = Oracle(_lstm, lambda p, s: s.h)
GRU = Oracle(_gru, lambda p, s: s.h)


def readout(inner: Oracle) -> Oracle:
    """Deep Learning, Eq. 10.10: o(t) = c + V h(t)."""
    return Oracle(
        lambda p, s, x: inner.step(p.cell, s, x),
        lambda p, s: p.c + p.V.T @ inner.output(p.cell, s),
    )


def stack(layers: Sequence[Oracle]) -> Oracle:
    """Each layer reads what the one below it gives at the same time."""

    def step(p: Any, s: Any, x: Any) -> Any:
        new = []
        for layer, q, before in zip(layers, p, s, strict=True):
            new.append(layer.step(q, before, x))
            x = layer.output(q, new[-1])
        return tuple(new)

    return Oracle(step, lambda p, s: layers[-1].output(p[-1], s[-1]))


def supervised(inner: Oracle, loss: Callable[[Any, Any], Any]) -> Oracle:
    """L(t) = loss(o(t), y(t)) for the input (x(t), y(t))."""
    return Oracle(
        lambda p, s, x: s._replace(cell=inner.step(p, s.cell, x[0]), y=np.asarray(x[1])),
        lambda p, s: loss(inner.output(p, s.cell), s.y),
    )


def negative_log_softmax(o: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-log softmax(o)_y, in nats."""
    return np.log(np.sum(np.exp(o))) - o[y]


def at(tree: Any, index: Any) -> Any:
    """Every leaf at an index."""
    return jax.tree.map(lambda a: np.asarray(a)[index], tree)


def run(
    oracle: Oracle, params: Any, state: Any, xs: Any, steps: int, resets: np.ndarray | None = None
) -> tuple[list[Any], Any]:
    """One sequence, in a loop: the states and the last of them."""
    first, states = state, []
    for t in range(steps):
        if resets is not None and resets[t]:
            state = first
        state = oracle.step(params, state, at(xs, t))
        states.append(state)
    return states, state


def unfolded(
    oracle: Oracle,
    params: Any,
    state: Any,
    xs: Any,
    *,
    steps: int,
    batch: tuple[int, ...] = (),
    lengths: np.ndarray | None = None,
    resets: np.ndarray | None = None,
    reverse: bool = False,
    emit: Callable[[Oracle, Any, Any], Any] = lambda oracle, p, s: oracle.output(p, s),
) -> tuple[Any, Any]:
    """Every sequence of a batch by itself: outputs `(time, *batch, ...)`, zero past the lengths, and final states."""
    outputs, finals = {}, {}
    for row in np.ndindex(*batch):
        n = steps if lengths is None else int(lengths[row])
        order = np.arange(n)[::-1] if reverse else np.arange(n)
        pick = (order, *row)
        start = at(state, row)
        states, finals[row] = run(
            oracle,
            params,
            start,
            at(xs, pick),
            n,
            None if resets is None else resets[pick],
        )
        shown = [emit(oracle, params, s) for s in states]
        blank = jax.tree.map(lambda a: np.zeros_like(np.asarray(a)), emit(oracle, params, start))
        whole = [blank] * steps
        for t, value in zip(order, shown, strict=True):
            whole[t] = value
        outputs[row] = jax.tree.map(lambda *a: np.stack(a), *whole)

    def gather(rows: dict[tuple[int, ...], Any], after: int) -> Any:
        def join(*leaves: Any) -> np.ndarray:
            stacked = np.stack([np.asarray(leaf) for leaf in leaves], axis=after)
            return stacked.reshape(stacked.shape[:after] + batch + stacked.shape[after + 1 :])

        return jax.tree.map(join, *rows.values())

    return gather(outputs, 1), gather(finals, 0)


def differences(f: Callable[[Any], float], tree: Any, rng: np.random.Generator, epsilon: float = 2e-4) -> Any:
    """A direction for every real or complex leaf of a tree, and the slope of f along it by central differences.

    No entry of a direction is near 0, so that a wrong entry of a gradient shows; one leaf moves at a time. The error of
    the differences is O(ε⁴): (8 (f(ε) - f(-ε)) - (f(2ε) - f(-2ε))) / 12 ε. A complex leaf moves along complex numbers.
    """
    leaves, structure = jax.tree.flatten(tree)
    directions, slopes = [], []
    for k, leaf in enumerate(leaves):
        if not np.issubdtype(np.asarray(leaf).dtype, np.inexact):
            continue
        along = rng.uniform(0.5, 1.0, leaf.shape) * rng.choice([-1, 1], leaf.shape)
        if np.iscomplexobj(leaf):
            along = along * np.exp(1j * rng.uniform(0.5, 1.0, leaf.shape))
        one, minus_one, two, minus_two = (
            f(jax.tree.unflatten(structure, [*leaves[:k], leaf + n * epsilon * along, *leaves[k + 1 :]]))
            for n in (1, -1, 2, -2)
        )
        directions.append(along)
        slopes.append((8 * (one - minus_one) - (two - minus_two)) / (12 * epsilon))
    return directions, slopes
