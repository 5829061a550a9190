"""What is read of a cell's state: the output o(t) = c + V h(t), and the loss L(t) of o(t) against a target y(t)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine
from jaxrnn.cells.base import Cell, Inputs, Outputs, Params, State, Wrapped


class ReadoutParams(NamedTuple):
    """θ of a readout over a cell."""

    cell: Params  # of the inner cell
    V: jax.Array  # (hidden, output)
    c: jax.Array  # (output,)


@dataclass(frozen=True)
class Readout(Wrapped):
    """A linear readout over any cell: o(t) = c + h(t) V, where h(t) is the inner cell's output.

    Shapes: V `(hidden, output)`, c `(output,)`, the output `(*batch, output)`. V starts uniform in ±1/√hidden, c at
    zero. The state is the inner cell's.

    Args:
        inner: any cell whose output is one array.
        output_size: entries of o(t).

    Raises:
        ValueError: `output_size` below 1.

    Example:
        net = Readout(Elman(3, 8), output_size=2)
        o = unfold(net, net.init(jax.random.key(0)), jnp.ones((20, 3))).outputs  # (20, 2)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Eq. 10.10.
    """

    inner: Cell
    output_size: int

    def __post_init__(self):
        checks.cell(self, self.inner)
        checks.positive(self, output_size=self.output_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> ReadoutParams:
        key_cell, key_V = jax.random.split(key)
        cell = self.inner.init(key_cell, dtype)
        hidden = jax.eval_shape(lambda p: self.inner.output(p, self.inner.initial_state(p)), cell).shape[-1]
        V = jax.random.uniform(key_V, (hidden, self.output_size), dtype, -(hidden**-0.5), hidden**-0.5)
        return ReadoutParams(cell, V, jnp.zeros((self.output_size,), dtype))

    def initial_state(self, params: ReadoutParams, batch_shape: tuple[int, ...] = ()) -> State:
        return self.inner.initial_state(params.cell, batch_shape)

    def inner_params(self, params: ReadoutParams) -> Params:
        return params.cell

    def inner_state(self, state: State) -> State:
        return state

    def inner_input(self, x: Inputs) -> Inputs:
        return x

    def extend(self, state: State, x: Inputs) -> State:
        return state

    def output(self, params: ReadoutParams, state: State) -> jax.Array:
        return affine(self.inner.output(params.cell, state), params.V, params.c)


class SupervisedState(NamedTuple):
    """s(t) of a supervised cell."""

    cell: State  # of the inner cell
    y: jax.Array  # the target of this step


@dataclass(frozen=True)
class Supervised(Wrapped):
    """The loss of each step as a cell's output: L(t) = loss(o(t), y(t)), the input being the pair (x(t), y(t)).

    `unfold` reads outputs a block of time at a time, so neither the outputs o nor anything of their size ever lives
    for all of time: only L does.

    Args:
        inner: the cell that gives o(t).
        loss: `loss(o, y) -> L`, element by element over any leading axes, such as
            `optax.softmax_cross_entropy_with_integer_labels`.
        target: shape and type of one step's y, without batch axes; default: one integer.

    Raises:
        TypeError: an input that is not a pair; targets that are not of `target`'s shape or kind of number.

    Example:
        net = Supervised(Readout(LSTM(8, 64), 27), optax.softmax_cross_entropy_with_integer_labels)
        L = unfold(net, params, (xs, ys)).outputs  # (time, *batch), nats

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Fig. 10.3 and Eq. 10.12.
    """

    inner: Cell
    loss: Callable[[Outputs, jax.Array], jax.Array]
    target: jax.ShapeDtypeStruct = field(default_factory=lambda: jax.ShapeDtypeStruct((), jnp.int32))

    def __post_init__(self):
        checks.cell(self, self.inner)
        if not callable(self.loss):
            raise TypeError(f"Supervised: loss must be a function (o, y) -> L, got {self.loss!r}")

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        return self.inner.init(key, dtype)

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> SupervisedState:
        y = jnp.zeros((*batch_shape, *self.target.shape), self.target.dtype)
        return SupervisedState(self.inner.initial_state(params, batch_shape), y)

    def inner_params(self, params: Params) -> Params:
        return params

    def inner_state(self, state: SupervisedState) -> State:
        return state.cell

    def inner_input(self, x: tuple[Inputs, jax.Array]) -> Inputs:
        if not isinstance(x, tuple) or len(x) != 2:
            raise TypeError(f"Supervised: the input must be a pair (x, y), got {type(x).__name__}: pass (xs, ys)")
        return x[0]

    def extend(self, state: State, x: tuple[Inputs, jax.Array]) -> SupervisedState:
        y = jnp.asarray(x[1])
        wrong_kind = jnp.issubdtype(y.dtype, jnp.integer) != jnp.issubdtype(self.target.dtype, jnp.integer)
        if wrong_kind or y.shape[y.ndim - len(self.target.shape) :] != self.target.shape:
            raise TypeError(
                f"Supervised: targets must be {self.target.dtype} {self.target.shape} a step, got {y.dtype} {y.shape}: "
                f"pass Supervised(inner, loss, target=jax.ShapeDtypeStruct(shape of one target, jnp.{y.dtype}))"
            )
        return SupervisedState(state, y.astype(self.target.dtype))

    def output(self, params: Params, state: SupervisedState) -> jax.Array:
        return self.loss(self.inner.output(params, state.cell), state.y)
