"""Foreign arrays by name: all of them are checked before any is used, and an error names the one that is wrong."""

import importlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
from jax.typing import DTypeLike

from jaxrnn.interop.flatten import shaped

_TYPES: dict[str, Any] = {  # of safetensors
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": jnp.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
MIXED = "make them all of one, such as jax.tree.map(lambda a: a.astype(jnp.float32), params)"  # where no dtype is asked


def framework(name: str, why: str) -> Any:
    """The package `name`, imported now.

    Args:
        name: what to import.
        why: what needs it, for the error.

    Raises:
        ModuleNotFoundError: it is not installed.

    Example:
        torch = framework("torch", "from_torch of a module")
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{why} needs {name}: pip install 'jaxrnn[interop]'", name=error.name) from error


def there(where: str, path: str | os.PathLike) -> Path:
    """The path of a file.

    Args:
        where: what begins the error.
        path: the file.

    Raises:
        FileNotFoundError: no such file.

    Example:
        there("from_onnx", "model.onnx").read_bytes()
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{where}: {path}: no such file")
    return path


def read_safetensors(path: str | os.PathLike, where: str = "read_safetensors") -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, by name.

    Args:
        path: the file.
        where: what begins every error.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is not whole, or an array of a type that NumPy and JAX do not have.

    Example:
        read_safetensors("model.safetensors")["rnn.weight_ih_l0"].shape
    """
    path = there(where, path)
    try:
        entries = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise ValueError(f"{where}: {path}: not a whole safetensors file ({error})") from None
    found = {}
    for name, entry in entries:
        if entry["dtype"] not in _TYPES:
            raise ValueError(
                f"{where}: {path}: {name} is of type {entry['dtype']}, which cannot be read: convert it first"
            )
        found[name] = np.frombuffer(entry["data"], _TYPES[entry["dtype"]]).reshape(entry["shape"])
    return found


def listed(names: Iterable[str], most: int = 10) -> str:
    """Names for an error: sorted, `most` of them, or "none"."""
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more


def exactly(
    where: str,
    found: Mapping[str, Any],
    shapes: Mapping[str, Sequence[int]],
    *,
    dtype: DTypeLike | None = None,
    hint: str = "",
    mixed: str = "pass dtype=... to choose one",
) -> dict[str, np.ndarray]:
    """The arrays of `found`, if they are exactly those of `shapes`, each of its shape, of one type, and finite.

    Args:
        where: what they are from, which begins every error: `from_torch: model.pt`.
        found: arrays (anything that `numpy.asarray` takes) by name.
        shapes: what there must be, by name.
        dtype: the floating type to convert to; None: the one that all of them have.
        hint: what to do where names are missing or not expected, for the error.
        mixed: what to do where types differ, for the error.

    Returns:
        The arrays in the order of `shapes`. They may share memory with those in `found`.

    Raises:
        ValueError: an array is missing, is not expected, has another shape, is not of a floating type, is of another
            type than the others, or is not finite.
        TypeError: a dtype that is none.

    Example:
        exactly("model.npz", np.load("model.npz"), {"U": (3, 8), "W": (8, 8), "b": (8,)})["U"]
    """
    if found.keys() != shapes.keys():
        missing, extra = listed(shapes.keys() - found.keys()), listed(found.keys() - shapes.keys())
        raise ValueError(f"{where}: other arrays than expected: missing {missing}; not expected {extra}{hint}")
    arrays = {name: _array(where, name, found[name]) for name in shapes}
    for name, shape in shapes.items():
        if arrays[name].shape != tuple(shape):
            raise ValueError(f"{where}: {name} has shape {arrays[name].shape}, expected {tuple(shape)}")
    if not arrays:
        return arrays
    dtype = _floating_type(where, arrays, dtype, mixed)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is named below
        arrays = {name: array.astype(dtype, copy=False) for name, array in arrays.items()}
    for name, array in arrays.items():
        wrong = array.size - np.count_nonzero(np.isfinite(array))
        if wrong:
            raise ValueError(f"{where}: {name} has {wrong} entries that are NaN or infinite (as {dtype})")
    return arrays


def _array(where: str, name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:  # such as keys of random numbers, or lists of several lengths
        raise ValueError(f"{where}: {name} is no array but {type(value).__name__} ({error})") from None
    if array.dtype == object:  # such as a shape without numbers
        raise ValueError(f"{where}: {name} is no array but {type(value).__name__}")
    return array


def _floating_type(where: str, arrays: Mapping[str, np.ndarray], dtype: DTypeLike | None, mixed: str) -> np.dtype:
    """The type that JAX is to have the arrays in: `dtype`, or the one that they share."""
    for name, array in arrays.items():
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise ValueError(f"{where}: {name} must be of a floating type, got {array.dtype}")
    if dtype is None:
        first, *others = arrays
        dtype = arrays[first].dtype
        for name in others:
            if arrays[name].dtype != dtype:
                raise ValueError(f"{where}: {first} is {dtype}, but {name} is {arrays[name].dtype}: {mixed}")
    try:
        dtype = jnp.dtype(dtype)
    except TypeError:
        raise TypeError(f"{where}: dtype must be a floating type, such as jnp.float32, got {dtype!r}") from None
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"{where}: dtype must be a floating type, got {dtype}")
    return dtype


def to_jax(where: str, tree: Any) -> Any:
    """A tree of NumPy arrays as JAX arrays of the same types, which share no memory with them.

    Args:
        where: what they are from, which begins every error.
        tree: a pytree of NumPy arrays.

    Raises:
        ValueError: float64 without `jax_enable_x64`, of which JAX would make float32.

    Example:
        to_jax("from_torch", ElmanParams(U, W, b))
    """
    for leaf in jax.tree.leaves(tree):
        if jax.dtypes.canonicalize_dtype(leaf.dtype) != leaf.dtype:
            raise ValueError(
                f"{where}: the weights are {leaf.dtype}, which JAX has only after "
                "jax.config.update('jax_enable_x64', True): call that before, or pass dtype=jnp.float32"
            )
    return jax.tree.map(lambda array: jnp.array(array, copy=True), tree)


def of_layer(where: str, layer: Any, params: Any) -> Any:
    """The parameters of a cell or layer as NumPy arrays, if they are such as its `init` makes, of one type, and finite.

    Args:
        where: what begins every error: `to_torch`.
        layer: a cell or a layer.
        params: its parameters.

    Returns:
        A tree like `params`. Its arrays may share memory with those in `params`.

    Raises:
        ValueError: params of another structure or of other shapes than the layer's, of several types, or not finite.
        TypeError: something that is no cell and no layer.

    Example:
        of_layer("to_torch", GRU(3, 8), params).U.shape  # (3, 24)
    """
    if isinstance(layer, type) or not hasattr(layer, "init"):
        raise TypeError(f"{where}: expected a cell or a layer, got {layer!r}")
    like = shaped(layer)
    names = [f"params{jax.tree_util.keystr(path)}" for path, _ in jax.tree.leaves_with_path(like)]
    if jax.tree.structure(params) != jax.tree.structure(like):
        raise ValueError(
            f"{where}: params must have the structure that init gives, {jax.tree.structure(like)}, got "
            f"{jax.tree.structure(params)}"
        )
    found = dict(zip(names, jax.tree.leaves(params), strict=True))
    shapes = {name: leaf.shape for name, leaf in zip(names, jax.tree.leaves(like), strict=True)}
    return jax.tree.unflatten(jax.tree.structure(like), exactly(where, found, shapes, mixed=MIXED).values())
