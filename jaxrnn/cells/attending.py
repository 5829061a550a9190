"""Cells that attend: a recurrence beside a memory of items, at which each step looks."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine
from jaxrnn.cells.attention import Attention, Memory
from jaxrnn.cells.base import Cell, Inputs, Params, State, Wrapped


class AttendParams(NamedTuple):
    """θ of a cell that attends, and what it attends to."""

    cell: Params  # of the inner cell
    attention: Any  # of the attention
    V: jax.Array  # (hidden + value, hidden)
    c: jax.Array  # (hidden,)
    memory: Memory | None = None  # what is attended to; None, as `init` leaves it: the context is 0


@dataclass(frozen=True)
class AttendAfter(Wrapped):
    """A cell that looks at a memory after each step; what it sees does not feed back into the recurrence.

        s(t) = f(s(t-1), x(t)),   k(t) = Σ_i α_i v_i with α = softmax_i(score(h(t), v_i))
        o(t) = tanh(c + (h(t), k(t)) V)

    f and h are the inner cell's. As the recurrence takes no part in it, a whole block of time attends at once, and the
    inner cell has all its traits. The memory is a part of the parameters: it has exact gradients and is neither copied
    nor kept for each step.

    Shapes: h `(*batch, hidden)`, v `(source, *batch, value)`, V `(hidden + value, hidden)`, c `(hidden,)`, the output
    `(*batch, hidden)`. V starts uniform in ±1/√(hidden + value), c at zero.

    Args:
        inner: any cell whose output h is one array.
        attention: how h weighs the items, such as `MultiplicativeAttention(hidden, value)`.

    Raises:
        ValueError: an attention whose queries are not of the size of h.
        TypeError: what is no cell, or no attention.

    Example:
        cell = AttendAfter(GRU(8, 64), MultiplicativeAttention(64, 128))
        params = attend_to(cell, cell.init(key), encoder_outputs, lengths)
        unfold(cell, params, xs).outputs  # (time, *batch, 64)

    Source: Luong, Pham, Manning, *Effective approaches to attention-based neural machine translation* (2015), Eq. 5 to
    7, without input feeding.
    """

    inner: Cell
    attention: Attention

    def __post_init__(self):
        _check(self, self.inner, self.attention)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> AttendParams:
        return _init(self.inner, self.attention, key, dtype)

    def initial_state(self, params: AttendParams, batch_shape: tuple[int, ...] = ()) -> State:
        return self.inner.initial_state(params.cell, batch_shape)

    def inner_params(self, params: AttendParams) -> Params:
        return params.cell

    def inner_state(self, state: State) -> State:
        return state

    def inner_input(self, x: Inputs) -> Inputs:
        return x

    def extend(self, state: State, x: Inputs) -> State:
        return state

    def output(self, params: AttendParams, state: State) -> jax.Array:
        h = self.inner.output(params.cell, state)
        return _combine(params, h, self.attention.read(params.attention, params.memory, h))


class AttendBeforeState(NamedTuple):
    """s(t) of a cell that attends before each step."""

    cell: State  # of the inner cell
    context: jax.Array  # (*batch, value), what was seen before the step


@dataclass(frozen=True)
class AttendBefore(Cell):
    """A cell that looks at a memory before each step, and reads what it sees beside the input.

        k(t) = Σ_i α_i v_i with α = softmax_i(score(h(t-1), v_i)),   s(t) = f(s(t-1), (x(t), k(t)))
        o(t) = tanh(c + (h(t), k(t)) V)

    f and h are the inner cell's, which reads x(t) and k(t) side by side. The memory is a part of the parameters: it has
    exact gradients and is neither copied nor kept for each step.

    Shapes: h `(*batch, hidden)`, v `(source, *batch, value)`, V `(hidden + value, hidden)`, c `(hidden,)`, the output
    `(*batch, hidden)`. V starts uniform in ±1/√(hidden + value), c at zero; k(0) = 0.

    Args:
        inner: any cell whose output h is one array; its input has `value` entries more than x(t).
        attention: how h weighs the items, such as `AdditiveAttention(hidden, value, 32)`.

    Raises:
        ValueError: an attention whose queries are not of the size of h.
        TypeError: what is no cell, or no attention.

    Example:
        cell = AttendBefore(GRU(8 + 128, 64), AdditiveAttention(64, 128, 32))
        params = attend_to(cell, cell.init(key), encoder_outputs, lengths)
        unfold(cell, params, xs).outputs  # (time, *batch, 64), for x(t) of 8 entries

    Source: Bahdanau, Cho, Bengio, *Neural machine translation by jointly learning to align and translate* (2015), Sec.
    3.1; the output: Luong, Pham, Manning (2015), Eq. 5.
    """

    inner: Cell
    attention: Attention

    def __post_init__(self):
        _check(self, self.inner, self.attention)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> AttendParams:
        return _init(self.inner, self.attention, key, dtype)

    def initial_state(self, params: AttendParams, batch_shape: tuple[int, ...] = ()) -> AttendBeforeState:
        context = jnp.zeros((*batch_shape, self.attention.value_size), params.V.dtype)
        return AttendBeforeState(self.inner.initial_state(params.cell, batch_shape), context)

    def step(self, params: AttendParams, state: AttendBeforeState, x: Inputs) -> AttendBeforeState:
        h = self.inner.output(params.cell, state.cell)
        context = self.attention.read(params.attention, params.memory, h)
        return AttendBeforeState(
            self.inner.step(params.cell, state.cell, jnp.concatenate([x, context], axis=-1)), context
        )

    def output(self, params: AttendParams, state: AttendBeforeState) -> jax.Array:
        return _combine(params, self.inner.output(params.cell, state.cell), state.context)


def attend_to(
    cell: AttendAfter | AttendBefore, params: AttendParams, values: Any, lengths: Any = None, *, source: Any = None
) -> AttendParams:
    """The parameters of a cell that attends, with the items to attend to; gradients flow into both.

    Args:
        cell: the cell.
        params: its parameters.
        values: the items `(source, *batch, value)`, such as the outputs of an encoder.
        lengths: integers `(*batch,)`: how many items each sequence has, at least 0; None for all of them.
        source: what else belongs to the items, leaves `(source, *batch, ...)`, such as their symbols: `params.memory`
            has it for a cell that copies them.

    Raises:
        ValueError: items of another size; lengths of another shape than the batch.
        TypeError: a cell that does not attend; items that are not floating-point, lengths that are not integers.

    Example:
        params = attend_to(cell, cell.init(key), encoder.apply(encoder_params, xs, lengths=lengths).outputs, lengths)
    """
    if not isinstance(cell, AttendAfter | AttendBefore):
        raise TypeError(f"attend_to: expected AttendAfter or AttendBefore, got {cell!r}")
    return params._replace(memory=cell.attention.memory(params.attention, values, lengths, source=source))


def _hidden_size(inner: Cell) -> int:
    def read() -> Any:
        params = inner.init(jax.random.key(0))
        return inner.output(params, inner.initial_state(params))

    return jax.eval_shape(read).shape[-1]


def _check(owner: object, inner: Any, attention: Any) -> None:
    """Raise unless the attention takes the inner cell's outputs for queries."""
    checks.cell(owner, inner)
    name = type(owner).__name__
    if not isinstance(attention, Attention):
        raise TypeError(
            f"{name}: attention must be an instance such as MultiplicativeAttention(64, 128), got {attention!r}"
        )
    size, hidden = getattr(attention, "query_size", None), _hidden_size(inner)
    if size is not None and size != hidden:
        raise ValueError(f"{name}: query_size of the attention must be the inner cell's output, {hidden}, got {size}")


def _init(inner: Cell, attention: Attention, key: jax.Array, dtype: DTypeLike) -> AttendParams:
    key_cell, key_attention, key_V = jax.random.split(key, 3)
    hidden = _hidden_size(inner)
    rows = hidden + attention.value_size
    V = jax.random.uniform(key_V, (rows, hidden), dtype, -(rows**-0.5), rows**-0.5)
    parts = inner.init(key_cell, dtype), attention.init(key_attention, dtype)
    return AttendParams(*parts, V, jnp.zeros((hidden,), dtype))


def _combine(params: AttendParams, h: jax.Array, context: jax.Array) -> jax.Array:
    """o(t) = tanh(c + (h(t), k(t)) V)."""
    return jnp.tanh(affine(jnp.concatenate([h, context], axis=-1), params.V, params.c))
