"""Recurrences in NumPy for cells that reach far back: delays and memories; from the papers, entry by entry."""

from typing import Any

import numpy as np

from tests.oracles import Oracle, columns, sigmoid


def _softplus(a: np.ndarray) -> np.ndarray:
    return np.log(1 + np.exp(a))


def _softmax(a: np.ndarray) -> np.ndarray:
    return np.exp(a) / np.sum(np.exp(a))


def skip(inner: Oracle) -> Oracle:
    """A GRU (Chung et al. 2014) whose recurrent products have that of h(t-d) added (Lin et al. 1996)."""

    def step(p: Any, s: Any, x: np.ndarray) -> Any:
        n = s.cell.h.shape[-1]
        u = [columns(p.cell.b, k, n) + columns(p.cell.U, k, n).T @ x for k in range(3)]
        w = [columns(p.cell.W, k, n).T @ s.cell.h + columns(p.W, k, n).T @ s.past[-1] for k in range(3)]
        r, z = sigmoid(u[0] + w[0]), sigmoid(u[1] + w[1])
        h = (1 - z) * np.tanh(u[2] + r * (w[2] + p.cell.c)) + z * s.cell.h
        return s._replace(cell=s.cell._replace(h=h), past=np.stack([s.cell.h, *s.past[:-1]]))

    return Oracle(step, lambda p, s: inner.output(p.cell, s.cell))


FEED_FORWARD = Oracle(lambda p, s, x: s._replace(h=np.tanh(p.U.T @ x + p.b)), lambda p, s: s.h)


def heads_somewhere(state: Any) -> Any:
    """A random state whose weights are distributions over the slots."""
    weights = np.exp(state.w)
    return state._replace(w=weights / weights.sum(-1, keepdims=True))


def _cosine(u: np.ndarray, v: np.ndarray) -> float:
    return u @ v / np.sqrt(np.sum(u**2) * np.sum(v**2) + 1e-8)


def ntm(controller: Oracle, shift: int, reads: int = 1, writes: int = 1) -> Oracle:
    """Graves et al. (2014), Eq. 2 to 9, slot by slot."""

    def step(p: Any, s: Any, x: np.ndarray) -> Any:
        slots, width = s.M.shape
        inner = controller.step(p.controller, s.controller, np.concatenate([x, *s.r]))
        told = p.c + p.V.T @ controller.output(p.controller, inner)
        each, w, M = width + 3 + 2 * shift + 1, [], s.M.copy()
        for head in range(reads + writes):
            z = told[head * each : (head + 1) * each]
            k, strength, gate = np.tanh(z[:width]), _softplus(z[width]), sigmoid(z[width + 1])
            power, moves = 1 + _softplus(z[width + 2]), _softmax(z[width + 3 :])
            content = _softmax(np.array([strength * _cosine(k, s.M[i]) for i in range(slots)]))  # Eq. 5, 6
            gated = gate * content + (1 - gate) * s.w[head]  # Eq. 7
            moved = np.zeros(slots)
            for i in range(slots):  # Eq. 8
                for j in range(-shift, shift + 1):
                    moved[(i + j) % slots] += gated[i] * moves[j + shift]
            w.append(moved**power / np.sum(moved**power))  # Eq. 9
        r = [sum(w[head][i] * s.M[i] for i in range(slots)) for head in range(reads)]  # Eq. 2
        for head in range(writes):
            z = told[(reads + writes) * each + head * 2 * width :][: 2 * width]
            for i in range(slots):  # Eq. 3, 4
                at = w[reads + head][i]
                M[i] = M[i] * (1 - at * sigmoid(z[:width])) + at * np.tanh(z[width:])
        return s._replace(controller=inner, M=M, w=np.stack(w), r=np.stack(r))

    return Oracle(step, lambda p, s: np.concatenate([controller.output(p.controller, s.controller), *s.r]))


def fast_weights(controller: Oracle) -> Oracle:
    """Schlag et al. (2021), Sec. 4.2, of column vectors: W = W + β (v - W k) ⊗ k, y = W q."""

    def step(p: Any, s: Any, x: np.ndarray) -> Any:
        keys, width = s.M.shape
        inner = controller.step(p.controller, s.controller, np.concatenate([x, s.r[0]]))
        z = p.c + p.V.T @ controller.output(p.controller, inner)
        k, q, v = _softmax(z[:keys]), _softmax(z[keys : 2 * keys]), z[2 * keys : 2 * keys + width]
        W = s.M.T
        W = W + sigmoid(z[-1]) * np.outer(v - W @ k, k)
        return s._replace(controller=inner, M=W.T, r=(W @ q)[None])

    return Oracle(step, lambda p, s: np.concatenate([controller.output(p.controller, s.controller), s.r[0]]))
