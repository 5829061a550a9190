"""Weights of ONNX models, in and out."""

import numbers
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax.typing import DTypeLike

from jaxrnn.cells import GRU, LSTM, Cell, Elman, OriginalGRU, PeepholeLSTM
from jaxrnn.interop import arrays, onnx_layout, onnx_model, perturbations
from jaxrnn.interop.flatten import flatten
from jaxrnn.layers import Bidirectional, BidirectionalParams, Dropout, Layer, Recurrent

onnx = arrays.framework("onnx", "jaxrnn.interop.onnx")

_ACTIVATIONS = {"RNN": ["tanh"], "GRU": ["sigmoid", "tanh"], "LSTM": ["sigmoid", "tanh", "tanh"]}


def from_onnx(source: Any, node: str | int | None = None, *, dtype: DTypeLike | None = None) -> tuple[Layer, Any]:
    """The layer and parameters that give the same numbers as an RNN, GRU or LSTM node of an ONNX model.

    The cell is `Elman`, `LSTM`, with peepholes `PeepholeLSTM`, `GRU` for `linear_before_reset=1` and else
    `OriginalGRU`; the layer is `Recurrent(cell)`, for `direction="reverse"` run in reverse, or `Bidirectional`. The
    two biases are summed, but for the GRU's of the new content, inside the reset.

    Outputs are `(time, batch, directions · hidden)`, where the node's Y is `(time, directions, batch, hidden)`. What is
    no weight is for `apply`: `sequence_lens` is `lengths`, `initial_h` and `initial_c` are `state`, and for inputs of a
    node with `layout=1` pass `time_axis=1`.

    Args:
        source: an `onnx.ModelProto`, or the path of an ONNX file.
        node: which of the recurrent nodes of the model's graph: its name, or its number, from 0; None: the only one.
        dtype: the floating type of the parameters; None: that of the weights.

    Returns:
        `(layer, params)`. The parameters share no memory with the model.

    Raises:
        ValueError: no such node, or several to choose from; a weight that is not in the model, or is of another shape
            than it must be, not of a floating type, not of one type, or not finite; an attribute that asks for what the
            cells do not do (clip, input_forget, other activations); a file that is not an ONNX model; float64 weights
            without `jax_enable_x64` and without dtype.
        TypeError: a source that is neither a model nor a path; a node that is neither a name nor a whole number.
        FileNotFoundError: no such file.
        ModuleNotFoundError: on import, that onnx is not installed.

    Example:
        layer, params = from_onnx("model.onnx", node="encoder")
        run = layer.apply(params, xs)

    Source: the ONNX operators RNN, GRU and LSTM, versions 7 to 22.
    """
    if isinstance(source, str | os.PathLike):
        where, model = f"from_onnx: {os.fspath(source)}", _read(Path(source))
    elif isinstance(source, onnx.ModelProto):
        where, model = "from_onnx", source
    else:
        raise TypeError(f"from_onnx: expected a ModelProto or a path, got {type(source).__name__}")
    chosen = _choose(where, model, node)
    constants = _constants(where, model, chosen)
    if chosen.input[4:5] and chosen.input[4] in constants:
        raise ValueError(
            f"{where}: {_described(chosen)}: sequence_lens is a constant, and a layer holds none: empty that input of "
            "the node, and pass lengths= to apply"
        )
    return _from_node(where, chosen, constants, dtype)


def from_node(node: Any, inputs: Mapping[str, Any], *, dtype: DTypeLike | None = None) -> tuple[Layer, Any]:
    """As `from_onnx`, of one node whose weights are given beside it.

    Args:
        node: an `onnx.NodeProto` of type RNN, GRU or LSTM.
        inputs: arrays by the names that the node's inputs have; those that are no weights may be left out.
        dtype: the floating type of the parameters; None: that of the weights.

    Raises:
        ValueError: as `from_onnx`.
        TypeError: something that is no node.

    Example:
        node = onnx.helper.make_node("GRU", ["X", "W", "R"], ["Y"], hidden_size=8, linear_before_reset=1)
        layer, params = from_node(node, {"W": W, "R": R})
    """
    if not isinstance(node, onnx.NodeProto):
        raise TypeError(f"from_node: expected an onnx.NodeProto, got {type(node).__name__}")
    if node.op_type not in onnx_layout.INPUTS or node.domain not in ("", "ai.onnx"):
        raise ValueError(f"from_node: expected a node of type RNN, GRU or LSTM, got {_described(node)}")
    return _from_node("from_node", node, inputs, dtype)


