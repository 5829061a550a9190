"""Checks of what `unfold` is given, before any arithmetic; each error says what was given and what to pass."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import core

from jaxrnn.cells import checks
from jaxrnn.cells.base import Cell, Inputs, Params, Spatial, State, Wrapped
from jaxrnn.cells.checks import shapes
from jaxrnn.cells.perturbation import Perturbed
from jaxrnn.cells.stack import Stack
from jaxrnn.unfold.auto import Auto
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.newton import Newton
from jaxrnn.unfold.precision import SETTINGS
from jaxrnn.unfold.problem import row_shapes


def recurrence(cell: Any) -> None:
    """A cell was given, not a class or a function."""
    if not isinstance(cell, Cell):
        hint = "pass an instance, such as LSTM(input_size, hidden_size), or jaxrnn.transition(f) for a function f"
        raise TypeError(f"unfold: cell must be a Cell, got {cell!r}: {hint}")


def choices(emit: Any, method: Any, adjoint: Any, reverse: Any, time_axis: Any) -> None:
    """What is chosen is of the right kind."""
    if emit is not None and not callable(emit):
        raise TypeError(f"unfold: emit must be a function (cell, params, state), or None, got {emit!r}")
    if not isinstance(method, Method | Auto) and not (isinstance(method, str) and method == "auto"):
        raise TypeError(f'unfold: method must be an instance, or "auto", got {method!r}: pass method=Scan()')
    if isinstance(adjoint, type) or not hasattr(adjoint, "run"):
        raise TypeError(f"unfold: adjoint must be an instance, got {adjoint!r}: pass adjoint=BPTT()")
    if not isinstance(reverse, bool | np.bool_):
        raise TypeError(f"unfold: reverse must be True or False, got {reverse!r}")
    try:
        operator.index(time_axis)
    except TypeError:
        raise TypeError(f"unfold: time_axis must be a whole number, got {time_axis!r}") from None


def precision(precision: Any, method: Any, params: Params) -> None:
    """There is such a precision, for this method and type of parameters."""
    if precision is None:
        return
    if not isinstance(precision, str) or precision not in SETTINGS:
        known = ", ".join(f'"{name}"' for name in SETTINGS)
        raise ValueError(f"unfold: precision must be one of {known}, or None, got {precision!r}")
    if precision != "float32" and isinstance(method, Newton):
        raise ValueError(
            f'unfold: Newton solves to the rounding of its parameters, got precision="{precision}": pass '
            'precision="float32", or method=Scan()'
        )
    wide = [a.dtype for a in map(jnp.asarray, jax.tree.leaves(params)) if a.dtype in (jnp.float64, jnp.complex128)]
    if precision != "float32" and wide:
        raise ValueError(
            f'unfold: precision="{precision}" is for parameters of float32, got {wide[0]}: cast them, or pass '
            "precision=None"
        )


def axis_of_time(xs: Inputs, time_axis: int) -> int:
    """The axis of time, counted from the first: what is counted from the last is so of the leaf with most axes."""
    for leaf in jax.tree.leaves(xs):
        if not hasattr(leaf, "shape"):
            raise TypeError(f"unfold: xs must hold arrays, got {type(leaf).__name__}: pass jnp.asarray(xs)")
    axes = max((leaf.ndim for leaf in jax.tree.leaves(xs)), default=1)
    axis = time_axis + axes if time_axis < 0 else time_axis
    for leaf in jax.tree.leaves(xs):
        if not 0 <= axis < leaf.ndim:
            raise ValueError(f"unfold: time_axis = {time_axis} is not an axis of xs of shape {leaf.shape}")
    if not 0 <= axis < axes:
        raise ValueError(f"unfold: time_axis = {time_axis}, but without xs time is axis 0: leave it out")
    return axis


def length_of_time(xs: Inputs, steps: int | None, time_axis: int) -> int:
    """τ, from the inputs or as given."""
    leaves = jax.tree.leaves(xs)
    if not leaves:
        if steps is None:
            raise ValueError("unfold: neither xs nor steps: pass inputs, or steps=τ for s(t) = f(s(t-1); θ)")
        return checks.whole_number("unfold: steps", steps, 0)
    lengths = {leaf.shape[time_axis] for leaf in leaves}
    if len(lengths) > 1:
        raise ValueError(f"unfold: the arrays of xs differ in time (axis {time_axis}): {sorted(lengths)} steps")
    (found,) = lengths
    if steps is not None and checks.whole_number("unfold: steps", steps, 0) != found:
        raise ValueError(f"unfold: steps = {steps}, but xs has {found} steps on axis {time_axis}: pass one of them")
    return found


def batch_shape(cell: Cell, xs: Inputs, lengths: Any, resets: Any) -> tuple[int, ...]:
    """The batch axes: of the inputs of the cell that runs first, time first; without inputs, of lengths or resets."""
    cell, x = _first(cell, xs)
    leaves = jax.tree.leaves(x)
    if leaves:
        symbols = not jnp.issubdtype(leaves[0].dtype, jnp.inexact)  # one number each, without an axis of features
        space = len(cell.spatial) if isinstance(cell, Spatial) else 0
        return tuple(leaves[0].shape[1:] if symbols else leaves[0].shape[1 : leaves[0].ndim - 1 - space])
    if lengths is not None:
        return tuple(jnp.shape(lengths))
    return tuple(jnp.shape(resets)[1:]) if resets is not None else ()


def _first(cell: Cell, xs: Inputs) -> tuple[Cell, Inputs]:
    """The cell that runs first, within wrappers and stacks, and its input."""
    if isinstance(cell, Wrapped):
        return _first(cell.inner, cell.inner_input(xs))
    if isinstance(cell, Perturbed) and isinstance(xs, tuple):
        return _first(cell.inner, xs[0])
    return _first(cell.cells[0], xs) if isinstance(cell, Stack) else (cell, xs)


def lengths_and_resets(lengths: Any, resets: Any, steps: int, batch: tuple[int, ...], xs: Inputs) -> tuple[Any, Any]:
    """Lengths and resets as arrays of the right types and shapes."""
    if lengths is not None:
        given = lengths
        lengths = jnp.asarray(lengths)
        if not jnp.issubdtype(lengths.dtype, jnp.integer):
            raise TypeError(f"unfold: lengths must be integers, got {lengths.dtype}")
        if not isinstance(given, core.Tracer) and lengths.size:
            values = np.asarray(given)
            if values.min() < 0 or values.max() > steps:
                found = f"{values.min()} to {values.max()}"
                raise ValueError(f"unfold: lengths must be between 0 and the {steps} steps of xs, got {found}")
    if resets is not None:
        resets = jnp.asarray(resets)
        if resets.dtype != jnp.bool_:
            raise TypeError(f"unfold: resets must be booleans, got {resets.dtype}: pass resets.astype(bool)")
        if resets.ndim < 1 or resets.shape[0] != steps:
            raise ValueError(f"unfold: resets must have {steps} steps (time, *batch), got shape {resets.shape}")
    for name, shape in (
        ("lengths", None if lengths is None else lengths.shape),
        ("resets", None if resets is None else resets.shape[1:]),
    ):
        if shape is None:
            continue
        for leaf in jax.tree.leaves(xs):
            if leaf.shape[1 : 1 + len(shape)] != shape:
                raise ValueError(
                    f"unfold: {name} has batch axes {shape}, but xs has {leaf.shape[1:]} after time: they must agree"
                )
        if shape != batch[: len(shape)]:
            raise ValueError(f"unfold: {name} has batch axes {shape}, but the inputs have {batch}: they must agree")
    return lengths, resets


def parameters(cell: Cell, params: Params) -> None:
    """The parameters are like those that the cell makes, where it makes any."""
    checks.parameters("unfold", cell, params)


def outputs_have_batch(outputs: Any, batch: tuple[int, ...]) -> None:
    """What is emitted of a step has the batch axes of lengths, so that it can be zero past the end."""
    for leaf in jax.tree.leaves(outputs):
        if leaf.shape[: len(batch)] != batch:
            raise ValueError(
                f"unfold: with lengths of shape {batch}, what emit gives must have these axes first, got {leaf.shape}: "
                "leave the batch axes in, or emit=None"
            )


def outputs_have_axis(outputs: Any, time_axis: int) -> None:
    """What is emitted has enough axes for time to come back where it was."""
    for leaf in jax.tree.leaves(outputs):
        if leaf.ndim <= time_axis:
            raise ValueError(
                f"unfold: emit gives arrays of shape {leaf.shape[1:]} a step, too few axes for time_axis = "
                f"{time_axis}: pass xs with time first"
            )


def first_state(cell: Cell, params: Params, state: State, batch: tuple[int, ...]) -> State:
    """s(0), as given or as the cell has it."""
    if state is None:
        return jax.tree.map(jnp.asarray, cell.initial_state(params, batch))
    try:
        expected = jax.eval_shape(lambda p: cell.initial_state(p, batch), params)
    except (ValueError, NotImplementedError):  # a cell that has no state of its own
        return state
    same = jax.tree.structure(state) == jax.tree.structure(expected) and all(
        a.shape == b.shape and a.dtype == b.dtype
        for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True)
    )
    if not same:
        raise ValueError(
            f"unfold: state must be like cell.initial_state(params, {batch}): expected {shapes(expected)}, "
            f"got {shapes(state)}"
        )
    return state


def step_keeps_state(cell: Cell, params: Params, state: State, x: Inputs) -> None:
    """A step returns a state like the one that it was given."""
    now = row_shapes(x)
    new = jax.eval_shape(cell.step, params, state, now)
    if jax.tree.structure(new) != jax.tree.structure(state):
        raise TypeError(f"unfold: a step changed the structure of the state from {shapes(state)} to {shapes(new)}")
    for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(new), strict=True):
        if before.dtype != after.dtype:
            raise TypeError(
                f"unfold: a step changed the state from {before.dtype} to {after.dtype} (xs is {shapes(x)}): cast xs, "
                f"or the parameters and state, so that all have one type, such as xs.astype(jnp.{before.dtype})"
            )
        if before.shape != after.shape:
            raise ValueError(
                f"unfold: a step changed the state's shape from {before.shape} to {after.shape}: the batch axes of "
                "state and xs must agree"
            )
