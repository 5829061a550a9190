"""Blocks of backpropagation for gated cells: a product and a pointwise step in time, weight gradients by the block."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells.affine import recurrent_gradient, recurrent_product, turned_product
from jaxrnn.cells.base import Additive, Gated, Inputs, Params, State
from jaxrnn.unfold import sizes
from jaxrnn.unfold.adjoints import parts
from jaxrnn.unfold.adjoints.inexact import accumulators, add, inexact, narrow, vjp
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.problem import Block, Flags, Operands, Problem, row_shapes
from jaxrnn.unfold.product import rows_product
from jaxrnn.unfold.sharding import line


class Sums(NamedTuple):
    """Gradients of what many steps share, summed over the blocks done so far; lists of arrays."""

    drive: list[Any]  # of the parameters that the drive reads
    recurrent: list[Any]  # of the recurrent matrices
    activate: list[Any]  # of the parameters that activate reads
    emit: list[Any]  # of the parameters that the outputs read
    initial: list[Any]  # of s(0), where resets return to it


class GatedPullback:
    """Steps back through the blocks of one problem whose cell is `Gated`.

    The states before each step are known, so the drive, the recurrent products and the derivatives of `activate` are
    found for all steps of a block at once. What is left is a recurrence of λ, which the method solves: a pointwise
    product, and λ's recurrent product with Wᵀ.
    """

    def __init__(self, problem: Problem, operands: Operands, method: Method):
        assert isinstance(problem.cell, Gated)
        self.cell, self.problem, self.operands, self.method = problem.cell, problem, operands, method
        self.line = line(method.axis)
        params, state = operands.params, operands.state
        x = row_shapes(operands.xs)
        u = jax.eval_shape(self._drive, params, x)
        self.matrices, self.pull_matrices = vjp(self.cell.recurrent, params)
        self.through_matrices = self._products()
        a = jax.eval_shape(self._recur, state)
        self.drive = narrow(self._drive, params, x)
        if isinstance(self.cell, Additive):
            self.activate = narrow(self.cell.gate, params, state, u)
        else:
            self.activate = narrow(self.cell.activate, params, state, u, a)
        self.emit = parts.narrow_emit(problem, operands)

    def _drive(self, params: Params, x: Inputs) -> Any:
        return self.cell.drive(params, self.problem.select(x))

    def _hidden(self, state: State) -> jax.Array:
        return self.cell.hidden(self.operands.params, state)

    def _recur(self, state: State) -> Any:
        h = self._hidden(state)
        return jax.tree.map(lambda W: recurrent_product(h, W), self.matrices)

    def _products(self) -> Callable[[list[Any]], list[jax.Array]]:
        """What ∂L/∂(h W) of each recurrent matrix gives to h; a cell may do without one."""
        matrices = inexact(self.matrices)
        if self.method.axis is None and sizes.turning_pays(self.cell, self.operands):
            return lambda of_a: [turned_product(d, W) for d, W in zip(of_a, matrices, strict=True)]
        transposed = [jnp.swapaxes(W, -1, -2) for W in matrices]
        if self.method.axis is None and sizes.sharing_back_pays(self.cell, self.operands):
            return lambda of_a: [rows_product(d, W) for d, W in zip(of_a, transposed, strict=True)]
        return lambda of_a: [recurrent_product(d, W) for d, W in zip(of_a, transposed, strict=True)]

    def _activate_all(self, at: tuple[Any, ...]) -> Callable[[list[Any]], State]:
        """The states after every step of a block, as a function of the arrays that `activate` reads."""
        return lambda arrays: jax.vmap(partial(self.activate.function, arrays))(*at)

    def start(self) -> Sums:
        """Zero sums."""
        emit = self.emit.arrays if self.emit is not None else []
        arrays = self.drive.arrays, inexact(self.matrices), self.activate.arrays, emit, inexact(self.operands.state)
        return Sums(*(accumulators(part) for part in arrays))

    def finish(self, sums: Sums) -> tuple[list[Any], list[Any], list[Any]]:
        """Gradients of params, emit_params and s(0)."""
        of_matrices = [s.astype(W.dtype) for s, W in zip(sums.recurrent, inexact(self.matrices), strict=True)]
        (of_params,) = self.pull_matrices(of_matrices)
        of_params = add(add(of_params, self.drive.widen(sums.drive)), self.activate.widen(sums.activate))
        return of_params, parts.of_emit_params(self.emit, sums.emit, self.operands), sums.initial

    def block(
        self, sums: Sums, lam: list[Any], block: Block, of_outputs: list[Any]
    ) -> tuple[Sums, list[Any], list[Any]]:
        """λ before the block and the gradients of its inputs, from λ after it and the gradients of its outputs."""
        xs, flags, after = block.xs, block.flags, block.after
        if after is None:
            after = self.method.states(self.problem, self.operands, block.first, xs, flags).states
        entered = parts.entered(
            parts.before(block.first, after, self.problem.reverse, self.line), self.operands.state, flags
        )
        of_emit, of_after, of_xs = parts.through_outputs(self.emit, after, xs, flags, of_outputs)
        u, pull_drive = vjp(self.drive.function, self.drive.arrays, xs)
        if isinstance(self.cell, Additive):
            read = (u + self._recur(entered) if block.products is None else block.products,)
        else:
            read = (u, self._recur(entered) if block.products is None else block.products)
        lam, of_activate, of_initial, of_read = self._step_back(lam, (entered, *read), of_after, flags)
        of_u, of_a = of_read[0], of_read[-1]
        of_drive, of_driven = pull_drive(of_u)
        h, matrices = self._hidden(entered), inexact(self.matrices)
        of_matrices = [
            recurrent_gradient(h, d, W, total.dtype) for d, W, total in zip(of_a, matrices, sums.recurrent, strict=True)
        ]
        found = of_drive, of_matrices, of_activate, of_emit, of_initial
        return Sums(*(add(total, part) for total, part in zip(sums, found, strict=True))), lam, add(of_driven, of_xs)

    def _step_back(
        self, lam: list[Any], at: tuple[Any, ...], of_after: list[Any], flags: Flags
    ) -> tuple[list[Any], list[Any], list[Any], list[list[Any]]]:
        """λ(t) = ∂L/∂s(t) + (∂f/∂s(t))ᵀ λ(t+1) through a block, and the gradients of what each step reads beside s."""
        # The derivative of a product with a matrix would hold that matrix once a step: it is found in the step then.
        # So it is on several devices: a derivative belongs to the mesh, as it is seen where it is found.
        pointwise = self.method.axis is None and all(array.ndim < 2 for array in self.activate.arrays)

        def linearize(*at: Any) -> Any:
            return vjp(self.activate.function, self.activate.arrays, *at)[1], vjp(self._hidden, at[0])[1]

        def back(lam: list[Any], item: Any) -> Any:
            now, of_state, flag = item
            pullback, to_state = now if pointwise else linearize(*now)

            def through(lam: list[Any]) -> tuple[list[Any], Any]:
                of_arrays, before, *of_read = pullback(lam)
                products = self.through_matrices(of_read[-1])
                if products:
                    before = add(before, to_state([sum(products[1:], products[0])])[0])
                return before, (of_read, of_arrays if pointwise else [])

            return parts.step_back(through, lam, of_state, flag)

        items = jax.vmap(linearize)(*at) if pointwise else at, of_after, flags
        axes = self.problem.batch_axes(self.operands)
        solved = self.method.recur(back, lam, items, not self.problem.reverse, flags.valid, axes)
        (of_read, of_arrays), of_initial = solved.extras
        if pointwise:
            of_arrays = parts.over_time(of_arrays)
        else:
            lams = parts.through_steps(lam, solved.states, of_after, flags, self.problem.reverse, self.line)
            (of_arrays,) = vjp(self._activate_all(at), self.activate.arrays)[1](lams)
        return solved.last, of_arrays, parts.of_initial(of_initial, lam), of_read
