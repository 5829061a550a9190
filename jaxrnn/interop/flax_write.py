"""Layers of this library as modules of Flax."""

from typing import Any

import numpy as np
from flax import linen, nnx, traverse_util

from jaxrnn.cells.gru import GRU
from jaxrnn.interop import arrays, flax_cells
from jaxrnn.interop.flatten import unstacked
from jaxrnn.layers import Bidirectional, Dropout, Recurrent, Sequential
from jaxrnn.layers.bidirectional import MERGES


def to_linen(where: str, layer: Any, params: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """The linen module and its arrays by path."""
    layer = unstacked(layer)
    if isinstance(layer, Sequential):
        parts = [to_linen(where, one, p) for one, p in zip(layer.layers, params, strict=True)]
        flat = {f"layers_{k}/{name}": a for k, (_, found) in enumerate(parts) for name, a in found.items()}
        return linen.Sequential([module for module, _ in parts]), flat
    if isinstance(layer, Dropout):
        return linen.Dropout(float(layer.rate), deterministic=True), {}
    if isinstance(layer, Bidirectional):
        forward, f = to_linen(where, layer.forward, params.forward)
        backward, b = to_linen(where, layer.backward, params.backward)
        flat = {f"forward_rnn/{name}": a for name, a in f.items()} | {
            f"backward_rnn/{name}": a for name, a in b.items()
        }
        return linen.Bidirectional(_rnn(where, forward), _rnn(where, backward), **_merge(layer)), flat
    if isinstance(layer, Recurrent):
        cell, found = to_linen(where, layer.cell, params)
        rnn = linen.RNN(cell, reverse=layer.reverse, keep_order=layer.reverse)
        return rnn, {f"cell/{name}": a for name, a in found.items()}
    kind, choices = flax_cells.kind(where, layer, linen)
    module = kind(layer.hidden_size, param_dtype=params.W.dtype, **choices)
    return module, flax_cells.unpacked(kind, params)


def to_nnx(where: str, layer: Any, params: Any, rngs: nnx.Rngs | None = None) -> Any:
    """The nnx module that holds the parameters; all of its dropout draws from `rngs`, one mask after another."""
    layer, rngs = unstacked(layer), nnx.Rngs(dropout=0) if rngs is None else rngs
    if isinstance(layer, Sequential):
        return nnx.Sequential(*(to_nnx(where, one, p, rngs) for one, p in zip(layer.layers, params, strict=True)))
    if isinstance(layer, Dropout):
        return nnx.Dropout(float(layer.rate), deterministic=True, rngs=rngs)
    if isinstance(layer, Bidirectional):
        forward, backward = to_nnx(where, layer.forward, params.forward), to_nnx(where, layer.backward, params.backward)
        return nnx.Bidirectional(_rnn(where, forward), _rnn(where, backward), **_merge(layer))
    if isinstance(layer, Recurrent):
        return nnx.RNN(to_nnx(where, layer.cell, params), reverse=layer.reverse, keep_order=layer.reverse)
    kind, choices = flax_cells.kind(where, layer, nnx)
    if isinstance(layer, GRU) and np.any(params.c):
        raise ValueError(
            f"{where}: nnx.GRUCell has no bias inside the reset, and c of this GRU is not zero: pass api=flax.linen, "
            "whose GRUCell has it"
        )
    dtype = params.W.dtype
    sizes = layer.input_size, layer.hidden_size
    # Only its shape: nothing is drawn that would be thrown away.
    module = nnx.eval_shape(lambda: kind(*sizes, dtype=dtype, param_dtype=dtype, rngs=nnx.Rngs(0), **choices))
    state = arrays.to_jax(where, traverse_util.unflatten_dict(flax_cells.unpacked(kind, params), sep="/"))
    nnx.update(module, state)
    return module


def _rnn(where: str, module: Any) -> Any:
    if not isinstance(module, linen.RNN | nnx.RNN):
        raise TypeError(f"{where}: each direction of Bidirectional must be Recurrent(cell) for Flax")
    return module


def _merge(layer: Bidirectional) -> dict[str, Any]:
    """The choice of how two directions are merged; Flax's default where it is ours."""
    if layer.merge == "concatenate":
        return {}
    return {"merge_fn": layer.merge if callable(layer.merge) else MERGES[layer.merge]}
