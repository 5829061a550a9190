"""What cells with a memory share: a controller that reads x(t) and what the memory gave the step before."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.cells.base import Cell, Params, State


def output_size(owner: Any, params: Params) -> int:
    """Entries of the controller's output; raise unless it is one row."""
    cell: Cell = owner.controller
    found = jax.eval_shape(lambda params: cell.output(params, cell.initial_state(params)), params)
    if not hasattr(found, "shape") or len(found.shape) != 1:
        raise TypeError(
            f"{type(owner).__name__}: the controller's output must be one array (*batch, hidden), got "
            f"{jax.tree.map(lambda a: a.shape, found)} of {cell}: pass a cell such as LSTM(input_size, hidden_size)"
        )
    return found.shape[0]


def control(owner: Any, params: Params, state: State, x: jax.Array, r: jax.Array) -> tuple[State, jax.Array]:
    """The controller's new state and its output h(t), from x(t) and r(t-1) `(*batch, reads, width)` side by side."""
    cell: Cell = owner.controller
    read = r.reshape(*r.shape[:-2], r.shape[-2] * r.shape[-1])
    size = getattr(cell, "input_size", None)
    given = jnp.shape(x)[-1:]
    if size is not None and given != (size - read.shape[-1],):
        raise ValueError(
            f"{type(owner).__name__}: the controller reads x(t) and {read.shape[-1]} numbers of the memory, so the "
            f"last axis of x must be input_size - {read.shape[-1]} = {size - read.shape[-1]}, got shape "
            f"{jnp.shape(x)}: pass a controller whose input_size is that of x plus {read.shape[-1]}"
        )
    if not jnp.issubdtype(jnp.result_type(x), jnp.floating):
        raise TypeError(f"{type(owner).__name__}: x must be of a floating type, got {jnp.result_type(x)}")
    new = cell.step(params, state, jnp.concatenate([x, read], axis=-1))
    return new, cell.output(params, new)