def to_onnx(layer: Layer | Cell, params: Any, *, lengths: bool = False) -> Any:
    """The ONNX model that gives the same numbers as a layer in evaluation: the inverse of `from_onnx`.

    Its input `X` is `(time, batch, input)`; its outputs are `Y`, `(time, batch, output)`, and for each recurrent layer
    k, from 0, the final `layer_k.h` and of an LSTM `layer_k.c`, `(directions, batch, hidden)`. Nodes are called
    `layer_k`. Dropout does nothing in evaluation and is left out. With `lengths`, a second input `sequence_lens`,
    `(batch,)` of int32, is what `lengths` is to `apply`.

    Args:
        layer: an `Elman` (tanh or relu), `LSTM`, `PeepholeLSTM`, `GRU` or `OriginalGRU`; `Recurrent`, `Bidirectional`
            (concatenated) or `Sequential` of these, or a `Stack`.
        params: its parameters.
        lengths: whether the model is told how long each sequence is; else all are as long as X.

    Returns:
        An `onnx.ModelProto` of operator set 14 (for bfloat16: 22), for `onnx.save`.

    Raises:
        ValueError: a layer for which ONNX has no node; parameters that are not the layer's, or not finite.
        TypeError: something that is no cell and no layer; lengths that are not True or False.

    Example:
        onnx.save(to_onnx(Recurrent(cell), params), "gru.onnx")
    """
    if not isinstance(lengths, bool):
        raise TypeError(
            f"to_onnx: lengths must be True or False, got {type(lengths).__name__}: the lengths themselves are for the "
            "model's input sequence_lens"
        )
    host = arrays.of_layer("to_onnx", layer, params)
    perturbations.refuse("to_onnx", layer)
    parts = [onnx_model.part_of(inner, p) for inner, p in flatten(layer, host) if not isinstance(inner, Dropout)]
    if not parts:
        raise ValueError(f"to_onnx: {layer} has no recurrent layer")
    return onnx_model.model(parts, lengths)


def _read(path: Path) -> Any:
    arrays.there("from_onnx", path)
    try:
        model = onnx.load(path)
    except Exception as error:  # of any kind, for a file that may hold anything
        raise ValueError(f"from_onnx: {path}: not a whole ONNX model ({type(error).__name__}: {error})") from None
    if not model.HasField("graph"):  # as in an empty file
        raise ValueError(f"from_onnx: {path}: not a whole ONNX model (it has no graph)")
    return model


def _described(node: Any) -> str:
    return f"node {node.name!r} ({node.domain + '.' if node.domain else ''}{node.op_type})"


def _choose(where: str, model: Any, node: str | int | None) -> Any:
    """The recurrent node that is asked for."""
    if isinstance(node, bool) or not isinstance(node, str | numbers.Integral | None):
        raise TypeError(f"{where}: node must be a name, a number from 0, or None, got {node!r}")
    nodes = [n for n in model.graph.node if n.op_type in onnx_layout.INPUTS and n.domain in ("", "ai.onnx")]
    there = "; ".join(f"{k}: {_described(n)}" for k, n in enumerate(nodes)) or "none"
    if node is None and len(nodes) == 1:
        return nodes[0]
    if node is None:
        raise ValueError(f"{where}: expected one RNN, GRU or LSTM node, pass node= name or number of one of: {there}")
    named = [n for k, n in enumerate(nodes) if node == (n.name if isinstance(node, str) else k)]
    if len(named) != 1:
        raise ValueError(f"{where}: node={node!r} is not one of the RNN, GRU and LSTM nodes: {there}")
    return named[0]


def _constants(where: str, model: Any, node: Any) -> dict[str, np.ndarray]:
    """Those of a node's inputs whose values the model holds: initialisers, and outputs of `Constant` nodes."""
    wanted = {name for name in node.input if name}
    tensors = {t.name: t for t in model.graph.initializer if t.name in wanted}
    for other in model.graph.node:
        if other.op_type == "Constant" and other.output and other.output[0] in wanted:
            tensors.update((other.output[0], a.t) for a in other.attribute if a.name == "value")
    found = {}
    for name, tensor in tensors.items():
        try:
            found[name] = onnx.numpy_helper.to_array(tensor)
        except Exception as error:  # of any kind, for data that may be anything
            raise ValueError(f"{where}: the values of {name} cannot be read ({error})") from None
    return found


