"""Weights of Keras, in and out: layers, models and files."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.typing import DTypeLike

from jaxrnn.cells.base import Cell, Params
from jaxrnn.cells.elman import Elman, ElmanParams
from jaxrnn.cells.gru import GRU, GRUParams
from jaxrnn.cells.lstm import LSTM, LSTMParams
from jaxrnn.cells.original_gru import OriginalGRU, OriginalGRUParams
from jaxrnn.interop import arrays, keras_files, keras_old_files, perturbations
from jaxrnn.interop.keras_files import WEIGHTS
from jaxrnn.layers import Bidirectional, BidirectionalParams, Layer, Recurrent, Sequential

Arrays = Mapping[str, Any]

# Where both name the same function; Keras' leaky_relu and gelu have other constants than those of jax.nn.
_ACTIVATIONS = {
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
_MERGES = {"concat": "concatenate", "sum": "sum", "ave": "mean", "mul": "product"}
_GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}


def from_keras(
    source: Any,
    *,
    names: str | Sequence[str] | None = None,
    layer: Layer | Cell | None = None,
    dtype: DTypeLike | None = None,
) -> tuple[Layer, Params]:
    """Recurrent layers of Keras as a layer of this library and its parameters.

    | Keras | here |
    | --- | --- |
    | `SimpleRNN` | `Recurrent(Elman)` with its activation |
    | `LSTM` | `Recurrent(LSTM)` |
    | `GRU` | `Recurrent(GRU)`; with `reset_after=False`, `Recurrent(OriginalGRU)` |
    | `go_backwards` | `reverse`; outputs stay beside the inputs of their time, where Keras gives the last first |
    | `Bidirectional` | `Bidirectional`; `concat`, `sum`, `ave`, `mul` are concatenate, sum, mean, product |
    | a model, or a list of layers | `Sequential` |

    A mask of Keras that is True up to the length of a sequence is `lengths` here; a layer without bias has a bias of
    zeros; states are in Keras' order, `LSTMState(h, c)`. What matters in training alone (dropout, regularizers,
    constraints) and what is a matter of the call here (`stateful`, `return_state`, `return_sequences` of the last
    layer) is not carried over. Files are read as data: nothing in them is executed, and Keras is not needed.

    Args:
        source: a layer that is built; a model or list of such layers; the path of a `.keras` or `.weights.h5` file, or
            of a `.h5` or `.hdf5` file of weights or of a model from before Keras 3, also with `CuDNNLSTM` or
            `CuDNNGRU`, which become `LSTM` and `GRU`.
        names: of a model, or of the file of one, with other layers too: the names of the recurrent layers to read, in
            order, as a `Sequential`, or one name for that layer. None: all layers.
        layer: for a `.h5` or `.hdf5` file, of which only arrays are read and no choices: the layer of this library that
            they are for.
        dtype: the floating type to convert to; None: the one that all arrays have.

    Returns:
        The pair (layer, params).

    Raises:
        TypeError: a source or a layer of another kind, such as a subclass or a custom object.
        ValueError: an option that this library does not have, named; arrays that are missing, not expected, of other
            shapes, not finite, or of several types; a file that is not what its name says.
        FileNotFoundError: no such file.
        ModuleNotFoundError: h5py, or for a layer Keras, is not installed.

    Example:
        layer, params = from_keras("model.keras", names="lstm")

    Source: the equations in keras.layers; Keras' formats of files (keras.saving, and keras.legacy.saving).
    """
    where = f"from_keras: {source}" if isinstance(source, str | os.PathLike) else "from_keras"
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    if path is not None and path.suffix in (".h5", ".hdf5"):
        entries, several = _from_weights(where, path, names, layer)
    elif layer is not None:
        raise ValueError(f"{where}: layer is for a .h5 or .hdf5 file; leave it out")
    elif path is None:
        entries, several = _from_objects(where, source, names)
    elif path.suffix == ".keras":
        entries, several = _from_archive(where, path, names)
    else:
        raise ValueError(f"{where}: expected a file whose name ends in .keras, .h5 or .hdf5")
    parts = _parts(where, entries)
    given = {f"{entry.name}/{name}": array for entry in entries for name, array in entry.arrays.items()}
    shapes = {name: shape for part in parts for name, shape in part.shapes.items()}
    found = arrays.exactly(where, given, shapes, dtype=dtype)
    params = arrays.to_jax(where, tuple(part.pack(found) for part in parts))
    return (Sequential([part.layer for part in parts]), params) if several else (parts[0].layer, params[0])


def to_keras(layer: Layer | Cell, params: Params) -> Any:
    """A layer of this library as Keras layers with its weights: the way back of `from_keras`.

    Args:
        layer: `Recurrent` or `Bidirectional` of `Elman`, `LSTM`, `GRU` or `OriginalGRU`, or such a cell; `Sequential`
            of these. Dropout within a `Recurrent` is left out.
        params: its parameters.

    Returns:
        A Keras layer with `return_sequences=True`, built; for a `Sequential`, a `keras.Sequential` of such.

    Raises:
        TypeError: a layer or cell that Keras does not have.
        ValueError: a choice that Keras does not have, named; parameters that are not the layer's, of several types, or
            not finite.
        ModuleNotFoundError: Keras, or the framework that it runs on, is not installed.

    Example:
        to_keras(Recurrent(LSTM(3, 8)), params).get_weights()
    """
    where = "to_keras"
    params = arrays.of_layer(where, layer, params)
    perturbations.refuse(where, layer)
    several = isinstance(layer, Sequential)
    serialized = _serialized(where, layer.layers if several else [layer])
    keras = _keras(where)
    made = [_built(keras, one, p) for one, p in zip(serialized, params if several else [params], strict=True)]
    if not several:
        return made[0]
    first = jax.tree.leaves(params[0])[0]  # U
    return keras.Sequential([keras.Input((None, first.shape[0]), dtype=str(first.dtype)), *made])


def _keras(where: str) -> Any:
    try:
        return arrays.framework("keras", where)
    except ModuleNotFoundError as error:
        if error.name == "keras":
            raise
        raise ModuleNotFoundError(
            f"{where}: Keras would run on {error.name}, which is not installed: set the environment variable "
            "KERAS_BACKEND to jax before Keras is imported",
            name=error.name,
        ) from error


class _Entry(NamedTuple):
    """A recurrent layer of Keras as it was found."""

    name: str
    serialized: Mapping[str, Any]  # as Keras writes a layer: module, class_name, config
    arrays: Mapping[str, Any]  # kernel, recurrent_kernel, bias; of Bidirectional, under forward/ and backward/


class _Part(NamedTuple):
    """What an entry becomes, before any array is read."""

    layer: Any
    shapes: dict[str, tuple[int, ...]]  # of the arrays that it needs
    pack: Callable[[Arrays], Params]
    outputs: int
    turned: bool  # whether Keras gives the outputs in reverse order


def _from_objects(where: str, source: Any, names: Any) -> tuple[list[_Entry], bool]:
    """The entries of Keras objects, and whether they are to be a Sequential."""
    keras = _keras(where)
    if isinstance(source, keras.Model):
        if names is None and not isinstance(source, keras.Sequential):
            raise ValueError(f"{where}: only keras.Sequential runs its layers one after another: pass names=[...]")
        layers, single = source.layers, isinstance(names, str)
    elif isinstance(source, list | tuple):
        layers, single = source, isinstance(names, str)
    else:
        layers, single = [source], True
    for layer in layers:
        if not isinstance(layer, keras.Layer):
            raise TypeError(
                f"{where}: expected a Keras layer or model, a list of layers, or the path of a file, got "
                f"{type(layer).__name__}"
            )
    entries = []
    for layer in _chosen(where, [(layer.name, layer) for layer in layers], names):
        serialized = keras.saving.serialize_keras_object(layer)
        _known(where, layer.name, serialized)
        if not layer.built:
            raise ValueError(f"{where}: {layer.name} has no weights yet: build it, or call it, first")
        sides = {"": layer}
        if serialized["class_name"] == "Bidirectional":
            sides = {"forward/": layer.forward_layer, "backward/": layer.backward_layer}
        found = {}
        for side, rnn in sides.items():
            weights = {name: getattr(rnn.cell, name, None) for name in WEIGHTS}
            found |= {side + n: keras.ops.convert_to_numpy(w.value) for n, w in weights.items() if w is not None}
        entries.append(_Entry(layer.name, serialized, found))
    return entries, not single


def _from_archive(where: str, path: Path, names: Any) -> tuple[list[_Entry], bool]:
    """The entries of a `.keras` file, and whether they are to be a Sequential."""
    configuration, weights = keras_files.read_archive(where, path)
    described = keras_files.layers(where, configuration)
    if names is None and configuration.get("class_name") != "Sequential":
        raise ValueError(f"{where}: only Sequential runs its layers one after another: pass names=[...]")
    entries = []
    with keras_files.opened(where, weights) as group:
        for key, serialized in _chosen(where, [(one["config"]["name"], (key, one)) for key, one in described], names):
            name = serialized["config"]["name"]
            _known(where, name, serialized)
            entries.append(_Entry(name, serialized, keras_files.read(where, group, key)))
    return entries, not isinstance(names, str)


def _from_weights(where: str, path: Path, names: Any, layer: Any) -> tuple[list[_Entry], bool]:
    """The entries of a file of weights for a layer, and whether they are to be a Sequential."""
    if not isinstance(layer, Layer | Cell):
        raise ValueError(
            f"{where}: such a file holds arrays and no choices (directions, activations, how outputs are merged): pass "
            "the layer that they are for, such as layer=Recurrent(LSTM(3, 8))"
        )
    several = isinstance(layer, Sequential)
    serialized = _serialized(where, layer.layers if several else [layer])
    with keras_files.opened(where, path) as group:
        keys = _keys(where, group, names, serialized)
        if len(keys) != len(serialized):
            raise ValueError(f"{where}: {len(keys)} names for {len(serialized)} layers")
        read = keras_old_files.read if keras_old_files.holds(group) else keras_files.read
        entries = [_Entry(key, one, read(where, group, key)) for key, one in zip(keys, serialized, strict=True)]
    for entry in entries:  # which the file says by what it holds
        for side, one in _sides(entry.serialized).items():
            one["config"]["use_bias"] = f"{side}bias" in entry.arrays or f"{side}kernel" not in entry.arrays
    return entries, several


def _keys(where: str, group: Any, names: Any, serialized: list[dict[str, Any]]) -> list[str]:
    """The groups of the layers to read, in order."""
    if keras_old_files.holds(group):
        keys = keras_old_files.layer_names(where, group)
        if names is None and len(keys) != len(serialized):
            raise ValueError(
                f"{where}: {len(keys)} layers have weights ({arrays.listed(keys)}), expected {len(serialized)}: pass "
                "the names of those to read"
            )
        return _chosen(where, [(key, key) for key in keys], names)
    found = keras_files.layer_names(where, group)
    if names is not None:
        both = {name: key for key, name in found.items()} | {key: key for key in found}
        return _chosen(where, list(both.items()), names)
    keys = keras_files.group_names(one["class_name"] for one in serialized)
    if found.keys() != set(keys):
        missing, extra = arrays.listed(set(keys) - found.keys()), arrays.listed(found.keys() - set(keys))
        raise ValueError(
            f"{where}: other layers than expected: missing {missing}; not expected {extra}: pass the names of those to "
            "read"
        )
    return keys


def _chosen(where: str, found: Sequence[tuple[str, Any]], names: Any) -> list[Any]:
    """What `names` chooses among pairs of name and thing, in order; all without names."""
    by_name = dict(found)
    if len(by_name) < len(found):
        raise ValueError(f"{where}: two layers have one name: {arrays.listed(name for name, _ in found)}")
    wanted = list(by_name) if names is None else [names] if isinstance(names, str) else list(names)
    if not all(isinstance(name, str) for name in wanted):
        raise TypeError(f"{where}: names must be the name of a layer, or a list of names, got {names!r}")
    missing = [name for name in wanted if name not in by_name]
    if missing:
        raise ValueError(f"{where}: no layer {arrays.listed(missing)}: there are {arrays.listed(by_name)}")
    if not wanted:
        raise ValueError(f"{where}: there are no layers to read, or names is empty")
    return [by_name[name] for name in wanted]


def _known(where: str, name: str, serialized: Any) -> None:
    """It is one of Keras' own recurrent layers, not an object that others registered."""
    kind = serialized.get("class_name") if isinstance(serialized, dict) else None
    own = kind and str(serialized.get("module")).split(".")[0] == "keras" and not serialized.get("registered_name")
    if not own or kind not in (*_GATES, "Bidirectional"):
        raise TypeError(
            f"{where}: {name} is of the kind {kind}{'' if own else ', not one of Keras itself'}: pass SimpleRNN, LSTM, "
            "GRU or Bidirectional of these; in a model with other layers too, the names of those to read"
        )
    if not isinstance(serialized.get("config"), dict):
        raise ValueError(f"{where}: {name} has no configuration")
    if kind == "Bidirectional":
        for side in ("layer", "backward_layer"):
            inner = serialized["config"].get(side)
            if not isinstance(inner, dict) or inner.get("class_name") not in _GATES:
                raise TypeError(f"{where}: {name}: {side} must be SimpleRNN, LSTM or GRU")
            _known(where, f"{name}/{side}", inner)


