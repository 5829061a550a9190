"""What is known of a layer without running it, how wide its outputs are; and what it ends with."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.cells.base import Cell, Params, State
from jaxrnn.layers.base import Layer
from jaxrnn.layers.bidirectional import Bidirectional
from jaxrnn.layers.dropout import Dropout
from jaxrnn.layers.recurrent import Recurrent, as_layer
from jaxrnn.layers.residual import Highway, Residual
from jaxrnn.layers.sequential import Sequential
from jaxrnn.unfold import Unfolding
from jaxrnn.unfold.problem import where


def output_size(owner: str, layer: Layer | Cell, params: Params) -> int:
    """How many entries y(t) has.

    A layer that is none of this package's says it as its attribute `output_size`.

    Raises:
        TypeError: outputs that are not one array (time, *batch, n), or a layer that does not say.
    """
    found = jax.eval_shape(lambda p: _one_step(owner, layer, p), params)
    if not isinstance(found, jax.ShapeDtypeStruct) or len(found.shape) != 1:
        raise TypeError(f"{owner}: the outputs of layer must be one array (time, *batch, n), got {found} a step")
    return found.shape[-1]


def _one_step(owner: str, layer: Layer | Cell, params: Params) -> Any:
    """An array like one output without batch axes."""
    layer = as_layer(owner, layer)
    if isinstance(layer, Recurrent):
        return layer.cell.output(params, layer.cell.initial_state(params))
    if isinstance(layer, Bidirectional):
        f = _one_step(owner, layer.forward, params.forward)
        return layer.merged(f, _one_step(owner, layer.backward, params.backward))
    if isinstance(layer, Residual):
        return _one_step(owner, layer.layer, params)
    if isinstance(layer, Highway):
        return jnp.zeros(layer.input_size)
    if isinstance(layer, Sequential):
        telling = [(one, p) for one, p in zip(layer.layers, params, strict=True) if not isinstance(one, Dropout)]
        if telling:
            return _one_step(owner, *telling[-1])
    size = getattr(layer, "output_size", None)
    if size is None:
        raise TypeError(
            f"{owner}: {layer!r} does not say how many outputs it has: give its class an attribute output_size"
        )
    return jnp.zeros(size)


def last_output(layer: Layer | Cell, params: Params, run: Unfolding, lengths: jax.Array | None) -> jax.Array:
    """Y after the last step that was taken, `(*batch, n)`; with two directions, of each after its own last step.

    It is read of the final state, so without any step it is that of s(0). What stands around a layer (`Residual`, a
    `Dropout`) has no state of its own: there it is the output at the end of the sequence, 0 without any step.

    Args:
        layer: what was run.
        params: its parameters.
        run: what its `apply` gave, time first.
        lengths: integers `(*batch,)`, or None.

    Raises:
        TypeError: within `Bidirectional`, a layer that has no state to read.
    """
    layer = as_layer("last_output", layer)
    if isinstance(layer, Recurrent | Bidirectional):
        return _of_state(layer, params, run.final)
    if isinstance(layer, Sequential):
        return last_output(layer.layers[-1], params[-1], run._replace(final=run.final[-1]), lengths)
    return _at_the_end(run.outputs, lengths)


def _of_state(layer: Layer | Cell, params: Params, state: State) -> Any:
    layer = as_layer("last_output", layer)
    if isinstance(layer, Recurrent):
        return layer.cell.output(params, state)
    if isinstance(layer, Bidirectional):
        f = _of_state(layer.forward, params.forward, state.forward)
        return layer.merged(f, _of_state(layer.backward, params.backward, state.backward))
    if isinstance(layer, Sequential):
        return _of_state(layer.layers[-1], params[-1], state[-1])
    raise TypeError(
        f"LastPooling: the last output of {layer!r} within Bidirectional cannot be read of a state: put a recurrent "
        "layer there, or pool with MeanPooling()"
    )


def _at_the_end(outputs: jax.Array, lengths: jax.Array | None) -> jax.Array:
    if not len(outputs):
        return jnp.zeros(outputs.shape[1:], outputs.dtype)
    if lengths is None:
        return outputs[-1]
    place = jnp.maximum(lengths - 1, 0)[None, ..., None]
    last = jnp.take_along_axis(outputs, place, axis=0)[0]
    return where(lengths > 0, last, jnp.zeros_like(last))
