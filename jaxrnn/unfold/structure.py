"""What a cell's step is made of, read off its program: whether it can be taken with the batch as the last axis."""

import math
from typing import Any

import jax
import numpy as np

from jaxrnn.cells.base import Additive, Affine
from jaxrnn.unfold.problem import Operands, Problem, row_shapes
from jaxrnn.unfold.reach import labelled, reach, reaches_none


def columns_fit(problem: Problem, operands: Operands) -> bool:
    """Whether a step can be taken with the batch as the last axis, and nothing need be transposed."""
    cell, leaves = problem.cell, jax.tree.leaves(operands.state)
    if not isinstance(cell, Affine) or not inherited(cell):
        return False
    batch = leaves[0].shape[:-1]
    if problem.batch_axes(operands) != len(batch) or any(s.ndim == 0 or s.shape[:-1] != batch for s in leaves):
        return False
    weights = jax.eval_shape(cell.weights, operands.params)
    if not isinstance(weights.W, jax.ShapeDtypeStruct) or weights.W.ndim != 2 or weights.U.ndim != 2:
        return False
    x = problem.select(row_shapes(operands.xs))
    return getattr(x, "ndim", 0) > 0 and x.shape[:-1] == batch and of_each_sequence(cell, operands, x)


def inherited(cell: Affine) -> bool:
    """Whether a cell leaves to its base class what makes U, W and b of its `weights` all that there is to its sums."""
    kind, base = type(cell), Additive if isinstance(cell, Additive) else Affine
    names = ("step", "advance", "drive", "recurrent", "recur", *(("activate",) if base is Additive else ()))
    return all(getattr(kind, name) is getattr(base, name) for name in names)


def of_each_sequence(cell: Affine, operands: Operands, x: Any) -> bool:
    """Whether what follows the recurrent products can be mapped over sequences, and reads no more than rows of θ.

    Sequences that meet there (a mean over the batch) cannot be, nor what draws a number for each.
    """
    params, state = operands.params, operands.state

    def after(params: Any, state: Any, u: Any, a: Any) -> Any:
        return cell.hidden(params, state), cell.activate(params, state, u, a)

    u, a = jax.eval_shape(cell.drive, params, x), jax.eval_shape(cell.recur, params, state)
    jaxpr = jax.make_jaxpr(after)(params, state, u, a).jaxpr
    read = {v for equation in jaxpr.eqns for v in equation.invars if not hasattr(v, "val")}
    matrices = any(v.aval.ndim > 1 and v in read for v in jaxpr.invars[: len(jax.tree.leaves(params))])
    if matrices or any("callback" in name or "random" in name for name in primitives(jaxpr)):
        return False
    batch = jax.tree.leaves(state)[0].shape[:-1]
    number, outs = np.arange(math.prod(batch)).reshape(*batch, 1), [v.aval.shape for v in jaxpr.outvars]
    if any(shape[:-1] != batch for shape in outs):
        return False
    found = reach(jaxpr, [labelled(np.broadcast_to(number, shape)) for shape in outs], derivatives=False)
    own = found[len(jax.tree.leaves(params)) :]
    return all(bool((reaches_none(r) | (r == labelled(number)).all(0)).all()) for r in own)


def primitives(jaxpr: Any) -> set[str]:
    """The names of all operations of a program."""
    found = {equation.primitive.name for equation in jaxpr.eqns}
    for equation in jaxpr.eqns:
        for inner in jax.tree.leaves(list(equation.params.values())):
            if hasattr(inner, "jaxpr") or hasattr(inner, "eqns"):
                found |= primitives(getattr(inner, "jaxpr", inner))
    return found
