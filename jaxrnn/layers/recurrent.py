"""A cell as a layer."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells.base import Cell, Inputs, Params, State
from jaxrnn.layers.base import Layer, Pass
from jaxrnn.unfold import Unfolding, unfold


@dataclass(frozen=True)
class Recurrent(Layer):
    """A cell run over whole sequences: s(t) = f(s(t-1), x(t); θ), y(t) = output(s(t)).

    Parameters and state are the cell's. In reverse, s(t) = f(s(t+1), x(t); θ) from the last valid step to the first,
    outputs stay beside the inputs of their time, and `final` is the state after x(1).

    Args:
        cell: what to run.
        reverse: from the last valid step to the first.

    Raises:
        TypeError: a cell that is not one.

    Example:
        layer = Recurrent(GRU(8, 32))
        run = layer.apply(layer.init(jax.random.key(0)), jnp.ones((20, 4, 8)), lengths=jnp.array([20, 3, 0, 7]))

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.1.
    """

    cell: Cell
    reverse: bool = False

    def __post_init__(self):
        if not isinstance(self.cell, Cell):
            raise TypeError(f"Recurrent: cell must be a Cell, got {self.cell!r}: pass one such as GRU(8, 32)")
        if not isinstance(self.reverse, bool):
            raise TypeError(f"Recurrent: reverse must be True or False, got {self.reverse!r}")

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        return self.cell.init(key, dtype)

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        return self.cell.initial_state(params, batch_shape)

    def run(self, params: Params, state: State, xs: Inputs, key: jax.Array | None, over: Pass) -> Unfolding:
        reverse = self.reverse != over.reverse
        resets = over.resets
        if resets is not None and reverse:  # from the end, a segment begins with the step before the next one
            resets = jnp.concatenate([resets[1:], jnp.zeros_like(resets[:1])])
        return unfold(
            self.cell,
            params,
            xs,
            state=state,
            lengths=over.lengths,
            resets=resets,
            reverse=reverse,
            method=over.method,
            adjoint=over.adjoint,
        )


def as_layer(owner: object, layer: Layer | Cell) -> Layer:
    """A layer as it is, a cell as `Recurrent(cell)`."""
    if isinstance(layer, Layer):
        return layer
    if isinstance(layer, Cell):
        return Recurrent(layer)
    raise TypeError(
        f"{type(owner).__name__}: expected a layer or a cell, got {layer!r}: pass an instance such as "
        "Recurrent(GRU(8, 32))"
    )
