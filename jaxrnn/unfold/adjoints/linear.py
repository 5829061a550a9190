"""Blocks of backpropagation for linear cells: λ is a linear recurrence too, solved as the method solves the states'."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells.base import Inputs, Linear, Params, State
from jaxrnn.unfold.adjoints import parts
from jaxrnn.unfold.adjoints.inexact import accumulators, add, inexact, narrow, vjp
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.problem import Block, Flags, Operands, Problem, row_shapes, where
from jaxrnn.unfold.sharding import line


class Sums(NamedTuple):
    """Gradients of what many steps share, summed over the blocks done so far; lists of arrays."""

    drive: list[Any]  # of the parameters that the coefficients read
    emit: list[Any]  # of the parameters that the outputs read
    initial: list[Any]  # of s(0), where resets return to it


class LinearPullback:
    """Steps back through the blocks of one problem whose cell is `Linear`, s(t) = a(t) s(t-1) + b(t).

    λ(t) = ∂L/∂s(t) + a(t+1) λ(t+1), ∂L/∂a(t) = λ(t) s(t-1), ∂L/∂b(t) = λ(t)
    """

    def __init__(self, problem: Problem, operands: Operands, method: Method):
        assert isinstance(problem.cell, Linear)
        self.cell, self.problem, self.operands, self.method = problem.cell, problem, operands, method
        self.line = line(method.axis)
        self.coefficients = narrow(self._coefficients, operands.params, row_shapes(operands.xs))
        self.emit = parts.narrow_emit(problem, operands)

    def _coefficients(self, params: Params, x: Inputs) -> tuple[State, State]:
        return self.cell.coefficients(params, self.problem.select(x))

    def start(self) -> Sums:
        """Zero sums."""
        emit = self.emit.arrays if self.emit is not None else []
        return Sums(*(accumulators(part) for part in (self.coefficients.arrays, emit, inexact(self.operands.state))))

    def finish(self, sums: Sums) -> tuple[list[Any], list[Any], list[Any]]:
        """Gradients of params, emit_params and s(0)."""
        of_emit = parts.of_emit_params(self.emit, sums.emit, self.operands)
        return self.coefficients.widen(sums.drive), of_emit, sums.initial

    def block(
        self, sums: Sums, lam: list[Any], block: Block, of_outputs: list[Any]
    ) -> tuple[Sums, list[Any], list[Any]]:
        """λ before the block and the gradients of its inputs, from λ after it and the gradients of its outputs."""
        xs, flags, after, backward = block.xs, block.flags, block.after, self.problem.reverse
        (a, _), pull = vjp(self.coefficients.function, self.coefficients.arrays, xs)
        if after is None:
            after = self.method.states(self.problem, self.operands, block.first, xs, flags).states
        entered = parts.entered(parts.before(block.first, after, backward, self.line), self.operands.state, flags)
        of_emit, of_after, of_xs = parts.through_outputs(self.emit, after, xs, flags, of_outputs)

        through, a, entered = _through(inexact(a), flags), inexact(a), inexact(entered)
        ones = [jnp.ones_like(x[0]) for x in through]  # what λ passes after the block is in it already
        lams = self.method.solve(parts.before(ones, through, not backward, self.line), of_after, lam, not backward)
        start = -1 if backward else 0
        lam = [x[start] * t[start] for x, t in zip(lams, through, strict=True)]
        of_b = lams if flags.valid is None else where(flags.valid, lams, jax.tree.map(jnp.zeros_like, lams))
        of_a = [x * s for x, s in zip(of_b, entered, strict=True)]
        of_initial = sums.initial
        if flags.reset is not None:
            returned = [x * a for x, a in zip(of_b, a, strict=True)]
            returned = where(flags.reset, returned, jax.tree.map(jnp.zeros_like, returned))
            of_initial = add(of_initial, [x.sum(0) for x in returned])
        of_arrays, of_driven = pull([*of_a, *of_b])
        return Sums(add(sums.drive, of_arrays), add(sums.emit, of_emit), of_initial), lam, add(of_driven, of_xs)


def _through(a: list[Any], flags: Flags) -> list[Any]:
    """What λ is multiplied by on its way through each step to the state before it."""
    nothing = jax.tree.map(jnp.zeros_like, a)
    for stop in (flags.reset, flags.detach):
        a = a if stop is None else where(stop, nothing, a)
    return a if flags.valid is None else where(flags.valid, a, jax.tree.map(jnp.ones_like, a))
