"""The method chosen from what is known when the program is traced."""

from dataclasses import dataclass
from typing import Any

from jaxrnn.cells.base import Linear
from jaxrnn.unfold import sizes
from jaxrnn.unfold.adjoints.autodiff import Autodiff
from jaxrnn.unfold.adjoints.bptt import BPTT
from jaxrnn.unfold.adjoints.truncated import TruncatedBPTT
from jaxrnn.unfold.associative import Associative
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.problem import Operands, Problem
from jaxrnn.unfold.scan import Scan
from jaxrnn.unfold.shooting import Shooting


@dataclass(frozen=True)
class Auto:
    """`Scan()`, `Associative()` or `Shooting()`, by cell, sizes, backend and adjoint, for each layer by itself.

    - `Associative` for `Linear` cells.
    - `Shooting` on a CPU for `Gated` cells where it was measured to be clearly faster: few sequences, many steps, large
      recurrent matrices, and `BPTT()` without choices of its own.
    - `Scan` for all else.

    `info` is what the method chosen reports: None of `Scan` and `Associative`. Sizes do not tell whether a net forgets
    what it started from, on which `Shooting` depends: so that looks at a few steps first (`Shooting(probe=...)`), and
    where the net does not, runs one step after another, as `info.fell_back` says. Under `jax.vmap` the sizes are those
    of one example.

    Example:
        run = unfold(cell, params, xs, method="auto")  # the same as method=Auto()
    """

    def choose(self, problem: Problem, operands: Operands, adjoint: Any) -> Method:
        """The method to run a problem by."""
        if isinstance(problem.cell, Linear) and isinstance(adjoint, BPTT | TruncatedBPTT | Autodiff):
            return Associative()
        if adjoint == BPTT() and sizes.shooting_pays(problem, operands):
            return Shooting(probe=sizes.shooting_probe(problem, operands))
        return Scan()
