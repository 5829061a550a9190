"""Gradients as JAX derives them."""

from dataclasses import dataclass
from typing import Any

from jaxrnn.unfold.problem import Operands, Problem, Trajectory


@dataclass(frozen=True)
class Autodiff:
    """Plain JAX: forward mode, reverse mode and higher derivatives. Reverse mode keeps everything, O(τ) memory.

    Example:
        jax.jvp(lambda xs: unfold(cell, params, xs, adjoint=Autodiff()).outputs, (xs,), (tangents,))
    """

    def run(self, problem: Problem, operands: Operands, method: Any) -> Trajectory:
        """Values and gradients of the method itself."""
        if not hasattr(method, "states"):
            raise TypeError(f"Autodiff does not differentiate method={method!r}: pass method=Scan(), or adjoint=BPTT()")
        flags = problem.flags(operands, 0, problem.steps)
        xs = problem.inputs(operands, 0, problem.steps, flags.valid)
        final, states, _ = method.states(problem, operands, operands.state, xs, flags)
        return Trajectory(problem.emit(operands.emit_params, states, xs, flags), final, None, None)
