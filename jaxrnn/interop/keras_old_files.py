"""HDF5 files as Keras wrote them before version 3, and as Keras 3 still writes whole models: layers by their names."""

import itertools
from typing import Any

import numpy as np

from jaxrnn.interop import arrays, keras_files


def holds(group: Any) -> bool:
    """Whether the weights in a group are stored in this way."""
    return "layer_names" in group.attrs or "layer_names0" in group.attrs


def layer_names(where: str, group: Any) -> list[str]:
    """The names of the layers with weights, in the order of the model."""
    h5py = arrays.framework("h5py", where)
    names = _listed(group, "layer_names")
    return [name for name in names if _listed(keras_files.member(where, group, name, h5py.Group), "weight_names")]


def read(where: str, group: Any, key: str) -> dict[str, np.ndarray]:
    """The arrays of one recurrent layer by name; what a recurrent layer does not have keeps its path as its name.

    Those of `CuDNNLSTM` and `CuDNNGRU` become those of `LSTM` and `GRU`.

    Raises:
        ValueError: what is not stored in the file itself, byte for byte.
    """
    h5py = arrays.framework("h5py", where)
    layer = keras_files.member(where, group, key, h5py.Group)
    found = {}
    for path in _listed(layer, "weight_names"):
        *above, last = path.split("/")
        parent = layer
        for part in above:
            parent = keras_files.member(where, parent, part, h5py.Group)
        stored = keras_files.member(where, parent, last, h5py.Dataset)
        name = last.split(":")[0]
        name = _side([part for part in above if part != key]) + name if name in keras_files.WEIGHTS else path
        if name in found:
            raise ValueError(f"{where}: {key} has two arrays {name}")
        found[name] = keras_files.values(f"{where}: {key}/{path}", stored)
    if any(name.startswith("forward/") for name in found):  # a backward layer that was given keeps its own name
        found = {f"backward/{name}" if name in keras_files.WEIGHTS else name: a for name, a in found.items()}
    for side in ("", "forward/", "backward/"):
        names = [side + name for name in keras_files.WEIGHTS]
        if found.keys() >= set(names):
            found |= zip(names, _without_cudnn(*(found[name] for name in names)), strict=True)
    return found


def _listed(group: Any, attribute: str) -> list[str]:
    """The names in an attribute; those that are too many for one are in several, with numbers."""
    if attribute in group.attrs:
        parts = [group.attrs[attribute]]
    else:
        numbered = (f"{attribute}{k}" for k in itertools.count())
        parts = [group.attrs[name] for name in itertools.takewhile(lambda name: name in group.attrs, numbered)]
    names = [name for part in parts for name in np.ravel(part)]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _side(groups: list[str]) -> str:
    """Which layer within Bidirectional an array belongs to."""
    return next((f"{side}/" for side in ("forward", "backward") if any(g.startswith(f"{side}_") for g in groups)), "")


def _without_cudnn(kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weights of CuDNNLSTM or CuDNNGRU, known by their two biases in one vector, as those of LSTM or GRU.

    CuDNN multiplies from the left: a gate's numbers, in their order, are the rows of its transposed matrix.
    """
    units = recurrent.shape[0] if recurrent.ndim == 2 else 0
    gates = next((n for n in (3, 4) if units and bias.shape == (2 * n * units,)), None)
    if gates is None or kernel.shape[1:] != (gates * units,) or recurrent.shape[1:] != (gates * units,):
        return kernel, recurrent, bias
    kernel, recurrent = (
        np.concatenate([gate.reshape(units, -1).T for gate in np.split(array, gates, axis=1)], axis=1)
        for array in (kernel, recurrent)
    )
    biases = bias.reshape(2, -1)
    return kernel, recurrent, biases.sum(0) if gates == 4 else biases
