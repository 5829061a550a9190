"""Whether a recurrence forgets what it started from: a look at a few steps, before anything is done."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.unfold import certificate
from jaxrnn.unfold.method import Step
from jaxrnn.unfold.sharding import varying


class Probed(NamedTuple):
    """What was seen."""

    forgets: jax.Array  # boolean
    steps: jax.Array  # integer: taken one after another


class _Look(NamedTuple):
    """Two paths under way."""

    pair: Any  # their states, leaves (2, *batch, ...)
    scale: Any  # the largest |s| of each sequence so far
    gap: jax.Array  # between the two, in terms of the scale
    done: jax.Array  # steps


def probe(
    step: Step,
    first: Any,
    items: Any,
    valid: jax.Array | None,
    steps: int,
    tolerance: float,
    backward: bool,
    apart: int = 8,
) -> Probed:
    """Whether two paths from `first`, one that begins `apart` steps after the other, meet within so many steps.

    They meet where they differ by no more than the tolerance, in terms of the largest |s|, in each sequence of a batch:
    then blocks of time that start from `first` will be back on one path in about as many steps. The look is taken where
    time begins, for there is no padding there; going backward, these steps come last.
    """
    steps = min(steps, jax.tree.leaves(items)[0].shape[0])
    apart, many = max(1, min(apart, steps // 2)), jax.vmap(step, in_axes=(0, None))

    def body(look: _Look) -> _Look:
        now = steps - 1 - look.done if backward else look.done
        item, there = jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, now, keepdims=False), (items, valid))
        starts = look.done == apart
        pair = jax.tree.map(lambda p, s: p.at[1].set(jnp.where(starts, s, p[1])), look.pair, first)
        pair, _ = many(pair, item)
        one, other = jax.tree.map(lambda p: p[:1], pair), jax.tree.map(lambda p: p[1:], pair)
        scale = jax.tree.map(jnp.maximum, look.scale, certificate.scale(one, axes=1))
        gap = certificate.difference(one, other, scale, None if there is None else there[None])
        return varying((_Look(pair, scale, gap, look.done + 1), look))[0]

    def met(look: _Look) -> jax.Array:
        return (look.done > apart) & (look.gap <= tolerance)

    pair = jax.tree.map(lambda s: jnp.broadcast_to(s, (2, *s.shape)), first)
    scale = jax.tree.map(jnp.zeros_like, certificate.scale(pair, axes=1))
    look = _Look(pair, scale, jnp.zeros((), certificate.real_type(first)), jnp.zeros((), jnp.int32))
    look = varying((look, first, items))[0]
    look = lax.while_loop(lambda look: (look.done < steps) & ~met(look), body, look)
    return Probed(met(look), look.done)
