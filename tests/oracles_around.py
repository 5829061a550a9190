"""Recurrences in NumPy for what goes around cells, and for cells with more than sums and gates; from the papers."""

from typing import Any

import numpy as np

from tests.oracles import Oracle, columns, sigmoid

EPSILON = 0.05  # of the normalised cells of the grid: with much less, differences are not exact enough


def normalised(a: np.ndarray) -> np.ndarray:
    """Ba et al. (2016), Eq. 3 and 4, with ε added to the variance."""
    return (a - np.mean(a)) / np.sqrt(np.var(a) + EPSILON)


def _layer_norm_lstm(p: Any, s: Any, x: np.ndarray) -> Any:
    # Eq. 20 to 22
    n = s.h.shape[-1]
    a = p.gain_W * normalised(p.W.T @ s.h) + p.gain_U * normalised(p.U.T @ x) + p.b
    i, f, g, o = (columns(a, k, n) for k in range(4))
    c = sigmoid(f) * s.c + sigmoid(i) * np.tanh(g)
    return s._replace(h=sigmoid(o) * np.tanh(p.gain_c * normalised(c) + p.bias_c), c=c)


def _layer_norm_gru(p: Any, s: Any, x: np.ndarray) -> Any:
    # Eq. 23 to 25, with 1 - z for the paper's z
    n = s.h.shape[-1]
    both, new = slice(0, 2 * n), slice(2 * n, 3 * n)
    a = p.gain_W[both] * normalised(p.W[:, both].T @ s.h) + p.gain_U[both] * normalised(p.U[:, both].T @ x) + p.b[both]
    r, z = sigmoid(a[:n]), sigmoid(a[n:])
    recurrent = p.gain_W[new] * normalised(p.W[:, new].T @ s.h) + p.c
    content = np.tanh(p.gain_U[new] * normalised(p.U[:, new].T @ x) + p.b[new] + r * recurrent)
    return s._replace(h=(1 - z) * content + z * s.h)


LAYER_NORM_LSTM = Oracle(_layer_norm_lstm, lambda p, s: s.h)
LAYER_NORM_GRU = Oracle(_layer_norm_gru, lambda p, s: s.h)


def variational_dropout_elman(rate: float) -> Oracle:
    """Gal and Ghahramani (2016): the recurrent product reads mask ⊙ h(t-1) / (1 - rate)."""

    def step(p: Any, s: Any, x: np.ndarray) -> Any:
        h = (
            s.h
            if p.mask is None
            else np.array([v / (1 - rate) if kept else 0.0 for v, kept in zip(s.h, p.mask, strict=True)])
        )
        return s._replace(h=np.tanh(p.cell.b + p.cell.W.T @ h + p.cell.U.T @ x))

    return Oracle(step, lambda p, s: s.h)


def zoneout(inner: Oracle, rates: dict[str, float]) -> Oracle:
    """Krueger et al. (2017): in training d ⊙ s(t-1) + (1 - d) ⊙ f(s(t-1)), in evaluation its expectation."""

    def step(p: Any, s: Any, x: Any) -> Any:
        x, masks = x
        new, kept = inner.step(p, s, x), {}
        for name, rate in rates.items():
            d = rate if masks is None else getattr(masks, name).astype(float)
            kept[name] = d * getattr(s, name) + (1 - d) * getattr(new, name)
        return new._replace(**kept)

    return Oracle(step, inner.output)


def state_noise(inner: Oracle) -> Oracle:
    """What is drawn for a step is added to the new state."""

    def step(p: Any, s: Any, x: Any) -> Any:
        new = inner.step(p, s, x[0])
        return new._replace(**{name: getattr(new, name) + getattr(x[1], name) for name in x[1]._fields})

    return Oracle(step, inner.output)


def slstm(heads: int) -> Oracle:
    """Beck et al. (2024), Eq. 8 to 17, each head by itself, with the forget gate σ."""

    def step(p: Any, s: Any, x: np.ndarray) -> Any:
        hidden = s.h.shape[-1]
        size = hidden // heads
        new = {name: np.zeros(hidden) for name in s._fields}
        for head in range(heads):
            rows = slice(head * size, (head + 1) * size)
            a = p.W[head].T @ s.h[rows]
            z = [
                columns(p.b, k, hidden)[rows] + (columns(p.U, k, hidden).T @ x)[rows] + columns(a, k, size)
                for k in range(4)
            ]
            for j in range(size):
                k = head * size + j
                log_f = -np.log(1 + np.exp(-z[1][j]))
                m = max(log_f + s.m[k], z[0][j])
                i, f = np.exp(z[0][j] - m), np.exp(log_f + s.m[k] - m)
                c, n = f * s.c[k] + i * np.tanh(z[2][j]), f * s.n[k] + i
                new["c"][k], new["n"][k], new["m"][k], new["h"][k] = c, n, m, sigmoid(z[3][j]) * c / n
        return s._replace(**new)

    return Oracle(step, lambda p, s: s.h)


def reservoir(leak: float) -> Oracle:
    """Jaeger et al. (2007), Eq. 2 with tanh: a leaky net."""
    return Oracle(
        lambda p, s, x: s._replace(h=(1 - leak) * s.h + leak * np.tanh(p.U.T @ x + p.W.T @ s.h + p.b)),
        lambda p, s: s.h,
    )


def correlate(x: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Cross-correlation of `(*spatial, m)` with `(*kernel, m, n)`, zeros outside, tap by tap."""
    space, kernel = x.shape[:-1], taps.shape[:-2]
    low = [(n - 1) // 2 for n in kernel]
    wide = np.pad(x, [*((a, n - 1 - a) for a, n in zip(low, kernel, strict=True)), (0, 0)])
    total = np.zeros((*space, taps.shape[-1]))
    for at in np.ndindex(*kernel):
        total += wide[tuple(slice(a, a + n) for a, n in zip(at, space, strict=True))] @ taps[at]
    return total


def _conv_lstm(p: Any, s: Any, x: np.ndarray) -> Any:
    # Shi et al. (2015), Eq. 3 without the peephole terms
    n = s.h.shape[-1]
    z = correlate(x, p.U) + correlate(s.h, p.W) + p.b
    i, f, g, o = (columns(z, k, n) for k in range(4))
    c = sigmoid(f) * s.c + sigmoid(i) * np.tanh(g)
    return s._replace(h=sigmoid(o) * np.tanh(c), c=c)


CONV_LSTM = Oracle(_conv_lstm, lambda p, s: s.h)


def learned_initial_state(inner: Oracle) -> Oracle:
    """The start is a parameter; a step is the inner cell's."""
    return Oracle(lambda p, s, x: inner.step(p.cell, s, x), lambda p, s: inner.output(p.cell, s))


def conditioned(inner: Oracle) -> Oracle:
    """Deep Learning, Sec. 10.2.4: what a step reads is x(t) and the vector beside it."""
    return Oracle(
        lambda p, s, x: inner.step(p.cell, s, np.concatenate([x, p.vector])), lambda p, s: inner.output(p.cell, s)
    )
