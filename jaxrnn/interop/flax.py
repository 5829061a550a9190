"""Weights of Flax, linen and nnx, in and out."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from flax import linen, nnx, traverse_util
from jax.typing import DTypeLike

from jaxrnn.cells.base import Cell, Params
from jaxrnn.interop import arrays, flax_read, flax_write, perturbations
from jaxrnn.layers import Layer


def from_flax(source: Any, *, dtype: DTypeLike | None = None) -> tuple[Layer | Cell, Params]:
    """A Flax cell, or a network of them, as a cell or layer of this library and its parameters.

    | Flax, linen or nnx | here |
    | --- | --- |
    | `SimpleCell` | `Elman` with its activation |
    | `LSTMCell`, `OptimizedLSTMCell` | `LSTM` |
    | `GRUCell` | `GRU`; that of nnx has no bias inside the reset: c = 0 |
    | `MGUCell`, of linen alone | `TiedGRU` with its `reset_gate`; `MGU` is the paper's, whose equations differ |
    | `RNN(cell)` | `Recurrent(cell)`, with its `reverse` |
    | `Bidirectional` | `Bidirectional` with its `merge_fn` |
    | `Dropout`, without broadcast_dims | `Dropout` |
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
        TypeError: a module of another kind, such as a subclass or `ConvLSTMCell`.
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
        found = linen.meta.unbox(variables["params"])  # of what says how arrays are divided among devices
    else:
        raise TypeError(
            f"{where}: expected an nnx module or, for linen, the pair (module, variables), got {type(source).__name__}"
        )
    if not isinstance(found, Mapping):
        raise ValueError(f"{where}: params must be a dict of arrays by their paths, got {type(found).__name__}")
    flat = traverse_util.flatten_dict(dict(found))
    given = {"/".join(map(str, path)): array for path, array in flat.items()}
    part = flax_read.read(where, module, given, "", False)
    return part.layer, arrays.to_jax(where, part.pack(arrays.exactly(where, given, part.shapes, dtype=dtype)))


def to_flax(layer: Layer | Cell, params: Params, api: ModuleType = nnx) -> Any:
    """A cell or layer of this library as a Flax module: the way back of `from_flax`.

    An `LSTM` becomes an `OptimizedLSTMCell`. A layer in reverse becomes `RNN(cell, reverse=True, keep_order=True)`.
    `Dropout` becomes one with `deterministic=True`, so that the module is in evaluation: for training, nnx has
    `module.train()` (the dropout's keys then come from seed 0, which `nnx.reseed(module, dropout=...)` replaces), and
    linen another `Dropout` in that place.

    Args:
        layer: an `Elman`, `LSTM`, `GRU` or `TiedGRU`, or `Recurrent`, `Bidirectional` and `Sequential` of these, with
            `Dropout` between them, or a `Stack`. Dropout within a `Recurrent` is left out.
        params: its parameters.
        api: `flax.nnx` or `flax.linen`.

    Returns:
        For nnx, the module; for linen, the pair (module, variables).

    Raises:
        TypeError: a layer or cell that Flax does not have; for nnx, also a `TiedGRU`.
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
        return flax_write.to_nnx(where, layer, params)
    module, flat = flax_write.to_linen(where, layer, params)
    return module, {"params": arrays.to_jax(where, traverse_util.unflatten_dict(flat, sep="/"))}
