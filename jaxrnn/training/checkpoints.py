"""Parameters and configurations on disk: safetensors and JSON, each file whole or not there at all."""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

PARAMETERS = "parameters.safetensors"
CONFIGURATION = "configuration.json"


def write(path: str | os.PathLike, content: bytes | str) -> None:
    """Write a file so that at every moment its name stands for the old content or the new, never for a part."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            # Bytes of a file's name that are no UTF-8 come as lone surrogates.
            file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # interrupted after it had its name
            os.unlink(temporary)
        raise


def names(params: Any) -> list[str]:
    """The name of each array of a pytree, in order: its path, such as `readout.cell.0.W`."""
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree.leaves_with_path(params)]


def save_parameters(path: str | os.PathLike, params: Any) -> None:
    """Write a pytree of arrays as safetensors, every array named by its path in the tree."""
    arrays = [np.array(a, order="C") for a in jax.tree.leaves(params)]
    write(path, safetensors.numpy.save(dict(zip(names(params), arrays, strict=True))))


def load_parameters(path: str | os.PathLike, like: Any) -> Any:
    """Read parameters written by `save_parameters`.

    Args:
        path: the file.
        like: a tree of arrays, or of `jax.ShapeDtypeStruct` as from `jax.eval_shape(model.init, key)`, with the
            structure, shapes and types that the file must have.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is not whole, or whose arrays have other names, shapes or types than `like`.

    Example:
        params = load_parameters("run/parameters.safetensors", jax.eval_shape(model.init, jax.random.key(0)))
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        found = dict(safetensors.deserialize(path.read_bytes()))
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error})") from None
    expected = dict(zip(names(like), jax.tree.leaves(like), strict=True))
    if found.keys() != expected.keys():
        missing, extra = (_listed(s) for s in (expected.keys() - found, found.keys() - expected))
        raise ValueError(f"{path}: other arrays than the model has: missing {missing}; not expected {extra}")
    arrays = []
    for name, want in expected.items():
        kind, shape = _type_name(found[name]["dtype"]), tuple(found[name]["shape"])
        if (kind, shape) != (str(want.dtype), want.shape):
            raise ValueError(f"{path}: {name} is {kind}{list(shape)}, the model has {want.dtype}{list(want.shape)}")
        arrays.append(jnp.asarray(np.frombuffer(found[name]["data"], want.dtype).reshape(shape)))
    return jax.tree.unflatten(jax.tree.structure(like), arrays)


def _listed(names: set[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(sorted(names)[:most]) or "none") + more


def _type_name(short: str) -> str:
    """The name of a type in NumPy and JAX, from that in safetensors: `BF16` is `bfloat16`."""
    letters = short.rstrip("0123456789")
    long = {"BF": "bfloat", "F": "float", "I": "int", "U": "uint"}.get(letters, letters.lower())
    return long + short[len(letters) :]


def create_run(
    folder: str | os.PathLike, configuration: dict[str, Any], params: Any, *, overwrite: bool = False
) -> Path:
    """Make a run folder that holds a configuration and parameters from the first moment that it exists.

    Args:
        folder: where; it must not exist, or be empty, or with `overwrite` be a run folder.
        configuration: everything needed to rebuild the model, as JSON.
        params: the parameters at the start.
        overwrite: whether a run folder that is there may be replaced.

    Returns:
        The folder's absolute path; where a symbolic link was given, that of the folder behind it.

    Raises:
        FileExistsError: something is there that must not be overwritten.
        PermissionError: the folder above cannot be written to.
        OSError: the folder cannot be made for another reason, such as a name that is too long.
    """
    check_free(folder, overwrite=overwrite)
    folder = Path(os.path.realpath(folder))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:  # it would name the temporary folder
        raise OSError(f"{folder}: cannot be made: {error.strerror}") from None
    old = temporary / "old"
    try:
        save_parameters(temporary / PARAMETERS, params)
        write(temporary / CONFIGURATION, json.dumps(configuration, indent=2, ensure_ascii=False) + "\n")
        os.chmod(temporary, 0o755)
        if folder.exists() and any(folder.iterdir()):
            os.rename(folder, old)
        os.rename(temporary, folder)
    except BaseException:
        if old.exists():  # before anything is removed
            os.rename(old, folder)
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(folder / "old", ignore_errors=True)
    return folder


def check_free(folder: str | os.PathLike, *, overwrite: bool = False) -> None:
    """Raise unless a run folder can be made here."""
    folder = Path(folder)
    above = next(p for p in folder.absolute().parents if os.path.lexists(p))
    if not above.is_dir():
        raise FileExistsError(f"{folder}: cannot be made, since {above} is not a folder")
    if not os.access(above, os.W_OK):
        raise PermissionError(f"{folder}: cannot be made, since {above} cannot be written to")
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise FileExistsError(f"{folder}: exists and is not a folder")
    if not any(folder.iterdir()):
        return
    if not overwrite:
        raise FileExistsError(
            f"{folder}: exists and is not empty: choose another folder, or overwrite it (--overwrite)"
        )
    if not (folder / CONFIGURATION).is_file():
        raise FileExistsError(f"{folder}: not overwritten, since it is not a run folder (it has no {CONFIGURATION})")


def load_configuration(folder: str | os.PathLike) -> dict[str, Any]:
    """The configuration of a run folder.

    Raises:
        FileNotFoundError: no such folder, or one without configuration or parameters.
        ValueError: a configuration that is not a JSON object.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such run folder")
    for name in (CONFIGURATION, PARAMETERS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder}: not a whole run folder: it has no {name}")
    path = folder / CONFIGURATION
    try:
        configuration = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # the latter: nested too deeply
        raise ValueError(f"{path}: not JSON: {error}") from None
    if not isinstance(configuration, dict):
        raise ValueError(f"{path}: must hold a JSON object, got {type(configuration).__name__}")
    return configuration
