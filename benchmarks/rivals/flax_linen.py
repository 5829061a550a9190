"""Flax linen: nn.RNN over OptimizedLSTMCell, GRUCell, SimpleCell."""

from typing import Any

import numpy as np
from flax import linen as nn

from benchmarks.rivals.entrant import Entrant, jax_entrant, join, split
from benchmarks.task import GATES, Task, Weights

PACKAGE = "flax"

_GATES = {"lstm": "ifgo", "gru": "rzn"}


def _params(task: Task) -> dict[str, Any]:
    U, W, b, c = task.weights
    if task.cell == "elman":
        return {"i": {"kernel": U, "bias": b}, "h": {"kernel": W}}
    cell: dict[str, Any] = {}
    gates = GATES[task.cell]
    for name, u, w, bias in zip(_GATES[task.cell], split(U, gates), split(W, gates), split(b, gates), strict=True):
        if task.cell == "lstm":
            cell[f"i{name}"], cell[f"h{name}"] = {"kernel": u}, {"kernel": w, "bias": bias}
        else:
            cell[f"i{name}"], cell[f"h{name}"] = {"kernel": u, "bias": bias}, {"kernel": w}
    if task.cell == "gru":
        cell["hn"]["bias"] = c
    return cell


def build(task: Task, device: str) -> Entrant:
    """`nn.RNN(cell, time_major=True).apply`, jitted."""
    cells = {"elman": nn.SimpleCell, "lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell}
    model = nn.RNN(cells[task.cell](task.shape.hidden), time_major=True)

    def weights(gradient: dict[str, Any]) -> Weights:
        cell = gradient["params"]["cell"]
        if task.cell == "elman":
            return Weights(cell["i"]["kernel"], cell["h"]["kernel"], cell["i"]["bias"])

        def gates(side: str, array: str) -> np.ndarray:
            return join(*(cell[side + name][array] for name in _GATES[task.cell]))

        biased = "h" if task.cell == "lstm" else "i"
        c = cell["hn"]["bias"] if task.cell == "gru" else None
        return Weights(gates("i", "kernel"), gates("h", "kernel"), gates(biased, "bias"), c)

    params = {"params": {"cell": _params(task)}}
    return jax_entrant(model.apply, params, task.xs, weights, "nn.RNN(time_major=True), apply under jax.jit")
