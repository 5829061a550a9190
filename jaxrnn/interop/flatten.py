"""Layers one after another, however they are nested."""

from collections.abc import Iterator
from typing import Any

from jaxrnn.cells import Cell
from jaxrnn.cells.stack import Stack
from jaxrnn.layers import Layer, Recurrent, Sequential


def flatten(layer: Layer | Cell, params: Any) -> Iterator[tuple[Layer, Any]]:
    """The layers within `Sequential`, and within a `Stack` of cells, each with its parameters; the lowest first.

    Args:
        layer: a layer, or a cell, which is then `Recurrent(cell)`.
        params: its parameters.

    Example:
        [type(inner).__name__ for inner, _ in flatten(layer, params)]  # ["Bidirectional", "Dropout", "Recurrent"]
    """
    if isinstance(layer, Cell):
        yield from flatten(Recurrent(layer), params)
    elif isinstance(layer, Sequential):
        for inner, p in zip(layer.layers, params, strict=True):
            yield from flatten(inner, p)
    elif isinstance(layer, Recurrent) and isinstance(layer.cell, Stack):
        for cell, p in zip(layer.cell.cells, params, strict=True):
            yield from flatten(Recurrent(cell, layer.reverse), p)
    else:
        yield layer, params
