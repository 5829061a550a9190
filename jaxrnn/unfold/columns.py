"""Steps of an affine cell with the batch as the last axis of its state."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.cells import checks
from jaxrnn.cells.base import Additive, Affine, Params, State
from jaxrnn.unfold.method import Carried
from jaxrnn.unfold.problem import Flags, Operands, Problem, begin, where
from jaxrnn.unfold.product import product


def columns(tree: Any) -> Any:
    """Rows `(*batch, n)` as columns `(n, rows)`."""
    return jax.tree.map(lambda a: _matrix(a).T, tree)


def rows(tree: Any, batch: tuple[int, ...]) -> Any:
    """Columns `(n, rows)` as rows `(*batch, n)`."""
    return jax.tree.map(lambda a: a.T.reshape(*batch, a.shape[0]), tree)


def _flags_of_columns(flags: Flags, batch: tuple[int, ...]) -> Flags:
    """The flags of a step, each a row `(1, rows)`."""

    def row(flag: jax.Array | None) -> jax.Array | None:
        if flag is None or flag.ndim == 0:
            return flag
        return jnp.broadcast_to(flag.reshape(flag.shape + (1,) * (len(batch) - flag.ndim)), batch).reshape(1, -1)

    return flags._replace(valid=row(flags.valid), reset=row(flags.reset), detach=row(flags.detach))


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


def carried_in_columns(problem: Problem, operands: Operands, driven: bool, products: bool) -> Carried:
    """`(state, (item, flags)) -> (new state, products)`, the state carried in columns, the products rows if wanted.

    z(t)ᵀ = Wᵀ h(t-1)ᵀ: a CPU's product packs its right operand anew in each step, which is h then and not W, the larger
    by far; and gates are rows, which lie side by side, not parts of each row.
    """
    cell, params = problem.cell, operands.params
    assert isinstance(cell, Affine)
    advance = _additive(cell, params, driven) if isinstance(cell, Additive) else _affine(cell, params, driven)
    initial, batch = columns(operands.state), jax.tree.leaves(operands.state)[0].shape[:-1]

    def step(state: State, now: tuple[Any, Flags]) -> tuple[State, Any]:
        item, flag = now[0], _flags_of_columns(now[1], batch)
        new, a = advance(begin(state, initial, flag), _matrix(item))
        return (new if flag.valid is None else where(flag.valid, new, state)), rows(a, batch) if products else None

    return Carried(step, columns, lambda state: rows(state, batch))


def _matrix(a: jax.Array) -> jax.Array:
    """Rows `(*batch, n)` as a matrix."""
    return a.reshape(-1, a.shape[-1])


def _times(W: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """`h -> Wᵀ h` for h in columns."""
    transposed = W.T
    return lambda h: product(transposed, h)


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
    drive, recur = _times(U), _times(W)
    hidden, activate = _over_columns(cell.hidden, params), _over_columns(cell.activate, params)

    def advance(state: State, item: Any) -> tuple[State, Any]:
        if driven:
            u = item.T
        else:
            checks.features(cell, item, U.shape[0])
            u = drive(item.T) + b[:, None]
        a = recur(hidden(state))
        return activate(state, u, a), a

    return advance
