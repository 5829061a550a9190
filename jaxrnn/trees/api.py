"""`fold`: the one entry point over trees."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import core

from jaxrnn.cells import checks
from jaxrnn.cells.base import Outputs, Params, State
from jaxrnn.cells.closure import close, holds_functions
from jaxrnn.trees.base import TreeCell
from jaxrnn.trees.batching import Trees
from jaxrnn.trees.schedule import forward, states


class Folding(NamedTuple):
    """What `fold` returns."""

    roots: Outputs  # leaves (trees, ...): the output of each tree's root
    outputs: Outputs  # leaves (places, ...): the output of every node, in its place; elsewhere anything finite
    states: State  # leaves (places, ...): the state of every node, in its place


def fold(cell: TreeCell, params: Params, trees: Trees) -> Folding:
    """Run a cell over trees, from the leaves to the roots: s(j) = f(states of the children of j, x(j); θ).

    Nodes of one height are computed at once, whatever tree they belong to: a batch takes as many steps as its highest
    tree has levels. Gradients go back level by level; of each node the state is kept, and the rest is computed again.
    They are by reverse mode (`jax.grad`, `jax.vjp`, and these of themselves); forward mode raises JAX's own TypeError.

    Args:
        cell: what to run, such as `ChildSumTreeLSTM`; `Chain(cell)` makes one of a cell of sequences.
        params: its parameters θ.
        trees: as `trees.batch` makes them.

    Returns:
        `Folding(roots, outputs, states)`. Places are those of `trees`; `trees.unbatch` puts what is in places in the
        order of each tree's own nodes.

    Raises:
        ValueError: sizes that do not fit, more children than the cell's arity.
        TypeError: types that do not fit; trees that are not `Trees`.

    Example:
        cell = ChildSumTreeLSTM(input_size=8, hidden_size=64)
        tree = trees.from_children([(), (), (0, 1)], np.ones((3, 8), np.float32))
        run = fold(cell, cell.init(jax.random.key(0)), trees.batch([tree]))
        run.roots.shape, run.outputs.shape  # (1, 64), (3, 64)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.6; nodes of one height at once: Looks et al.,
    *Deep learning with dynamic computation graphs* (2017).
    """
    _checked(cell, trees)
    checks.parameters("fold", cell, params)
    params, trees = jax.tree.map(jnp.asarray, (params, trees))
    # What holds no function cannot change its meaning between calls: it is compiled once, also without a jit around it.
    return _run(cell, params, trees) if holds_functions(cell) else _compiled(cell, params, trees)


def _run(cell: TreeCell, params: Params, trees: Trees) -> Folding:
    _keeps_state(cell, params, trees)
    run = forward if _captures(cell, params, trees) else states
    found = run(cell, params, trees.children, trees.xs)
    outputs = cell.output(params, found)
    return Folding(jax.tree.map(lambda a: a[trees.roots], outputs), outputs, found)


_compiled = partial(jax.jit, static_argnums=0)(_run)


def _checked(cell: Any, trees: Any) -> None:
    """Raise unless a cell and a batch of trees are given that fit each other."""
    if not isinstance(cell, TreeCell):
        hint = "pass one such as ChildSumTreeLSTM(input_size, hidden_size), or Chain(cell) for a cell of sequences"
        raise TypeError(f"fold: cell must be a TreeCell, got {cell!r}: {hint}")
    if not isinstance(trees, Trees):
        raise TypeError(f"fold: trees must be Trees, got {type(trees).__name__}: pass trees.batch([tree, ...])")
    places = jnp.shape(trees.nodes)[0]
    for leaf in jax.tree.leaves(trees.xs):
        if jnp.shape(leaf)[:1] != (places,):
            raise ValueError(
                f"fold: every array of xs must be ({places}, ...), one for each place, got {jnp.shape(leaf)}"
            )
    arity = max((run.shape[2] for run in trees.children), default=0)
    if cell.arity is not None and arity > cell.arity:
        raise ValueError(
            f"fold: a node has {arity} children, and {cell} takes at most {cell.arity}: pass a cell of arity={arity}, "
            f"ChildSumTreeLSTM, or trees made by narrow(tree, {cell.arity})"
        )


def _row(tree: Any, *axes: int) -> Any:
    """The shapes and types of some nodes, of arrays (nodes, ...)."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct((*axes, *a.shape[1:]), a.dtype), tree)


def _keeps_state(cell: TreeCell, params: Params, trees: Trees) -> None:
    """Raise unless nodes with children have states like those without."""
    leaf = jax.eval_shape(cell.leaf, params, _row(trees.xs, 1))
    for run in trees.children[:1]:
        mask = jax.ShapeDtypeStruct((1, run.shape[2]), jnp.bool_)
        new = jax.eval_shape(cell.combine, params, _row(leaf, 1, run.shape[2]), mask, _row(trees.xs, 1))
        described = [jax.tree.map(lambda a: f"{a.dtype}{list(a.shape)}", state) for state in (leaf, new)]
        if described[0] != described[1]:
            raise TypeError(
                f"fold: leaf and combine of {cell} must give states alike, got {described[0]} and {described[1]}: cast "
                "xs, or the parameters, so that all have one type"
            )


def _captures(cell: TreeCell, params: Params, trees: Trees) -> bool:
    """Whether a cell's functions close over arrays that may have gradients: a custom derivative would not see them."""
    if not holds_functions(cell):
        return False
    xs = jax.tree.map(lambda a: a[:1], trees.xs)
    _, captured = close(cell.leaf, params, xs)
    for run in trees.children[:1]:
        children = _row(jax.eval_shape(cell.leaf, params, xs), 1, run.shape[2])
        captured += close(cell.combine, params, children, jax.ShapeDtypeStruct((1, run.shape[2]), jnp.bool_), xs)[1]
    return any(isinstance(array, core.Tracer) for array in captured)
