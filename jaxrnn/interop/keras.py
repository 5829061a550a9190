"""Weights of Keras, in and out: layers, models and files."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from jax.typing import DTypeLike

from jaxrnn.cells.base import Cell, Params
from jaxrnn.interop import arrays, keras_entries, keras_read, keras_serialized, keras_write, perturbations
from jaxrnn.interop.flatten import flatten, shaped, unstacked
from jaxrnn.layers import Layer, Sequential, recurrent


def from_keras(
    source: Any,
    *,
    names: str | Sequence[str] | None = None,
    layer: Layer | Cell | None = None,
    dtype: DTypeLike | None = None,
) -> tuple[Layer, Params]:
    """Recurrent layers of Keras as a layer of this library and its parameters.

    | Keras | here |
    | --- | --- |
    | `SimpleRNN` | `Recurrent(Elman)` with its activation |
    | `LSTM` | `Recurrent(LSTM)` |
    | `GRU` | `Recurrent(GRU)`; with `reset_after=False`, `Recurrent(OriginalGRU)` |
    | `go_backwards` | `reverse`; outputs stay beside the inputs of their time, where Keras gives the last first |
    | `Bidirectional` | `Bidirectional`; `concat`, `sum`, `ave`, `mul` are concatenate, sum, mean, product |
    | `Dropout`, without noise_shape | `Dropout` |
    | a model, or a list of layers | `Sequential` |

    A mask of Keras that is True up to the length of a sequence is `lengths` here; a layer without bias has a bias of
    zeros; states are in Keras' order, `LSTMState(h, c)`. What matters in training alone (a recurrent layer's own
    dropout, regularizers, constraints) and what is a matter of the call here (`stateful`, `return_state`,
    `return_sequences` of the last layer) is not carried over. Files are read as data: nothing in them is executed, and
    Keras is not needed.

    Args:
        source: a layer that is built; a model or list of such layers; the path of a `.keras` or `.weights.h5` file, or
            of a `.h5` or `.hdf5` file of weights or of a model from before Keras 3, also with `CuDNNLSTM` or
            `CuDNNGRU`, which become `LSTM` and `GRU`.
        names: of a model, or of the file of one, with other layers too: the names of the recurrent layers to read, in
            order, as a `Sequential`, or one name for that layer. None: all layers.
        layer: for a `.h5` or `.hdf5` file, of which only arrays are read and no choices: the layer of this library that
            they are for, of which `to_keras` makes the layers of the file. It is returned as it is, a cell as
            `Recurrent(cell)`.
        dtype: the floating type to convert to; None: the one that all arrays have.

    Returns:
        The pair (layer, params).

    Raises:
        TypeError: a source or a layer of another kind, such as a subclass or a custom object.
        ValueError: an option that this library does not have, named; arrays that are missing, not expected, of other
            shapes, not finite, or of several types; a file that is not what its name says.
        FileNotFoundError: no such file.
        ModuleNotFoundError: h5py, or for a layer Keras, is not installed.

    Example:
        layer, params = from_keras("model.keras", names="lstm")

    Source: the equations in keras.layers; Keras' formats of files (keras.saving, and keras.legacy.saving).
    """
    where = f"from_keras: {source}" if isinstance(source, str | os.PathLike) else "from_keras"
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    if path is not None and path.suffix in (".h5", ".hdf5"):
        entries, several = keras_entries.from_weights(where, path, names, layer), False
    elif layer is not None:
        raise ValueError(f"{where}: layer is for a .h5 or .hdf5 file; leave it out")
    elif path is None:
        entries, several = keras_entries.from_objects(where, source, names)
    elif path.suffix == ".keras":
        entries, several = keras_entries.from_archive(where, path, names)
    else:
        raise ValueError(f"{where}: expected a file whose name ends in .keras, .h5 or .hdf5")
    parts = keras_read.parts_of(where, entries)
    given = {f"{entry.name}/{name}": array for entry in entries for name, array in entry.arrays.items()}
    shapes = {name: shape for part in parts for name, shape in part.shapes.items()}
    found = arrays.exactly(where, given, shapes, dtype=dtype)
    params = arrays.to_jax(where, tuple(part.pack(found) for part in parts))
    if layer is not None:
        like = jax.tree.structure(shaped(layer))
        return recurrent.as_layer(where, layer), jax.tree.unflatten(like, jax.tree.leaves(params))
    return (Sequential([part.layer for part in parts]), params) if several else (parts[0].layer, params[0])


def to_keras(layer: Layer | Cell, params: Params) -> Any:
    """A layer of this library as Keras layers with its weights: the way back of `from_keras`.

    Args:
        layer: `Recurrent` or `Bidirectional` of `Elman`, `LSTM`, `GRU` or `OriginalGRU`, or such a cell; `Sequential`
            of these and of `Dropout`, or a `Stack`. Dropout within a `Recurrent` is left out.
        params: its parameters.

    Returns:
        A Keras layer with `return_sequences=True`, built; for several layers, a `keras.Sequential` of such.

    Raises:
        TypeError: a layer or cell that Keras does not have.
        ValueError: a choice that Keras does not have, named; parameters that are not the layer's, of several types, or
            not finite.
        ModuleNotFoundError: Keras, or the framework that it runs on, is not installed.

    Example:
        to_keras(Recurrent(LSTM(3, 8)), params).get_weights()
    """
    where = "to_keras"
    params = arrays.of_layer(where, layer, params)
    perturbations.refuse(where, layer)
    flat = list(flatten(layer, params))
    serialized = keras_serialized.serialized(where, [inner for inner, _ in flat])
    if not any(map(keras_serialized.sides, serialized)):
        raise ValueError(f"{where}: {layer} has no recurrent layer")
    keras = keras_entries.framework(where)
    first = jax.tree.leaves(params)[0]  # U
    dtype = str(first.dtype)
    made = [keras_write.built(keras, one, p, dtype) for one, (_, p) in zip(serialized, flat, strict=True)]
    if not isinstance(unstacked(layer), Sequential):
        return made[0]
    return keras.Sequential([keras.Input((None, first.shape[0]), dtype=dtype), *made])