class _Attributes(NamedTuple):
    """What a node asks for, beside its weights."""

    direction: str
    directions: int
    activations: list[str]
    hidden_size: int | None
    linear_before_reset: bool


def _attributes(where: str, node: Any) -> _Attributes:
    try:
        onnx.checker.check_node(node)
    except (onnx.checker.ValidationError, UnicodeError) as error:
        raise ValueError(f"{where}: not a valid node ({error})") from None
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    direction = given.pop("direction", b"forward").decode(errors="replace")
    if direction not in ("forward", "reverse", "bidirectional"):
        raise ValueError(f"{where}: direction must be forward, reverse or bidirectional, got {direction!r}")
    directions = 2 if direction == "bidirectional" else 1
    default = _ACTIVATIONS[node.op_type] * directions
    activations = [name.decode(errors="replace").lower() for name in given.pop("activations", [])] or default
    chosen = node.op_type == "RNN" and len(activations) == directions and set(activations) <= {"tanh", "relu"}
    if activations != default and not chosen:
        allowed = "tanh or relu, one a direction" if node.op_type == "RNN" else ", ".join(default)
        raise ValueError(f"{where}: activations must be {allowed}, got {', '.join(activations)}")
    hidden, linear = given.pop("hidden_size", None), given.pop("linear_before_reset", 0)
    given.pop("layout", None)  # of inputs and outputs, not of weights
    for name, value in given.items():
        if name != "input_forget" or value:
            raise ValueError(f"{where}: {name}={value} is not supported: only nodes without it can be loaded")
    return _Attributes(direction, directions, activations, hidden, bool(linear))


def _from_node(where: str, node: Any, inputs: Mapping[str, Any], dtype: DTypeLike | None) -> tuple[Layer, Any]:
    where = f"{where}: {_described(node)}"
    asked = _attributes(where, node)
    weights = _weights(where, node, inputs)
    size, hidden = weights["W"].shape[2], asked.hidden_size or weights["R"].shape[2]
    rows = onnx_layout.GATES[node.op_type] * hidden
    shapes = {"W": (rows, size), "R": (rows, hidden), "B": (2 * rows,), "P": (3 * hidden,)}
    shapes = {name: (asked.directions, *shapes[name]) for name in weights}
    weights = arrays.exactly(where, weights, shapes, dtype=dtype)
    cells = [_cell(node.op_type, size, hidden, asked, k, "P" in weights) for k in range(asked.directions)]
    params = [onnx_layout.to_params(cell, {n: a[k] for n, a in weights.items()}) for k, cell in enumerate(cells)]
    if asked.direction == "bidirectional":
        return Bidirectional(cells[0], cells[1]), arrays.to_jax(where, BidirectionalParams(*params))
    return Recurrent(cells[0], reverse=asked.direction == "reverse"), arrays.to_jax(where, params[0])


def _weights(where: str, node: Any, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """W and R, and B and P where the node has them; not yet checked against each other."""
    names = {ours: name for ours, name in zip(onnx_layout.INPUTS[node.op_type], node.input, strict=False) if name}
    found = {ours: np.asarray(inputs[name]) for ours, name in names.items() if name in inputs}
    needed = {"W", "R"} | ({"B", "P"} & names.keys())
    if needed - found.keys():
        raise ValueError(
            f"{where}: {arrays.listed(needed - found.keys())} must be given by an initialiser or a Constant node: fold "
            "the model's constants before"
        )
    for state in ("initial_h", "initial_c"):
        if state in found and found[state].any():
            raise ValueError(
                f"{where}: {state} is a constant that is not zero, and a layer holds none: empty that input of the "
                "node, and pass state= to apply"
            )
    for name in ("W", "R"):
        if found[name].ndim != 3 or 0 in found[name].shape:
            raise ValueError(f"{where}: {name} must be (directions, gates · hidden, size), got {found[name].shape}")
    return {name: found[name] for name in ("W", "R", "B", "P") if name in needed}


def _cell(kind: str, size: int, hidden: int, asked: _Attributes, direction: int, peepholes: bool) -> Cell:
    if kind == "RNN":
        return Elman(size, hidden, activation=asked.activations[direction])
    if kind == "GRU":
        return GRU(size, hidden) if asked.linear_before_reset else OriginalGRU(size, hidden)
    return PeepholeLSTM(size, hidden) if peepholes else LSTM(size, hidden)
