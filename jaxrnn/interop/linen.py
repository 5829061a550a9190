"""Cells and layers of this library within models of Flax linen."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jax.typing import DTypeLike

from jaxrnn.cells.base import Inputs, Params, State
from jaxrnn.interop import arrays, sequences
from jaxrnn.unfold import BPTT, Scan


class Recurrent(linen.Module):
    """Any cell or layer as a linen `Module`, called as `linen.RNN` is; `sequences.call` says where it differs.

    Each array of the layer's parameters is a parameter of the module, named by its path: `U`, or `0.forward.U` in
    layers within layers. `variables(layer, params)` and `parameters(layer, variables)` go from one to the other. Where
    `apply` is given a key for `dropout`, layers with dropout are in training.

    Attributes:
        layer: a cell or a layer.
        time_major, return_carry, reverse, keep_order: what a call does that does not say it, as in `sequences.call`.
        method, adjoint: how values and gradients are computed, as in `unfold`.
        param_dtype: the floating type of parameters.

    Raises:
        TypeError: on use, what is neither a cell nor a layer, or holds a `Spatial` cell, such as `ConvLSTM`.

    Example:
        rnn = Recurrent(LSTM(65, 256))  # for linen.RNN(linen.LSTMCell(256))
        variables = rnn.init(jax.random.key(0), jnp.ones((32, 100, 65)))

    Source: the arguments are those of `flax.linen.RNN`.
    """

    layer: Any
    time_major: bool = False
    return_carry: bool = False
    reverse: bool = False
    keep_order: bool = False
    method: Any = Scan()
    adjoint: Any = BPTT()
    param_dtype: DTypeLike = jnp.float32

    @linen.compact
    def __call__(
        self,
        inputs: Inputs,
        *,
        initial_carry: State = None,
        seq_lengths: Any = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        init_key: Any = None,
    ) -> Any:
        """Run over whole sequences, as `sequences.call` says; what is None here is as the module was made.

        `init_key`, which `linen.Bidirectional` passes on, is not used: no state starts from chance.
        """
        layer = sequences.as_layer("linen.Recurrent", self.layer)
        like = jax.eval_shape(lambda key: layer.init(key, self.param_dtype), jax.random.key(0))
        if self.is_initializing():
            start = jax.tree.leaves(layer.init(self.make_rng("params"), self.param_dtype))
        else:
            start = jax.tree.leaves(like)  # for their shapes
        params = [self.param(name, lambda _, a=a: _made(a)) for name, a in zip(_names(like), start, strict=True)]
        return sequences.call(
            self,
            layer,
            jax.tree.unflatten(jax.tree.structure(like), params),
            inputs,
            initial_carry=initial_carry,
            seq_lengths=seq_lengths,
            return_carry=return_carry,
            time_major=time_major,
            reverse=reverse,
            keep_order=keep_order,
            key=self.make_rng("dropout") if self.has_rng("dropout") else None,
        )


def variables(layer: Any, params: Params) -> dict[str, dict[str, jax.Array]]:
    """The variables of `Recurrent(layer)` that hold these parameters.

    Args:
        layer: a cell or a layer.
        params: as `layer.init` gives them.

    Raises:
        ValueError: params that are not the layer's, or not finite.
        TypeError: what is neither a cell nor a layer.

    Example:
        Recurrent(layer).apply(variables(layer, params), inputs)
    """
    checked = arrays.to_jax("linen.variables", arrays.of_layer("linen.variables", layer, params))
    return {"params": dict(zip(_names(checked), jax.tree.leaves(checked), strict=True))}


def parameters(layer: Any, variables: Any) -> Params:
    """The parameters of the layer that variables of `Recurrent(layer)` hold.

    Args:
        layer: a cell or a layer.
        variables: as the module's `init` gives them.

    Raises:
        ValueError: arrays that are missing, not expected, of other shapes or not finite.
        TypeError: what is neither a cell nor a layer.

    Example:
        layer.apply(parameters(layer, variables), xs)
    """
    where = "linen.parameters"
    like = jax.eval_shape(sequences.as_layer(where, layer).init, jax.random.key(0))
    shapes = dict(zip(_names(like), (leaf.shape for leaf in jax.tree.leaves(like)), strict=True))
    given = variables.get("params") if isinstance(variables, Mapping) else None
    if not isinstance(given, Mapping):
        raise ValueError(f"{where}: variables must be a dict that holds params, got {type(variables).__name__}")
    found = arrays.exactly(where, given, shapes, mixed=arrays.MIXED)
    return arrays.to_jax(where, jax.tree.unflatten(jax.tree.structure(like), found.values()))


def _names(params: Params) -> list[str]:
    """The name of each array, in order: its path, such as `0.forward.U`."""
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree.leaves_with_path(params)]


def _made(a: Any) -> jax.Array:
    return a if isinstance(a, jax.Array) else jnp.zeros(a.shape, a.dtype)
