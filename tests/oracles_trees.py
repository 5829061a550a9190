"""Recursive networks in NumPy, written from the papers' equations: one node at a time, by plain recursion."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.trees import Tree, TreeLSTMState
from tests.oracles import columns, sigmoid


class TreeOracle(NamedTuple):
    """One cell: the state of a node from its children's, None where there is none, and what is read of it."""

    node: Callable[[Any, Sequence[Any], Any], Any]
    output: Callable[[Any, Any], Any]


def _lstm(i: np.ndarray, g: np.ndarray, o: np.ndarray, kept: Any) -> Any:
    c = sigmoid(i) * np.tanh(g) + kept
    return TreeLSTMState(sigmoid(o) * np.tanh(c), c)  # pyright: ignore[reportArgumentType]


def _child_sum(p: Any, children: Sequence[Any], x: np.ndarray) -> Any:
    # Tai, Socher, Manning (2015), Eq. 2 to 8
    n, there = len(p.W), [child for child in children if child is not None]
    h = sum((child.h for child in there), np.zeros(n))
    i, _, g, o = (columns(p.b, k, n) + columns(p.U, k, n).T @ x + columns(p.W, k, n).T @ h for k in range(4))
    forget = [sigmoid(columns(p.b, 1, n) + columns(p.U, 1, n).T @ x + columns(p.W, 1, n).T @ s.h) for s in there]
    return _lstm(i, g, o, sum((f * s.c for f, s in zip(forget, there, strict=True)), np.zeros(n)))


def _nary(p: Any, children: Sequence[Any], x: np.ndarray) -> Any:
    # Tai, Socher, Manning (2015), Eq. 9 to 14
    n = len(p.b) // 4
    driven = [columns(p.b, k, n) + columns(p.U, k, n).T @ x for k in range(4)]

    def recurrent(gate: int) -> Any:
        return sum(
            (columns(p.W[k * n : (k + 1) * n], gate, n).T @ s.h for k, s in enumerate(children) if s is not None),
            np.zeros(n),
        )

    i, g, o = (driven[k] + recurrent(k) for k in range(3))
    kept = sum(
        (sigmoid(driven[3] + recurrent(3 + k)) * s.c for k, s in enumerate(children) if s is not None), np.zeros(n)
    )
    return _lstm(i, g, o, kept)


def _rntn(p: Any, children: Sequence[Any], x: np.ndarray) -> Any:
    # Socher et al. (2013), Sec. 4.3
    a, n = p.b + p.U.T @ x, len(p.b)
    if any(child is not None for child in children):
        q = np.zeros(len(p.W))
        for k, child in enumerate(children):
            if child is not None:
                q[k * n : (k + 1) * n] = child
        a = a + p.W.T @ q + np.array([q @ p.T[:, :, m] @ q for m in range(n)])
    return np.tanh(a)


CHILD_SUM = TreeOracle(_child_sum, lambda p, s: s.h)
NARY = TreeOracle(_nary, lambda p, s: s.h)
RNTN = TreeOracle(_rntn, lambda p, s: s)


def chain(start: Callable[[Any], Any], step: Any, output: Any) -> TreeOracle:
    """A cell of sequences: s(0) is where a leaf starts from."""
    return TreeOracle(lambda p, children, x: step(p, children[0] if children else start(p), x), output)


def folded(oracle: TreeOracle, params: Any, tree: Tree) -> list[Any]:
    """The states of all nodes of one tree, by recursion from the root."""
    found: dict[int, Any] = {}

    def at(node: int) -> Any:
        table = [int(child) for child in tree.children[node]]
        while table and table[-1] < 0:
            table.pop()
        children = [None if child < 0 else at(child) for child in table]
        found[node] = oracle.node(params, children, np.asarray(tree.x[node]))
        return found[node]

    at(len(tree.children) - 1)
    return [found[node] for node in range(len(tree.children))]
