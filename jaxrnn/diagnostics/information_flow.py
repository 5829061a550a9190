"""A regulariser that keeps the gradient from vanishing on its way back through time."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.cells.base import Cell, Inputs, Params, State
from jaxrnn.diagnostics.flat import restorer, vector
from jaxrnn.diagnostics.jacobians import before
from jaxrnn.diagnostics.state_gradients import Loss, run_back
from jaxrnn.unfold import BPTT


def information_flow(
    cell: Cell,
    params: Params,
    xs: Inputs,
    loss: Loss,
    *,
    steps: int | None = None,
    state: State = None,
    lengths: Any = None,
    adjoint: Any = BPTT(),  # noqa: B008  frozen, without state
) -> jax.Array:
    """How far each step back in time is from keeping the length of the gradient, to be added to a loss.

        Ω = Σ_t (‖λ(t) ∂s(t)/∂s(t-1)‖ / ‖λ(t)‖ - 1)²,   λ(t) = ∂L/∂s(t)

    The sum is over t = 1 to τ, and its mean is over the batch. Steps with λ(t) = 0 add nothing.

    Its value is Ω; its gradient is the immediate one, as in the paper: λ(t) and s(t-1) are constants, and θ acts
    through ∂s(t)/∂s(t-1) of each step by itself. The whole gradient would need second derivatives through all of time.
    So no derivative goes through time but one pass back for λ, and all steps are taken side by side, in memory O(τ).

    Args:
        cell: any cell.
        params: its parameters.
        xs: inputs, time first, as for `unfold`; None with `steps`.
        loss: `loss(run)`, one real number from what `unfold` returns: the loss that Ω is added to.
        steps: τ, where there is no xs to tell it.
        state: s(0); default: the cell's.
        lengths: as for `unfold`.
        adjoint: as for `unfold`, of the pass that finds λ.

    Returns:
        Ω, `()`.

    Raises:
        ValueError: what `unfold` refuses.
        TypeError: likewise; a loss that is not one real number.

    Example:
        def objective(params):
            return loss(unfold(cell, params, xs)) + 0.1 * information_flow(cell, params, xs, loss)

    Source: Pascanu, Mikolov, Bengio, *On the difficulty of training recurrent neural networks* (2013), Eq. 9 and 10;
    *Deep Learning*, Eq. 10.52.
    """
    still = lax.stop_gradient((params, xs, state))
    back = run_back(cell, *still[:2], loss, steps=steps, state=still[2], lengths=lengths, adjoint=adjoint)
    first, states, gradients = lax.stop_gradient(back[:3])  # also of what the loss closes over
    lam = vector(gradients, 1 + back.axes)

    def returned(entered: State, x: Inputs, lam: jax.Array) -> jax.Array:
        """λ(t) ∂s(t)/∂s(t-1)."""
        restore = restorer(entered, back.axes)

        def step(flat: jax.Array) -> jax.Array:
            return vector(cell.step(params, restore(flat), x), back.axes).astype(lam.dtype)

        return jax.vjp(step, vector(entered, back.axes))[1](lam)[0]

    mu = jax.vmap(returned)(before(first, states), still[1], lam)
    square, returned_square = (lam**2).sum(-1), (mu**2).sum(-1)
    some, more = square > 0, returned_square > 0
    ratio = jnp.sqrt(jnp.where(more, returned_square, 1) / jnp.where(some, square, 1))  # √0 has no derivative
    terms = jnp.where(some, jnp.where(more, ratio, 0) - 1, 0) ** 2
    return terms.sum() / max(1, math.prod(terms.shape[1:]))
