"""The levels of a batch of trees, one after another, and their gradient, the other way round."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells.base import Inputs, Params, State
from jaxrnn.cells.precision import as_here
from jaxrnn.trees.base import TreeCell


class _Run(NamedTuple):
    """Some levels of one width."""

    children: jax.Array  # (levels, width, arity)
    xs: Inputs  # leaves (levels, width, ...)
    starts: jax.Array  # (levels,): the first place of each


def forward(cell: TreeCell, params: Params, children: Sequence[jax.Array], xs: Inputs) -> State:
    """The states of all places; what JAX makes of its gradient is right, but adds up as many places in each level."""
    leaves, runs = _cut(children, xs)
    first = cell.leaf(params, _rows(xs, 0, leaves))
    places = jax.tree.leaves(xs)[0].shape[0]
    found = jax.tree.map(lambda s: jnp.zeros((places, *s.shape[1:]), s.dtype).at[:leaves].set(s), first)
    for run in runs:

        def level(found: State, run: _Run) -> tuple[State, None]:
            new = cell.combine(params, *_gathered(found, run.children), run.xs)
            return _put(found, new, run.starts), None

        found = _loop(level, found, run)[0]
    return found


def states(cell: TreeCell, params: Params, children: Sequence[jax.Array], xs: Inputs) -> State:
    """The states of all places."""
    values = jax.custom_vjp(partial(forward, cell))
    values.defvjp(partial(_kept, cell), as_here(partial(_back, cell)))
    return values(params, children, xs)


def _kept(cell: TreeCell, params: Params, children: Sequence[jax.Array], xs: Inputs) -> tuple[State, Any]:
    found = forward(cell, params, children, xs)
    return found, (params, children, xs, found)


def _back(cell: TreeCell, kept: Any, cotangent: State) -> tuple[Params, None, Inputs]:
    """λ(j) = ∂L/∂s(j), from the roots down: each level takes its λ and adds to those of its children."""
    params, children, xs, found = kept
    leaves, runs = _cut(children, xs)
    weights, inputs = _Floats.of(params), _Floats.of(xs)
    lambdas, sums = _Floats.of(found).only(cotangent), jax.tree.map(jnp.zeros_like, weights.floats)
    of_inputs = []
    for run in reversed(runs):

        def level(carry: Any, run: _Run) -> tuple[Any, list[jax.Array]]:
            lambdas, sums = carry
            below, mask = _gathered(found, run.children)
            held, x = _Floats.of(below), _Floats.of(run.xs)

            def combine(*floats: Any) -> list[jax.Array]:
                new = cell.combine(weights.whole(floats[0]), held.whole(floats[1]), mask, x.whole(floats[2]))
                return _Floats.of(new).floats

            _, transpose = jax.vjp(combine, weights.floats, held.floats, x.floats)
            own = [jax.lax.dynamic_slice_in_dim(a, run.starts, mask.shape[0]) for a in lambdas]
            of_weights, of_children, of_x = transpose(own)
            lambdas = [_add(a, run.children, d) for a, d in zip(lambdas, of_children, strict=True)]
            return (lambdas, [a + d for a, d in zip(sums, of_weights, strict=True)]), of_x

        (lambdas, sums), of_x = _loop(level, (lambdas, sums), run, reverse=True)
        of_inputs.append([d.reshape(-1, *d.shape[2:]) for d in of_x])
    first = _Floats.of(_rows(xs, 0, leaves))

    def leaf(*floats: Any) -> list[jax.Array]:
        return _Floats.of(cell.leaf(weights.whole(floats[0]), first.whole(floats[1]))).floats

    _, transpose = jax.vjp(leaf, weights.floats, first.floats)
    of_weights, of_x = transpose([a[:leaves] for a in lambdas])
    of_inputs.append(of_x)
    sums = [a + d for a, d in zip(sums, of_weights, strict=True)]
    of_xs = [jnp.concatenate(parts) for parts in zip(*reversed(of_inputs), strict=True)]
    return weights.cotangent(sums), None, inputs.cotangent(of_xs)


def _cut(children: Sequence[jax.Array], xs: Inputs) -> tuple[int, list[_Run]]:
    """How many places are leaves', and the runs above them."""
    start = leaves = jax.tree.leaves(xs)[0].shape[0] - sum(run.shape[0] * run.shape[1] for run in children)
    runs = []
    for run in children:
        levels, width, _ = run.shape
        rows = jax.tree.map(lambda a: a.reshape(levels, width, *a.shape[1:]), _rows(xs, start, levels * width))  # noqa: B023
        runs.append(_Run(run, rows, start + width * jnp.arange(levels, dtype=jnp.int32)))
        start += levels * width
    return leaves, runs


def _rows(tree: Any, start: int, size: int) -> Any:
    return jax.tree.map(lambda a: jax.lax.slice_in_dim(a, start, start + size), tree)


def _gathered(found: State, children: jax.Array) -> tuple[State, jax.Array]:
    """The states of children, zeros where there is none, and where there is one."""
    mask = children >= 0

    def take(s: jax.Array) -> jax.Array:
        rows = s[jnp.maximum(children, 0)]
        return jnp.where(mask.reshape(*mask.shape, *(1,) * (s.ndim - 1)), rows, jnp.zeros((), s.dtype))

    return jax.tree.map(take, found), mask


def _put(found: State, new: State, start: jax.Array) -> State:
    return jax.tree.map(lambda a, b: jax.lax.dynamic_update_slice_in_dim(a, b, start, 0), found, new)


def _add(array: jax.Array, children: jax.Array, rows: jax.Array) -> jax.Array:
    """λ of children with what their parents add; no child has two parents."""
    places = jnp.where(children < 0, array.shape[0], children)  # beyond the end, where nothing is added
    return array.at[places].add(rows, mode="drop")


def _loop(level: Any, carry: Any, run: _Run, reverse: bool = False) -> tuple[Any, Any]:
    """The levels of a run one after another; a single one without a loop."""
    if len(run.starts) > 1:
        return jax.lax.scan(level, carry, run, reverse=reverse)
    carry, out = level(carry, jax.tree.map(lambda a: a[0], run))
    return carry, jax.tree.map(lambda a: a[None], out)


class _Floats(NamedTuple):
    """The leaves of a tree that have gradients, apart from the others."""

    leaves: list[Any]
    structure: Any
    at: list[int]

    @staticmethod
    def of(tree: Any) -> "_Floats":
        leaves, structure = jax.tree.flatten(tree)
        return _Floats(leaves, structure, [k for k, a in enumerate(leaves) if jnp.issubdtype(a.dtype, jnp.inexact)])

    @property
    def floats(self) -> list[Any]:
        return [self.leaves[k] for k in self.at]

    def only(self, other: Any) -> list[Any]:
        """Those of another tree like this one."""
        leaves = self.structure.flatten_up_to(other)
        return [leaves[k] for k in self.at]

    def _with(self, others: list[Any], floats: list[Any]) -> Any:
        for k, a in zip(self.at, floats, strict=True):
            others[k] = a
        return jax.tree.unflatten(self.structure, others)

    def whole(self, floats: list[Any]) -> Any:
        """The tree with other floats."""
        return self._with(list(self.leaves), floats)

    def cotangent(self, floats: list[Any]) -> Any:
        """A cotangent of the tree: what has no gradient has none."""
        return self._with([None] * len(self.leaves), floats)
