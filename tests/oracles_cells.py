"""One step of each further cell in NumPy, written from its paper: column vectors, one matrix a gate."""

from typing import Any

import numpy as np

from tests.oracles import Oracle, columns, sigmoid


def _gate(p: Any, k: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W_x, W_h and b of gate number k, for column vectors."""
    return columns(p.U, k, size).T, columns(p.W, k, size).T, columns(p.b, k, size)


def _peephole_lstm(p: Any, s: Any, x: np.ndarray) -> Any:
    # Graves (2013), Eq. 7 to 11: diagonal W_ci, W_cf, W_co
    n = s.c.shape[-1]
    (xi, hi, bi), (xf, hf, bf), (xc, hc, bc), (xo, ho, bo) = (_gate(p, k, n) for k in range(4))
    ci, cf, co = (np.diag(columns(p.p, k, n)) for k in range(3))
    i = sigmoid(xi @ x + hi @ s.h + ci @ s.c + bi)
    f = sigmoid(xf @ x + hf @ s.h + cf @ s.c + bf)
    c = f * s.c + i * np.tanh(xc @ x + hc @ s.h + bc)
    o = sigmoid(xo @ x + ho @ s.h + co @ c + bo)
    return s._replace(h=o * np.tanh(c), c=c)


def _projected_lstm(p: Any, s: Any, x: np.ndarray) -> Any:
    # Sak et al. (2014), Eq. 7 to 13: r(t-1), the projection, is what the gates read; W_rm = Pᵀ; no peepholes
    (xi, ri, bi), (xf, rf, bf), (xc, rc, bc), (xo, ro, bo) = (_gate(p, k, s.c.shape[-1]) for k in range(4))
    i, f = sigmoid(xi @ x + ri @ s.h + bi), sigmoid(xf @ x + rf @ s.h + bf)
    c = f * s.c + i * np.tanh(xc @ x + rc @ s.h + bc)
    m = sigmoid(xo @ x + ro @ s.h + bo) * np.tanh(c)
    return s._replace(h=p.P.T @ m, c=c)


def _original_gru(p: Any, s: Any, x: np.ndarray) -> Any:
    # Cho et al. (2014), Eq. 5 to 8: r, z, h̃ = tanh(W x + U (r ⊙ h)), h = z h + (1 - z) h̃
    (xr, hr, br), (xz, hz, bz), (xn, hn, bn) = (_gate(p, k, s.h.shape[-1]) for k in range(3))
    r, z = sigmoid(xr @ x + hr @ s.h + br), sigmoid(xz @ x + hz @ s.h + bz)
    new = np.tanh(xn @ x + hn @ (r * s.h) + bn)
    return s._replace(h=z * s.h + (1 - z) * new)


def _coupled_lstm(p: Any, s: Any, x: np.ndarray) -> Any:
    # Greff et al. (2017), CIFG: f = 1 - i
    (xi, ri, bi), (xz, rz, bz), (xo, ro, bo) = (_gate(p, k, s.c.shape[-1]) for k in range(3))
    i = sigmoid(xi @ x + ri @ s.h + bi)
    c = np.tanh(xz @ x + rz @ s.h + bz) * i + s.c * (1 - i)
    return s._replace(h=np.tanh(c) * sigmoid(xo @ x + ro @ s.h + bo), c=c)


def _mgu(p: Any, s: Any, x: np.ndarray) -> Any:
    # Zhou et al. (2016): f = σ(W_f [h, x] + b_f), h̃ = tanh(W_h [f ⊙ h, x] + b_h), h = (1 - f) h + f h̃
    (xf, hf, bf), (xh, hh, bh) = (_gate(p, k, s.h.shape[-1]) for k in range(2))
    f = sigmoid(np.hstack([hf, xf]) @ np.hstack([s.h, x]) + bf)
    new = np.tanh(np.hstack([hh, xh]) @ np.hstack([f * s.h, x]) + bh)
    return s._replace(h=(1 - f) * s.h + f * new)


def _tied_gru(p: Any, s: Any, x: np.ndarray) -> Any:
    # flax.linen.MGUCell: f = σ(W_if x + b_if + W_hf h), n = tanh(W_in x + b_in + f * (W_hn h + b_hn)),
    # h' = (1 - f) * n + f * h
    (xf, hf, bf), (xn, hn, bn) = (_gate(p, k, s.h.shape[-1]) for k in range(2))
    f = sigmoid(xf @ x + bf + hf @ s.h)
    new = np.tanh(xn @ x + bn + f * (hn @ s.h + p.c))
    return s._replace(h=(1 - f) * new + f * s.h)


def _linear(p: Any, k: int, size: int, x: np.ndarray) -> np.ndarray:
    return columns(p.U, k, size).T @ x + columns(p.b, k, size)


def _min_gru(p: Any, s: Any, x: np.ndarray) -> Any:
    # Feng et al. (2024): z = σ(Linear(x)), h̃ = Linear(x), h = (1 - z) h + z h̃
    z, new = sigmoid(_linear(p, 0, s.h.shape[-1], x)), _linear(p, 1, s.h.shape[-1], x)
    return s._replace(h=(1 - z) * s.h + z * new)


def _min_lstm(p: Any, s: Any, x: np.ndarray) -> Any:
    # Feng et al. (2024): f' = f / (f + i), i' = i / (f + i), h = f' h + i' h̃
    i, f, new = (_linear(p, k, s.h.shape[-1], x) for k in range(3))
    i, f = sigmoid(i), sigmoid(f)
    return s._replace(h=f / (f + i) * s.h + i / (f + i) * new)


def _leaky_elman(p: Any, s: Any, x: np.ndarray) -> Any:
    # τ dh/dt = -h + tanh(...) by Euler's rule, dt / τ = σ(r)
    rate = sigmoid(p.r)
    return s._replace(h=s.h + rate * (-s.h + np.tanh(p.W.T @ s.h + p.U.T @ x + p.b)))


def _jordan(p: Any, s: Any, x: np.ndarray) -> Any:
    # Deep Learning, Fig. 10.4: h(t) from o(t-1) and x(t), o(t) = c + V h(t)
    h = np.tanh(p.b + p.W.T @ s.o + p.U.T @ x)
    return s._replace(o=p.c + p.V.T @ h)


def _deep_transition(p: Any, s: Any, x: np.ndarray) -> Any:
    # Pascanu et al. (2014), Eq. 13 to 17: f_i below, f_h within with the shortcut of DT(S)-RNN
    for layer in p.below:
        x = np.tanh(layer.W.T @ x + layer.b)
    z = np.tanh(p.U.T @ x + p.W.T @ s.h + p.b)
    for k, layer in enumerate(p.within, start=1):
        around = p.S.T @ s.h if p.S is not None and k == len(p.within) else 0
        z = np.tanh(layer.W.T @ z + layer.b + around)
    return s._replace(h=z)


def _deep_output(p: Any, s: Any) -> np.ndarray:
    y = s.h
    for layer in p.above:
        y = np.tanh(layer.W.T @ y + layer.b)
    return y


def _ind_rnn(p: Any, s: Any, x: np.ndarray) -> Any:
    # Li et al. (2018), Eq. 2: h = σ(W x + u ⊙ h + b), σ a rectifier
    return s._replace(h=np.maximum(p.U.T @ x + p.w * s.h + p.b, 0))


def _lru(p: Any, s: Any, x: np.ndarray) -> Any:
    # Orvieto et al. (2023), App. A: x_k = diag(λ) x_(k-1) + γ B u_k
    eigenvalues = np.exp(-np.exp(p.nu_log) + 1j * np.exp(p.theta_log))
    B = (p.B_re + 1j * p.B_im).T * np.exp(p.gamma_log)[:, None]
    return s._replace(h=np.diag(eigenvalues) @ s.h + B @ x, x=x)


PEEPHOLE_LSTM = Oracle(_peephole_lstm, lambda p, s: s.h)
PROJECTED_LSTM = Oracle(_projected_lstm, lambda p, s: s.h)
ORIGINAL_GRU = Oracle(_original_gru, lambda p, s: s.h)
COUPLED_LSTM = Oracle(_coupled_lstm, lambda p, s: s.h)
MGU = Oracle(_mgu, lambda p, s: s.h)
TIED_GRU = Oracle(_tied_gru, lambda p, s: s.h)
MIN_GRU = Oracle(_min_gru, lambda p, s: s.h)
MIN_LSTM = Oracle(_min_lstm, lambda p, s: s.h)
LEAKY_ELMAN = Oracle(_leaky_elman, lambda p, s: s.h)
JORDAN = Oracle(_jordan, lambda p, s: s.o)
DEEP_TRANSITION = Oracle(_deep_transition, _deep_output)
IND_RNN = Oracle(_ind_rnn, lambda p, s: s.h)
LRU = Oracle(_lru, lambda p, s: ((p.C_re + 1j * p.C_im).T @ s.h).real + p.D * s.x)