def _sides(serialized: Mapping[str, Any]) -> dict[str, Any]:
    """The layers with weights within a layer."""
    if serialized["class_name"] == "Bidirectional":
        return {"forward/": serialized["config"]["layer"], "backward/": serialized["config"]["backward_layer"]}
    return {"": serialized}


def _parts(where: str, entries: list[_Entry]) -> list[_Part]:
    """What the entries become, one after another."""
    parts: list[_Part] = []
    for number, entry in enumerate(entries):
        below = parts[-1] if parts else None
        if number + 1 < len(entries):
            for one in _sides(entry.serialized).values():
                if not one["config"].get("return_sequences"):
                    raise ValueError(f"{where}: {entry.name} has layers after it, but not return_sequences=True")
        part = _bidirectional if entry.serialized["class_name"] == "Bidirectional" else _recurrent
        parts.append(part(where, entry, below))
    return parts


def _recurrent(where: str, entry: _Entry, below: _Part | None) -> _Part:
    part = _one(where, entry, "", entry.serialized, below)
    # Keras reads the outputs of a layer that goes backwards in their reverse order.
    reverse = bool(entry.serialized["config"].get("go_backwards")) != (below is not None and below.turned)
    return part._replace(layer=Recurrent(part.layer.cell, reverse=reverse), turned=reverse)


