"""∂L/∂s(t): how a loss depends on the state at each time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells.base import Cell, Inputs, Outputs, Params, State
from jaxrnn.cells.perturbation import perturbed
from jaxrnn.cells.state_noise import StateNoise
from jaxrnn.diagnostics.flat import vector
from jaxrnn.unfold import BPTT, Unfolding, unfold, validate
from jaxrnn.unfold.adjoints.inexact import inexact, split, vjp

Loss = Callable[[Unfolding], jax.Array]


class Back(NamedTuple):
    """A run and the derivatives of its loss."""

    first: State  # s(0)
    states: State  # s(t) for t = 1 to τ, leaves (time, *batch, ...)
    gradients: list[jax.Array]  # ∂L/∂s(t), of each real or complex array of a state, (time, *batch, ...)
    axes: int  # of the batch


def run_back(
    cell: Cell, params: Params, xs: Inputs, loss: Loss, *, steps: int | None, state: State, lengths: Any, adjoint: Any
) -> Back:
    """Run a cell, and its loss back to every state."""
    batch = validate.batch_shape(cell, xs, lengths, None)
    if state is None:
        state = cell.initial_state(params, batch)
    tau = validate.length_of_time(xs, steps, 0)
    # What is added to s(t) moves all that comes after it: the derivative by it, at zero, is ∂L/∂s(t).
    moved = perturbed(cell, StateNoise(0.0))
    zeros = jax.tree.map(lambda s: jnp.zeros((tau, *jnp.shape(s)), jnp.result_type(s)), state)

    def emit(_: Cell, params: Params, state: State) -> tuple[Outputs, State]:
        return cell.output(params, state), state

    def run(zeros: State) -> tuple[jax.Array, State]:
        whole = unfold(moved, params, (xs, zeros), state=state, lengths=lengths, adjoint=adjoint, emit=emit)
        outputs, states = whole.outputs
        value = loss(whole._replace(outputs=outputs))
        if jnp.shape(value) or not jnp.issubdtype(jnp.result_type(value), jnp.floating):
            raise TypeError(
                f"diagnostics: the loss must be one real number, got shape {jnp.shape(value)} of "
                f"{jnp.result_type(value)}: pass a function of what `unfold` returns, such as "
                "lambda run: run.outputs.sum()"
            )
        return value, jax.lax.stop_gradient(states)

    (value, states), pullback = vjp(run, zeros)
    (gradients,) = pullback([jnp.ones_like(value), *map(jnp.zeros_like, inexact(states))])
    return Back(state, states, gradients, len(batch))


def state_gradients(
    cell: Cell,
    params: Params,
    xs: Inputs,
    loss: Loss,
    *,
    steps: int | None = None,
    state: State = None,
    lengths: Any = None,
    adjoint: Any = BPTT(),  # noqa: B008  frozen, without state
) -> State:
    """∂L/∂s(t) for t = 1 to τ: how the loss depends on each state, through its output and through all later states.

    Args:
        cell: any cell.
        params: its parameters.
        xs: inputs, time first, as for `unfold`; None with `steps`.
        loss: `loss(run)`, one real number from what `unfold` returns, `run.outputs` and `run.final`.
        steps: τ, where there is no xs to tell it.
        state: s(0); default: the cell's.
        lengths: as for `unfold`; past the end, gradients are zero.
        adjoint: as for `unfold`: of `TruncatedBPTT`, what is left of the gradient.

    Returns:
        A tree like the state, with time first; None in place of integers.

    Raises:
        ValueError: what `unfold` refuses.
        TypeError: likewise; a loss that is not one real number.

    Example:
        of_h = state_gradients(GRU(3, 8), params, jnp.ones((100, 3)), lambda run: run.outputs[-1].sum()).h  # (100, 8)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Eq. 10.19 to 10.21.
    """
    back = run_back(cell, params, xs, loss, steps=steps, state=state, lengths=lengths, adjoint=adjoint)
    _, others, merge = split(back.states)
    return merge(back.gradients, [None] * len(others))


def gradient_norms(
    cell: Cell,
    params: Params,
    xs: Inputs,
    loss: Loss,
    *,
    steps: int | None = None,
    state: State = None,
    lengths: Any = None,
    adjoint: Any = BPTT(),  # noqa: B008
) -> jax.Array:
    """‖∂L/∂s(t)‖ for t = 1 to τ, of each sequence of a batch.

    Args:
        cell: any cell.
        params: its parameters.
        xs: inputs, time first, as for `unfold`; None with `steps`.
        loss: `loss(run)`, one real number from what `unfold` returns.
        steps: τ, where there is no xs to tell it.
        state: s(0); default: the cell's.
        lengths: as for `unfold`; past the end, gradients are zero.
        adjoint: as for `unfold`.

    Returns:
        `(time, *batch)`.

    Raises:
        ValueError: what `unfold` refuses.
        TypeError: likewise; a loss that is not one real number.

    Example:
        norms = gradient_norms(GRU(3, 8), params, jnp.ones((100, 3)), lambda run: run.outputs[-1].sum())  # (100,)

    Source: Pascanu, Mikolov, Bengio, *On the difficulty of training recurrent neural networks* (2013), Sec. 2.
    """
    back = run_back(cell, params, xs, loss, steps=steps, state=state, lengths=lengths, adjoint=adjoint)
    return jnp.linalg.norm(vector(back.gradients, 1 + back.axes), axis=-1)
