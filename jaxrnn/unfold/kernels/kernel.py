"""What a fused kernel is."""

import abc
from typing import Any

from jaxrnn.cells.base import Cell, Params, State


class Kernel(abc.ABC):
    """A program of its own that takes all steps of a window, one after another, for one kind of cell.

    It computes what `Scan` does, up to rounding, and no derivatives: of gradients, the adjoint takes care, from the
    states. A kernel holds choices and no arrays; it is hashable.
    """

    @abc.abstractmethod
    def takes(self, cell: Cell, params: Params, state: State) -> bool:
        """Whether it can run this cell, with arrays of these shapes and types, on the backend that there is.

        What it does not take, `Scan` runs.
        """

    @abc.abstractmethod
    def run(self, cell: Any, params: Params, state: State, us: Any, backward: bool) -> tuple[State, Any]:
        """The states after all steps, and what each step read of the recurrent matrices.

        Args:
            cell: one that it takes, a `Gated` cell.
            params: its parameters.
            state: the state before the first step, arrays `(*batch, hidden)`.
            us: the drives of all steps, arrays `(time, *batch, n)`.
            backward: from the last step to the first.

        Returns:
            States `(time, *batch, hidden)`, each after the step of its time; and products `(time, *batch, n)`, h W of
            each step, or u + h W for an `Additive` cell.
        """
