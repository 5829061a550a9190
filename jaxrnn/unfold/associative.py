"""Unfolding a linear cell many steps at once, by a prefix scan."""

from dataclasses import dataclass
from typing import Any

import jax

from jaxrnn.cells.base import Cell, Inputs, Linear, State
from jaxrnn.unfold import recurrence, sizes
from jaxrnn.unfold.method import Method, Solved, Step
from jaxrnn.unfold.problem import Flags, Operands, Problem
from jaxrnn.unfold.scan import Scan
from jaxrnn.unfold.sharding import line


@dataclass(frozen=True)
class Associative(Method):
    """Many steps of a `Linear` cell at once: s(t) = a(t) ⊙ s(t-1) + b(t) is a composition of affine maps.

    Composition is associative, so that the maps of all steps are composed in parallel: O(log τ) time where there are
    processors enough. Values and gradients equal those of `Scan` up to rounding; memory is that of a block of time.
    Products of many a(t) are formed by themselves: for a cell of yours with |a| > 1 they can overflow where the states
    of `Scan` are finite. On a CPU, where one step after another is faster, this is what runs.

    With `axis`, time is divided over that axis of the mesh: see `Shooting`. Each device composes the maps of its steps,
    and tells the others their composition, a(t) and b(t) of one step, from which each finds the state it starts from.

    Args:
        axis: the mesh axis over which time is divided; None: not divided.

    Raises:
        TypeError: a cell that is not `Linear`.
        ValueError: `axis` of no mesh that is set; steps that cannot be divided among its devices.

    Example:
        run = unfold(MinGRU(8, 64), params, xs, method=Associative())

    Source: Blelloch, *Prefix sums and their applications* (1990); Martin and Cundy, *Parallelizing linear recurrent
    neural nets over sequence length* (2018).
    """

    axis: str | None = None

    @property
    def certifies(self) -> bool:
        """Exact up to rounding by itself."""
        return False

    def at_once(self, problem: Problem, operands: Operands) -> int | None:
        """Long windows, for they are what is parallel."""
        if self.axis is not None:
            return problem.steps
        if not sizes.prefix_scan_pays():
            return Scan().at_once(problem, operands)
        return sizes.linear_block(problem, operands)

    def states(
        self, problem: Problem, operands: Operands, state: State, xs: Inputs, flags: Flags, products: bool = False
    ) -> Solved:
        """The states of a window that starts from `state`.

        Differentiable by JAX.
        """
        if not isinstance(problem.cell, Linear):
            raise _not_linear(problem.cell)
        if self.axis is None and not sizes.prefix_scan_pays():
            return Scan().states(problem, operands, state, xs, flags)
        a, b = problem.cell.coefficients(operands.params, problem.select(xs))
        a, b = recurrence.special_steps(a, b, operands.state, flags)
        states = self.solve(a, b, state, problem.reverse)
        last = jax.tree.map(lambda s: s[0 if problem.reverse else -1], states) if problem.steps else state
        return Solved(last, states, None, None)

    def recur(
        self, step: Step, first: Any, items: Any, backward: bool, valid: jax.Array | None = None, axes: int = 0
    ) -> Solved:
        """Only what is known to be linear can be composed."""
        raise _not_linear(step)

    def solve(self, a: Any, b: Any, first: Any, backward: bool) -> Any:
        """All states of s(t) = a(t) s(t-1) + b(t), or of the recurrence backward in time."""
        over = line(self.axis)
        over.check(self, jax.tree.leaves(a)[0].shape[0])

        def local(first: Any, maps: tuple[Any, Any]) -> Any:
            return recurrence.parallel(*maps, first, backward, over)

        return over.run(local, True, first, (a, b))


def _not_linear(cell: Cell | Step) -> TypeError:
    return TypeError(
        f"Associative runs cells that are Linear (s(t) = a(t) s(t-1) + b(t)), got {cell}: pass method=Scan()"
    )
