"""Cells and layers of this library within models of Flax linen."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jax.typing import DTypeLike

from jaxrnn.cells.base import Inputs, Params, State
from jaxrnn.interop import arrays, sequences
from jaxrnn.unfold import BPTT, Scan


class Recurrent(linen.Module):
    """Any cell or layer as a linen `Module`, called as `linen.RNN` is.

    Each array of the layer's parameters is a parameter of the module, named by its path: `U`, or `0.forward.U` in
    layers within layers. `variables(layer, params)` and `parameters(layer, variables)` go from one to the other. Where
    `apply` is given a key for `dropout`, layers with dropout are in training.

    It differs from `linen.RNN` in this: the carry is the state of the cell or layer, such as `LSTMState(h, c)`; outputs
    past `seq_lengths` are zero; a length of 0 gives the initial carry.

    Attributes:
        layer: a cell or a layer.
        time_major: inputs and outputs are `(time, *batch, features)` rather than `(*batch, time, features)`.
        return_carry: return the pair (carry, outputs) rather than outputs.
        reverse: from the last valid step to the first.
        keep_order: in reverse, outputs stay beside the inputs of their time; else the last comes first.
        method: how values are computed, as in `unfold`.
        adjoint: how gradients are computed, as in `unfold`.
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
    ) -> Any:
        """Run over whole sequences. What is None here is as the module was made.

        Args:
            inputs: `(*batch, time, features)`, or time first with `time_major`.
            initial_carry: the state to start from; None for the initial one.
            seq_lengths: integers of the shape of the batch.
            return_carry: return the pair (carry, outputs).
            time_major: time is the first axis.
            reverse: from the last valid step to the first.
            keep_order: in reverse, outputs stay beside the inputs of their time.

        Returns:
            Outputs with their axes as in inputs; with `return_carry`, the pair (carry, outputs).
        """
        layer = sequences.as_layer("linen.Recurrent", self.layer)
        like = jax.eval_shape(lambda key: layer.init(key, self.param_dtype), jax.random.key(0))
        if self.is_initializing():
            start = jax.tree.leaves(layer.init(self.make_rng("params"), self.param_dtype))
        else:
            start = jax.tree.leaves(like)  # for their shapes
        params = [self.param(name, lambda _, a=a: _made(a)) for name, a in zip(_names(like), start, strict=True)]
        return sequences.call(
            layer,
            jax.tree.unflatten(jax.tree.structure(like), params),
            inputs,
            initial_carry=initial_carry,
            seq_lengths=seq_lengths,
            return_carry=self.return_carry if return_carry is None else return_carry,
            time_major=self.time_major if time_major is None else time_major,
            reverse=self.reverse if reverse is None else reverse,
            keep_order=self.keep_order if keep_order is None else keep_order,
            key=self.make_rng("dropout") if self.has_rng("dropout") else None,
            method=self.method,
            adjoint=self.adjoint,
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
    found = arrays.exactly(where, dict(variables.get("params", {})), shapes)
    return arrays.to_jax(where, jax.tree.unflatten(jax.tree.structure(like), found.values()))


def _names(params: Params) -> list[str]:
    """The name of each array, in order: its path, such as `0.forward.U`."""
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree.leaves_with_path(params)]


def _made(a: Any) -> jax.Array:
    return a if isinstance(a, jax.Array) else jnp.zeros(a.shape, a.dtype)
