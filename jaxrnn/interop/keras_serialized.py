"""Layers as Keras writes them: module, class_name and config."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxrnn.cells.base import Cell
from jaxrnn.interop import keras_cells
from jaxrnn.layers import Bidirectional, Dropout, Layer, Recurrent

MERGES = {"concat": "concatenate", "sum": "sum", "ave": "mean", "mul": "product"}
_KINDS = (*keras_cells.GATES, "Bidirectional", "Dropout")


def choice(layers: Iterable[tuple[str, Any]]) -> str:
    """What to pass to read those of a model's layers, of names and kinds, that can be read, for an error."""
    names = [name for name, kind in layers if kind in _KINDS]
    return f"pass names= of those to read, in order, here {names}"


def known(where: str, name: str, serialized: Any, hint: str = "") -> None:
    """It is one of Keras' own recurrent layers, or Dropout, not an object that others registered."""
    kind = serialized.get("class_name") if isinstance(serialized, dict) else None
    own = kind and str(serialized.get("module")).split(".")[0] == "keras" and not serialized.get("registered_name")
    if not own or kind not in _KINDS:
        raise TypeError(
            f"{where}: {name} is of the kind {kind}{'' if own else ', not one of Keras itself'}: pass SimpleRNN, LSTM, "
            f"GRU, Bidirectional of these, or Dropout{hint and '; of a model, '}{hint}"
        )
    if not isinstance(serialized.get("config"), dict):
        raise ValueError(f"{where}: {name} has no configuration")
    if kind == "Bidirectional":
        for side in ("layer", "backward_layer"):
            inner = serialized["config"].get(side)
            if not isinstance(inner, dict) or inner.get("class_name") not in tuple(keras_cells.GATES):
                raise TypeError(f"{where}: {name}: {side} must be SimpleRNN, LSTM or GRU")
            known(where, f"{name}/{side}", inner)


def sides(serialized: Mapping[str, Any]) -> dict[str, Any]:
    """The layers with weights within a layer; Dropout has none."""
    if serialized["class_name"] == "Dropout":
        return {}
    if serialized["class_name"] == "Bidirectional":
        return {"forward/": serialized["config"]["layer"], "backward/": serialized["config"]["backward_layer"]}
    return {"": serialized}


def serialized(where: str, layers: Sequence[Layer | Cell]) -> list[dict[str, Any]]:
    """How Keras would write these layers, one after another."""
    found, turned = [], False
    for layer in layers:
        if isinstance(layer, Bidirectional):
            if turned:
                raise ValueError(f"{where}: in Keras, Bidirectional after a layer in reverse would read it reversed")
            found.append(_serialized_bidirectional(where, layer))
            continue
        if isinstance(layer, Dropout):
            config = {"rate": float(layer.rate)}
            found.append({"module": "keras.layers", "class_name": "Dropout", "config": config})
            continue
        layer = Recurrent(layer) if isinstance(layer, Cell) else layer
        if not isinstance(layer, Recurrent):
            raise TypeError(
                f"{where}: {type(layer).__name__} has no counterpart in Keras: pass Recurrent or Bidirectional of "
                "Elman, LSTM, GRU or OriginalGRU, Dropout, or a Sequential of these"
            )
        found.append(keras_cells.serialized(where, layer.cell, layer.reverse != turned))
        turned = layer.reverse
    return found


def _serialized_bidirectional(where: str, layer: Bidirectional) -> dict[str, Any]:
    sides = []
    for side, backwards in ((layer.forward, False), (layer.backward, True)):
        if not isinstance(side, Recurrent):
            raise TypeError(f"{where}: each direction of Bidirectional must be Recurrent(cell) for Keras, got {side!r}")
        sides.append(keras_cells.serialized(where, side.cell, backwards))
    named = [theirs for theirs, ours in MERGES.items() if ours == layer.merge]
    if not named:
        raise ValueError(f"{where}: merge must be one of {', '.join(MERGES.values())} for Keras, got {layer.merge!r}")
    config = {"merge_mode": named[0], "layer": sides[0], "backward_layer": sides[1]}
    return {"module": "keras.layers", "class_name": "Bidirectional", "config": config}