def _bidirectional(where: str, entry: _Entry, below: _Part | None) -> _Part:
    config = entry.serialized["config"]
    if below is not None and below.turned:
        raise ValueError(f"{where}: {entry.name} is Bidirectional and reads what go_backwards has reversed")
    if config["layer"]["config"].get("go_backwards") or not config["backward_layer"]["config"].get("go_backwards"):
        raise ValueError(f"{where}: {entry.name}: go_backwards must be False for layer and True for backward_layer")
    if config.get("merge_mode") not in _MERGES:
        raise ValueError(
            f"{where}: {entry.name}: merge_mode must be one of {', '.join(_MERGES)}, got {config.get('merge_mode')!r}"
        )
    forward, backward = (_one(where, entry, side, one, below) for side, one in _sides(entry.serialized).items())
    merge = _MERGES[config["merge_mode"]]
    return _Part(
        Bidirectional(forward.layer, backward.layer, merge),
        forward.shapes | backward.shapes,
        lambda found: BidirectionalParams(forward.pack(found), backward.pack(found)),
        forward.outputs + backward.outputs if merge == "concatenate" else forward.outputs,
        False,
    )


def _one(where: str, entry: _Entry, side: str, serialized: Mapping[str, Any], below: _Part | None) -> _Part:
    """One SimpleRNN, LSTM or GRU."""
    name = f"{entry.name}/{side}"
    kind, config = serialized["class_name"], serialized["config"]
    cell, units = _cell(where, name.rstrip("/"), kind, config), config["units"]
    kernel = entry.arrays.get(f"{side}kernel", 0)
    rows = below.outputs if below else np.shape(kernel)[0] if np.ndim(kernel) == 2 else 1
    after = kind == "GRU" and config.get("reset_after", True)
    columns = _GATES[kind] * units
    shapes = {"kernel": (rows, columns), "recurrent_kernel": (units, columns)}
    if config.get("use_bias", True):
        shapes["bias"] = (2, columns) if after else (columns,)

    def pack(found: Arrays) -> Params:
        U, W = found[f"{name}kernel"], found[f"{name}recurrent_kernel"]
        b = found.get(f"{name}bias", np.zeros((2, columns) if after else columns, U.dtype))
        if kind == "GRU":
            U, W, b = _swapped(U), _swapped(W), _swapped(b)
        if not after:
            return {Elman: ElmanParams, LSTM: LSTMParams, OriginalGRU: OriginalGRUParams}[cell](U, W, b)
        inside: Any = np.concatenate([b[1, : 2 * units], np.zeros_like(b[1, 2 * units :])])
        return GRUParams(U, W, b[0] + inside, b[1, 2 * units :])

    choices = {"activation": _ACTIVATIONS[config["activation"]]} if cell is Elman else {}
    recurrent = Recurrent(cell(rows, units, **choices))
    return _Part(recurrent, {name + key: shape for key, shape in shapes.items()}, pack, units, False)


