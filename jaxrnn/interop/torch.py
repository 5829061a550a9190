"""PyTorch's weights, in and out."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxrnn.cells import Cell
from jaxrnn.interop import arrays, perturbations, torch_form, torch_layers
from jaxrnn.interop.torch_form import Form
from jaxrnn.layers import Layer


def from_torch(
    source: Any, *, prefix: str = "", activation: str | None = None, dtype: DTypeLike | None = None
) -> tuple[Layer | Cell, Any]:
    """The layer and parameters that give the same numbers as a recurrent network of PyTorch.

        U = weight_ihᵀ, W = weight_hhᵀ, P = weight_hrᵀ
        b = bias_ih + bias_hh                                RNN, LSTM
        b = bias_ih + (bias_hh_r, bias_hh_z, 0), c = bias_hh_n       GRU

    PyTorch has two biases where one is enough; where they only appear as a sum, the sum is kept. `bias=False` is b = 0.
    `nn.RNN`, `nn.LSTM` and `nn.GRU` become layers: `Recurrent(cell)`, with two directions `Bidirectional`, with several
    layers `Sequential` of these, with `Dropout` between them where the module has any. `nn.RNNCell`, `nn.LSTMCell` and
    `nn.GRUCell` become cells. For the inputs of a module with `batch_first=True`, pass `time_axis=1` to `apply`.

    Args:
        source: a module; a state dict (its values tensors or NumPy arrays), from which sizes, layers, directions,
            projection and kind are inferred; a checkpoint, which holds one such dict beside other things, as
            `{"state_dict": ..., "epoch": 3}`; or the path of any of these dicts in a `.pt`, `.pth`, `.bin` or `.ckpt`
            file, of which only tensors are read: no code in it is ever executed; or of a state dict in a `.safetensors`
            file, which needs no PyTorch.
        prefix: what the names begin with where the network is part of a larger model, such as `"encoder.rnn."`; other
            entries are not looked at.
        activation: "tanh" or "relu", for the weights of an RNN without its module: their shapes do not tell.
        dtype: the floating type of the parameters; None: that of the weights.

    Returns:
        `(layer, params)`. The parameters share no memory with the source.

    Raises:
        ValueError: entries that are missing, not expected, of another shape, not of a floating type, not of one type,
            or not finite; a checkpoint with no recurrent weights, or several dicts of such; a file that is not what its
            name says, or holds more than tensors; float64 weights without `jax_enable_x64` and without dtype.
        TypeError: a source that is none of these.
        FileNotFoundError: no such file.
        ModuleNotFoundError: PyTorch is needed and not installed.

    Example:
        layer, params = from_torch(torch.nn.LSTM(8, 32, num_layers=2, bidirectional=True))
        run = layer.apply(params, xs)  # run.final[1].backward.h: h_n[3] of PyTorch

    Source: the equations in PyTorch's documentation of `RNN`, `LSTM` and `GRU`.
    """
    if activation not in (None, "tanh", "relu"):
        raise ValueError(f"from_torch: activation must be 'tanh' or 'relu', got {activation!r}")
    if not isinstance(prefix, str):
        raise TypeError(f"from_torch: prefix must be a string, got {prefix!r}")
    where, entries, form = "from_torch", source, None
    if isinstance(source, str | os.PathLike):
        where, entries = f"from_torch: {os.fspath(source)}", _read(Path(source))
    elif not isinstance(source, Mapping):
        form, entries = torch_form.of_module(source), source.state_dict()
        if prefix or activation is not None:
            raise ValueError(f"{where}: prefix and activation are for state dicts: pass the module alone")
    if isinstance(entries, Mapping):
        where, entries = _unwrapped(where, entries)
    if not isinstance(entries, Mapping) or not all(isinstance(name, str) for name in entries):
        raise ValueError(
            f"{where}: expected a state dict, with names for its entries, got {type(entries).__name__}: pass, or save, "
            "module.state_dict()"
        )
    found = {name[len(prefix) :]: _array(where, name, a) for name, a in entries.items() if name.startswith(prefix)}
    if form is None:
        form = torch_form.of_entries(where, entries, prefix, found, activation)
    hint = "; where a model holds more than the recurrent network, pass prefix=... or only what belongs to it"
    where = f"{where}: {prefix}*" if prefix else where
    found = arrays.exactly(where, found, form.shapes(), dtype=dtype, hint=hint)
    return torch_layers.to_layer(form), arrays.to_jax(where, torch_layers.to_params(form, found))


def to_torch(layer: Layer | Cell, params: Any) -> Any:
    """The module of PyTorch that gives the same numbers as a layer or cell: the inverse of `from_torch`.

    A cell becomes `nn.RNNCell`, `nn.LSTMCell` or `nn.GRUCell`; `Recurrent`, `Bidirectional` (concatenated) and
    `Sequential` of these, and a `Stack`, become `nn.RNN`, `nn.LSTM` or `nn.GRU`. All of b goes to `bias_ih`; `bias_hh`
    is zero, but for the GRU's c.

    Args:
        layer: an `Elman`, `LSTM`, `ProjectedLSTM` or `GRU`, or a layer of equal ones; `Dropout` of one rate may stand
            between layers. Dropout within a `Recurrent` is left out.
        params: its parameters.

    Returns:
        A module of the parameters' floating type, time first (`batch_first=False`), that shares no memory with them.

    Raises:
        ValueError: a layer for which PyTorch has no module; parameters that are not the layer's, or not finite.
        TypeError: something that is no cell and no layer.
        ModuleNotFoundError: PyTorch is not installed.

    Example:
        torch.save(to_torch(Recurrent(cell), params).state_dict(), "gru.pt")
    """
    host = arrays.of_layer("to_torch", layer, params)
    perturbations.refuse("to_torch", layer)
    form, entries = torch_layers.from_layer(layer, host)
    return _module(form, entries)


def _read(path: Path) -> Any:
    """What a file of weights holds."""
    if path.suffix == ".safetensors":
        return arrays.read_safetensors(path, "from_torch")
    if path.suffix not in (".pt", ".pth", ".bin", ".ckpt"):
        raise ValueError(f"from_torch: {path}: expected a .safetensors, .pt, .pth, .bin or .ckpt file")
    arrays.there("from_torch", path)
    torch = arrays.framework("torch", f"from_torch of a {path.suffix} file")
    try:
        entries = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of any kind, for a file that may hold anything
        raise ValueError(
            f"from_torch: {path}: not a whole PyTorch file of nothing but tensors ({type(error).__name__}); nothing in "
            "it was executed: write such a file by torch.save(module.state_dict(), path)"
        ) from error
    return entries


def _unwrapped(where: str, entries: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The state dict within a checkpoint, where that is clear, and a name for it; a state dict as it is.

    A state dict may hold parts too, such as what a module keeps beside its weights.
    """
    parts = {name: part for name, part in entries.items() if isinstance(part, Mapping)}
    if not parts or any(torch_form.begins(name) for name in entries.keys() - parts.keys()):
        return where, entries
    recurrent = [name for name, part in parts.items() if any(map(torch_form.begins, part))]
    if len(recurrent) == 1:
        return f"{where}: {recurrent[0]}", parts[recurrent[0]]
    several = f"recurrent weights in several parts, {arrays.listed(map(repr, recurrent))}: pass one of these as source"
    none = f"the parts {arrays.listed(map(repr, parts))}, none with recurrent weights: pass a state dict"
    raise ValueError(f"{where}: a checkpoint with {several if recurrent else none}")


