"""Haiku: hk.dynamic_unroll over hk.LSTM, hk.GRU, and a core of tanh(x U + b + h W)."""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import reference
from benchmarks.rivals.entrant import Entrant, jax_entrant, join, split
from benchmarks.task import Task, Weights

PACKAGE = "dm-haiku"

_NOTES = {
    "elman": "; hk.VanillaRNN has no tanh, so its source with tanh in place of relu",
    "lstm": "",
    "gru": "; its GRU resets before the recurrent product, another function (compared with that one)",
}


class _Elman(hk.RNNCore):
    """hk.VanillaRNN(double_bias=False) with tanh."""

    def __init__(self, hidden_size: int):
        super().__init__(name="elman")
        self.hidden_size = hidden_size

    def __call__(self, inputs: Any, prev_state: Any) -> tuple[Any, Any]:
        drive = hk.Linear(self.hidden_size)(inputs)
        out = jnp.tanh(drive + hk.Linear(self.hidden_size, with_bias=False)(prev_state))
        return out, out

    def initial_state(self, batch_size: int | None) -> Any:
        return jnp.zeros((self.hidden_size,) if batch_size is None else (batch_size, self.hidden_size))


def _permuted(weights: Weights, order: tuple[int, ...], signs: tuple[int, ...]) -> Weights:
    """Gates in another order, some with the other sign; c is dropped."""

    def permute(array: np.ndarray) -> np.ndarray:
        gates = split(array, len(order))
        return join(*(sign * gates[k] for k, sign in zip(order, signs, strict=True)))

    return Weights(permute(weights.U), permute(weights.W), permute(weights.b))


def _to_haiku(task: Task) -> dict[str, dict[str, np.ndarray]]:
    U, W, b, _ = task.weights
    if task.cell == "elman":
        return {"elman/linear": {"w": U, "b": b}, "elman/linear_1": {"w": W}}
    if task.cell == "lstm":  # i, g, f, o in one matrix over (x, h), with 1 added to f
        U, W, b, _ = _permuted(task.weights, (0, 2, 1, 3), (1, 1, 1, 1))
        i, g, f, o = split(b, 4)
        return {"lstm/linear": {"w": np.concatenate([U, W]), "b": join(i, g, f - 1, o)}}
    U, W, b, _ = _permuted(task.weights, (1, 0, 2), (-1, 1, 1))  # z, r, n; its z is 1 - z
    return {"gru": {"w_i": U, "w_h": W, "b": b}}


def build(task: Task, device: str) -> Entrant:
    """`hk.dynamic_unroll` under hk.transform and jax.jit."""
    cores = {"elman": _Elman, "lstm": hk.LSTM, "gru": hk.GRU}

    def run(xs: jax.Array) -> Any:
        core = cores[task.cell](task.shape.hidden)
        return hk.dynamic_unroll(core, xs, core.initial_state(xs.shape[1]))[0]

    apply = hk.without_apply_rng(hk.transform(run)).apply

    def weights(gradient: Any) -> Weights:
        if task.cell == "elman":
            return Weights(
                gradient["elman/linear"]["w"], gradient["elman/linear_1"]["w"], gradient["elman/linear"]["b"]
            )
        if task.cell == "lstm":
            w, b = gradient["lstm/linear"]["w"], gradient["lstm/linear"]["b"]
            stacked = Weights(w[: task.shape.input], w[task.shape.input :], b)
            return _permuted(stacked, (0, 2, 1, 3), (1, 1, 1, 1))
        gru = gradient["gru"]
        return _permuted(Weights(gru["w_i"], gru["w_h"], gru["b"]), (1, 0, 2), (1, -1, 1))

    return jax_entrant(
        apply,
        _to_haiku(task),
        task.xs,
        weights,
        "hk.dynamic_unroll, time first" + _NOTES[task.cell],
        computes=reference.reset_first if task.cell == "gru" else reference.own,
    )
