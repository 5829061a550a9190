"""jaxrnn: `unfold` with its defaults."""

from typing import Any

import jaxrnn
from benchmarks.rivals.entrant import Entrant, jax_entrant
from benchmarks.task import Task, Weights

PACKAGE = "jaxrnn"


def cell_of(task: Task) -> tuple[jaxrnn.Cell, Any]:
    """The cell of a task, and its parameters."""
    cells = {"elman": jaxrnn.Elman, "lstm": jaxrnn.LSTM, "gru": jaxrnn.GRU}
    layouts = {"elman": jaxrnn.ElmanParams, "lstm": jaxrnn.LSTMParams, "gru": jaxrnn.GRUParams}
    cell = cells[task.cell](task.shape.input, task.shape.hidden)
    return cell, layouts[task.cell](*(w for w in task.weights if w is not None))


def build(task: Task, device: str) -> Entrant:
    """`unfold(cell, params, xs).outputs`."""
    cell, params = cell_of(task)
    return jax_entrant(
        lambda params, xs: jaxrnn.unfold(cell, params, xs).outputs,
        params,
        task.xs,
        lambda gradient: Weights(*gradient),
        "unfold with its defaults, time first, one device",
    )
