"""Unfolding one step after another: the definition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine
from jaxrnn.cells.base import Additive, Cell, Driven, Gated, Inputs, State
from jaxrnn.unfold import recurrence, sizes
from jaxrnn.unfold.forward import by_blocks
from jaxrnn.unfold.problem import Flags, Keep, Operands, Problem, Trajectory, begin, where


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

    def run(self, problem: Problem, operands: Operands, keep: Keep | None = None) -> Trajectory:
        """Values alone, and what is to be kept of them for the way back."""
        return by_blocks(self.states, problem, operands, keep, sizes.drive_block(problem, operands))

    def states(
        self, problem: Problem, operands: Operands, state: State, xs: Inputs, flags: Flags, products: bool = False
    ) -> tuple[State, State, Any]:
        """The last and all of the states of a block that starts from `state`, and its recurrent products if asked for.

        Differentiable by JAX.
        """
        items, cell = problem.select(xs), problem.cell
        ahead_pays = sizes.fetch_ahead(cell, operands, items)
        driven = False
        if isinstance(cell, Driven) and sizes.drive_a_block(operands):
            driven, items = True, cell.drive(operands.params, items)
            ahead_pays = jax.default_backend() == "cpu"
        advance = _advance(problem.cell, operands, driven, products)

        def step(state: State, item: Any, flag: Flags) -> tuple[State, Any]:
            new, a = advance(begin(state, operands.state, flag), item)
            return (new if flag.valid is None else where(flag.valid, new, state)), a

        def at(t: Any) -> Any:
            return jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, t, keepdims=False), items)

        def plainly(state: State, now: tuple[Any, Flags]) -> Any:
            new, a = step(state, *now)
            return new, (new, a)

        def ahead(carry: tuple[State, Any], flag: Flags) -> Any:
            (state, item), t = carry, flag.time - start
            new, a = step(state, item, flag)
            return (new, at(t - 1 if problem.reverse else t + 1)), (new, a)

        if not ahead_pays or not flags.time.size:
            final, kept = lax.scan(plainly, state, (items, flags), reverse=problem.reverse, unroll=self.unroll)
        else:
            # XLA's CPU compiler does not vectorise a pointwise kernel that slices its operand at an index known only
            # at run time: the slice for the next step is made on its own, one step ahead.
            start = flags.time[0]
            first = state, at(flags.time.size - 1 if problem.reverse else 0)
            (final, _), kept = lax.scan(ahead, first, flags, reverse=problem.reverse, unroll=self.unroll)
        return final, *kept

    def solve(self, a: State, b: State, first: State, backward: bool) -> State:
        """All states of s(t) = a(t) s(t-1) + b(t), or of the recurrence backward in time."""
        return recurrence.sequential(a, b, first, backward)


def _advance(cell: Cell, operands: Operands, driven: bool, products: bool) -> Callable[[State, Any], tuple[State, Any]]:
    """`(state, item) -> (new state, products)`, the item being a drive where it was computed for the whole block."""
    params = operands.params
    if isinstance(cell, Additive):
        U, W, b = cell.weights(params)
        joined = jnp.concatenate([U, W]) if not driven and sizes.join_products(operands) else None

        def additive(state: State, item: Any) -> tuple[State, Any]:
            if joined is None:
                z = (item if driven else cell.drive(params, item)) + cell.recur(params, state)
            else:
                checks.features(cell, item, U.shape[0])
                z = affine(jnp.concatenate([item, cell.hidden(params, state)], axis=-1), joined, b)
            return cell.gate(params, state, z), z if products else None

        return additive
    if isinstance(cell, Gated) and products:

        def gated(state: State, item: Any) -> tuple[State, Any]:
            a = cell.recur(params, state)
            return cell.activate(params, state, item if driven else cell.drive(params, item), a), a

        return gated
    step = cell.advance if isinstance(cell, Driven) and driven else cell.step
    return lambda state, item: (step(params, state, item), None)
