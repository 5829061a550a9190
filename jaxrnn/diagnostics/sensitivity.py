"""‖∂s(t)/∂s(s)‖: how much of an earlier state is left in a later one."""

import jax
import jax.numpy as jnp

from jaxrnn.cells.base import Cell, Inputs, Params, State
from jaxrnn.diagnostics.flat import Part, numbers_of
from jaxrnn.diagnostics.jacobians import check_square, jacobians, products, states_before
from jaxrnn.unfold import validate


def singular_values(
    cell: Cell,
    params: Params,
    xs: Inputs = None,
    *,
    source: int = 0,
    part: Part | None = None,
    steps: int | None = None,
    state: State = None,
) -> jax.Array:
    """The singular values of ∂s(t)/∂s(source) for t = 1 to τ, the largest first: it is the norm.

    Where all of them fall with t, gradients vanish; where the largest grows, they explode.

    Args:
        cell: any cell.
        params: its parameters.
        xs: inputs, time first, as for `unfold`.
        source: a time from 0 to τ.
        part: `part(state)`, the arrays of a state that count on both sides, such as `lambda s: s.h`; default: all.
        steps: τ, where there is no xs to tell it.
        state: s(0); default: the cell's.

    Returns:
        `(time, *batch, k)`, for k real numbers that count; of at least 32 bits.

    Raises:
        ValueError: a source out of range; a part that is not of the state's arrays; what `unfold` refuses.
        TypeError: what `unfold` refuses.

    Example:
        values = singular_values(LSTM(3, 8), params, jnp.ones((100, 3)), part=lambda s: s.c)  # (100, 8)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.7.
    """
    P = products(jacobians(cell, params, xs, steps=steps, state=state), source)
    return _svd(_between(cell, params, xs, steps, state, part, P))


def sensitivity(
    cell: Cell,
    params: Params,
    xs: Inputs = None,
    *,
    part: Part | None = None,
    steps: int | None = None,
    state: State = None,
) -> jax.Array:
    """‖∂s(t)/∂s(s)‖, the largest singular value, for all pairs of times s < t.

    It takes O(τ²) products of n by n matrices, and the memory of O(τ) of them.

    Args:
        cell: any cell.
        params: its parameters.
        xs: inputs, time first, as for `unfold`.
        part: as in `singular_values`.
        steps: τ, where there is no xs to tell it.
        state: s(0); default: the cell's.

    Returns:
        `(time, time, *batch)`: at [s, t - 1] that of s(t) by s(s), s from 0 to τ-1 and t from s + 1 to τ; else zero.

    Raises:
        ValueError: a part that is not of the state's arrays; what `unfold` refuses.
        TypeError: what `unfold` refuses.

    Example:
        figure = jaxrnn.plotting.sensitivity(sensitivity(cell, params, jnp.ones((100, 3))))

    Source: Pascanu, Mikolov, Bengio, *On the difficulty of training recurrent neural networks* (2013), Eq. 5.
    """
    J = jacobians(cell, params, xs, steps=steps, state=state)
    time = jnp.arange(J.shape[0])

    def row(source: jax.Array) -> jax.Array:
        P = _between(cell, params, xs, steps, state, part, products(J, source))
        norms = _svd(P)[..., 0]
        return jnp.where((time >= source).reshape(-1, *[1] * (norms.ndim - 1)), norms, 0)

    return jax.lax.map(row, time)


def spectral_radius(W: jax.Array) -> jax.Array:
    """The largest modulus of the eigenvalues of W.

    Args:
        W: `(*any, n, n)`, such as the recurrent matrix of an `Elman` net, or `jacobians`.

    Returns:
        `(*any,)`, of at least 32 bits.

    Raises:
        ValueError: W that is not square.

    Example:
        spectral_radius(Elman(3, 8).init(jax.random.key(0)).W)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.8.
    """
    check_square("spectral_radius: W", W, 2)
    wide = jnp.asarray(W, jnp.promote_types(W.dtype, jnp.float32))  # eigenvalues are not found in less
    return jnp.abs(jnp.linalg.eigvals(wide)).max(-1)


def _svd(P: jax.Array) -> jax.Array:
    """Singular values, of at least 32 bits: they are not found in less."""
    return jnp.linalg.svd(P.astype(jnp.promote_types(P.dtype, jnp.float32)), compute_uv=False)


def _between(
    cell: Cell, params: Params, xs: Inputs, steps: int | None, state: State, part: Part | None, P: jax.Array
) -> jax.Array:
    """The rows and columns of P that belong to a part of the state."""
    if part is None:
        return P
    axes = len(validate.batch_shape(cell, xs, None, None))

    def entered(params: Params, xs: Inputs, state: State) -> State:
        return states_before(cell, params, xs, steps, state)

    shapes = jax.eval_shape(entered, params, xs, state)
    chosen = numbers_of(part, shapes, 1 + axes)
    return P[..., chosen[:, None], chosen]
