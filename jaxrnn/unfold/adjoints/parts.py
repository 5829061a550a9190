"""What the ways back through a block share, where the state after each of its steps is known."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.cells.base import Inputs, State
from jaxrnn.unfold.adjoints.inexact import Narrowed, inexact, narrow, vjp
from jaxrnn.unfold.problem import Flags, Operands, Problem, row_shapes, where


def narrow_emit(problem: Problem, operands: Operands) -> Narrowed | None:
    """What is read of a step, as a function of those arrays alone that it reads; None where nothing is."""
    if problem.read is None:
        return None
    return narrow(problem.read, operands.emit_params, operands.state, row_shapes(operands.xs))


def of_emit_params(emit: Narrowed | None, sums: list[Any], operands: Operands) -> list[Any]:
    """Gradients of every array of emit_params, from those of the arrays that are read."""
    return [jnp.zeros_like(p) for p in inexact(operands.emit_params)] if emit is None else emit.widen(sums)


def before(first: State, after: State, backward: bool) -> State:
    """The state before each step of a block, from the one after each step."""

    def shift(first: jax.Array, after: jax.Array) -> jax.Array:
        return jnp.concatenate((after[1:], first[None]) if backward else (first[None], after[:-1]))

    return jax.tree.map(shift, first, after)


def entered(before: State, initial: State, flags: Flags) -> State:
    """The state that each step starts from: the one before it, or s(0) after a reset."""
    return before if flags.reset is None else jax.vmap(where, in_axes=(0, None, 0))(flags.reset, initial, before)


def through_outputs(
    emit: Narrowed | None, after: State, xs: Inputs, flags: Flags, of_outputs: list[Any]
) -> tuple[list[Any], list[Any], list[Any]]:
    """Gradients through the outputs alone: of the parameters they read, of the states, of the inputs."""
    if emit is None:
        return [], [jnp.zeros_like(s) for s in inexact(after)], [jnp.zeros_like(x) for x in inexact(xs)]
    read = jax.vmap(emit.function, in_axes=(None, 0, 0), axis_size=flags.time.size)

    def outputs(arrays: list[Any], states: State, xs: Inputs) -> Any:
        values = read(arrays, states, xs)
        return values if flags.valid is None else where(flags.valid, values, jax.tree.map(jnp.zeros_like, values))

    of_arrays, of_states, of_xs = vjp(outputs, emit.arrays, after, xs)[1](of_outputs)
    return of_arrays, of_states, of_xs
