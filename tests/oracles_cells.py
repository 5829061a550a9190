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


PEEPHOLE_LSTM = Oracle(_peephole_lstm, lambda p, s: s.h)
PROJECTED_LSTM = Oracle(_projected_lstm, lambda p, s: s.h)
ORIGINAL_GRU = Oracle(_original_gru, lambda p, s: s.h)
