"""J(t) = ∂s(t)/∂s(t-1), and their products over time."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxrnn.cells.base import Cell, Inputs, Params, State
from jaxrnn.cells.checks import whole_number
from jaxrnn.diagnostics.flat import restorer, vector
from jaxrnn.unfold import Autodiff, states, unfold, validate


def jacobians(
    cell: Cell, params: Params, xs: Inputs = None, *, steps: int | None = None, state: State = None
) -> jax.Array:
    """J(t) = ∂s(t)/∂s(t-1), the derivative of each step by the state before it.

    The real numbers of a state are counted in the order of `jax.tree.leaves`, of a complex array the real parts and
    then the imaginary ones, of integers none. J(t)[i, j] is the derivative of number i of s(t) by number j of s(t-1).

    Args:
        cell: any cell.
        params: its parameters.
        xs: inputs, time first, as for `unfold`.
        steps: τ, where there is no xs to tell it.
        state: s(0); default: the cell's.

    Returns:
        `(time, *batch, n, n)`.

    Raises:
        ValueError: what `unfold` refuses.
        TypeError: likewise.

    Example:
        J = jacobians(GRU(3, 8), params, jnp.ones((100, 3)))  # (100, 8, 8)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.7.
    """
    axes = len(validate.batch_shape(cell, xs, None, None))
    entered = states_before(cell, params, xs, steps, state)

    def one(entered: State, x: Inputs) -> jax.Array:
        restore, flat = restorer(entered, axes), vector(entered, axes)

        def step(flat: jax.Array) -> jax.Array:
            return vector(cell.step(params, restore(flat), x), axes).astype(flat.dtype)

        def column(direction: jax.Array) -> jax.Array:  # of every sequence of the batch at once: they do not mix
            return jax.jvp(step, (flat,), (jnp.broadcast_to(direction, flat.shape),))[1]

        return jax.vmap(column, out_axes=-1)(jnp.eye(flat.shape[-1], dtype=flat.dtype))

    return jax.vmap(one)(entered, xs)


def states_before(cell: Cell, params: Params, xs: Inputs, steps: int | None, state: State) -> State:
    """s(0) to s(τ-1), leaves `(time, *batch, ...)`."""
    if state is None:
        state = cell.initial_state(params, validate.batch_shape(cell, xs, None, None))
    run = unfold(cell, params, xs, steps=steps, state=state, emit=states, adjoint=Autodiff())
    return before(state, run.outputs)


def before(first: State, after: State) -> State:
    """The states before each step, from s(0) and the states after each."""
    return jax.tree.map(lambda s, a: jnp.concatenate([jnp.asarray(s, a.dtype)[None], a])[:-1], first, after)


def products(J: jax.Array, source: Any = 0) -> jax.Array:
    """∂s(t)/∂s(source) = J(t) J(t-1) ... J(source + 1) for t = 1 to τ; up to the source, the identity.

    Args:
        J: of `jacobians`, `(time, *batch, n, n)`.
        source: a time from 0 to τ; also an array of one integer, to be mapped over.

    Returns:
        Like J.

    Raises:
        ValueError: J that is not `(time, *batch, n, n)`; a source out of range, where it is known.
        TypeError: a source that is not a whole number, likewise.

    Example:
        P = products(jacobians(cell, params, xs))  # P[t - 1] is ∂s(t)/∂s(0)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.7.
    """
    check_square("products: J", J, 3)
    if not isinstance(source, Tracer):
        source = whole_number("products: source", source, 0)
        if source > J.shape[0]:
            raise ValueError(f"products: source must be from 0 to the {J.shape[0]} steps, got {source}")

    def step(P: jax.Array, item: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        time, now = item
        P = jnp.where(time > source, now @ P, P)
        return P, P

    start = jnp.broadcast_to(jnp.eye(J.shape[-1], dtype=J.dtype), J.shape[1:])
    return jax.lax.scan(step, start, (jnp.arange(1, J.shape[0] + 1), J))[1]


def check_square(name: str, W: Any, least: int) -> None:
    """Raise unless W has at least `least` axes, of which the last two are alike."""
    if jnp.ndim(W) < least or W.shape[-1] != W.shape[-2]:
        shape = "(time, *batch, n, n)" if least == 3 else "(*any, n, n)"
        raise ValueError(f"{name} must be square matrices {shape}, got shape {jnp.shape(W)}")
