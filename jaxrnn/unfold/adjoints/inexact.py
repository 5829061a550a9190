"""Cotangents of trees that may hold arrays without gradients (integers, booleans, keys): lists of the others' alone."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

Merge = Callable[[list[Any], list[Any]], Any]


def has_gradient(leaf: Any) -> bool:
    """Whether an array is of a type that has gradients."""
    dtype = leaf.dtype if hasattr(leaf, "dtype") else jnp.result_type(leaf)
    return jnp.issubdtype(dtype, jnp.inexact)


def split(tree: Any, chosen: Sequence[bool] | None = None) -> tuple[list[Any], list[Any], Merge]:
    """The chosen leaves of a tree (default: those with gradients), the others, and what puts them together again."""
    leaves, structure = jax.tree.flatten(tree)
    picks = [has_gradient(leaf) for leaf in leaves] if chosen is None else list(chosen)

    def merge(yes: list[Any], no: list[Any]) -> Any:
        sources = iter(yes), iter(no)
        return jax.tree.unflatten(structure, [next(sources[0] if pick else sources[1]) for pick in picks])

    yes = [leaf for leaf, pick in zip(leaves, picks, strict=True) if pick]
    no = [leaf for leaf, pick in zip(leaves, picks, strict=True) if not pick]
    return yes, no, merge


def inexact(tree: Any) -> list[Any]:
    """The arrays of a tree that have gradients."""
    return split(tree)[0]


def vjp(function: Callable[..., Any], *trees: Any) -> tuple[Any, Callable[[list[Any]], tuple[list[Any], ...]]]:
    """`jax.vjp`, with lists for cotangents: one entry for each array with a gradient."""
    parts = [split(tree) for tree in trees]

    def on_lists(*lists: list[Any]) -> tuple[list[Any], Any]:
        result = function(*(merge(yes, no) for yes, (_, no, merge) in zip(lists, parts, strict=True)))
        return inexact(result), result

    _, pullback, result = jax.vjp(on_lists, *(yes for yes, _, _ in parts), has_aux=True)
    return result, pullback


class Narrowed(NamedTuple):
    """A function of a tree as a function of only those of its arrays that it reads and that have gradients."""

    arrays: list[Any]
    function: Callable[..., Any]  # of a list like `arrays` and the further arguments
    widen: Callable[[list[Any]], list[Any]]  # cotangents of `arrays` -> of every array of the tree with a gradient


def narrow(function: Callable[..., Any], tree: Any, *rest: Any) -> Narrowed:
    """`function(tree, *rest)`, narrowed to the arrays of `tree` that it reads: others cost nothing on the way back."""
    jaxpr = jax.make_jaxpr(function)(tree, *rest).jaxpr
    read = {id(v) for equation in jaxpr.eqns for v in equation.invars} | {id(v) for v in jaxpr.outvars}
    leaves = jax.tree.leaves(tree)
    picks = [id(v) in read and has_gradient(leaf) for v, leaf in zip(jaxpr.invars, leaves, strict=False)]
    arrays, others, merge = split(tree, picks)

    def widen(cotangents: list[Any]) -> list[Any]:
        found = iter(cotangents)
        return [
            next(found).astype(leaf.dtype) if pick else jnp.zeros_like(leaf)
            for leaf, pick in zip(leaves, picks, strict=True)
            if has_gradient(leaf)
        ]

    return Narrowed(arrays, lambda arrays, *rest: function(merge(arrays, others), *rest), widen)


def instantiated(cotangents: Any) -> list[Any]:
    """The arrays of a tree of cotangents that have gradients, with zeros for those that JAX knows to be zero."""

    def array(c: Any) -> Any:
        return jnp.zeros(c.shape, c.dtype) if isinstance(c, SymbolicZero) else c  # pyright: ignore[reportArgumentType]

    return inexact(jax.tree.map(array, cotangents))


def add(a: list[Any], b: list[Any]) -> list[Any]:
    """The sum of two lists of arrays, in the types of the first."""
    return [x + y.astype(x.dtype) for x, y in zip(a, b, strict=True)]


def zeros(tree: Any) -> list[Any]:
    """Zero cotangents of a tree."""
    return [jnp.zeros_like(x) for x in inexact(tree)]


def accumulators(arrays: list[Any]) -> list[Any]:
    """Zeros to add many cotangents to: of at least 32 bits, whatever the arrays have."""
    return [jnp.zeros(x.shape, jnp.promote_types(x.dtype, jnp.float32)) for x in arrays]
