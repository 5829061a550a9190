"""Gradients as JAX derives them."""

from dataclasses import dataclass

from jaxrnn.unfold.kernels.fused import Fused
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.problem import Operands, Problem, Trajectory


@dataclass(frozen=True)
class Autodiff:
    """Plain JAX: forward mode, reverse mode and higher derivatives. Reverse mode keeps everything, O(τ) memory.

    Example:
        jax.jvp(lambda xs: unfold(cell, params, xs, adjoint=Autodiff()).outputs, (xs,), (tangents,))
    """

    def run(self, problem: Problem, operands: Operands, method: Method) -> Trajectory:
        """Values and gradients of the method itself."""
        if method.certifies:
            raise TypeError(
                f"Autodiff differentiates one step after another, and method={method!r} goes on until it is exact: "
                "pass adjoint=BPTT(), or method=Scan()"
            )
        if isinstance(method, Fused):
            raise TypeError(
                f"Autodiff differentiates every step, and a kernel has no derivative, got method={method!r}: pass "
                "adjoint=BPTT(), or method=Scan()"
            )
        flags = problem.flags(operands, 0, problem.steps)
        xs = problem.inputs(operands, 0, problem.steps, flags.valid)
        found = method.states(problem, operands, operands.state, xs, flags)
        return Trajectory(problem.emit(operands.emit_params, found.states, xs, flags), found.last, None, None)
