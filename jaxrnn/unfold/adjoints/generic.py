"""Blocks of backpropagation for any cell: the block's own derivative, as JAX derives it."""

from typing import Any, NamedTuple

from jaxrnn.cells.base import Inputs, Outputs, Params, State
from jaxrnn.unfold.adjoints.inexact import accumulators, add, inexact, vjp
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.problem import Block, Operands, Problem


class Sums(NamedTuple):
    """Gradients of what many steps share, summed over the blocks done so far; lists of arrays."""

    params: list[Any]
    emit: list[Any]
    initial: list[Any]  # s(0), where resets return to it


class GenericPullback:
    """Steps back through the blocks of one problem, whatever its cell: runs a block again and differentiates it."""

    def __init__(self, problem: Problem, operands: Operands, method: Method):
        self.problem, self.operands, self.method = problem, operands, method

    def start(self) -> Sums:
        """Zero sums."""
        parts = self.operands.params, self.operands.emit_params, self.operands.state
        return Sums(*(accumulators(inexact(part)) for part in parts))

    def finish(self, sums: Sums) -> tuple[list[Any], list[Any], list[Any]]:
        """Gradients of params, emit_params and s(0)."""
        return sums.params, sums.emit, sums.initial

    def block(
        self, sums: Sums, lam: list[Any], block: Block, of_outputs: list[Any]
    ) -> tuple[Sums, list[Any], list[Any]]:
        """λ before the block and the gradients of its inputs, from λ after it and the gradients of its outputs."""

        def run(params: Params, emit_params: Params, initial: State, state: State, xs: Inputs) -> tuple[State, Outputs]:
            operands = self.operands._replace(params=params, state=initial)
            found = self.method.states(self.problem, operands, state, xs, block.flags)
            return found.last, self.problem.emit(emit_params, found.states, xs, block.flags)

        operands = self.operands
        _, pullback = vjp(run, operands.params, operands.emit_params, operands.state, block.first, block.xs)
        of_params, of_emit, of_initial, lam, of_xs = pullback([*lam, *of_outputs])
        added = zip(sums, (of_params, of_emit, of_initial), strict=True)
        return Sums(*(add(total, part) for total, part in added)), lam, of_xs
