"""Recurrent layers of Keras as layers of this library."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxrnn.cells.base import Params
from jaxrnn.interop import keras_cells
from jaxrnn.interop.keras_entries import Entry
from jaxrnn.interop.keras_serialized import MERGES, sides
from jaxrnn.layers import Bidirectional, BidirectionalParams, Dropout, Recurrent


class Part(NamedTuple):
    """What an entry becomes, before any array is read."""

    layer: Any
    shapes: dict[str, tuple[int, ...]]  # of the arrays that it needs
    pack: Callable[[Mapping[str, Any]], Params]
    outputs: int | None  # None: not known, of Dropout before all others
    turned: bool  # whether Keras gives the outputs in reverse order


def parts_of(where: str, entries: list[Entry]) -> list[Part]:
    """What the entries become, one after another."""
    parts: list[Part] = []
    kinds = {"Bidirectional": _bidirectional, "Dropout": _dropout}
    for number, entry in enumerate(entries):
        below = parts[-1] if parts else None
        if any(sides(later.serialized) for later in entries[number + 1 :]):
            for one in sides(entry.serialized).values():
                if not one["config"].get("return_sequences"):
                    raise ValueError(f"{where}: {entry.name} has layers after it, but not return_sequences=True")
        part = kinds.get(entry.serialized["class_name"], _recurrent)
        parts.append(part(where, entry, below))
    return parts


def _dropout(where: str, entry: Entry, below: Part | None) -> Part:
    rate, shape = entry.serialized["config"].get("rate"), entry.serialized["config"].get("noise_shape")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise ValueError(f"{where}: {entry.name}: rate must be at least 0 and below 1, got {rate!r}")
    if shape is not None:
        raise ValueError(f"{where}: {entry.name}: noise_shape must be None, got {shape!r}")
    outputs, turned = (below.outputs, below.turned) if below else (None, False)
    return Part(Dropout(rate), {}, lambda found: None, outputs, turned)


def _recurrent(where: str, entry: Entry, below: Part | None) -> Part:
    part = _one(where, entry, "", entry.serialized, below)
    # Keras reads the outputs of a layer that goes backwards in their reverse order.
    reverse = bool(entry.serialized["config"].get("go_backwards")) != (below is not None and below.turned)
    return part._replace(layer=Recurrent(part.layer.cell, reverse=reverse), turned=reverse)


def _bidirectional(where: str, entry: Entry, below: Part | None) -> Part:
    config = entry.serialized["config"]
    if below is not None and below.turned:
        raise ValueError(f"{where}: {entry.name} is Bidirectional and reads what go_backwards has reversed")
    if config["layer"]["config"].get("go_backwards") or not config["backward_layer"]["config"].get("go_backwards"):
        raise ValueError(f"{where}: {entry.name}: go_backwards must be False for layer and True for backward_layer")
    mode = config.get("merge_mode")
    if not isinstance(mode, str) or mode not in MERGES:
        raise ValueError(f"{where}: {entry.name}: merge_mode must be one of {', '.join(MERGES)}, got {mode!r}")
    forward, backward = (_one(where, entry, side, one, below) for side, one in sides(entry.serialized).items())
    merge = MERGES[mode]
    sizes = [side.layer.cell.hidden_size for side in (forward, backward)]
    return Part(
        Bidirectional(forward.layer, backward.layer, merge),
        forward.shapes | backward.shapes,
        lambda found: BidirectionalParams(forward.pack(found), backward.pack(found)),
        sum(sizes) if merge == "concatenate" else sizes[0],
        False,
    )


def _one(where: str, entry: Entry, side: str, serialized: Mapping[str, Any], below: Part | None) -> Part:
    """One SimpleRNN, LSTM or GRU."""
    name = f"{entry.name}/{side}"
    kernel, inputs = entry.arrays.get(f"{side}kernel"), entry.inputs or (below.outputs if below else None)
    form = keras_cells.read(f"{where}: {name.rstrip('/')}", serialized, kernel, inputs)
    return Part(
        Recurrent(form.cell),
        {name + key: shape for key, shape in form.shapes.items()},
        lambda found: form.pack({key: found[name + key] for key in form.shapes}),
        serialized["config"]["units"],
        False,
    )
