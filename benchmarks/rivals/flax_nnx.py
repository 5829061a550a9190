"""Flax nnx: nnx.RNN over OptimizedLSTMCell, GRUCell, SimpleCell."""

from typing import Any

import jax
from flax import nnx

from benchmarks import reference
from benchmarks.rivals.entrant import Entrant, jax_entrant
from benchmarks.task import Task, Weights

PACKAGE = "flax"


def build(task: Task, device: str) -> Entrant:
    """`nnx.RNN(cell, time_major=True)`, split and merged under jax.jit: the way that costs least a call."""
    cells = {"elman": nnx.SimpleCell, "lstm": nnx.OptimizedLSTMCell, "gru": nnx.GRUCell}
    cell = cells[task.cell](task.shape.input, task.shape.hidden, rngs=nnx.Rngs(0))
    U, W, b, _ = jax.tree.map(jax.numpy.asarray, task.weights)
    cell.dense_i.kernel.set_value(U)
    cell.dense_h.kernel.set_value(W)
    biased = "dense_h" if task.cell == "lstm" else "dense_i"
    getattr(cell, biased).bias.set_value(b)
    graph, params, rest = nnx.split(nnx.RNN(cell, time_major=True), nnx.Param, ...)

    def weights(gradient: Any) -> Weights:
        cell = nnx.to_pure_dict(gradient)["cell"]
        return Weights(cell["dense_i"]["kernel"], cell["dense_h"]["kernel"], cell[biased]["bias"])

    note = "nnx.RNN(time_major=True), split and merged under jax.jit"
    return jax_entrant(
        lambda params, xs: nnx.merge(graph, params, rest, copy=True)(xs),
        params,
        task.xs,
        weights,
        note + ("; its GRU has no bias inside the reset (c = 0)" if task.cell == "gru" else ""),
        computes=reference.without_c if task.cell == "gru" else reference.own,
    )
