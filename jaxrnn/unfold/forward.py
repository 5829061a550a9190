"""The forward pass of a method: block after block, with what is to be kept of it."""

from typing import Any, Protocol

import jax

from jaxrnn.cells.base import Inputs, State
from jaxrnn.unfold import sizes
from jaxrnn.unfold.problem import (
    Flags,
    Keep,
    Kept,
    Operands,
    Problem,
    Trajectory,
    empty,
    over_blocks,
    put_block,
)


class States(Protocol):
    """How a method finds the last and all of the states of a block, and its recurrent products if asked for."""

    def __call__(
        self, problem: Problem, operands: Operands, state: State, xs: Inputs, flags: Flags, products: bool = False
    ) -> tuple[State, State, Any]: ...


def by_blocks(
    states: States, problem: Problem, operands: Operands, keep: Keep | None, longest: int | None
) -> Trajectory:
    """Values, and what is to be kept of them, by blocks of at most `longest` steps (None: no limit of the method's)."""
    state, products, outputs = problem.step_shapes(operands)
    starts = keep is not None and keep.every > 1  # only the state that each block starts from is kept
    if keep is not None and starts:
        block = keep.every
    else:
        limits = problem.steps, longest, sizes.emit_block(problem, operands)
        block = min(limit for limit in limits if limit is not None)
    block = max(1, min(block, problem.steps))
    kept = None
    if keep is not None:
        rows = -(-problem.steps // block) if starts else problem.steps
        kept = Kept(empty(state, rows), empty(products, problem.steps) if keep.products else None)

    def body(carry: Any, number: Any, start: Any, size: int) -> Any:
        state, outputs, kept = carry
        flags = problem.flags(operands, start, size)
        xs = problem.inputs(operands, start, size, flags.valid)
        first = jax.tree.map(lambda s: s[None], state)
        state, all_states, products = states(problem, operands, state, xs, flags, keep is not None and keep.products)
        outputs = put_block(outputs, problem.emit(operands.emit_params, all_states, xs, flags), start)
        if kept is not None:
            kept_states = put_block(kept.states, *((first, number) if starts else (all_states, start)))
            kept = Kept(kept_states, put_block(kept.products, products, start))
        return state, outputs, kept

    carry = operands.state, empty(outputs, problem.steps), kept
    final, outputs, kept = over_blocks(body, carry, steps=problem.steps, block=block, backward=problem.reverse)
    return Trajectory(outputs, final, kept, None)
