"""Recurrent layers of Keras as they are found in objects and in files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxrnn.cells.base import Cell
from jaxrnn.interop import arrays, keras_files, keras_old_files, keras_serialized, perturbations
from jaxrnn.interop.flatten import flatten, shaped
from jaxrnn.interop.keras_files import WEIGHTS
from jaxrnn.layers import Layer


class Entry(NamedTuple):
    """A recurrent layer of Keras as it was found."""

    name: str
    serialized: Mapping[str, Any]  # as Keras writes a layer: module, class_name, config
    arrays: Mapping[str, Any]  # kernel, recurrent_kernel, bias; of Bidirectional, under forward/ and backward/
    inputs: int | None = None  # entries of its inputs, where that is known; else as the layer below or the kernel says


def from_objects(where: str, source: Any, names: Any) -> tuple[list[Entry], bool]:
    """The entries of Keras objects, and whether they are to be a Sequential."""
    keras = framework(where)
    hint = ""
    if isinstance(source, keras.Model):
        hint = keras_serialized.choice((layer.name, type(layer).__name__) for layer in source.layers)
        if names is None and not isinstance(source, keras.Sequential):
            raise ValueError(f"{where}: only keras.Sequential runs its layers one after another: {hint}")
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
        keras_serialized.known(where, layer.name, serialized, hint)
        if not layer.built:
            raise ValueError(f"{where}: {layer.name} has no weights yet: build it, or call it, first")
        within = {"": layer}
        if serialized["class_name"] == "Bidirectional":
            within = {"forward/": layer.forward_layer, "backward/": layer.backward_layer}
        found = {}
        for side in keras_serialized.sides(serialized):
            rnn = within[side]
            weights = {name: getattr(rnn.cell, name, None) for name in WEIGHTS}
            found |= {side + n: keras.ops.convert_to_numpy(w.value) for n, w in weights.items() if w is not None}
        entries.append(Entry(layer.name, serialized, found))
    return entries, not single


def from_archive(where: str, path: Path, names: Any) -> tuple[list[Entry], bool]:
    """The entries of a `.keras` file, and whether they are to be a Sequential."""
    configuration, weights = keras_files.read_archive(where, path)
    described = keras_files.layers(where, configuration)
    hint = keras_serialized.choice((one["config"]["name"], one.get("class_name")) for _, one in described)
    if names is None and configuration.get("class_name") != "Sequential":
        raise ValueError(f"{where}: only Sequential runs its layers one after another: {hint}")
    entries = []
    with keras_files.opened(where, weights) as group:
        for key, serialized in _chosen(where, [(one["config"]["name"], (key, one)) for key, one in described], names):
            name = serialized["config"]["name"]
            keras_serialized.known(where, name, serialized, hint)
            entries.append(Entry(name, serialized, keras_files.read(where, group, key)))
    return entries, not isinstance(names, str)


def from_weights(where: str, path: Path, names: Any, layer: Any) -> list[Entry]:
    """The entries of a file of weights for a layer."""
    if not isinstance(layer, Layer | Cell):
        raise ValueError(
            f"{where}: such a file holds arrays and no choices (directions, activations, how outputs are merged): pass "
            "the layer that they are for, such as layer=Recurrent(LSTM(3, 8))"
        )
    perturbations.refuse(where, layer)
    flat = list(flatten(layer, shaped(layer)))
    serialized = keras_serialized.serialized(where, [inner for inner, _ in flat])
    with keras_files.opened(where, path) as group:
        weighted = [one for one in serialized if keras_serialized.sides(one)]
        keys = _keys(where, group, names, serialized)
        if len(keys) != len(weighted):
            raise ValueError(f"{where}: {len(keys)} names for {len(weighted)} layers")
        read = keras_old_files.read if keras_old_files.holds(group) else keras_files.read
        entries, left = [], iter(keys)
        for one, (_, like) in zip(serialized, flat, strict=True):
            if keras_serialized.sides(one):
                key = next(left)
                entries.append(Entry(key, one, read(where, group, key), jax.tree.leaves(like)[0].shape[0]))  # rows of U
            else:
                entries.append(Entry("dropout", one, {}))
    for entry in entries:  # which the file says by what it holds
        for side, one in keras_serialized.sides(entry.serialized).items():
            one["config"]["use_bias"] = f"{side}bias" in entry.arrays or f"{side}kernel" not in entry.arrays
    return entries


def _keys(where: str, group: Any, names: Any, serialized: list[dict[str, Any]]) -> list[str]:
    """The groups of the layers with weights to read, in order."""
    count = sum(bool(keras_serialized.sides(one)) for one in serialized)
    if keras_old_files.holds(group):
        keys = keras_old_files.layer_names(where, group)
        if names is None and len(keys) != count:
            raise ValueError(
                f"{where}: {len(keys)} layers have weights ({arrays.listed(keys)}), expected {count}: pass "
                "the names of those to read"
            )
        return _chosen(where, [(key, key) for key in keys], names)
    found = keras_files.layer_names(where, group)
    if names is not None:
        # A file's groups are numbered anew, so that of one layer may be the name of another: names come first.
        both = {key: key for key in found} | {name: key for key, name in found.items()}
        return _chosen(where, list(both.items()), names)
    groups = keras_files.group_names(one["class_name"] for one in serialized)
    keys = [key for key, one in zip(groups, serialized, strict=True) if keras_serialized.sides(one)]
    missing, extra = set(keys) - found.keys(), found.keys() - set(groups)  # a group of Dropout may be there or not
    if missing or extra:
        missing, extra = arrays.listed(missing), arrays.listed(extra)
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


def framework(where: str) -> Any:
    """Keras itself.

    Raises:
        ModuleNotFoundError: it, or the framework that it runs on, is not installed.
    """
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
