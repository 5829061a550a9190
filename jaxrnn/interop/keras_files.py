"""Keras' files as data: a `.keras` archive is JSON and HDF5, and nothing in it is executed."""

import contextlib
import io
import json
import math
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrnn.interop import arrays

WEIGHTS = ("kernel", "recurrent_kernel", "bias")  # of a cell, in the order of Keras
_MEMBERS = "config.json", "model.weights.h5"  # of a .keras archive
_SIDES = {"": "", "forward_layer/": "forward/", "backward_layer/": "backward/"}


def read_archive(where: str, path: Path) -> tuple[dict[str, Any], bytes]:
    """The configuration of a `.keras` file, and the HDF5 file in it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such an archive, not whole, or one that unpacks to a hundred times its size.
    """
    _there(where, path)
    whole = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename: info for info in archive.infolist() if info.filename in _MEMBERS}
            packed = {name: min(info.compress_size, whole) for name, info in infos.items()}
            found = {name: archive.read(name) for name, info in infos.items() if info.file_size <= 100 * packed[name]}
    except Exception as error:  # of any kind, for a file that may hold anything
        kind = type(error).__name__
        raise ValueError(f"{where}: not a whole .keras file, which is a zip archive ({kind}: {error})") from None
    for name in _MEMBERS:
        if name not in infos:
            raise ValueError(f"{where}: not a .keras file: it holds no {name}")
        if name not in found:
            raise ValueError(f"{where}: {name} would unpack from {packed[name]} to {infos[name].file_size} bytes")
    try:
        configuration = json.loads(found["config.json"])
    except (ValueError, RecursionError) as error:  # the latter: nested too deeply
        raise ValueError(f"{where}: config.json is not JSON: {error}") from None
    return configuration, found["model.weights.h5"]


def layers(where: str, configuration: Any) -> list[tuple[str, dict[str, Any]]]:
    """Of each layer of a model but its inputs: the group of its weights, and its configuration."""
    inner = configuration.get("config") if isinstance(configuration, dict) else None
    found = inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(found, list):
        raise ValueError(f"{where}: config.json describes no model of layers")
    for one in found:
        config = one.get("config") if isinstance(one, dict) else None
        if not isinstance(config, dict) or not isinstance(config.get("name"), str):
            raise ValueError(f"{where}: config.json describes a layer without a name")
    if configuration.get("class_name") == "Sequential":  # which keeps its input apart
        found = [one for one in found if one.get("class_name") != "InputLayer"]
    groups = group_names(str(one.get("class_name")) for one in found)
    pairs = zip(groups, found, strict=True)
    return [(group, one) for group, one in pairs if one.get("class_name") != "InputLayer"]


def group_names(classes: Iterable[str]) -> list[str]:
    """The groups in which Keras stores the weights of layers of these classes: `lstm`, `lstm_1`, ..."""
    seen: dict[str, int] = {}
    names = []
    for name in classes:
        name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
        name = re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
        names.append(f"{name}_{seen[name]}" if seen.get(name) else name)
        seen[name] = seen.get(name, 0) + 1
    return names


@contextlib.contextmanager
def opened(where: str, source: Path | bytes) -> Iterator[Any]:
    """The group of layers of an HDF5 file of weights, or of one as `keras_old_files` reads it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, or not whole.
    """
    h5py = arrays.framework("h5py", where)
    if isinstance(source, Path):
        _there(where, source)
    try:
        with h5py.File(io.BytesIO(source) if isinstance(source, bytes) else source, "r") as file:
            yield _layers(where, file)
    except (OSError, KeyError, RuntimeError, UnicodeError) as error:
        raise ValueError(f"{where}: not a whole HDF5 file ({error})") from None


def _layers(where: str, file: Any) -> Any:
    h5py = arrays.framework("h5py", where)
    for name in ("layers", "model_weights"):
        if name in file:
            return member(where, file, name, h5py.Group)
    if "layer_names" not in file.attrs:
        raise ValueError(f"{where}: not a file of weights of Keras: it has no group of layers, and lists none")
    return file


def layer_names(where: str, group: Any) -> dict[str, str]:
    """The names of the layers with weights, by their groups."""
    h5py = arrays.framework("h5py", where)
    names = {}
    for key in group:
        layer = member(where, group, key, h5py.Group)
        found = layer["vars"].attrs.get("name") if "vars" in layer else None
        names[key] = found if isinstance(found, str) else key
    return names


def read(where: str, group: Any, key: str) -> dict[str, np.ndarray]:
    """The arrays of one recurrent layer by name; what a recurrent layer does not have keeps its path as its name.

    Raises:
        ValueError: what is not stored in the file itself, byte for byte.
    """
    h5py = arrays.framework("h5py", where)
    found: dict[str, np.ndarray] = {}

    def walk(parent: Any, path: str) -> None:
        for name in parent:
            child = member(where, parent, name, (h5py.Group, h5py.Dataset))
            if isinstance(child, h5py.Dataset):
                found[_renamed(path + name)] = values(f"{where}: {key}/{path}{name}", child)
            elif name != "seed_generator":  # of dropout
                walk(child, f"{path}{name}/")

    if key in group:
        walk(member(where, group, key, h5py.Group), "")
    return found


def _there(where: str, path: Path) -> None:
    """Raise unless there is the file that `where` names."""
    if not path.is_file():
        raise FileNotFoundError(f"{where}: no such file")


def member(where: str, parent: Any, name: str, kinds: Any) -> Any:
    """What is in this very file under a name: links could lead to any other."""
    h5py = arrays.framework("h5py", where)
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink) or not isinstance(parent[name], kinds):
        raise ValueError(f"{where}: {parent.name}/{name} is a link, or of another kind than in Keras' files")
    return parent[name]


def values(where: str, dataset: Any) -> np.ndarray:
    """An array that is stored as Keras stores it; `where` names it."""
    size = math.prod(dataset.shape) * dataset.dtype.itemsize
    if dataset.external or dataset.is_virtual or dataset.id.get_storage_size() != size:
        raise ValueError(f"{where} is compressed or stored elsewhere, which Keras never does")
    array = np.asarray(dataset[()])
    if dataset.attrs.get("dtype") == "bfloat16" and array.dtype.itemsize == 2:
        return array.view(jnp.bfloat16)
    return array


def _renamed(path: str) -> str:
    for prefix, side in _SIDES.items():
        inner = path.removeprefix(f"{prefix}cell/vars/")
        if inner != path and inner in ("0", "1", "2"):
            return side + WEIGHTS[int(inner)]
    return path
