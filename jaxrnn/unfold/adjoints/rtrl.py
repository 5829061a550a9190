"""Real-time recurrent learning."""

from dataclasses import dataclass

from jaxrnn.cells.base import Cell
from jaxrnn.unfold.adjoints import forward_in_time
from jaxrnn.unfold.adjoints.example import Arguments, OneExample
from jaxrnn.unfold.adjoints.influence import Dense, Influence, Traces
from jaxrnn.unfold.adjoints.units import Units, units
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.problem import Operands, Problem, Trajectory


@dataclass(frozen=True)
class RTRL:
    """Real-time recurrent learning: the exact gradient, carried forward in time.

        S(t) = ∂f/∂s(t-1) S(t-1) + ∂f/∂θ,     ∂L/∂θ = Σ_t ∂L(t)/∂s(t) S(t),     S(t) = ∂s(t)/∂θ

    Memory does not grow with τ. For each example of a batch S takes n·|θ| numbers, n being the entries of the state,
    and a step O(n²·|θ|) operations: for small nets, and for tests. Where every parameter reaches one unit of the state
    and no unit reaches another (`IndRNN`, `LRU`, `MinGRU`, `MinLSTM`, and any cell of yours whose step is such: it is
    read off its jaxpr), S is kept there alone: O(|θ|) memory and operations, and just as exact.

    Only what a gradient is asked for is carried. The gradient of xs depends on what comes after each x(t): where it is
    asked for, it is found by `BPTT()`, with its memory. A `Stack`, which runs layer by layer, asks for it in all layers
    but the lowest; `Online` takes such a net step by step, as one cell.

    Raises:
        TypeError: a method other than `Scan()`; forward-mode differentiation: pass `adjoint=Autodiff()`.

    Example:
        jax.grad(lambda p: loss(unfold(cell, p, xs, adjoint=RTRL()).outputs))(params)

    Source: Williams and Zipser, *A learning algorithm for continually running fully recurrent neural networks* (1989);
    for diagonal cells: Mozer, *A focused backpropagation algorithm for temporal pattern recognition* (1989).
    """

    def influence(
        self, cell: Cell, arguments: Arguments, batch: tuple[int, ...], chosen: list[bool], initial: bool
    ) -> Influence:
        """∂s(t)/∂θ, by units where that is exact."""
        one = OneExample(cell.step, arguments, batch, chosen, initial)
        found = units(one)
        if isinstance(found, Units) and found.diagonal:
            return Influence(one, Traces(one, found, direct=False))
        return Influence(one, Dense(one))

    def run(self, problem: Problem, operands: Operands, method: Method) -> Trajectory:
        """Values by the method, gradients by the influence on the states."""
        return forward_in_time.run(self, problem, operands, method)
