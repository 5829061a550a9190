"""Linear recurrences s(t) = a(t) s(t-1) + b(t), element by element: one step after another, and many at once."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.unfold import sizes
from jaxrnn.unfold.problem import Flags, where
from jaxrnn.unfold.sharding import HERE, Line, varying

Tree = Any


def special_steps(a: Tree, b: Tree, initial: Tree, flags: Flags) -> tuple[Tree, Tree]:
    """The same recurrence where steps return to s(0) first, or are past the end and leave the state as it is."""
    if flags.reset is not None:
        b = where(flags.reset, jax.tree.map(lambda a, b, s: a * s[None] + b, a, b, initial), b)
        a = where(flags.reset, jax.tree.map(jnp.zeros_like, a), a)
    if flags.valid is not None:
        a = where(flags.valid, a, jax.tree.map(jnp.ones_like, a))
        b = where(flags.valid, b, jax.tree.map(jnp.zeros_like, b))
    return a, b


def sequential(a: Tree, b: Tree, first: Tree, backward: bool) -> Tree:
    """All states after `first`, one step after another: O(τ) operations in O(τ) time."""

    def step(s: Tree, now: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
        new = jax.tree.map(lambda s, a, b: a * s + b, s, *now)
        return new, new

    return lax.scan(step, first, (a, b), reverse=backward)[1]


def parallel(a: Tree, b: Tree, first: Tree, backward: bool, line: Line = HERE) -> Tree:
    """All states after `first`, by a prefix scan: affine maps compose, (a', b') after (a, b) is (a' a, a' b + b').

    On a `line`, of this device's share of the steps: each device tells the others the map of all its steps.
    """
    if line.name is None and not sizes.prefix_scan_pays():
        return sequential(a, b, first, backward)
    scanned = lax.associative_scan(_compose, (a, b), reverse=backward)
    if line.name is not None:
        ends = line.of_all(jax.tree.map(lambda x: x[0 if backward else -1], scanned))
        first = jax.tree.map(lambda s: s[line.index()], _across(first, ends, backward))
    return jax.tree.map(lambda a, b, s: a * s[None] + b, *scanned, first)


def _across(first: Tree, maps: tuple[Tree, Tree], backward: bool) -> Tree:
    """The state before each of the maps."""

    def across(start: Tree, end: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
        return jax.tree.map(lambda s, a, b: a * s + b, start, *end), start

    return lax.scan(across, varying((first, maps))[0], maps, reverse=backward)[1]


def _compose(earlier: tuple[Tree, Tree], later: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
    a = jax.tree.map(lambda a1, a2: a1 * a2, earlier[0], later[0])
    return a, jax.tree.map(lambda b1, a2, b2: a2 * b1 + b2, earlier[1], *later)
