"""How Keras stores a cell: its choices, and the order and layout of its arrays."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.cells.base import Params
from jaxrnn.cells.elman import Elman, ElmanParams
from jaxrnn.cells.gru import GRU, GRUParams
from jaxrnn.cells.lstm import LSTM, LSTMParams
from jaxrnn.cells.original_gru import OriginalGRU, OriginalGRUParams

# Where both name the same function; Keras' leaky_relu and gelu have other constants than those of jax.nn.
ACTIVATIONS = {
    "celu": "celu",
    "elu": "elu",
    "hard_sigmoid": "hard_sigmoid",
    "hard_tanh": "hard_tanh",
    "linear": "identity",
    "log_sigmoid": "log_sigmoid",
    "mish": "mish",
    "relu": "relu",
    "relu6": "relu6",
    "selu": "selu",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "softplus": "softplus",
    "softsign": "soft_sign",
    "tanh": "tanh",
}
GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}


class Form(NamedTuple):
    """What a SimpleRNN, LSTM or GRU is here, before any of its arrays is read."""

    cell: Any
    shapes: dict[str, tuple[int, ...]]  # of its arrays, by name
    pack: Callable[[Mapping[str, Any]], Params]  # parameters from these arrays


def read(where: str, serialized: Mapping[str, Any], kernel: Any, inputs: int | None) -> Form:
    """A cell as Keras writes it.

    Args:
        where: what begins every error.
        serialized: class_name and config.
        kernel: its first array, or None; without a layer below, its rows are the size of the input.
        inputs: entries of the outputs of the layer below.

    Raises:
        ValueError: a choice that this library does not have.
    """
    kind, config = serialized["class_name"], serialized["config"]
    cell, units = _class(where, kind, config), config["units"]
    rows = inputs or (max(np.shape(kernel)[0], 1) if np.ndim(kernel) == 2 else 1)
    after = cell is GRU
    columns = GATES[kind] * units
    shapes = {"kernel": (rows, columns), "recurrent_kernel": (units, columns)}
    if config.get("use_bias", True):
        shapes["bias"] = (2, columns) if after else (columns,)

    def pack(found: Mapping[str, Any]) -> Params:
        U, W = found["kernel"], found["recurrent_kernel"]
        b = found.get("bias", np.zeros((2, columns) if after else columns, U.dtype))
        if kind == "GRU":
            U, W, b = _swapped(U), _swapped(W), _swapped(b)
        if not after:
            return {Elman: ElmanParams, LSTM: LSTMParams, OriginalGRU: OriginalGRUParams}[cell](U, W, b)
        inside: Any = np.concatenate([b[1, : 2 * units], np.zeros_like(b[1, 2 * units :])])
        return GRUParams(U, W, b[0] + inside, b[1, 2 * units :])

    choices = {"activation": ACTIVATIONS[config["activation"]]} if cell is Elman else {}
    return Form(cell(rows, units, **choices), shapes, pack)


def _class(where: str, kind: str, config: Mapping[str, Any]) -> Any:
    """The class of the cell, if there is one with these choices."""
    units, activation = config.get("units"), config.get("activation")
    if not isinstance(units, int) or isinstance(units, bool) or units < 1:
        raise ValueError(f"{where}: units must be a whole number of at least 1, got {units!r}")
    if kind == "SimpleRNN":
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            raise ValueError(f"{where}: activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        return Elman
    for option, expected in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        if config.get(option) != expected:
            raise ValueError(f"{where}: {option} must be {expected!r}, got {config.get(option)!r}")
    if kind == "LSTM":
        return LSTM
    return GRU if config.get("reset_after", True) else OriginalGRU


def serialized(where: str, cell: Any, backwards: bool) -> dict[str, Any]:
    """A cell as Keras writes it.

    Raises:
        ValueError: an activation that Keras does not have.
        TypeError: a cell that it does not have.
    """
    choices: dict[str, Any] = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    if type(cell) is Elman:
        named = [theirs for theirs, ours in ACTIVATIONS.items() if ours == cell.activation]
        if not named:
            raise ValueError(f"{where}: Keras has no activation {cell.activation!r} for Elman")
        kind, choices = "SimpleRNN", {"activation": named[0]}
    elif type(cell) is LSTM:
        kind = "LSTM"
    elif type(cell) in (GRU, OriginalGRU):
        kind, choices["reset_after"] = "GRU", type(cell) is GRU
    else:
        raise TypeError(
            f"{where}: {type(cell).__name__} has no counterpart in Keras: pass Elman, LSTM, GRU or OriginalGRU"
        )
    config = {"units": cell.hidden_size, "go_backwards": backwards, "return_sequences": True, **choices}
    return {"module": "keras.layers", "class_name": kind, "config": config}


def _swapped(array: Any) -> Any:
    """Gates z, r, h in the order r, z, n, or back."""
    first, second, last = np.split(array, 3, axis=-1)
    return np.concatenate([second, first, last], axis=-1)


def weights(kind: str, params: Any) -> list[np.ndarray]:
    """The arrays of a cell in the order and layout of Keras."""
    if kind != "GRU":
        return list(params)
    U, W, b = (_swapped(array) for array in params[:3])
    if not hasattr(params, "c"):
        return [U, W, b]
    return [U, W, np.stack([b, np.concatenate([np.zeros(2 * len(params.c), b.dtype), params.c])])]
