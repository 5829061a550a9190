"""Unfolding by a fused kernel, where there is one."""

from dataclasses import dataclass
from typing import Any

import jax

from jaxrnn.cells.base import Gated, Inputs, State
from jaxrnn.unfold.kernels.kernel import Kernel
from jaxrnn.unfold.method import Method, Solved, Step
from jaxrnn.unfold.problem import Flags, Operands, Problem
from jaxrnn.unfold.scan import Scan


@dataclass(frozen=True)
class Fused(Method):
    """One step after another, by a kernel that takes all of them: s(t) = f(s(t-1), x(t); θ) as `Scan` computes it.

    The drives of a window are one product, the steps are the kernel's. What the kernel does not take, and what has
    `lengths` or `resets`, is run by `Scan`; so is the recurrence of the way back.

    Args:
        kernel: the program, such as `PallasLSTM()`.

    Raises:
        TypeError: what is no kernel; with `adjoint=Autodiff()`.

    Example:
        run = unfold(cell, params, xs, method=Fused(PallasLSTM(interpret=True)))
    """

    kernel: Kernel

    def __post_init__(self):
        if not isinstance(self.kernel, Kernel):
            raise TypeError(f"Fused: kernel must be a Kernel, got {self.kernel!r}: pass one such as PallasLSTM()")

    @property
    def certifies(self) -> bool:
        """Every step is simply taken."""
        return False

    def at_once(self, problem: Problem, operands: Operands) -> int | None:
        """As many steps as `Scan` takes."""
        return Scan().at_once(problem, operands)

    def states(
        self, problem: Problem, operands: Operands, state: State, xs: Inputs, flags: Flags, products: bool = False
    ) -> Solved:
        """The states of a window that starts from `state`; the extras are its recurrent products, if asked for."""
        cell, params = problem.cell, operands.params
        plain = flags.valid is None and flags.reset is None and flags.time.size > 0
        if not (plain and isinstance(cell, Gated) and self.kernel.takes(cell, params, state)):
            return Scan().states(problem, operands, state, xs, flags, products)
        us = cell.drive(params, problem.select(xs))
        found, read = self.kernel.run(cell, params, state, us, problem.reverse)
        last = jax.tree.map(lambda s: s[0 if problem.reverse else -1], found)
        return Solved(last, found, read if products else None, None)

    def recur(
        self, step: Step, first: Any, items: Any, backward: bool, valid: jax.Array | None = None, axes: int = 0
    ) -> Solved:
        """The states of any recurrence, one after another."""
        return Scan().recur(step, first, items, backward, valid, axes)

    def solve(self, a: Any, b: Any, first: Any, backward: bool) -> Any:
        """All states of s(t) = a(t) s(t-1) + b(t), or of the recurrence backward in time."""
        return Scan().solve(a, b, first, backward)
