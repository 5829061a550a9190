"""Truncated backpropagation through time."""

from dataclasses import dataclass, replace

from jaxrnn.cells import checks
from jaxrnn.unfold.adjoints.bptt import BPTT
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.problem import Operands, Problem, Trajectory


@dataclass(frozen=True)
class TruncatedBPTT:
    """Backpropagation that stops before steps 1 + k, 1 + 2k, ...: values as ever, gradients within each k steps.

    Args:
        steps: k, the steps that a gradient can cross; counted from where the recurrence starts.
        block: as in `BPTT`.

    Raises:
        ValueError: `steps` or `block` below 1.

    Example:
        jax.grad(lambda p: loss(unfold(cell, p, xs, adjoint=TruncatedBPTT(35)).outputs))(params)

    Source: Williams and Peng, *An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories* (1990), with segments that do not overlap.
    """

    steps: int
    block: int | None = None

    def __post_init__(self):
        checks.positive(self, steps=self.steps)
        object.__setattr__(self, "block", BPTT(self.block).block)  # which checks it

    def run(self, problem: Problem, operands: Operands, method: Method) -> Trajectory:
        """Values by the method, gradients by blocks, cut every `steps` steps."""
        return BPTT(self.block).run(replace(problem, detach_every=self.steps), operands, method)