def _cell(where: str, name: str, kind: str, config: Mapping[str, Any]) -> Any:
    """The class of the cell, if there is one with these choices."""
    units, activation = config.get("units"), config.get("activation")
    if not isinstance(units, int) or isinstance(units, bool) or units < 1:
        raise ValueError(f"{where}: {name}: units must be a whole number of at least 1, got {units!r}")
    if kind == "SimpleRNN":
        if not isinstance(activation, str) or activation not in _ACTIVATIONS:
            raise ValueError(
                f"{where}: {name}: activation must be one of {', '.join(_ACTIVATIONS)}, got {activation!r}"
            )
        return Elman
    for option, expected in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        if config.get(option) != expected:
            raise ValueError(f"{where}: {name}: {option} must be {expected!r}, got {config.get(option)!r}")
    if kind == "LSTM":
        return LSTM
    return GRU if config.get("reset_after", True) else OriginalGRU


def _swapped(array: Any) -> Any:
    """Gates z, r, h in the order r, z, n, or back."""
    first, second, last = np.split(array, 3, axis=-1)
    return np.concatenate([second, first, last], axis=-1)


def _serialized(where: str, layers: Sequence[Layer | Cell]) -> list[dict[str, Any]]:
    """How Keras would write these layers, one after another."""
    found, turned = [], False
    for layer in layers:
        if isinstance(layer, Bidirectional):
            if turned:
                raise ValueError(f"{where}: in Keras, Bidirectional after a layer in reverse would read it reversed")
            found.append(_serialized_bidirectional(where, layer))
            continue
        layer = Recurrent(layer) if isinstance(layer, Cell) else layer
        if not isinstance(layer, Recurrent):
            raise TypeError(
                f"{where}: {type(layer).__name__} has no counterpart in Keras: pass Recurrent or Bidirectional of "
                "Elman, LSTM, GRU or OriginalGRU, or a Sequential of these"
            )
        found.append(_serialized_recurrent(where, layer.cell, layer.reverse != turned))
        turned = layer.reverse
    return found


