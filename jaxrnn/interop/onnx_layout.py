"""How ONNX lays out the weights of one direction: W `(gates · hidden, input)`, R `(gates · hidden, hidden)`, B, P.

B `(2 · gates · hidden,)` is the bias of the input beside that of the state, P `(3 · hidden,)` the peepholes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrnn.cells import (
    GRU,
    LSTM,
    Cell,
    Elman,
    ElmanParams,
    GRUParams,
    LSTMParams,
    OriginalGRU,
    OriginalGRUParams,
    PeepholeLSTM,
    PeepholeLSTMParams,
)

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
INPUTS = {
    "RNN": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "GRU": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "LSTM": ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"),
}

# Where ONNX has our gates: r, z, n in z, r, h; i, f, g, o in i, o, f, c; the peepholes i, f, o in i, o, f.
_OURS = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 2, 3, 1)}
_PEEPHOLES = (0, 2, 1)


def _reordered(array: Any, order: Sequence[int]) -> Any:
    """The blocks of the first axis in another order."""
    blocks = np.split(array, len(order))
    return _joined(*(blocks[k] for k in order))


def _joined(*blocks: Any) -> Any:
    return np.concatenate(blocks)


def _inverse(order: Sequence[int]) -> list[int]:
    """The order that undoes another."""
    return [order.index(k) for k in range(len(order))]


def kind(cell: Cell) -> str | None:
    """The operator that runs a cell, or None."""
    if isinstance(cell, Elman):
        return "RNN" if cell.activation in ("tanh", "relu") else None
    if isinstance(cell, GRU | OriginalGRU):
        return "GRU"
    return "LSTM" if isinstance(cell, LSTM | PeepholeLSTM) else None


def to_params(cell: Any, weights: Mapping[str, Any]) -> Any:
    """The parameters of a cell from W, R, and B and P where there are any."""
    operator = kind(cell)
    assert operator is not None
    order, zeros = _OURS[operator], np.zeros(2 * len(weights["W"]), weights["W"].dtype)
    U, W = (_reordered(weights[name], order).T for name in ("W", "R"))
    b, c = (_reordered(half, order) for half in np.split(weights.get("B", zeros), 2))
    if isinstance(cell, GRU):
        n = 2 * cell.hidden_size
        return GRUParams(U, W, _joined(b[:n] + c[:n], b[n:]), c[n:])
    if isinstance(cell, OriginalGRU):
        return OriginalGRUParams(U, W, b + c)
    if isinstance(cell, PeepholeLSTM):
        return PeepholeLSTMParams(U, W, b + c, _reordered(weights["P"], _PEEPHOLES))
    return LSTMParams(U, W, b + c) if isinstance(cell, LSTM) else ElmanParams(U, W, b + c)


def to_weights(cell: Cell, params: Any) -> dict[str, np.ndarray]:
    """W, R, B, and P of a cell with peepholes: the inverse of `to_params`. All of b is the input's bias."""
    operator = kind(cell)
    assert operator is not None
    order = _inverse(_OURS[operator])
    c = np.zeros_like(params.b)
    if isinstance(cell, GRU):
        c = _joined(c[: -len(params.c)], params.c)
    b, c = _reordered(params.b, order), _reordered(c, order)
    weights = {"W": _reordered(params.U.T, order), "R": _reordered(params.W.T, order), "B": _joined(b, c)}
    if isinstance(cell, PeepholeLSTM):
        weights["P"] = _reordered(params.p, _inverse(_PEEPHOLES))
    return weights
