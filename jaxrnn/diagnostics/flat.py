"""States as vectors of real numbers."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.cells.base import State
from jaxrnn.unfold.adjoints.inexact import inexact, split

Part = Callable[[State], Any]


def vector(tree: Any, axes: int) -> jax.Array:
    """The arrays `(*axes, ...)` of a tree side by side, `(*axes, n)`: no integers, complex ones as two real parts."""
    real = [part for a in inexact(tree) for part in ((a.real, a.imag) if jnp.iscomplexobj(a) else (a,))]
    return jnp.concatenate([a.reshape(*a.shape[:axes], math.prod(a.shape[axes:])) for a in real], axis=-1)


def restorer(tree: Any, axes: int) -> Callable[[jax.Array], Any]:
    """What makes a tree like this one of a vector `(*axes, n)`; integers stay as they are."""
    arrays, others, merge = split(tree)

    def restore(flat: jax.Array) -> Any:
        found, at = [], 0
        for a in arrays:
            size, parts = math.prod(a.shape[axes:]), []
            for _ in range(1 + jnp.iscomplexobj(a)):
                parts.append(flat[..., at : at + size].reshape(a.shape))
                at += size
            found.append((jax.lax.complex(*parts) if len(parts) == 2 else parts[0]).astype(a.dtype))
        return merge(found, others)

    return restore


def numbers_of(part: Part, states: State, axes: int) -> np.ndarray:
    """Which numbers of the vector of a state a part of the state has; states are arrays `(*axes, ...)`, or shapes."""

    def blank(s: Any) -> np.ndarray:
        kind = np.complex128 if jnp.issubdtype(s.dtype, jnp.complexfloating) else np.float64
        return np.zeros(s.shape[axes:], kind if jnp.issubdtype(s.dtype, jnp.inexact) else s.dtype)

    # A state whose numbers say where they stand, so that the part says which it has.
    place, found = 0, []
    leaves, structure = jax.tree.flatten(jax.tree.map(blank, states))
    for leaf in leaves:
        if np.issubdtype(leaf.dtype, np.inexact):
            numbers = place + np.arange(leaf.size).reshape(leaf.shape)
            place += leaf.size * (2 if np.iscomplexobj(leaf) else 1)
            leaf = numbers + 1j * (numbers + leaf.size) if np.iscomplexobj(leaf) else numbers.astype(np.float64)
        found.append(leaf)
    chosen = [np.asarray(a) for a in jax.tree.leaves(part(jax.tree.unflatten(structure, found)))]
    chosen = [a for a in chosen if np.issubdtype(a.dtype, np.inexact)]
    parts = [p.ravel() for a in chosen for p in ((np.real(a), np.imag(a)) if np.iscomplexobj(a) else (a,))]
    places = np.concatenate(parts) if parts else np.zeros(0)
    if not places.size or (places != np.rint(places)).any() or places.min() < 0 or places.max() >= place:
        raise ValueError("part must return arrays of the state as they are, such as lambda s: s.h, and at least one")
    return places.astype(int)
