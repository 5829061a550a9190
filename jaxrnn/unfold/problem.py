"""What a method and an adjoint are given to run: one recurrence, its operands, and time cut into blocks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.cells.base import Cell, Gated, Inputs, Outputs, Params, State
from jaxrnn.unfold.sharding import varying

Carry = TypeVar("Carry")


class Operands(NamedTuple):
    """The arrays of a problem. Time is the first axis of `xs` and `resets`."""

    params: Params  # of the cell that runs
    emit_params: Params  # of what is read of its states
    state: State  # s(0)
    xs: Inputs  # pytree, leaves (time, ...); None where there is no input
    lengths: jax.Array | None  # (*batch,), integers
    resets: jax.Array | None  # (time, *batch), booleans


class Flags(NamedTuple):
    """When each step of a block is, and what is special about it; None where nothing is."""

    time: jax.Array  # (block,)
    valid: jax.Array | None  # (block, *batch): the step is before the sequence's end
    reset: jax.Array | None  # (block, *batch): the state returns to s(0) first
    detach: jax.Array | None  # (block,) or (block, *batch): the gradient stops before this step


class Keep(NamedTuple):
    """What backpropagation wants kept of the forward pass."""

    every: int  # 1: the state after every step; k > 1: the state before every k steps
    products: bool  # for a `Gated` cell, the recurrent products of every step as well; for an `Additive` one, z
    within: tuple[int, ...] = ()  # how these k steps are cut in turn, the last of these being the blocks that run

    @property
    def block(self) -> int:
        """Steps that run at once."""
        return self.within[-1] if self.within else self.every


class Kept(NamedTuple):
    """What was kept; None where nothing was."""

    states: State  # leaves (steps, ...) or (blocks, ...)
    products: Any  # leaves (steps, ...)


class Segment(NamedTuple):
    """A part of the time axis, to be run again."""

    first: State  # the state that it starts from
    start: Any  # its earliest time
    steps: int


class Trajectory(NamedTuple):
    """What a method found."""

    outputs: Outputs  # leaves (time, ...); None where nothing is emitted
    final: State
    kept: Kept | None  # as `Keep` asked
    info: Any


class Block(NamedTuple):
    """A block of steps on the way back."""

    first: State  # the state that the block starts from
    after: State  # the state after each step, leaves (block, ...); None where it was not kept
    products: Any  # the recurrent products of each step, leaves (block, ...); None where they were not kept
    xs: Inputs  # leaves (block, ...)
    flags: Flags


@dataclass(frozen=True)
class Problem:
    """The choices of a problem: what runs, over how many steps, in which direction, and what is read of it."""

    cell: Cell
    select: Callable[[Inputs], Inputs]  # the cell's part of the inputs
    read: Callable[[Params, State, Inputs], Outputs] | None  # one step's output, from emit_params, state and input
    steps: int
    reverse: bool
    detach_every: int | None = None  # the gradient stops before every such step

    def flags(self, operands: Operands, start: jax.Array | int, size: int) -> Flags:
        """The flags of the block of `size` steps that begins at time `start`."""
        t = start + jnp.arange(size)
        valid = reset = detach = None
        if operands.lengths is not None:
            valid = t.reshape((size,) + (1,) * operands.lengths.ndim) < operands.lengths[None]
        if operands.resets is not None:
            reset = take_block(operands.resets, start, size)
        if self.detach_every is not None:
            last = self.steps - 1 if operands.lengths is None else operands.lengths[None] - 1
            column = t if operands.lengths is None else t.reshape((size,) + (1,) * operands.lengths.ndim)
            taken = last - column if self.reverse else t  # steps taken before this one
            detach = (taken % self.detach_every == 0) & (taken > 0)
        return Flags(t, valid, reset, detach)

    def inputs(self, operands: Operands, start: jax.Array | int, size: int, valid: jax.Array | None) -> Inputs:
        """The inputs of a block, zero where they are padding: whatever stands there must reach nothing."""
        xs = take_block(operands.xs, start, size)
        return xs if valid is None else where(valid, xs, jax.tree.map(jnp.zeros_like, xs))

    def emit(self, emit_params: Params, states: State, xs: Inputs, flags: Flags) -> Outputs:
        """The outputs of a block of states, zero where there was no step."""
        if self.read is None:
            return None
        outputs = jax.vmap(self.read, in_axes=(None, 0, 0), axis_size=flags.time.size)(emit_params, states, xs)
        return outputs if flags.valid is None else where(flags.valid, outputs, jax.tree.map(jnp.zeros_like, outputs))

    def step_shapes(self, operands: Operands) -> tuple[State, Any, Outputs]:
        """Shapes and types of one step's state, recurrent products (None unless the cell is `Gated`) and output."""

        def step(operands: Operands, x: Inputs) -> tuple[State, Any, Outputs]:
            outputs = None if self.read is None else self.read(operands.emit_params, operands.state, x)
            products = self.cell.recur(operands.params, operands.state) if isinstance(self.cell, Gated) else None
            return operands.state, products, outputs

        return jax.eval_shape(step, operands, row_shapes(operands.xs))

    def batch_axes(self, operands: Operands) -> int:
        """The first axes of every array of the state along which the sequences of a batch lie."""
        try:
            one = jax.tree.leaves(jax.eval_shape(lambda p: self.cell.initial_state(p, ()), operands.params))
            given = jax.tree.leaves(operands.state)
            return max(0, min((s.ndim - o.ndim for s, o in zip(given, one, strict=True)), default=0))
        except (ValueError, NotImplementedError):  # a cell that has no state of its own: as lengths or inputs tell
            pass
        if operands.lengths is not None or operands.resets is not None:
            flags = self.flags(operands, 0, 1)
            return max(flag.ndim - 1 for flag in (flags.valid, flags.reset) if flag is not None)
        xs = jax.tree.leaves(self.select(row_shapes(operands.xs)))
        axes = xs[0].ndim - jnp.issubdtype(xs[0].dtype, jnp.inexact) if xs else 0
        batch = xs[0].shape[:axes] if xs else ()
        return axes if all(s.shape[:axes] == batch for s in jax.tree.leaves(operands.state)) else 0


