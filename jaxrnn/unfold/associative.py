"""Unfolding a linear cell many steps at once, by a prefix scan."""

from dataclasses import dataclass
from typing import Any

import jax

from jaxrnn.cells.base import Inputs, Linear, State
from jaxrnn.unfold import recurrence, sizes
from jaxrnn.unfold.forward import by_blocks
from jaxrnn.unfold.problem import Flags, Keep, Operands, Problem, Trajectory


@dataclass(frozen=True)
class Associative:
    """Many steps of a `Linear` cell at once: s(t) = a(t) ⊙ s(t-1) + b(t) is a composition of affine maps.

    Composition is associative, so that the maps of all steps are composed in parallel: O(log τ) time where there are
    processors enough. Values and gradients equal those of `Scan` up to rounding; memory is that of a block of time.
    Products of many a(t) are formed by themselves: for a cell of yours with |a| > 1 they can overflow where the states
    of `Scan` are finite.

    Raises:
        TypeError: a cell that is not `Linear`.

    Example:
        run = unfold(MinGRU(8, 64), params, xs, method=Associative())

    Source: Blelloch, *Prefix sums and their applications* (1990); Martin and Cundy, *Parallelizing linear recurrent
    neural nets over sequence length* (2018).
    """

    def run(self, problem: Problem, operands: Operands, keep: Keep | None = None) -> Trajectory:
        """Values alone, and what is to be kept of them for the way back."""
        return by_blocks(self.states, problem, operands, keep, sizes.prefix_block(problem, operands))

    def states(
        self, problem: Problem, operands: Operands, state: State, xs: Inputs, flags: Flags, products: bool = False
    ) -> tuple[State, State, Any]:
        """The last and all of the states of a block that starts from `state`.

        Differentiable by JAX.
        """
        if not isinstance(problem.cell, Linear):
            raise TypeError(
                f"Associative runs cells that are Linear (s(t) = a(t) s(t-1) + b(t)), got {problem.cell}: pass "
                "method=Scan()"
            )
        a, b = problem.cell.coefficients(operands.params, problem.select(xs))
        a, b = recurrence.special_steps(a, b, operands.state, flags)
        states = self.solve(a, b, state, problem.reverse)
        last = jax.tree.map(lambda s: s[0 if problem.reverse else -1], states) if problem.steps else state
        return last, states, None

    def solve(self, a: State, b: State, first: State, backward: bool) -> State:
        """All states of s(t) = a(t) s(t-1) + b(t), or of the recurrence backward in time."""
        return recurrence.parallel(a, b, first, backward)
