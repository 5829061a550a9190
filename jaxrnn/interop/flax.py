"""Weights of Flax, linen and nnx, in and out."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx, traverse_util
from jax.typing import DTypeLike

from jaxrnn.cells import activations
from jaxrnn.cells.base import Cell, Params
from jaxrnn.cells.elman import Elman, ElmanParams
from jaxrnn.cells.gru import GRU, GRUParams
from jaxrnn.cells.lstm import LSTM, LSTMParams
from jaxrnn.interop import arrays, perturbations
from jaxrnn.layers import Bidirectional, BidirectionalParams, Layer, Recurrent, Sequential
from jaxrnn.layers.bidirectional import MERGES

Arrays = Mapping[str, np.ndarray]


def from_flax(source: Any, *, dtype: DTypeLike | None = None) -> tuple[Layer | Cell, Params]:
    """A Flax cell, or a network of them, as a cell or layer of this library and its parameters.

    | Flax, linen or nnx | here |
    | --- | --- |
    | `SimpleCell` | `Elman` with its activation |
    | `LSTMCell`, `OptimizedLSTMCell` | `LSTM` |
    | `GRUCell` | `GRU`; that of nnx has no bias inside the reset: c = 0 |
    | `RNN(cell)` | `Recurrent(cell)`, with its `reverse` |
    | `Bidirectional` | `Bidirectional` with its `merge_fn` |
    | `Sequential` of these | `Sequential` |

    Linen's carry `(c, h)` is `LSTMState(h, c)` here. Time is the first axis here unless `apply` is told otherwise.
    Outputs of a layer in reverse stay beside the inputs of their time, as in Flax with `keep_order=True`. Arithmetic is
    in the type of the parameters, whatever `dtype` the Flax module computes in.

    Args:
        source: for linen, the pair `(module, variables)`; for nnx, the module.
        dtype: the floating type to convert to; None: the one that all arrays have.

    Returns:
        The pair (layer, params).

    Raises:
        TypeError: a module of another kind, such as a subclass, `MGUCell` or `ConvLSTMCell`.
        ValueError: an option that this library does not have, named; arrays that are missing, not expected, of other
            shapes, not finite, or of several types.

    Example:
        layer, params = from_flax(nnx.RNN(nnx.LSTMCell(3, 8, rngs=nnx.Rngs(0))))
        layer.apply(params, jnp.ones((20, 3))).outputs.shape  # (20, 8)

    Source: the equations in the documentation of `flax.linen` and `flax.nnx`.
    """
    where = "from_flax"
    if isinstance(source, nnx.Module):
        module, found = source, nnx.to_pure_dict(nnx.state(source, nnx.Param))
    elif isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], linen.Module):
        module, variables = source
        if not isinstance(variables, Mapping) or set(variables) != {"params"}:
            kind = sorted(variables) if isinstance(variables, Mapping) else type(variables).__name__
            raise ValueError(f"{where}: variables must hold params and nothing else, got {kind}")
        found = variables["params"]
    else:
        raise TypeError(
            f"{where}: expected an nnx module or, for linen, the pair (module, variables), got {type(source).__name__}"
        )
    flat = traverse_util.flatten_dict(dict(found))
    given = {"/".join(map(str, path)): array for path, array in flat.items()}
    part = _read(where, module, given, "", False)
    return part.layer, arrays.to_jax(where, part.pack(arrays.exactly(where, given, part.shapes, dtype=dtype)))


def to_flax(layer: Layer | Cell, params: Params, api: ModuleType = nnx) -> Any:
    """A cell or layer of this library as a Flax module: the way back of `from_flax`.

    An `LSTM` becomes an `OptimizedLSTMCell`. A layer in reverse becomes `RNN(cell, reverse=True, keep_order=True)`.

    Args:
        layer: an `Elman`, `LSTM` or `GRU`, or `Recurrent`, `Bidirectional` and `Sequential` of these. Dropout within a
            `Recurrent` is left out.
        params: its parameters.
        api: `flax.nnx` or `flax.linen`.

    Returns:
        For nnx, the module; for linen, the pair (module, variables).

    Raises:
        TypeError: a layer or cell that Flax does not have.
        ValueError: parameters that are not the layer's, of several types, or not finite; for nnx, a `GRU` whose bias
            inside the reset, c, is not zero.

    Example:
        module, variables = to_flax(GRU(3, 8), params, flax.linen)
    """
    where = "to_flax"
    if api is not nnx and api is not linen:
        raise TypeError(f"{where}: api must be flax.nnx or flax.linen, got {api!r}")
    params = arrays.of_layer(where, layer, params)
    perturbations.refuse(where, layer)
    if api is nnx:
        return _nnx(where, layer, params)
    module, flat = _linen(where, layer, params)
    return module, {"params": arrays.to_jax(where, traverse_util.unflatten_dict(flat, sep="/"))}


class _Form(NamedTuple):
    """How Flax stores a cell."""

    cell: Any  # its class here
    params: Any
    gates: int
    fields: tuple[tuple[str, ...], ...]  # for each field of params, the arrays that make it, side by side; () is zeros


def _split(cell: Any, params: Any, inputs: str, hidden: str, biased: str, c: str = "") -> _Form:
    """Arrays of their own for each gate, whose names on the side of x and of h are given."""
    x, h = inputs.split(), hidden.split()
    fields = [[f"{name}/kernel" for name in x], [f"{name}/kernel" for name in h]]
    fields.append([f"{name}/bias" for name in biased.split()])
    return _Form(cell, params, len(x), (*map(tuple, fields), *([(f"{c}/bias",)] if c else [])))


def _joined(cell: Any, params: Any, gates: int, biased: str) -> _Form:
    """All gates in one array."""
    fields = (("dense_i/kernel",), ("dense_h/kernel",), (f"{biased}/bias",), ())
    return _Form(cell, params, gates, fields[: len(params._fields)])


_LSTM = _split(LSTM, LSTMParams, "ii if ig io", "hi hf hg ho", "hi hf hg ho")
_FORMS: dict[type, _Form] = {
    linen.SimpleCell: _split(Elman, ElmanParams, "i", "h", "i"),
    linen.OptimizedLSTMCell: _LSTM,
    linen.LSTMCell: _LSTM,
    linen.GRUCell: _split(GRU, GRUParams, "ir iz in", "hr hz hn", "ir iz in", "hn"),
    nnx.SimpleCell: _joined(Elman, ElmanParams, 1, "dense_i"),
    nnx.OptimizedLSTMCell: _joined(LSTM, LSTMParams, 4, "dense_h"),
    nnx.LSTMCell: _split(LSTM, LSTMParams, "ii if_ ig io", "hi hf hg ho", "hi hf hg ho"),
    nnx.GRUCell: _joined(GRU, GRUParams, 3, "dense_i"),
}


class _Part(NamedTuple):
    """A part of what is read, before any array is."""

    layer: Any
    shapes: dict[str, tuple[int, ...]]  # of the arrays that it needs
    pack: Callable[[Arrays], Params]
    flips: bool = False  # whether Flax gives its outputs in reverse order


def _read(where: str, module: Any, given: Mapping[str, Any], path: str, flipped: bool) -> _Part:
    """The part whose arrays are at `path`; `flipped`: its inputs come in reverse order."""
    if type(module) in _FORMS:
        return _cell(where, module, given, path)
    if isinstance(module, linen.RNN | nnx.RNN):
        cell = _read(where, module.cell, given, f"{path}{_scope(module.cell, 'cell')}/", False)
        if not isinstance(cell.layer, Cell):
            raise TypeError(f"{where}: {path or 'RNN'} must hold a cell, got {type(module.cell).__name__}")
        reverse = bool(module.reverse) != flipped
        flips = flipped != (bool(module.reverse) and not module.keep_order)
        return cell._replace(layer=Recurrent(cell.layer, reverse=reverse), flips=flips)
    if isinstance(module, linen.Bidirectional | nnx.Bidirectional):
        return _bidirectional(where, module, given, path, flipped)
    if isinstance(module, linen.Sequential | nnx.Sequential):
        return _sequential(where, module, given, path)
    raise TypeError(
        f"{where}: {path + ': ' if path else ''}{type(module).__name__} has no counterpart here: pass SimpleCell, "
        "LSTMCell, OptimizedLSTMCell, GRUCell, or RNN, Bidirectional and Sequential of these"
    )


def _cell(where: str, module: Any, given: Mapping[str, Any], path: str) -> _Part:
    form = _FORMS[type(module)]
    hidden = module.features if isinstance(module, linen.Module) else module.hidden_features
    kernel = f"{path}{form.fields[0][0]}"
    if kernel not in given or np.ndim(given[kernel]) != 2:
        raise ValueError(f"{where}: {kernel} must be there, with two axes: its rows are the size of the input")
    size = given[kernel].shape[0]
    rows = {"U": (size,), "W": (hidden,), "b": (), "c": ()}
    shapes = {}
    for field, names in zip(form.params._fields, form.fields, strict=True):
        columns = hidden if field == "c" else form.gates * hidden
        shapes |= {f"{path}{name}": (*rows[field], columns // len(names)) for name in names}

    def pack(found: Arrays) -> Params:
        none = np.zeros(hidden, found[kernel].dtype)
        return form.params(
            *(np.concatenate([found[path + n] for n in names], axis=-1) if names else none for names in form.fields)
        )

    return _Part(form.cell(size, hidden, **_choices(where, module, path)), shapes, pack)


def _choices(where: str, module: Any, path: str) -> dict[str, Any]:
    """The choices of a cell, as arguments; those that there are not here raise."""
    name = f"{path}{type(module).__name__}"
    if getattr(module, "gate_fn", jax.nn.sigmoid) is not jax.nn.sigmoid:
        raise ValueError(f"{where}: {name}: gate_fn must be sigmoid, got {module.gate_fn!r}")
    if module.carry_init not in (None, jax.nn.initializers.zeros):
        raise ValueError(f"{where}: {name}: carry_init must be zeros, got {module.carry_init!r}")
    if getattr(module, "residual", False):
        raise ValueError(f"{where}: {name}: residual must be False")
    if _FORMS[type(module)].cell is Elman:
        named = [n for n in activations.NAMES if getattr(jax.nn, n) is module.activation_fn]
        return {"activation": named[0] if named else module.activation_fn}
    if module.activation_fn is not jnp.tanh:
        raise ValueError(f"{where}: {name}: activation_fn must be tanh, got {module.activation_fn!r}")
    return {}


def _scope(module: Any, attribute: str) -> str:
    """Where the parameters of a submodule are."""
    return (module.name if isinstance(module, linen.Module) else None) or attribute


def _bidirectional(where: str, module: Any, given: Mapping[str, Any], path: str, flipped: bool) -> _Part:
    if flipped:
        raise ValueError(f"{where}: {path}Bidirectional reads a sequence in reverse order: pass keep_order=True below")
    parts = []
    for side in ("forward_rnn", "backward_rnn"):
        rnn = getattr(module, side)
        if not isinstance(rnn, linen.RNN | nnx.RNN):
            raise TypeError(f"{where}: {path}{side} must be an RNN, got {type(rnn).__name__}")
        part = _read(where, rnn, given, f"{path}{_scope(rnn, side)}/", False)
        parts.append(part._replace(layer=Recurrent(part.layer.cell)))  # the direction is Bidirectional's, also in Flax
    forward, backward = parts
    default = type(module).merge_fn
    named = [name for name, f in MERGES.items() if f is module.merge_fn]
    merge = "concatenate" if module.merge_fn is default else named[0] if named else module.merge_fn
    return _Part(
        Bidirectional(forward.layer, backward.layer, merge),
        forward.shapes | backward.shapes,
        lambda found: BidirectionalParams(forward.pack(found), backward.pack(found)),
    )


def _sequential(where: str, module: Any, given: Mapping[str, Any], path: str) -> _Part:
    parts, flipped = [], False
    for number, layer in enumerate(module.layers):
        if type(layer) in _FORMS or isinstance(layer, linen.Sequential | nnx.Sequential):
            raise TypeError(f"{where}: {path}layers {number} must be an RNN or a Bidirectional of such, got {layer!r}")
        here = f"layers/{number}" if isinstance(layer, nnx.Module) else _scope(layer, f"layers_{number}")
        parts.append(_read(where, layer, given, f"{path}{here}/", flipped))
        flipped = parts[-1].flips
    shapes = {name: shape for part in parts for name, shape in part.shapes.items()}
    return _Part(
        Sequential([part.layer for part in parts]), shapes, lambda found: tuple(part.pack(found) for part in parts)
    )


def _linen(where: str, layer: Any, params: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """The linen module and its arrays by path."""
    if isinstance(layer, Sequential):
        parts = [_linen(where, one, p) for one, p in zip(layer.layers, params, strict=True)]
        flat = {f"layers_{k}/{name}": a for k, (_, found) in enumerate(parts) for name, a in found.items()}
        return linen.Sequential([module for module, _ in parts]), flat
    if isinstance(layer, Bidirectional):
        forward, f = _linen(where, layer.forward, params.forward)
        backward, b = _linen(where, layer.backward, params.backward)
        flat = {f"forward_rnn/{name}": a for name, a in f.items()} | {
            f"backward_rnn/{name}": a for name, a in b.items()
        }
        return linen.Bidirectional(_rnn(where, forward), _rnn(where, backward), **_merge(layer)), flat
    if isinstance(layer, Recurrent):
        cell, found = _linen(where, layer.cell, params)
        rnn = linen.RNN(cell, reverse=layer.reverse, keep_order=layer.reverse)
        return rnn, {f"cell/{name}": a for name, a in found.items()}
    kind, choices = _kind(where, layer, linen)
    module = kind(layer.hidden_size, param_dtype=params.W.dtype, **choices)
    return module, _unpacked(kind, params)


def _nnx(where: str, layer: Any, params: Any) -> Any:
    """The nnx module that holds the parameters."""
    if isinstance(layer, Sequential):
        return nnx.Sequential(*(_nnx(where, one, p) for one, p in zip(layer.layers, params, strict=True)))
    if isinstance(layer, Bidirectional):
        forward, backward = _nnx(where, layer.forward, params.forward), _nnx(where, layer.backward, params.backward)
        return nnx.Bidirectional(_rnn(where, forward), _rnn(where, backward), **_merge(layer))
    if isinstance(layer, Recurrent):
        return nnx.RNN(_nnx(where, layer.cell, params), reverse=layer.reverse, keep_order=layer.reverse)
    kind, choices = _kind(where, layer, nnx)
    if isinstance(layer, GRU) and np.any(params.c):
        raise ValueError(
            f"{where}: nnx.GRUCell has no bias inside the reset, and c of this GRU is not zero: pass api=flax.linen, "
            "whose GRUCell has it"
        )
    dtype = params.W.dtype
    sizes = layer.input_size, layer.hidden_size
    # Only its shape: nothing is drawn that would be thrown away.
    module = nnx.eval_shape(lambda: kind(*sizes, dtype=dtype, param_dtype=dtype, rngs=nnx.Rngs(0), **choices))
    state = arrays.to_jax(where, traverse_util.unflatten_dict(_unpacked(kind, params), sep="/"))
    nnx.update(module, state)
    return module


def _rnn(where: str, module: Any) -> Any:
    if not isinstance(module, linen.RNN | nnx.RNN):
        raise TypeError(f"{where}: each direction of Bidirectional must be Recurrent(cell) for Flax")
    return module


def _kind(where: str, cell: Any, api: ModuleType) -> tuple[Any, dict[str, Any]]:
    """The class of a cell, and its choices."""
    if type(cell) is Elman:
        return api.SimpleCell, {"activation_fn": activations.function(cell, cell.activation)}
    if type(cell) is LSTM:
        return api.OptimizedLSTMCell, {}
    if type(cell) is GRU:
        return api.GRUCell, {}
    raise TypeError(
        f"{where}: {type(cell).__name__} has no counterpart in Flax: pass Elman, LSTM, GRU, or Recurrent, "
        "Bidirectional and Sequential of these; jaxrnn.interop.nnx.Recurrent makes a Flax module of any layer"
    )


def _unpacked(kind: type, params: Any) -> dict[str, np.ndarray]:
    """The arrays of a Flax cell by path."""
    flat = {}
    for array, names in zip(params, _FORMS[kind].fields, strict=True):
        if names:
            flat |= dict(zip(names, np.split(array, len(names), axis=-1), strict=True))
    return flat


def _merge(layer: Bidirectional) -> dict[str, Any]:
    """The choice of how two directions are merged; Flax's default where it is ours."""
    if layer.merge == "concatenate":
        return {}
    return {"merge_fn": layer.merge if callable(layer.merge) else MERGES[layer.merge]}
