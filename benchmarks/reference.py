"""What every entrant is compared with: outputs, and gradients of Σ h², in float64 NumPy from the equations."""

from collections.abc import Callable

import jax
import numpy as np

from benchmarks.task import Task, Weights

Answer = tuple[np.ndarray, Weights]  # outputs (time, batch, hidden), gradients
Reference = Callable[[Task], Answer]


def own(task: Task) -> Answer:
    """The function that jaxrnn computes."""
    return {"elman": _elman, "lstm": _lstm, "gru": _gru}[task.cell](*_float64(task))


def without_c(task: Task) -> Answer:
    """The same with c = 0, and no gradient for c: a GRU that lacks this bias."""
    h, gradients = own(task._replace(weights=_zero_c(task.weights)))
    return h, gradients._replace(c=None)


def reset_first(task: Task) -> Answer:
    """A GRU that resets the state before the recurrent product, without c: n = tanh(b + x U + (r ⊙ h) W)."""
    return _gru_reset_first(*_float64(task))


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest entry."""
    if found.shape != expected.shape:
        raise ValueError(f"shapes differ: {found.shape}, expected {expected.shape}")
    return float(np.max(np.abs(found - expected)) / max(np.max(np.abs(expected)), np.finfo(np.float32).tiny))


def largest_error(found: Weights, expected: Weights) -> float:
    """The largest `error` of any array; both must have c or lack it."""
    pairs = [(f, e) for f, e in zip(found, expected, strict=True) if f is not None or e is not None]
    return max(error(np.asarray(f), np.asarray(e)) for f, e in pairs)


def _zero_c(weights: Weights) -> Weights:
    return weights if weights.c is None else weights._replace(c=np.zeros_like(weights.c))


def _float64(task: Task) -> tuple[Weights, np.ndarray]:
    return jax.tree.map(lambda a: a.astype(np.float64), (task.weights, task.xs))


def _sigmoid(a: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * a))


def _sums(xs: np.ndarray, before: np.ndarray, du: np.ndarray, da: np.ndarray) -> Weights:
    """Gradients of U, W, b from those of u = b + x U and of a = h W, `before` being h(t-1)."""
    rows = xs.shape[0] * xs.shape[1]
    du, da = du.reshape(rows, -1), da.reshape(rows, -1)
    return Weights(xs.reshape(rows, -1).T @ du, before.reshape(rows, -1).T @ da, du.sum(0))


def _empty(xs: np.ndarray, weights: Weights, count: int) -> list[np.ndarray]:
    return [np.empty((*xs.shape[:2], weights.W.shape[0])) for _ in range(count)]


def _before(h: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(h[:1]), h[:-1]])


def _elman(weights: Weights, xs: np.ndarray) -> Answer:
    U, W, b, _ = weights
    h, da = _empty(xs, weights, 2)
    last = np.zeros(h.shape[1:])
    for t, x in enumerate(xs):
        last = h[t] = np.tanh(b + x @ U + last @ W)
    dh = np.zeros_like(last)
    for t in reversed(range(len(xs))):
        da[t] = (dh + 2 * h[t]) * (1 - h[t] ** 2)
        dh = da[t] @ W.T
    return h, _sums(xs, _before(h), da, da)


def _lstm(weights: Weights, xs: np.ndarray) -> Answer:
    U, W, b, _ = weights
    h, i, f, g, o, c = _empty(xs, weights, 6)
    last, cell = np.zeros(h.shape[1:]), np.zeros(h.shape[1:])
    for t, x in enumerate(xs):
        a = np.split(b + x @ U + last @ W, 4, axis=-1)
        i[t], f[t], g[t], o[t] = _sigmoid(a[0]), _sigmoid(a[1]), np.tanh(a[2]), _sigmoid(a[3])
        cell = c[t] = f[t] * cell + i[t] * g[t]
        last = h[t] = o[t] * np.tanh(cell)
    da = np.empty((*xs.shape[:2], W.shape[1]))
    dh, dc = np.zeros_like(last), np.zeros_like(last)
    for t in reversed(range(len(xs))):
        dh = dh + 2 * h[t]
        squashed = np.tanh(c[t])
        dc = dc + dh * o[t] * (1 - squashed**2)
        previous = c[t - 1] if t else np.zeros_like(dc)
        da[t] = np.concatenate(
            [
                dc * g[t] * i[t] * (1 - i[t]),
                dc * previous * f[t] * (1 - f[t]),
                dc * i[t] * (1 - g[t] ** 2),
                dh * squashed * o[t] * (1 - o[t]),
            ],
            axis=-1,
        )
        dc, dh = dc * f[t], da[t] @ W.T
    return h, _sums(xs, _before(h), da, da)


def _gru(weights: Weights, xs: np.ndarray) -> Answer:
    U, W, b, bias = weights
    assert bias is not None
    h, r, z, n, s = _empty(xs, weights, 5)
    last = np.zeros(h.shape[1:])
    for t, x in enumerate(xs):
        u, a = np.split(b + x @ U, 3, axis=-1), np.split(last @ W, 3, axis=-1)
        r[t], z[t], s[t] = _sigmoid(u[0] + a[0]), _sigmoid(u[1] + a[1]), a[2] + bias
        n[t] = np.tanh(u[2] + r[t] * s[t])
        last = h[t] = (1 - z[t]) * n[t] + z[t] * last
    du, da = np.empty((2, *xs.shape[:2], W.shape[1]))
    before, dh = _before(h), np.zeros_like(last)
    for t in reversed(range(len(xs))):
        dh = dh + 2 * h[t]
        dn = dh * (1 - z[t]) * (1 - n[t] ** 2)
        dr = dn * s[t] * r[t] * (1 - r[t])
        dz = dh * (before[t] - n[t]) * z[t] * (1 - z[t])
        du[t] = np.concatenate([dr, dz, dn], axis=-1)
        da[t] = np.concatenate([dr, dz, dn * r[t]], axis=-1)
        dh = dh * z[t] + da[t] @ W.T
    hidden = W.shape[0]
    return h, _sums(xs, before, du, da)._replace(c=da[..., 2 * hidden :].sum((0, 1)))


def _gru_reset_first(weights: Weights, xs: np.ndarray) -> Answer:
    U, W, b, _ = weights
    hidden = W.shape[0]
    gates, content = W[:, : 2 * hidden], W[:, 2 * hidden :]
    h, r, z, n = _empty(xs, weights, 4)
    last = np.zeros(h.shape[1:])
    for t, x in enumerate(xs):
        u, a = np.split(b + x @ U, 3, axis=-1), np.split(last @ gates, 2, axis=-1)
        r[t], z[t] = _sigmoid(u[0] + a[0]), _sigmoid(u[1] + a[1])
        n[t] = np.tanh(u[2] + (r[t] * last) @ content)
        last = h[t] = (1 - z[t]) * n[t] + z[t] * last
    du = np.empty((*xs.shape[:2], W.shape[1]))
    before, dh = _before(h), np.zeros_like(last)
    for t in reversed(range(len(xs))):
        dh = dh + 2 * h[t]
        dn = dh * (1 - z[t]) * (1 - n[t] ** 2)
        dq = dn @ content.T
        dr = dq * before[t] * r[t] * (1 - r[t])
        dz = dh * (before[t] - n[t]) * z[t] * (1 - z[t])
        du[t] = np.concatenate([dr, dz, dn], axis=-1)
        dh = dh * z[t] + dq * r[t] + du[t][:, : 2 * hidden] @ gates.T
    sums = _sums(xs, before, du, du)
    rows = xs.shape[0] * xs.shape[1]
    dW = (r * before).reshape(rows, -1).T @ du[..., 2 * hidden :].reshape(rows, -1)
    return h, sums._replace(W=np.concatenate([sums.W[:, : 2 * hidden], dW], axis=-1))
