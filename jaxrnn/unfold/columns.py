"""Steps of an affine cell with the batch as the last axis of its state."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.cells import checks
from jaxrnn.cells.base import Additive, Affine, Params, State
from jaxrnn.unfold.problem import Flags, Operands, Problem


def columns(tree: Any) -> Any:
    """Rows `(batch, ...)` as columns `(..., batch)`."""
    return jax.tree.map(lambda a: jnp.moveaxis(a, 0, -1), tree)


def rows(tree: Any) -> Any:
    """Columns `(..., batch)` as rows `(batch, ...)`."""
    return jax.tree.map(lambda a: jnp.moveaxis(a, -1, 0), tree)


def step_in_columns(
    problem: Problem, operands: Operands, driven: bool, products: bool
) -> Callable[[State, tuple[Any, Flags]], tuple[State, Any]]:
    """`(state, (item, flags)) -> (new state, products)`, the states in columns, items and products in rows.

    z(t)ᵀ = Wᵀ h(t-1)ᵀ: a CPU's product packs its right operand anew in each step, which is h then and not W, the larger
    by far; and gates are rows, which lie side by side, not parts of each row.
    """
    cell, params = problem.cell, operands.params
    assert isinstance(cell, Affine)
    advance = _additive(cell, params, driven) if isinstance(cell, Additive) else _affine(cell, params, driven)
    initial = columns(operands.state)

    def step(state: State, now: tuple[Any, Flags]) -> tuple[State, Any]:
        item, flag = now
        if flag.detach is not None:
            state = _where(flag.detach, lax.stop_gradient(state), state)
        if flag.reset is not None:
            state = _where(flag.reset, initial, state)
        new, a = advance(state, item)
        return (new if flag.valid is None else _where(flag.valid, new, state)), rows(a) if products else None

    return step


def _where(condition: jax.Array, yes: Any, no: Any) -> Any:
    """`jnp.where` over two trees in columns, of a condition for all sequences or for each."""
    condition = condition if condition.ndim == 0 else condition[None]
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def _times(W: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """`h -> Wᵀ h` for h in columns."""
    transposed = W.T
    return lambda h: transposed @ h


def _over_columns(function: Callable[..., Any], params: Params) -> Callable[..., Any]:
    """`function(params, ...)` for columns, of which each is one sequence.

    Rows of the parameters are repeated beside the columns: where all that meets has its batch last, `jax.vmap`
    transposes nothing.
    """

    def mapped(*columns: Any) -> Any:
        batch = jax.tree.leaves(columns)[0].shape[-1]
        axes = jax.tree.map(lambda p: -1 if p.ndim == 1 else None, params)
        repeated = jax.tree.map(lambda p: jnp.broadcast_to(p[:, None], (p.size, batch)) if p.ndim == 1 else p, params)
        return jax.vmap(function, in_axes=(axes, *(-1 for _ in columns)), out_axes=-1)(repeated, *columns)

    return mapped


def _additive(cell: Additive, params: Params, driven: bool) -> Callable[[State, Any], tuple[State, Any]]:
    U, W, b = cell.weights(params)
    times = _times(W if driven else jnp.concatenate([U, W]))
    hidden, gate = _over_columns(cell.hidden, params), _over_columns(cell.gate, params)

    def advance(state: State, item: Any) -> tuple[State, Any]:
        h = hidden(state)
        if driven:
            z = item.T + times(h)
        else:
            checks.features(cell, item, U.shape[0])
            z = times(jnp.concatenate([item.T, h])) + b[:, None]
        return gate(state, z), z

    return advance


def _affine(cell: Affine, params: Params, driven: bool) -> Callable[[State, Any], tuple[State, Any]]:
    U, W, b = cell.weights(params)
    drive, product = _times(U), _times(W)
    hidden, activate = _over_columns(cell.hidden, params), _over_columns(cell.activate, params)

    def advance(state: State, item: Any) -> tuple[State, Any]:
        if driven:
            u = item.T
        else:
            checks.features(cell, item, U.shape[0])
            u = drive(item.T) + b[:, None]
        a = product(hidden(state))
        return activate(state, u, a), a

    return advance