def _serialized_bidirectional(where: str, layer: Bidirectional) -> dict[str, Any]:
    sides = []
    for side, backwards in ((layer.forward, False), (layer.backward, True)):
        if not isinstance(side, Recurrent):
            raise TypeError(f"{where}: each direction of Bidirectional must be Recurrent(cell) for Keras, got {side!r}")
        sides.append(_serialized_recurrent(where, side.cell, backwards))
    named = [theirs for theirs, ours in _MERGES.items() if ours == layer.merge]
    if not named:
        raise ValueError(f"{where}: merge must be one of {', '.join(_MERGES.values())} for Keras, got {layer.merge!r}")
    config = {"merge_mode": named[0], "layer": sides[0], "backward_layer": sides[1]}
    return {"module": "keras.layers", "class_name": "Bidirectional", "config": config}


def _serialized_recurrent(where: str, cell: Any, backwards: bool) -> dict[str, Any]:
    choices: dict[str, Any] = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    if type(cell) is Elman:
        named = [theirs for theirs, ours in _ACTIVATIONS.items() if ours == cell.activation]
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


def _built(keras: Any, serialized: Mapping[str, Any], params: Any) -> Any:
    """A Keras layer with its weights."""
    kind, config = serialized["class_name"], dict(serialized["config"])
    dtype = str(jax.tree.leaves(params)[0].dtype)
    if kind == "Bidirectional":
        sides = [
            _built(keras, config.pop(side), p) for side, p in zip(("layer", "backward_layer"), params, strict=True)
        ]
        made = keras.layers.Bidirectional(sides[0], backward_layer=sides[1], dtype=dtype, **config)
        made.build((None, None, params.forward.U.shape[0]))
        made.set_weights([w for side in sides for w in side.get_weights()])
        return made
    # Not Keras' orthogonal matrices, which it cannot draw in bfloat16; the weights are replaced here.
    made = getattr(keras.layers, kind)(dtype=dtype, recurrent_initializer="glorot_uniform", **config)
    made.build((None, None, params.U.shape[0]))
    made.set_weights(_weights(kind, params))
    return made


def _weights(kind: str, params: Any) -> list[np.ndarray]:
    """The arrays of a cell in the order and layout of Keras."""
    if kind != "GRU":
        return list(params)
    U, W, b = (_swapped(array) for array in params[:3])
    if not hasattr(params, "c"):
        return [U, W, b]
    return [U, W, np.stack([b, np.concatenate([np.zeros(2 * len(params.c), b.dtype), params.c])])]