def _array(where: str, name: str, value: Any) -> np.ndarray:
    """A tensor, or another array, as a NumPy array."""
    if hasattr(value, "detach"):  # without an import of PyTorch
        try:
            value = value.detach().cpu()
            narrow = str(value.dtype) == "torch.bfloat16"  # which NumPy knows only by JAX's help
            return value.float().numpy().astype(jnp.bfloat16) if narrow else value.numpy()
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"{where}: {name} is not a plain tensor ({error})") from None
    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        raise ValueError(f"{where}: {name} is no tensor but {type(value).__name__}: pass a state dict")
    return np.asarray(value)


def _module(form: Form, entries: Mapping[str, np.ndarray]) -> Any:
    """A module with these entries, made without drawing random numbers."""
    torch = arrays.framework("torch", "to_torch")
    dtype = next(iter(entries.values())).dtype
    choices: dict[str, Any] = {"dtype": getattr(torch, str(dtype))}
    if form.kind == "RNN":
        choices["nonlinearity"] = form.activation
    name = form.kind
    if form.layers is None:
        name += "Cell"
    else:
        choices |= {"num_layers": form.layers, "bidirectional": form.bidirectional, "dropout": form.dropout}
        if form.projection:
            choices["proj_size"] = form.projection
    with torch.device("meta"):
        module = getattr(torch.nn, name)(form.input_size, form.hidden_size, **choices)
    module.to_empty(device="cpu")
    wide = np.float32 if dtype == jnp.bfloat16 else dtype  # which PyTorch does not take from NumPy
    module.load_state_dict({name: torch.tensor(a.astype(wide)).to(choices["dtype"]) for name, a in entries.items()})
    return module
