"""What the ways back through a block share, where the state after each of its steps is known."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.cells.base import Inputs, State
from jaxrnn.unfold.adjoints.inexact import Narrowed, add, inexact, narrow, vjp
from jaxrnn.unfold.problem import Block, Flags, Operands, Problem, row_shapes, take_block, where
from jaxrnn.unfold.sharding import HERE, Line


def narrow_emit(problem: Problem, operands: Operands) -> Narrowed | None:
    """What is read of a step, as a function of those arrays alone that it reads; None where nothing is."""
    if problem.read is None:
        return None
    return narrow(problem.read, operands.emit_params, operands.state, row_shapes(operands.xs))


def of_emit_params(emit: Narrowed | None, sums: list[Any], operands: Operands) -> list[Any]:
    """Gradients of every array of emit_params, from those of the arrays that are read."""
    return [jnp.zeros_like(p) for p in inexact(operands.emit_params)] if emit is None else emit.widen(sums)


def before(first: State, after: State, backward: bool, line: Line = HERE) -> State:
    """The state before each step of a block, from the one after each step."""

    def local(first: State, after: State) -> State:
        entering = line.entering(jax.tree.map(lambda s: s[0 if backward else -1], after), first, backward)

        def shift(first: jax.Array, after: jax.Array) -> jax.Array:
            return jnp.concatenate((after[1:], first[None]) if backward else (first[None], after[:-1]))

        return jax.tree.map(shift, entering, after)

    return line.run(local, True, first, after)


def state_before(first: State, after: State, start: Any, size: int, backward: bool) -> State:
    """The state that the steps from `start` on begin with: one of the states after each step, or the first."""
    rows = jax.tree.leaves(after)[0].shape[0]
    previous = start + size if backward else start - 1
    outside = jnp.asarray(previous == (rows if backward else -1))
    inside = jax.tree.map(lambda s: lax.dynamic_index_in_dim(s, previous, keepdims=False), after)
    return where(outside, first, inside)


def sub_block(block: Block, start: Any, size: int, backward: bool) -> Block:
    """`size` steps of a block whose states are known, from `start` on."""
    first = state_before(block.first, block.after, start, size, backward)
    return Block(first, *(take_block(part, start, size) for part in block[1:]))


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


def step_back(
    pull: Callable[[list[Any]], tuple[list[Any], Any]], lam: list[Any], of_state: list[Any], flag: Flags
) -> tuple[list[Any], tuple[Any, list[Any]]]:
    """λ before a step, from λ after it, ∂L/∂s(t), and `pull(λ) = (∂f/∂s)ᵀ λ`, with what else that gives.

    Beside it: what else `pull` gave, and the part that went to s(0), where there are resets.
    """
    lam, held = add(lam, of_state), None
    if flag.valid is not None:
        nothing = [jnp.zeros_like(x) for x in lam]
        lam, held = where(flag.valid, lam, nothing), where(flag.valid, nothing, lam)
    before, extra = pull(lam)
    nothing, of_initial = [jnp.zeros_like(x) for x in before], []
    if flag.reset is not None:
        before, of_initial = where(flag.reset, nothing, before), where(flag.reset, before, nothing)
    if flag.detach is not None:
        before = where(flag.detach, nothing, before)
    return before if held is None else add(before, held), (extra, of_initial)


def through_steps(
    last: list[Any], lams: list[Any], of_after: list[Any], flags: Flags, backward: bool, line: Line
) -> list[Any]:
    """The λ that went through f in each step, from the λ before each, the λ after the block and each ∂L/∂s(t)."""
    lams = add(before(last, lams, not backward, line), of_after)
    return lams if flags.valid is None else where(flags.valid, lams, [jnp.zeros_like(x) for x in lams])


def over_time(gradients: list[Any]) -> list[Any]:
    """Gradients of what all steps share, from those of each step, added with at least 32 bits."""
    return [g.sum(0, dtype=jnp.promote_types(g.dtype, jnp.float32)) for g in gradients]


def of_initial(parts: list[Any], lam: list[Any]) -> list[Any]:
    """Gradients of s(0), from the parts of λ that went to it in each step: none where there are no resets."""
    return over_time(parts) if parts else [jnp.zeros_like(x) for x in lam]
