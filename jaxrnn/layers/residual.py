"""Layers around which the input passes: residual and highway connections."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine
from jaxrnn.cells.base import Cell, Inputs, Params, State
from jaxrnn.layers.base import Layer, Pass, one_array
from jaxrnn.layers.recurrent import as_layer
from jaxrnn.unfold import Unfolding


@dataclass(frozen=True)
class Residual(Layer):
    """A layer that learns what to add to its input: y = x + layer(x). Parameters and state are the layer's.

    Args:
        layer: a layer whose outputs have the shape of its inputs; a cell is `Recurrent(cell)`.

    Raises:
        ValueError: outputs of another shape than the inputs.
        TypeError: what is neither a layer nor a cell; inputs that are not one array of floating-point numbers.

    Example:
        net = Sequential([Recurrent(LSTM(8, 32)), Residual(LSTM(32, 32)), Residual(LSTM(32, 32))])

    Source: He et al., *Deep residual learning* (2016); between recurrent layers: Wu et al. (2016), Eq. 6.
    """

    layer: Layer | Cell

    def __post_init__(self):
        object.__setattr__(self, "layer", as_layer(self, self.layer))

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        return self.layer.init(key, dtype)

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        return self.layer.initial_state(params, batch_shape)

    def run(self, params: Params, state: State, xs: Inputs, key: jax.Array | None, over: Pass) -> Unfolding:
        x = one_array(self, xs)
        run = as_layer(self, self.layer).run(params, state, x, key, over)
        _same_shape(self, x, run.outputs)
        return run._replace(outputs=over.masked(x) + run.outputs)


class HighwayParams(NamedTuple):
    """θ of a highway layer."""

    layer: Params  # of the layer
    W: jax.Array  # (input, input), of the transform gate
    b: jax.Array  # (input,)


@dataclass(frozen=True)
class Highway(Layer):
    """A layer that learns where to let its input pass.

        t = σ(x W + b),   y = t ⊙ layer(x) + (1 - t) ⊙ x

    Shapes: x and y `(time, *batch, input)`, W `(input, input)`, b `(input,)`. W starts uniform in ±1/√input, b at -1,
    so that at first most of x passes. The state is the layer's.

    Args:
        layer: a layer whose outputs have the shape of its inputs; a cell is `Recurrent(cell)`.
        input_size: entries of x(t) and of y(t).

    Raises:
        ValueError: a size below 1; inputs of another size, outputs of another shape than the inputs, or parameters of
            another shape than `init`'s.
        TypeError: what is neither a layer nor a cell; inputs that are not one array of floating-point numbers;
            parameters that are not `HighwayParams`.

    Example:
        net = Sequential([Recurrent(LSTM(8, 32)), Highway(LSTM(32, 32), 32)])

    Source: Srivastava, Greff, Schmidhuber, *Highway networks* (2015), Eq. 3; b: their Sec. 2.2.
    """

    layer: Layer | Cell
    input_size: int

    def __post_init__(self):
        object.__setattr__(self, "layer", as_layer(self, self.layer))
        checks.positive(self, input_size=self.input_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> HighwayParams:
        key_layer, key_W = jax.random.split(key)
        n, bound = self.input_size, self.input_size**-0.5
        W = jax.random.uniform(key_W, (n, n), dtype, -bound, bound)
        return HighwayParams(self.layer.init(key_layer, dtype), W, jnp.full((n,), -1, dtype))

    def initial_state(self, params: HighwayParams, batch_shape: tuple[int, ...] = ()) -> State:
        return self.layer.initial_state(params.layer, batch_shape)

    def run(self, params: HighwayParams, state: State, xs: Inputs, key: jax.Array | None, over: Pass) -> Unfolding:
        checks.features(self, xs, self.input_size)
        self._check(params)
        run = as_layer(self, self.layer).run(params.layer, state, xs, key, over)
        _same_shape(self, xs, run.outputs)
        x = over.masked(xs)  # first, so that what stands in the padding does not reach the gradient of W
        t = jax.nn.sigmoid(affine(x, params.W, params.b))
        return run._replace(outputs=t * run.outputs + (1 - t) * x)

    def _check(self, params: Any) -> None:
        n = self.input_size
        if not isinstance(params, HighwayParams):
            raise TypeError(
                f"Highway: params must be HighwayParams(layer, W, b), got {type(params).__name__}: pass layer.init(key)"
            )
        if jnp.shape(params.W) != (n, n) or jnp.shape(params.b) != (n,):
            raise ValueError(
                f"Highway: W and b must have the shapes {(n, n)} and {(n,)}, got {jnp.shape(params.W)} and "
                f"{jnp.shape(params.b)}: pass layer.init(key)"
            )


def _same_shape(owner: object, x: jax.Array, y: jax.Array) -> None:
    if jnp.shape(y) != x.shape:
        raise ValueError(
            f"{type(owner).__name__}: the outputs of layer must have the shape of its inputs, {x.shape}, got "
            f"{jnp.shape(y)}: pass a layer with as many outputs as inputs"
        )
