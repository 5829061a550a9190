"""A call of a layer as Flax's RNN is called: batch first, reversed and with its order kept or not."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax.linen.recurrent import flip_sequences
from jax.typing import DTypeLike

from jaxrnn.cells.base import Cell, Inputs, Outputs, Params, Spatial, State
from jaxrnn.layers import Layer, recurrent
from jaxrnn.layers.base import Pass
from jaxrnn.unfold import Unfolding


@dataclass(frozen=True)
class Reversed(Layer):
    """Another layer, run from the last valid step to the first; outputs stay beside the inputs of their time.

    Args:
        layer: what to run; its parameters and state are this layer's.

    Example:
        Reversed(Sequential([GRU(3, 8), GRU(8, 8)]))
    """

    layer: Layer

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        return self.layer.init(key, dtype)

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        return self.layer.initial_state(params, batch_shape)

    def run(self, params: Params, state: State, xs: Inputs, key: jax.Array | None, over: Pass) -> Unfolding:
        return self.layer.run(params, state, xs, key, over._replace(reverse=not over.reverse))


def as_layer(where: str, layer: Any) -> Layer:
    """A layer as it is, a cell as `Recurrent(cell)`.

    Raises:
        TypeError: what is neither, or holds a cell whose input has axes of space, for time is axis -2 in Flax.
    """
    spatial = _spatial(layer)
    if spatial is not None:
        raise TypeError(
            f"{where}: Flax has time next to the features, where {spatial} has axes of space: call layer.apply(params, "
            "xs, time_axis=...) of a jaxrnn layer, such as Recurrent(cell), within the module"
        )
    return recurrent.as_layer(where, layer)


def _spatial(part: Any) -> Spatial | None:
    """The first cell within a layer whose input has axes of space."""
    if isinstance(part, Spatial):
        return part
    parts = part if isinstance(part, tuple) else vars(part).values() if isinstance(part, Layer | Cell) else ()
    return next((found for found in map(_spatial, parts) if found is not None), None)


def call(
    module: Any,
    layer: Layer,
    params: Params,
    inputs: Inputs,
    *,
    initial_carry: State,
    seq_lengths: Any,
    return_carry: bool | None,
    time_major: bool | None,
    reverse: bool | None,
    keep_order: bool | None,
    key: jax.Array | None,
) -> Any:
    """What `nnx.RNN` and `linen.RNN` return for these arguments.

    It differs in this: the carry is the state of the cell or layer, such as `LSTMState(h, c)`; outputs past
    `seq_lengths` are zero; a length of 0 gives the initial carry.

    Args:
        module: has the fields `return_carry`, `time_major`, `reverse` and `keep_order` for those that are None here,
            and `method` and `adjoint`.
        layer: what is run.
        params: its parameters.
        inputs: `(*batch, time, features)`, or `(time, *batch, features)` with `time_major`.
        initial_carry: the state to start from; None for the initial one.
        seq_lengths: integers of the shape of the batch.
        return_carry: return the pair (carry, outputs) rather than outputs.
        time_major: time is the first axis of inputs and outputs.
        reverse: from the last valid step to the first.
        keep_order: in reverse, outputs stay beside the inputs of their time; else the last comes first.
        key: for dropout within the layer; None in evaluation.

    Returns:
        Outputs with their axes as in inputs; with `return_carry`, the pair (carry, outputs).
    """
    return_carry = module.return_carry if return_carry is None else return_carry
    time_major = module.time_major if time_major is None else time_major
    reverse = module.reverse if reverse is None else reverse
    keep_order = module.keep_order if keep_order is None else keep_order
    run = (Reversed(layer) if reverse else layer).apply(
        params,
        inputs,
        lengths=seq_lengths,
        state=initial_carry,
        key=key,
        time_axis=0 if time_major else -2,
        method=module.method,
        adjoint=module.adjoint,
    )
    outputs = run.outputs
    if reverse and not keep_order:
        outputs = _flipped(inputs, outputs, seq_lengths, bool(time_major))
    return (run.final, outputs) if return_carry else outputs


def _flipped(inputs: Inputs, outputs: Outputs, seq_lengths: Any, time_major: bool) -> Outputs:
    """The outputs from the last valid step to the first, padding still at the end."""
    axes = max(jnp.ndim(leaf) for leaf in jax.tree.leaves(inputs)) - 2  # of the batch
    lengths = None if seq_lengths is None else jnp.asarray(seq_lengths)
    return jax.tree.map(lambda a: flip_sequences(a, lengths, axes, time_major), outputs)
