"""Two layers over one sequence, from its beginning and from its end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells.base import Cell, Inputs, Outputs, Params, State
from jaxrnn.layers.base import Layer, Pass
from jaxrnn.layers.recurrent import Recurrent, as_layer
from jaxrnn.unfold import Unfolding

MERGES: dict[str, Callable[[Any, Any], Any]] = {
    "concatenate": lambda f, b: jnp.concatenate([f, b], axis=-1),
    "sum": lambda f, b: f + b,
    "mean": lambda f, b: (f + b) / 2,
    "product": lambda f, b: f * b,
}


class BidirectionalParams(NamedTuple):
    """θ of two directions."""

    forward: Params  # of the layer that runs from the beginning
    backward: Params  # of the layer that runs from the end


class BidirectionalState(NamedTuple):
    """The states that two directions end with."""

    forward: State  # after the last valid step
    backward: State  # after the first step


class BidirectionalInfo(NamedTuple):
    """What the method reports of two directions."""

    forward: Any  # of the layer that runs from the beginning
    backward: Any  # of the layer that runs from the end


@dataclass(frozen=True)
class Bidirectional(Layer):
    """Two layers over one sequence, one from its beginning, one from its end.

        f(t) = forward(x(1), ..., x(t)),   b(t) = backward(x(τ), ..., x(t)),   y(t) = merge(f(t), b(t))

    τ is the true length of each sequence: padding is read by neither. With `resets`, f(t) and b(t) read the segment of
    x(t) only. Within a layer that runs in reverse, both run the other way.

    Args:
        forward: a layer, or a cell, which is then `Recurrent(cell)`.
        backward: the same; given as it would run from the beginning, it is run from the end.
        merge: "concatenate" (f first), "sum", "mean", "product", or a function `(f, b) -> y` that acts on the last
            axis.

    Raises:
        ValueError: another name for merge; a layer that is in reverse already; outputs that cannot be merged.
        TypeError: what is neither a layer nor a cell.

    Example:
        layer = Bidirectional(LSTM(8, 32), LSTM(8, 32))
        run = layer.apply(layer.init(jax.random.key(0)), jnp.ones((20, 4, 8)))
        run.outputs.shape, run.final.backward.h.shape  # (20, 4, 64), (4, 32)

    Source: Schuster and Paliwal, *Bidirectional recurrent neural networks* (1997); *Deep Learning*, Sec. 10.3.
    """

    forward: Layer | Cell
    backward: Layer | Cell
    merge: str | Callable[[Outputs, Outputs], Outputs] = "concatenate"

    def __post_init__(self):
        for name in ("forward", "backward"):
            layer = as_layer(self, getattr(self, name))
            if isinstance(layer, Recurrent) and layer.reverse:
                raise ValueError(
                    f"Bidirectional: {name} is in reverse already: pass it without reverse=True; the direction is "
                    "Bidirectional's to choose"
                )
            object.__setattr__(self, name, layer)
        if not callable(self.merge) and self.merge not in tuple(MERGES):
            raise ValueError(
                f"Bidirectional: merge must be one of {', '.join(MERGES)}, or a function (f, b) -> y, got "
                f"{self.merge!r}"
            )

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> BidirectionalParams:
        key_forward, key_backward = jax.random.split(key)
        forward, backward = self._layers()
        return BidirectionalParams(forward.init(key_forward, dtype), backward.init(key_backward, dtype))

    def initial_state(self, params: BidirectionalParams, batch_shape: tuple[int, ...] = ()) -> BidirectionalState:
        forward, backward = self._layers()
        return BidirectionalState(
            forward.initial_state(params.forward, batch_shape), backward.initial_state(params.backward, batch_shape)
        )

    def run(
        self,
        params: BidirectionalParams,
        state: BidirectionalState | None,
        xs: Inputs,
        key: jax.Array | None,
        over: Pass,
    ) -> Unfolding:
        forward, backward = self._layers()
        _two("params", params)
        _two("state", state := BidirectionalState(None, None) if state is None else state)
        keys = (None, None) if key is None else jax.random.split(key)
        f = forward.run(params[0], state[0], xs, keys[0], over)
        b = backward.run(params[1], state[1], xs, keys[1], over._replace(reverse=not over.reverse))
        infos = f.info, b.info
        return Unfolding(
            over.masked(self.merged(f.outputs, b.outputs)),
            BidirectionalState(f.final, b.final),
            None if infos == (None, None) else BidirectionalInfo(*infos),
        )

    def _layers(self) -> tuple[Layer, Layer]:
        return as_layer(self, self.forward), as_layer(self, self.backward)

    def merged(self, f: Outputs, b: Outputs) -> Outputs:
        """y(t) of f(t) and b(t)."""
        if callable(self.merge):
            return self.merge(f, b)
        shapes = jax.tree.map(jnp.shape, f), jax.tree.map(jnp.shape, b)
        if self.merge != "concatenate" and shapes[0] != shapes[1]:
            raise ValueError(
                f"Bidirectional: merge={self.merge!r} needs outputs of one shape, got {shapes[0]} and {shapes[1]}: "
                "pass layers of one size, or merge='concatenate'"
            )
        return jax.tree.map(MERGES[self.merge], f, b)


def _two(name: str, value: Any) -> None:
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(
            f"Bidirectional: {name} must be a pair (forward, backward), got {type(value).__name__}: pass "
            f"Bidirectional{name.capitalize()}(forward, backward)"
        )
