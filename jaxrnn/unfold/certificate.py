"""The one-step residual that certifies a parallel method's answer, and the way out where it is too large."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.cells import checks
from jaxrnn.unfold.method import Certificate, Solved
from jaxrnn.unfold.problem import where
from jaxrnn.unfold.sharding import HERE, Line, varying


def check_tolerance(method: Any, tolerance: Any) -> None:
    """A tolerance is a positive number, or None."""
    if tolerance is not None:
        checks.number(method, "tolerance", tolerance, above=0, below=math.inf)


def real_type(state: Any) -> Any:
    """The type of the residual: the widest real type of a state's arrays, of at least 32 bits."""
    types = [jnp.finfo(s.dtype).dtype for s in jax.tree.leaves(state) if jnp.issubdtype(s.dtype, jnp.inexact)]
    return jnp.result_type(jnp.float32, *types)


def tolerance(given: float | None, state: Any) -> float:
    """The tolerance as given, or what the state's type holds: 64 units of rounding (of 16 bits: 4)."""
    limits = [jnp.finfo(s.dtype) for s in jax.tree.leaves(state) if jnp.issubdtype(s.dtype, jnp.inexact)]
    unit = max((float(limit.eps) for limit in limits), default=0.0)
    if given is None:
        return (64 if unit < 1e-4 else 4) * unit
    if given < unit:
        name = next(limit.dtype for limit in limits if float(limit.eps) == unit)
        raise ValueError(f"unfold: tolerance = {given} is below what {name} can hold: pass at least {unit}, or None")
    return given


def scale(states: Any, axes: int) -> Any:
    """The largest |s| of each sequence, over the first `axes` axes and the last; not a number if any is not finite."""

    def one(s: jax.Array) -> jax.Array:
        if not jnp.issubdtype(s.dtype, jnp.inexact):
            return jnp.zeros(())
        limits = jnp.finfo(s.dtype)
        over = (*range(axes), *([s.ndim - 1] if s.ndim > axes else []))
        largest = jnp.abs(s).max(over, keepdims=True, initial=limits.tiny / limits.eps)  # what vanished is all alike
        largest = largest.reshape(largest.shape[axes:])
        return jnp.where(jnp.isfinite(largest), largest, jnp.nan)

    return jax.tree.map(one, states)


def difference(new: Any, old: Any, scale: Any, valid: jax.Array | None = None) -> jax.Array:
    """The largest difference of states, leaves `(rows, *batch, ...)`, in terms of `scale`, where they are valid.

    The scale has one row for all rows, as `scale` gives it, or as many rows. Infinite where whole numbers differ; not a
    number where anything, or the scale, is not finite.
    """
    kind = real_type(new)
    found = [jnp.zeros((), kind)]
    for a, b, s in zip(*map(jax.tree.leaves, (new, old, scale)), strict=True):
        if jnp.issubdtype(a.dtype, jnp.inexact):
            gap = (jnp.abs(a - b) / (s if s.ndim == a.ndim else s[None])).astype(kind)
        else:
            gap = jnp.where(a == b, 0, jnp.inf).astype(kind)
        if valid is not None:
            gap = where(valid, gap, jnp.zeros_like(gap))
        found.append(gap.max(initial=0))
    return jnp.stack(found).max()


def all_finite(states: Any) -> jax.Array:
    """Whether every number is one."""
    kinds = [s for s in jax.tree.leaves(states) if jnp.issubdtype(s.dtype, jnp.inexact)]
    return jnp.stack([jnp.ones((), bool), *(jnp.isfinite(s).all() for s in kinds)]).all()


def or_in_turn(
    found: Solved, in_turn: Callable[..., Solved], operands: tuple[Any, ...], tolerance: float, line: Line = HERE
) -> Solved:
    """What was found; where its residual is too large, what one step after another gives.

    That is `in_turn(*operands, room)`, which may write over the states and extras in `room`, arrays (time, n).
    """
    report = found.certificate
    assert report is not None
    steps = jax.tree.leaves(found.states)[0].shape[0]
    arrays = found.states, found.extras

    def rows(tree: Any) -> Any:
        """Time and one more axis: for others of one entry XLA makes copies that change nothing."""
        return jax.tree.map(lambda a: a.reshape(steps, a[0].size), tree)

    def pending(carry: Solved) -> jax.Array:
        now = carry.certificate
        assert now is not None
        return ~(now.residual <= tolerance) & (now.fell_back == report.fell_back)

    # A loop of one turn or none: a conditional would, under vmap, always run both.
    def body(carry: Solved) -> Solved:
        # What does not depend on the loop, XLA would compute before it, whether or not it turns.
        needed = pending(carry)
        given = jax.tree.map(lambda a: jnp.where(needed, a, jnp.zeros_like(a)), operands)
        last, states, extras, _ = in_turn(*given, (carry.states, carry.extras))
        residual = line.most(jnp.where(all_finite(states), 0, jnp.nan).astype(report.residual.dtype))
        again = Certificate(report.sweeps, residual, report.fell_back + 1, report.depth + steps * line.size)
        return varying((Solved(last, rows(states), rows(extras), again), carry))[0]

    done = lax.while_loop(pending, body, Solved(found.last, rows(found.states), rows(found.extras), report))
    states, extras = jax.tree.map(lambda a, like: a.reshape(like.shape), (done.states, done.extras), arrays)
    return Solved(done.last, states, extras, done.certificate)


def hold(states: Any, first: Any, valid: jax.Array | None, backward: bool, line: Line = HERE) -> tuple[Any, Any]:
    """The state after the last valid step, and all states, which padding leaves as they were, to the last bit.

    On a `line`, the last step of any device, and this one's states.
    """
    if valid is None:
        return line.ending(jax.tree.map(lambda s: s[0 if backward else -1], states), None, backward), states
    steps = valid.sum(0)
    index = jnp.zeros_like(steps) if backward else jnp.maximum(steps - 1, 0)

    def at_the_end(s: jax.Array) -> jax.Array:
        return jnp.take_along_axis(s, index.reshape(1, *index.shape, *(1,) * (s.ndim - 1 - index.ndim)), 0)[0]

    last = line.ending(where(steps > 0, jax.tree.map(at_the_end, states), first), steps > 0, backward)
    padding = jax.tree.map(lambda s: s[None], first if backward else last)
    return last, where(valid, states, padding)


def nothing_found(state: Any) -> Certificate:
    """Of no window."""
    count = jnp.zeros((), jnp.int32)
    return Certificate(count, jnp.zeros((), real_type(state)), count, count)
