"""What a method is: how the states of a recurrence are found, for the values and for the way back."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells.base import Inputs, State
from jaxrnn.unfold.problem import Flags, Operands, Problem

Step = Callable[[Any, Any], tuple[Any, Any]]  # (state, item) -> (new state, what else is kept of the step)


class Carried(NamedTuple):
    """A step whose loop carries states in a form of its own."""

    step: Step  # of states as they are carried
    carry: Callable[[Any], Any]  # a state as it is carried
    state: Callable[[Any], Any]  # and back


def carried_as_is(step: Step) -> Carried:
    """A step whose loop carries states as they are."""
    return Carried(step, lambda state: state, lambda state: state)


class Certificate(NamedTuple):
    """What a method that does not go one step after another reports, over all it ran; a failure is data."""

    sweeps: jax.Array  # integer: sweeps of `Shooting`, or steps of `Newton`; the most that any window took
    residual: jax.Array  # the largest |s(t) - f(s(t-1), x(t))|, relative to the largest |s| of the same sequence
    fell_back: jax.Array  # integer: windows that did not reach the tolerance, and were finished as `Scan` does
    depth: jax.Array  # integer: steps that were taken one after another

    def then(self, other: "Certificate") -> "Certificate":
        """Of both, one after the other. A residual that is not a number stays one."""
        return Certificate(
            jnp.maximum(self.sweeps, other.sweeps),
            jnp.maximum(self.residual, other.residual),
            self.fell_back + other.fell_back,
            self.depth + other.depth,
        )


class Solved(NamedTuple):
    """What was found of a recurrence over a window."""

    last: Any  # the state after the last step
    states: Any  # the state after each step, time first
    extras: Any  # what each step kept beside it, time first
    certificate: Certificate | None  # None where every step was simply taken


class Method(abc.ABC):
    """How the states of a recurrence are found, a window of time at once."""

    axis: str | None = None  # the mesh axis over which time is divided; windows are then all of it

    @property
    @abc.abstractmethod
    def certifies(self) -> bool:
        """Whether it goes on until a residual is small, and says so in a `Certificate`."""

    @abc.abstractmethod
    def at_once(self, problem: Problem, operands: Operands) -> int | None:
        """Steps of a window; None: as many as there are."""

    @abc.abstractmethod
    def states(
        self, problem: Problem, operands: Operands, state: State, xs: Inputs, flags: Flags, products: bool = False
    ) -> Solved:
        """The states of a window that starts from `state`; the extras are its recurrent products, if asked for."""

    @abc.abstractmethod
    def recur(
        self, step: Step, first: Any, items: Any, backward: bool, valid: jax.Array | None = None, axes: int = 0
    ) -> Solved:
        """The states of any recurrence, `state, extra = step(state, item)`, from the items of each step, time first.

        `valid`, (time, *batch), tells the steps of padding, which leave the state as it is; `axes`, how many of the
        first axes of every array of the state belong to a batch.
        """

    @abc.abstractmethod
    def solve(self, a: Any, b: Any, first: Any, backward: bool) -> Any:
        """The states after each step of s(t) = a(t) s(t-1) + b(t), or of the same backward in time."""
