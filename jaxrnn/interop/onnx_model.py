"""Layers of this library as ONNX models."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrnn.cells import GRU
from jaxrnn.interop import arrays, onnx_layout
from jaxrnn.layers import Bidirectional, Layer, Recurrent

onnx = arrays.framework("onnx", "jaxrnn.interop.onnx")


class Part(NamedTuple):
    """A recurrent layer to be written."""

    kind: str
    direction: str
    cells: list[Any]  # one a direction
    weights: dict[str, np.ndarray]  # (directions, ...)


def part_of(layer: Layer, params: Any) -> Part:
    """What a layer is in ONNX.

    Raises:
        ValueError: it has no node for it.
    """
    direction, each = "forward", [params]
    cells: list[Any] = []
    if isinstance(layer, Recurrent):
        cells, direction = [layer.cell], "reverse" if layer.reverse else "forward"
    elif isinstance(layer, Bidirectional) and layer.merge == "concatenate":
        layers = layer.forward, layer.backward
        cells, each = [inner.cell for inner in layers if isinstance(inner, Recurrent)], list(params)
        direction = "bidirectional"
    kinds = [onnx_layout.kind(cell) for cell in cells]
    alike = len({(type(cell), cell.input_size, cell.hidden_size) for cell in cells if None not in kinds}) == 1
    if len(cells) != len(each) or None in kinds or not alike:
        raise ValueError(
            f"to_onnx: ONNX has no node for {layer}: it has Recurrent(cell) and Bidirectional(cell, cell), "
            "concatenated, of Elman (tanh, relu), LSTM, PeepholeLSTM, GRU and OriginalGRU, and Sequential of these"
        )
    weights = [onnx_layout.to_weights(cell, p) for cell, p in zip(cells, each, strict=True)]
    return Part(str(kinds[0]), direction, cells, {name: np.stack([w[name] for w in weights]) for name in weights[0]})


def model(parts: list[Part], lengths: bool) -> Any:
    """The layers one after another; each one's outputs are made `(time, batch, directions · hidden)`."""
    make = onnx.helper
    dtype = parts[0].weights["W"].dtype
    element = make.np_dtype_to_tensor_dtype(dtype)

    def value(name: str, *shape: str | int) -> Any:
        return make.make_tensor_value_info(name, element, shape)

    nodes, initialisers = [], [onnx.numpy_helper.from_array(np.array([0, 0, -1]), "joined")]
    outputs, x = [], "X"
    for k, part in enumerate(parts):
        name, hidden = f"layer_{k}", part.cells[0].hidden_size
        initialisers += [onnx.numpy_helper.from_array(a, f"{name}.{of}") for of, a in part.weights.items()]
        given = {"X": x} | {of: f"{name}.{of}" for of in part.weights}
        if lengths:
            given["sequence_lens"] = "sequence_lens"
        inputs = [given.get(of, "") for of in onnx_layout.INPUTS[part.kind]]
        finals = [f"{name}.h", f"{name}.c"][: 1 + (part.kind == "LSTM")]
        attributes: dict[str, Any] = {"hidden_size": hidden, "direction": part.direction}
        if part.kind == "RNN":
            attributes["activations"] = [cell.activation.capitalize() for cell in part.cells]
        if part.kind == "GRU":
            attributes["linear_before_reset"] = int(isinstance(part.cells[0], GRU))
        x = "Y" if part is parts[-1] else f"{name}.Y"
        nodes += [
            make.make_node(part.kind, inputs, [f"{name}.directions", *finals], name, **attributes),
            make.make_node("Transpose", [f"{name}.directions"], [f"{name}.apart"], perm=[0, 2, 1, 3]),
            make.make_node("Reshape", [f"{name}.apart", "joined"], [x]),
        ]
        outputs += [value(final, len(part.cells), "batch", hidden) for final in finals]
    first, last = parts[0].cells, parts[-1].cells
    y = value("Y", "time", "batch", len(last) * last[0].hidden_size)
    inputs = [value("X", "time", "batch", first[0].input_size)]
    if lengths:
        inputs.append(make.make_tensor_value_info("sequence_lens", onnx.TensorProto.INT32, ["batch"]))
    graph = make.make_graph(nodes, "jaxrnn", inputs, [y, *outputs], initialisers)
    # The first operator sets that have all of this, and the formats they came with: older runtimes read it too.
    operators, ir = (22, 10) if dtype == jnp.bfloat16 else (14, 8)
    return make.make_model(
        graph, producer_name="jaxrnn", opset_imports=[make.make_opsetid("", operators)], ir_version=ir
    )