def where(condition: jax.Array, yes: Any, no: Any) -> Any:
    """`jnp.where` over two trees, the condition's axes being the first axes of every leaf."""

    def pick(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(condition.reshape(condition.shape + (1,) * (jnp.ndim(a) - condition.ndim)), a, b)

    return jax.tree.map(pick, yes, no)


def begin(state: State, initial: State, step: Flags) -> State:
    """The state that a step starts from: the one before, or s(0) after a reset; detached where the gradient stops."""
    if step.detach is not None:
        state = where(step.detach, lax.stop_gradient(state), state)
    return state if step.reset is None else where(step.reset, initial, state)


def abreast(operands: Operands, xs: Inputs, blocks: int) -> Operands:
    """The operands of so many blocks of time at once, as the first axis of the batch; of xs only shapes."""

    def cut(a: jax.Array) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((a.shape[0] // blocks, blocks, *a.shape[1:]), a.dtype)

    state = jax.tree.map(lambda s: jnp.broadcast_to(s, (blocks, *s.shape)), operands.state)
    return Operands(operands.params, operands.emit_params, state, jax.tree.map(cut, xs), None, None)


def take_block(tree: Any, start: jax.Array | int, size: int) -> Any:
    """Rows `start` to `start + size` of every leaf."""
    return jax.tree.map(lambda a: lax.dynamic_slice_in_dim(a, start, size), tree)


def put_block(buffer: Any, block: Any, start: jax.Array | int) -> Any:
    """The buffer with its rows from `start` on replaced by those of `block`."""

    def put(a: jax.Array, b: jax.Array) -> jax.Array:
        whole = a.shape[0] == b.shape[0]  # then the block is the buffer, and no copy is made
        return b.astype(a.dtype) if whole else lax.dynamic_update_slice_in_dim(a, b, start, 0)

    return jax.tree.map(put, buffer, block)


def row_shapes(tree: Any) -> Any:
    """Shapes and types of one row of every leaf."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), tree)


def empty(shapes: Any, rows: int) -> Any:
    """Zeros for `rows` of a tree of shapes."""
    return jax.tree.map(lambda s: jnp.zeros((rows, *s.shape), s.dtype), shapes)


def over_blocks(
    body: Callable[[Carry, Any, Any, int], Carry], carry: Carry, *, steps: int, block: int, backward: bool
) -> Carry:
    """`carry = body(carry, number, start, size)` for each block in turn.

    The steps that do not fill a last block are a shorter block of their own, and cost nothing but themselves.
    """
    whole, left = divmod(steps, block)
    carry = varying(carry)

    def one(i: Any, carry: Carry) -> Carry:
        number = whole - 1 - i if backward else i
        return body(carry, number, number * block, block)

    def rest(carry: Carry) -> Carry:
        return body(carry, whole, whole * block, left) if left else carry

    if backward:
        carry = rest(carry)
    if whole == 1:
        carry = one(0, carry)
    elif whole:
        carry = lax.fori_loop(0, whole, one, carry)
    return carry if backward else rest(carry)
