"""Unfolding one step after another: the definition."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.cells import checks
from jaxrnn.cells.base import Driven, Inputs, State
from jaxrnn.unfold import sizes
from jaxrnn.unfold.problem import (
    Flags,
    Operands,
    Problem,
    Trajectory,
    begin,
    empty,
    over_blocks,
    put_block,
    where,
)


@dataclass(frozen=True)
class Scan:
    """One step after another: `s(t) = f(s(t-1), x(t); θ)` by `jax.lax.scan`.

    Time is O(τ) and sequential. Every other method is measured against this one.

    Args:
        unroll: steps written out in each turn of the loop.

    Raises:
        ValueError: `unroll` below 1.

    Example:
        run = unfold(cell, params, xs, method=Scan(unroll=4))
    """

    unroll: int = 1

    def __post_init__(self):
        checks.positive(self, unroll=self.unroll)

    def run(self, problem: Problem, operands: Operands, keep: int | None = None) -> Trajectory:
        """Values alone. `keep=1` keeps every new state, `keep=k` the state before every block of k steps."""
        states, outputs = problem.block_shapes(operands, 1)
        block = keep if keep is not None and keep > 1 else sizes.emit_block(problem, operands) or problem.steps
        block = max(1, min(block, problem.steps))
        kept = None
        if keep is not None:
            kept = empty(states, problem.steps if keep == 1 else -(-problem.steps // block))

        def body(carry: Any, number: Any, start: Any, size: int) -> Any:
            state, outputs, kept = carry
            flags = problem.flags(operands, start, size)
            xs = problem.inputs(operands, start, size, flags.valid)
            if kept is not None and keep != 1:
                kept = put_block(kept, jax.tree.map(lambda s: s[None], state), number)
            state, states = self.states(problem, operands, state, xs, flags)
            outputs = put_block(outputs, problem.emit(operands.emit_params, states, xs, flags.valid), start)
            if keep == 1:
                kept = put_block(kept, states, start)
            return state, outputs, kept

        carry = operands.state, empty(outputs, problem.steps), kept
        final, outputs, kept = over_blocks(body, carry, steps=problem.steps, block=block, backward=problem.reverse)
        return Trajectory(outputs, final, kept, None)

    def states(
        self, problem: Problem, operands: Operands, state: State, xs: Inputs, flags: Flags
    ) -> tuple[State, State]:
        """The last and all of the states of a block that starts from `state`; differentiable by JAX."""
        cell, params = problem.cell, operands.params
        items, advance = problem.select(xs), cell.step
        fetch_ahead = sizes.pointwise_input(items)
        if isinstance(cell, Driven) and sizes.drive_a_block(operands.state):
            items, advance = cell.drive(params, items), cell.advance
            fetch_ahead = jax.default_backend() == "cpu"

        def step(state: State, item: Any, flag: Flags) -> State:
            new = advance(params, begin(state, operands.state, flag), item)
            return new if flag.valid is None else where(flag.valid, new, state)

        if not fetch_ahead:
            return lax.scan(
                lambda s, now: (step(s, *now),) * 2, state, (items, flags), reverse=problem.reverse, unroll=self.unroll
            )

        # XLA's CPU compiler does not vectorise a pointwise kernel that slices its operand at an index known only at
        # run time: the slice for the next step is made on its own, one step ahead.
        length, forward = flags.time.shape[0], not problem.reverse

        def at(t: Any) -> Any:
            return jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, t, keepdims=False), items)

        def ahead(carry: tuple[State, Any], now: tuple[Any, Flags]) -> Any:
            (state, item), (t, flag) = carry, now
            new = step(state, item, flag)
            return (new, at(t + 1 if forward else t - 1)), new

        first = state, at(0 if forward else length - 1)
        (state, _), states = lax.scan(
            ahead, first, (jnp.arange(length), flags), reverse=problem.reverse, unroll=self.unroll
        )
        return state, states
