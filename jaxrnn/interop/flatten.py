"""Layers one after another, however they are nested."""

from collections.abc import Iterator
from typing import Any

import jax

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
    layer = unstacked(layer)
    if isinstance(layer, Cell):
        yield Recurrent(layer), params
    elif isinstance(layer, Sequential):
        for inner, p in zip(layer.layers, params, strict=True):
            yield from flatten(inner, p)
    else:
        yield layer, params


def shaped(layer: Layer | Cell) -> Any:
    """What the parameters of a layer are like: their shapes, nested as they are.

    Args:
        layer: a layer, or a cell.

    Example:
        shaped(Stack([GRU(3, 8), GRU(8, 8)]))[0].U.shape  # (3, 24)
    """
    return jax.eval_shape(layer.init, jax.random.key(0))


def unstacked(layer: Layer | Cell) -> Layer | Cell:
    """A `Stack` of cells, or one as a layer, as the `Sequential` of the same parameters; any other layer as it is.

    Args:
        layer: a layer, or a cell.

    Example:
        unstacked(Stack([GRU(3, 8), GRU(8, 8)]))  # Sequential([Recurrent(GRU(3, 8)), Recurrent(GRU(8, 8))])
    """
    if isinstance(layer, Stack):
        return Sequential(layer.cells)
    if isinstance(layer, Recurrent) and isinstance(layer.cell, Stack):
        return Sequential([Recurrent(cell, layer.reverse) for cell in layer.cell.cells])
    return layer
