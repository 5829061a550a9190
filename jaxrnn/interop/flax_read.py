"""Modules of Flax as layers of this library."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax
from flax import linen, nnx

from jaxrnn.cells.base import Cell, Params
from jaxrnn.interop import flax_cells
from jaxrnn.layers import Bidirectional, BidirectionalParams, Dropout, Recurrent, Sequential
from jaxrnn.layers.bidirectional import MERGES

_RNNS = linen.RNN, nnx.RNN


class Part(NamedTuple):
    """A part of what is read, before any array is."""

    layer: Any
    shapes: dict[str, tuple[int, ...]]  # of the arrays that it needs
    pack: Callable[[flax_cells.Arrays], Params]
    inputs: int | None  # entries of x(t); None: any number, as many as y(t)
    outputs: int | None  # entries of y(t); None where a function of the caller's says, or it has those of x(t)
    flips: bool = False  # whether Flax gives its outputs in reverse order


def read(where: str, module: Any, given: Mapping[str, Any], path: str, flipped: bool) -> Part:
    """The part whose arrays are at `path`; `flipped`: its inputs come in reverse order."""
    if flax_cells.known(module):
        cell, shapes, pack = flax_cells.read(where, module, given, path)
        return Part(cell, shapes, pack, cell.input_size, cell.hidden_size)
    if type(module) in _RNNS:  # not those of a subclass, which may do anything
        cell = read(where, module.cell, given, f"{path}{_scope(module, module.cell, 'cell')}/", False)
        if not isinstance(cell.layer, Cell):
            raise TypeError(f"{where}: {path or 'RNN'} must hold a cell, got {type(module.cell).__name__}")
        reverse = bool(module.reverse) != flipped
        flips = flipped != (bool(module.reverse) and not module.keep_order)
        return cell._replace(layer=Recurrent(cell.layer, reverse=reverse), flips=flips)
    if type(module) in (linen.Bidirectional, nnx.Bidirectional):
        return _bidirectional(where, module, given, path, flipped)
    if type(module) in (linen.Sequential, nnx.Sequential):
        return _sequential(where, module, given, path, flipped)
    if type(module) in (linen.Dropout, nnx.Dropout):
        return _dropout(where, module, path, flipped)
    raise TypeError(
        f"{where}: {path + ': ' if path else ''}{type(module).__name__} has no counterpart here: pass SimpleCell, "
        "LSTMCell, OptimizedLSTMCell, GRUCell, MGUCell, or RNN, Bidirectional and Sequential of these, and Dropout"
    )


def _dropout(where: str, module: Any, path: str, flipped: bool) -> Part:
    if tuple(module.broadcast_dims):
        raise ValueError(f"{where}: {path}Dropout: broadcast_dims must be (), got {module.broadcast_dims!r}")
    if not 0 <= module.rate < 1:
        raise ValueError(f"{where}: {path}Dropout: rate must be at least 0 and below 1, got {module.rate!r}")
    return Part(Dropout(module.rate), {}, lambda found: None, None, None, flipped)


def _scope(module: Any, inner: Any, attribute: str) -> str:
    """Where the parameters of a submodule are: linen gives it the attribute's name, and keeps its own only if told."""
    keeps = getattr(type(module), "preserve_adopted_names", flax.config.flax_preserve_adopted_names)
    return (inner.name if keeps and isinstance(inner, linen.Module) else None) or attribute


def _bidirectional(where: str, module: Any, given: Mapping[str, Any], path: str, flipped: bool) -> Part:
    if flipped:
        raise ValueError(f"{where}: {path}Bidirectional reads a sequence in reverse order: pass keep_order=True below")
    parts = []
    for side in ("forward_rnn", "backward_rnn"):
        rnn = getattr(module, side)
        if type(rnn) not in _RNNS:
            raise TypeError(f"{where}: {path}{side} must be an RNN, got {type(rnn).__name__}")
        part = read(where, rnn, given, f"{path}{_scope(module, rnn, side)}/", False)
        parts.append(part._replace(layer=Recurrent(part.layer.cell)))  # the direction is Bidirectional's, also in Flax
    forward, backward = parts
    if forward.inputs != backward.inputs:
        raise ValueError(
            f"{where}: {path}backward_rnn reads {backward.inputs} entries, but forward_rnn {forward.inputs}"
        )
    default = type(module).merge_fn
    named = [name for name, f in MERGES.items() if f is module.merge_fn]
    merge = "concatenate" if module.merge_fn is default else named[0] if named else module.merge_fn
    sizes = {"concatenate": forward.layer.cell.hidden_size + backward.layer.cell.hidden_size}
    return Part(
        Bidirectional(forward.layer, backward.layer, merge),
        forward.shapes | backward.shapes,
        lambda found: BidirectionalParams(forward.pack(found), backward.pack(found)),
        forward.inputs,
        None if callable(merge) else sizes.get(merge, forward.outputs),
    )


def _sequential(where: str, module: Any, given: Mapping[str, Any], path: str, flipped: bool) -> Part:
    parts: list[Part] = []
    for number, layer in enumerate(module.layers):
        if flax_cells.known(layer):
            name = type(layer).__name__
            raise TypeError(f"{where}: {path}layers {number} must be an RNN, got {name}: pass RNN({name}(...))")
        here = f"layers/{number}" if isinstance(module, nnx.Module) else _scope(module, layer, f"layers_{number}")
        part = read(where, layer, given, f"{path}{here}/", flipped)
        below = parts[-1].outputs if parts else None
        if None not in (below, part.inputs) and below != part.inputs:
            raise ValueError(f"{where}: {path}{here} reads {part.inputs} entries, but the layer below gives {below}")
        parts.append(part if part.inputs else part._replace(outputs=below))
        flipped = part.flips
    if not parts:
        raise ValueError(f"{where}: {path}Sequential holds no layers")
    return Part(
        Sequential([part.layer for part in parts]),
        {name: shape for part in parts for name, shape in part.shapes.items()},
        lambda found: tuple(part.pack(found) for part in parts),
        next((part.inputs for part in parts if part.inputs), None),
        parts[-1].outputs,
        flipped,
    )
