"""Linear recurrences s(t) = a(t) s(t-1) + b(t), element by element: one step after another, and many at once."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.unfold import sizes
from jaxrnn.unfold.problem import Flags, where

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


def parallel(a: Tree, b: Tree, first: Tree, backward: bool) -> Tree:
    """All states after `first`, by a prefix scan: affine maps compose, (a', b') after (a, b) is (a' a, a' b + b')."""
    chunks = sizes.prefix_chunks(a)
    if chunks == 1:
        return sequential(a, b, first, backward)
    if chunks is None:
        scanned = lax.associative_scan(_compose, (a, b), reverse=backward)
        return jax.tree.map(lambda a, b, s: a * s[None] + b, *scanned, first)
    return _by_chunks(a, b, first, backward, chunks)


def _compose(earlier: tuple[Tree, Tree], later: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
    a = jax.tree.map(lambda a1, a2: a1 * a2, earlier[0], later[0])
    return a, jax.tree.map(lambda b1, a2, b2: a2 * b1 + b2, earlier[1], *later)


def _by_chunks(a: Tree, b: Tree, first: Tree, backward: bool, chunks: int) -> Tree:
    """Chunks of time side by side, each as if it started from zero; then what each one really starts from is added."""
    steps = jax.tree.leaves(a)[0].shape[0]
    size = -(-steps // chunks)

    def side_by_side(x: jax.Array, filler: int) -> jax.Array:
        x = jnp.concatenate([x, jnp.full_like(x, filler, shape=(chunks * size - steps, *x.shape[1:]))])
        return x.reshape(chunks, size, *x.shape[1:]).swapaxes(0, 1)

    a, b = jax.tree.map(lambda x: side_by_side(x, 1), a), jax.tree.map(lambda x: side_by_side(x, 0), b)

    def within(carry: tuple[Tree, Tree], now: tuple[Tree, Tree]) -> tuple[Any, Any]:
        new = _compose(carry, now)
        return new, new

    identity = jax.tree.map(lambda x: jnp.ones_like(x[0]), a), jax.tree.map(lambda x: jnp.zeros_like(x[0]), b)
    ends, (products, states) = lax.scan(within, identity, (a, b), reverse=backward)

    def across(start: Tree, end: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
        return jax.tree.map(lambda s, a, b: a * s + b, start, *end), start

    starts = lax.scan(across, first, ends, reverse=backward)[1]

    def whole(product: jax.Array, state: jax.Array, start: jax.Array) -> jax.Array:
        state = (state + product * start[None]).swapaxes(0, 1)
        return state.reshape(-1, *state.shape[2:])[:steps]

    return jax.tree.map(whole, products, states, starts)
