"""What a module of PyTorch is, apart from its weights."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.interop import arrays

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_FIRST = "weight_hh", "weight_hh_l0"
_ENTRY = re.compile(r"(?:weight|bias)_(?:ih|hh|hr)(?:_l(\d+)(?:_reverse)?)?")


class Form(NamedTuple):
    """What a module of PyTorch is, apart from its weights."""

    kind: str  # RNN, GRU, LSTM
    input_size: int
    hidden_size: int
    projection: int = 0  # entries of a projected LSTM's h(t); 0: no projection
    activation: Any = None  # of an RNN: tanh, relu
    layers: int | None = 1  # None: a cell, which runs one step
    bidirectional: bool = False
    bias: bool = True
    dropout: float = 0.0

    def suffixes(self) -> list[list[str]]:
        """How the entries of each layer end: one for each direction."""
        if self.layers is None:
            return [[""]]
        return [[f"_l{k}", f"_l{k}_reverse"][: 1 + self.bidirectional] for k in range(self.layers)]

    def input_of(self, layer: int) -> int:
        """Entries of x(t) that a layer reads."""
        return self.input_size if layer == 0 else (self.projection or self.hidden_size) * (1 + self.bidirectional)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every entry of the state dict, and its shape."""
        rows = _GATES[self.kind] * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {}
        for k, suffixes in enumerate(self.suffixes()):
            for suffix in suffixes:
                shapes[f"weight_ih{suffix}"] = rows, self.input_of(k)
                shapes[f"weight_hh{suffix}"] = rows, self.projection or self.hidden_size
                if self.bias:
                    shapes[f"bias_ih{suffix}"] = shapes[f"bias_hh{suffix}"] = (rows,)
                if self.projection:
                    shapes[f"weight_hr{suffix}"] = self.projection, self.hidden_size
        return shapes


def begins(name: Any) -> bool:
    """Whether an entry of this name is the recurrent matrix of a module's first layer, or of a cell."""
    return isinstance(name, str) and name.endswith(_FIRST)


def of_module(module: Any) -> Form:
    """What the module itself says."""
    nn = arrays.framework("torch", "from_torch of a module").nn
    name = type(module).__name__
    if type(module) in (nn.RNN, nn.LSTM, nn.GRU):
        return Form(
            name,
            module.input_size,
            module.hidden_size,
            module.proj_size,
            module.nonlinearity if name == "RNN" else None,
            module.num_layers,
            module.bidirectional,
            module.bias,
            module.dropout,
        )
    if type(module) in (nn.RNNCell, nn.LSTMCell, nn.GRUCell):
        kind = name.removesuffix("Cell")
        activation = module.nonlinearity if kind == "RNN" else None
        return Form(kind, module.input_size, module.hidden_size, 0, activation, None, bias=module.bias)
    raise TypeError(
        f"from_torch: expected an nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell or nn.GRUCell, a state dict or a "
        f"path, got {name}: pass the recurrent module within it, or its state dict and prefix=..."
    )


def of_entries(
    where: str, entries: Mapping[str, Any], prefix: str, found: Mapping[str, np.ndarray], activation: str | None
) -> Form:
    """What the names and shapes of a state dict tell of its module."""
    names = [match for match in map(_ENTRY.fullmatch, found) if match]
    first = next((suffix for suffix in ("_l0", "") if f"weight_hh{suffix}" in found), None)
    if first is None:
        raise ValueError(
            f"{where}: neither {prefix}weight_hh_l0 nor {prefix}weight_hh is there{_other_prefixes(entries)}; "
            f"there are {arrays.listed(entries)}"
        )
    for name in (f"weight_ih{first}", f"weight_hh{first}", f"weight_hr{first}"):
        if name != f"weight_hr{first}" and name not in found:
            raise ValueError(f"{where}: {prefix}{name} is missing")
        if name in found and (found[name].ndim != 2 or 0 in found[name].shape):
            raise ValueError(f"{where}: {prefix}{name} must be a matrix, got shape {found[name].shape}")
    rows, output = found[f"weight_hh{first}"].shape
    projected = f"weight_hr{first}" in found
    hidden = found[f"weight_hr{first}"].shape[1] if projected else output
    kind = next((kind for kind, gates in _GATES.items() if rows == gates * hidden), None)
    if kind is None or (projected and kind != "LSTM"):
        wanted = "4 times" if projected else "1 (RNN), 3 (GRU) or 4 times (LSTM)"
        raise ValueError(
            f"{where}: {prefix}weight_hh{first} has shape {(rows, output)}: its rows must be {wanted} hidden = {hidden}"
        )
    if kind == "RNN" and activation is None:
        raise ValueError(f"{where}: tanh and relu have the same weights: pass activation='tanh' or activation='relu'")
    if kind != "RNN" and activation is not None:
        raise ValueError(f"{where}: activation is for an RNN, and these weights are of kind {kind}: leave it out")
    return Form(
        kind,
        found[f"weight_ih{first}"].shape[1],
        hidden,
        output if projected else 0,
        activation,
        len({match[1] for match in names if match[1]}) if first else None,
        any(name.endswith("_reverse") for name in found),
        any(name.startswith("bias_") for name in found),
    )


def _other_prefixes(entries: Mapping[str, Any]) -> str:
    """What to pass to read the recurrent weights that there are, for an error."""
    found = {name[: -len(end)] for name in entries for end in _FIRST if name.endswith(end)}
    named = [f"pass prefix= one of {arrays.listed(map(repr, found - {''}))}"] if found - {""} else []
    return f": {', or '.join([*named, *['leave prefix out'] * ('' in found)])}" if found else ""
