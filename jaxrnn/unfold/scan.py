"""Unfolding one step after another: the definition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jax import lax

from jaxrnn.cells import checks
from jaxrnn.cells.base import Driven, Inputs, State
from jaxrnn.unfold import recurrence, sizes
from jaxrnn.unfold.columns import carried_in_columns
from jaxrnn.unfold.method import Method, Solved, Step, carried_as_is
from jaxrnn.unfold.problem import Flags, Operands, Problem, over_blocks, put_block, take_block
from jaxrnn.unfold.steps import steps_of


@dataclass(frozen=True)
class Scan(Method):
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

    @property
    def certifies(self) -> bool:
        """Every step is simply taken."""
        return False

    def at_once(self, problem: Problem, operands: Operands) -> int | None:
        """As many steps as have their drives computed at once."""
        return sizes.drive_block(problem, operands)

    def states(
        self, problem: Problem, operands: Operands, state: State, xs: Inputs, flags: Flags, products: bool = False
    ) -> Solved:
        """The states of a block, one after another; the extras are its recurrent products, if asked for.

        Differentiable by JAX.
        """
        step, items, driven = steps_of(problem, operands, xs, products)
        carried = carried_as_is(step)
        if sizes.columns_pay(problem, operands, products):
            carried = carried_in_columns(problem, operands, driven, products)

        def take(state: State, now: tuple[Any, Flags]) -> tuple[State, tuple[State, Any]]:
            new, a = carried.step(state, now)
            return new, (carried.state(new), a)

        ahead_pays = sizes.fetch_ahead(problem.cell, operands, problem.select(xs))
        if driven and isinstance(problem.cell, Driven):
            ahead_pays = jax.default_backend() == "cpu"
        if ahead_pays and flags.time.size:
            last, found = self._ahead(take, carried.carry(state), items, flags, problem.reverse)
        else:
            last, found = lax.scan(
                take, carried.carry(state), (items, flags), reverse=problem.reverse, unroll=self.unroll
            )
        states, extras = found
        return Solved(carried.state(last), states, extras, None)

    def _ahead(
        self, take: Callable[[State, tuple[Any, Flags]], Any], state: State, items: Any, flags: Flags, backward: bool
    ) -> Any:
        """`lax.scan`, the item of a step fetched one step ahead.

        XLA's CPU compiler does not vectorise a pointwise kernel that slices its operand at an index known only at run
        time: the slice for the next step is made on its own.
        """

        def at(t: Any) -> Any:
            return jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, t, keepdims=False), items)

        def ahead(carry: tuple[State, Any], flag: Flags) -> Any:
            (state, item), t = carry, flag.time - start
            new, found = take(state, (item, flag))
            return (new, at(t - 1 if backward else t + 1)), found

        start = flags.time[0]
        first = state, at(flags.time.size - 1 if backward else 0)
        (last, _), found = lax.scan(ahead, first, flags, reverse=backward, unroll=self.unroll)
        return last, found

    def in_blocks(
        self, problem: Problem, operands: Operands, state: State, xs: Inputs, flags: Flags, room: tuple[Any, Any]
    ) -> Solved:
        """The same of a longer window, a block after another, in place of the states and extras in `room`.

        These, and what comes back, are arrays (time, n): for axes of one entry XLA would make copies.
        """
        steps, products = flags.time.size, room[1] is not None

        def body(carry: Any, _: Any, start: Any, size: int) -> Any:
            part, flag = take_block((xs, flags), start, size)
            found = self.states(problem, operands, carry[0], part, flag, products)
            arrays = jax.tree.map(lambda a: a.reshape(size, a[0].size), (found.states, found.extras))
            return found.last, put_block(carry[1], arrays, start)

        block = min(self.at_once(problem, operands) or steps, steps)
        carry = state, room
        last, (states, extras) = over_blocks(body, carry, steps=steps, block=block, backward=problem.reverse)
        return Solved(last, states, extras, None)

    def recur(
        self, step: Step, first: Any, items: Any, backward: bool, valid: jax.Array | None = None, axes: int = 0
    ) -> Solved:
        """The states of any recurrence, one after another."""

        def both(state: Any, item: Any) -> Any:
            new, extra = step(state, item)
            return new, (new, extra)

        last, (states, extras) = lax.scan(both, first, items, reverse=backward, unroll=self.unroll)
        return Solved(last, states, extras, None)

    def solve(self, a: Any, b: Any, first: Any, backward: bool) -> Any:
        """All states of s(t) = a(t) s(t-1) + b(t), or of the recurrence backward in time."""
        return recurrence.sequential(a, b, first, backward)
