"""Choices made from sizes: how many steps make a block, what is kept, what is computed ahead.

The numbers were measured on a CPU (docs/design-notes.md); they change time and memory, never a value.
"""

import math
from typing import Any

import jax

from jaxrnn.cells.base import Gated
from jaxrnn.unfold.problem import Operands, Problem

CACHE = 1 << 20  # bytes of a block's working set
KEEP_ALL = 64 << 20  # bytes of states that may be kept for every step


def tree_bytes(tree: Any) -> int:
    """Bytes of a tree of arrays or shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree) if hasattr(leaf.dtype, "itemsize"))


def keep(problem: Problem, operands: Operands) -> int:
    """Steps between the states that backpropagation keeps.

    Every state, where all of them take little or not much beside the outputs, which live for all of time anyway; else
    one every √τ steps, so that what is kept and what is recomputed at once are of one size.
    """
    state, outputs = problem.block_shapes(operands, 1)
    everything = problem.steps * tree_bytes(state)
    if isinstance(problem.cell, Gated) and everything <= max(KEEP_ALL, 2 * problem.steps * tree_bytes(outputs)):
        return 1
    return max(2, math.isqrt(problem.steps))


def backward_block(problem: Problem, operands: Operands) -> int:
    """Steps that backpropagation takes at once from kept states."""
    state, outputs = problem.block_shapes(operands, 1)
    return max(1, CACHE // (8 * tree_bytes(state) + tree_bytes(outputs)))


def rows(state: Any) -> int:
    """Rows of the largest array of a state: what multiplies a recurrent matrix."""
    return max((leaf.size // max(1, leaf.shape[-1]) for leaf in jax.tree.leaves(state) if leaf.ndim), default=1)


def drive_a_block(state: Any) -> bool:
    """Whether the drive of a block in one product beats a product in each step.

    On an accelerator every product is a launch. On a CPU the product of a step is as efficient as that of a block as
    soon as there are a few rows, and what it makes is still in cache when it is read.
    """
    return jax.default_backend() != "cpu" or rows(state) <= 2


def pointwise_input(items: Any) -> bool:
    """Whether the items of a step are read by pointwise kernels on a CPU: XLA makes x U pointwise for a single feature."""
    leaves = jax.tree.leaves(items)
    return jax.default_backend() == "cpu" and bool(leaves) and leaves[0].shape[-1:] == (1,)


def emit_block(problem: Problem, operands: Operands) -> int | None:
    """Steps whose outputs are computed at once; None where an output is an array of the state, as it is: all of them."""
    if problem.read is None:
        return None
    one = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), operands.xs)
    jaxpr = jax.make_jaxpr(problem.read)(operands.emit_params, operands.state, one).jaxpr
    if operands.lengths is None and not jaxpr.eqns and set(jaxpr.outvars) <= set(jaxpr.invars):
        return None
    state, outputs = problem.block_shapes(operands, 1)
    return max(1, CACHE // (tree_bytes(state) + tree_bytes(outputs)))
