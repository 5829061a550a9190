"""Blocks of backpropagation for any cell, by a method that solves the recurrence of λ as it solved that of s."""

from typing import Any, NamedTuple

import jax

from jaxrnn.cells.base import Inputs, Params, State
from jaxrnn.unfold.adjoints import parts
from jaxrnn.unfold.adjoints.inexact import accumulators, add, inexact, narrow, vjp
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.problem import Block, Operands, Problem, row_shapes
from jaxrnn.unfold.sharding import line


class Sums(NamedTuple):
    """Gradients of what many steps share, summed over the blocks done so far; lists of arrays."""

    step: list[Any]  # of the parameters that the transition reads
    emit: list[Any]  # of the parameters that the outputs read
    initial: list[Any]  # of s(0), where resets return to it


class StepwisePullback:
    """Steps back through the blocks of one problem, whatever its cell, at states that are known.

    The derivative of a step is found where λ passes through it. With every λ known, the gradients of parameters and
    inputs are one vector-Jacobian product of all steps at once.
    """

    def __init__(self, problem: Problem, operands: Operands, method: Method):
        self.problem, self.operands, self.method = problem, operands, method
        self.line = line(method.axis)
        self.step = narrow(self._step, operands.params, operands.state, row_shapes(operands.xs))
        self.emit = parts.narrow_emit(problem, operands)

    def _step(self, params: Params, state: State, x: Inputs) -> State:
        return self.problem.cell.step(params, state, self.problem.select(x))

    def start(self) -> Sums:
        """Zero sums."""
        emit = self.emit.arrays if self.emit is not None else []
        return Sums(*(accumulators(part) for part in (self.step.arrays, emit, inexact(self.operands.state))))

    def finish(self, sums: Sums) -> tuple[list[Any], list[Any], list[Any]]:
        """Gradients of params, emit_params and s(0)."""
        return self.step.widen(sums.step), parts.of_emit_params(self.emit, sums.emit, self.operands), sums.initial

    def block(
        self, sums: Sums, lam: list[Any], block: Block, of_outputs: list[Any]
    ) -> tuple[Sums, list[Any], list[Any]]:
        """λ before the block and the gradients of its inputs, from λ after it and the gradients of its outputs."""
        xs, flags, after, backward = block.xs, block.flags, block.after, self.problem.reverse
        if after is None:
            after = self.method.states(self.problem, self.operands, block.first, xs, flags).states
        entered = parts.entered(parts.before(block.first, after, backward, self.line), self.operands.state, flags)
        of_emit, of_after, of_xs = parts.through_outputs(self.emit, after, xs, flags, of_outputs)

        def back(lam: list[Any], item: Any) -> Any:
            state, x, of_state, flag = item
            pull = vjp(lambda s: self._step(self.operands.params, s, x), state)[1]
            return parts.step_back(lambda lam: (pull(lam)[0], None), lam, of_state, flag)

        axes = self.problem.batch_axes(self.operands)
        solved = self.method.recur(back, lam, (entered, xs, of_after, flags), not backward, flags.valid, axes)
        lams = parts.through_steps(lam, solved.states, of_after, flags, backward, self.line)
        every = jax.vmap(self.step.function, in_axes=(None, 0, 0), axis_size=flags.time.size)
        of_arrays, of_driven = vjp(lambda arrays, xs: every(arrays, entered, xs), self.step.arrays, xs)[1](lams)
        found = of_arrays, of_emit, parts.of_initial(solved.extras[1], lam)
        return (
            Sums(*(add(total, part) for total, part in zip(sums, found, strict=True))),
            solved.last,
            add(of_driven, of_xs),
        )
