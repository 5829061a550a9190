"""How Flax stores a cell: which class it is there, under which paths its arrays lie, and which choices it has."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

from jaxrnn.cells import activations
from jaxrnn.cells.base import Params
from jaxrnn.cells.elman import Elman, ElmanParams
from jaxrnn.cells.gru import GRU, GRUParams
from jaxrnn.cells.lstm import LSTM, LSTMParams
from jaxrnn.cells.tied_gru import TiedGRU, TiedGRUParams

Arrays = Mapping[str, np.ndarray]


class _Form(NamedTuple):
    """How Flax stores a cell."""

    cell: Any  # its class here
    params: Any
    gates: int
    fields: tuple[tuple[str, ...], ...]  # for each field of params, the arrays that make it, side by side; () is zeros


def _split(cell: Any, params: Any, inputs: str, hidden: str, biased: str, c: str = "") -> _Form:
    """Arrays of their own for each gate, whose names on the side of x and of h are given."""
    x, h = inputs.split(), hidden.split()
    fields = [[f"{name}/kernel" for name in x], [f"{name}/kernel" for name in h]]
    fields.append([f"{name}/bias" for name in biased.split()])
    return _Form(cell, params, len(x), (*map(tuple, fields), *([(f"{c}/bias",)] if c else [])))


def _joined(cell: Any, params: Any, gates: int, biased: str) -> _Form:
    """All gates in one array."""
    fields = (("dense_i/kernel",), ("dense_h/kernel",), (f"{biased}/bias",), ())
    return _Form(cell, params, gates, fields[: len(params._fields)])


_LSTM = _split(LSTM, LSTMParams, "ii if ig io", "hi hf hg ho", "hi hf hg ho")
_FORMS: dict[type, _Form] = {
    linen.SimpleCell: _split(Elman, ElmanParams, "i", "h", "i"),
    linen.OptimizedLSTMCell: _LSTM,
    linen.LSTMCell: _LSTM,
    linen.GRUCell: _split(GRU, GRUParams, "ir iz in", "hr hz hn", "ir iz in", "hn"),
    linen.MGUCell: _split(TiedGRU, TiedGRUParams, "if in", "hf hn", "if in", "hn"),
    nnx.SimpleCell: _joined(Elman, ElmanParams, 1, "dense_i"),
    nnx.OptimizedLSTMCell: _joined(LSTM, LSTMParams, 4, "dense_h"),
    nnx.LSTMCell: _split(LSTM, LSTMParams, "ii if_ ig io", "hi hf hg ho", "hi hf hg ho"),
    nnx.GRUCell: _joined(GRU, GRUParams, 3, "dense_i"),
}


def known(module: Any) -> bool:
    """Whether a module is a cell that there is here."""
    return type(module) in _FORMS


def read(
    where: str, module: Any, given: Mapping[str, Any], path: str
) -> tuple[Any, dict[str, tuple[int, ...]], Callable[[Arrays], Params]]:
    """A Flax cell as a cell, the shapes of the arrays that it needs, and what makes parameters of these.

    Raises:
        ValueError: a choice that this library does not have; no matrix that tells the size of the input.
    """
    form = _FORMS[type(module)]
    choices = _choices(where, module, path)
    hidden = module.features if isinstance(module, linen.Module) else module.hidden_features
    kernel = f"{path}{form.fields[0][0]}"
    if kernel not in given or np.ndim(given[kernel]) != 2 or 0 in np.shape(given[kernel]):
        raise ValueError(
            f"{where}: {kernel} must be there, with two axes: its rows are the size of the input (a module that stands "
            "in two places has arrays in one of them: give each place its own)"
        )
    size = given[kernel].shape[0]
    fields = dict(zip(form.params._fields, form.fields, strict=True))
    reset = choices.get("reset", True)
    if not reset:
        del fields["c"]
    rows = {"U": (size,), "W": (hidden,), "b": (), "c": ()}
    shapes = {}
    for field, names in fields.items():
        columns = hidden if field == "c" else form.gates * hidden
        shapes |= {f"{path}{name}": (*rows[field], columns // len(names)) for name in names}

    def pack(found: Arrays) -> Params:
        values: dict[str, Any] = {}
        for field, names in fields.items():
            parts = [found[path + name] for name in names] or [np.zeros(hidden, found[kernel].dtype)]
            values[field] = np.concatenate(parts, axis=-1)
        return form.params(**(values if reset else {**values, "c": None}))

    return form.cell(size, hidden, **choices), shapes, pack


def _choices(where: str, module: Any, path: str) -> dict[str, Any]:
    """The choices of a cell, as arguments; those that there are not here raise."""
    name, cell = f"{path}{type(module).__name__}", _FORMS[type(module)].cell
    if getattr(module, "gate_fn", jax.nn.sigmoid) is not jax.nn.sigmoid:
        raise ValueError(f"{where}: {name}: gate_fn must be sigmoid, got {module.gate_fn!r}")
    if module.carry_init not in (None, jax.nn.initializers.zeros):
        raise ValueError(f"{where}: {name}: carry_init must be zeros, got {module.carry_init!r}")
    if getattr(module, "residual", False):
        raise ValueError(f"{where}: {name}: residual must be False")
    if cell is Elman:
        named = [n for n in activations.NAMES if getattr(jax.nn, n) is module.activation_fn]
        return {"activation": named[0] if named else module.activation_fn}
    if module.activation_fn is not jnp.tanh:
        raise ValueError(f"{where}: {name}: activation_fn must be tanh, got {module.activation_fn!r}")
    return {"reset": bool(module.reset_gate)} if cell is TiedGRU else {}


def kind(where: str, cell: Any, api: ModuleType) -> tuple[Any, dict[str, Any]]:
    """The class that a cell has in `flax.linen` or `flax.nnx`, and its choices.

    Raises:
        TypeError: there is none.
    """
    if type(cell) is Elman:
        return api.SimpleCell, {"activation_fn": activations.function(cell, cell.activation)}
    if type(cell) is LSTM:
        return api.OptimizedLSTMCell, {}
    if type(cell) is GRU:
        return api.GRUCell, {}
    if type(cell) is TiedGRU and api is linen:
        return api.MGUCell, {"reset_gate": cell.reset}
    if type(cell) is TiedGRU:
        raise TypeError(f"{where}: TiedGRU is linen's MGUCell, which nnx does not have: pass api=flax.linen")
    raise TypeError(
        f"{where}: {type(cell).__name__} has no counterpart in Flax: pass Elman, LSTM, GRU, TiedGRU (the MGUCell of "
        "Flax), or Recurrent, Bidirectional and Sequential of these, with Dropout; jaxrnn.interop.nnx.Recurrent makes "
        "a Flax module of any layer"
    )


def unpacked(kind: type, params: Any) -> dict[str, np.ndarray]:
    """The arrays of a Flax cell by path."""
    flat = {}
    for array, names in zip(params, _FORMS[kind].fields, strict=True):
        if names and array is not None:
            flat |= dict(zip(names, np.split(array, len(names), axis=-1), strict=True))
    return flat
