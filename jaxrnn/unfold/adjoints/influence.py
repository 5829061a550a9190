"""The influence ∂s(t)/∂θ of parameters on the state, carried forward in time."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrnn.cells.base import State
from jaxrnn.unfold.adjoints.example import Arguments, OneExample
from jaxrnn.unfold.adjoints.real import parts, parts_of_cotangents, whole_cotangents
from jaxrnn.unfold.adjoints.units import Units, of_parts
from jaxrnn.unfold.sharding import varying

Pull = Callable[[list[jax.Array]], tuple[list[jax.Array], list[jax.Array]]]


class Form(Protocol):
    """How the influence of one example is kept: for each real array of θ, one array `(rows, *its shape)`."""

    def start(self, number: int, array: Any, own: int | None) -> jax.Array:
        """The influence on s(0) of array `number` of θ, of which it is the real array `own`, or None."""
        ...

    def advance(self, influence: list[jax.Array], pull: Pull, state: list[jax.Array]) -> list[jax.Array]:
        """S(t) = ∂s(t)/∂s(t-1) S(t-1) + ∂s(t)/∂θ."""
        ...

    def pull(self, influence: list[jax.Array], of_state: list[jax.Array]) -> list[jax.Array]:
        """Gradients of θ: ∂L/∂s(t) S(t)."""
        ...


class Dense:
    """The influence on every entry of the state: rows of all of them, end to end."""

    def __init__(self, one: OneExample):
        self.shapes = [s.shape for s in _real_rows(one, one.state)]
        self.sizes = [int(np.prod(s)) for s in self.shapes]

    def start(self, number: int, array: Any, own: int | None) -> jax.Array:
        total = sum(self.sizes)
        if own is None:
            return jnp.zeros((total, *array.shape), array.dtype)
        before = sum(self.sizes[:own])
        return jnp.eye(total, dtype=array.dtype)[:, before : before + self.sizes[own]].reshape(total, *array.shape)

    def advance(self, influence: list[jax.Array], pull: Pull, state: list[jax.Array]) -> list[jax.Array]:
        at_once, jacobian = _jacobian(pull, state)

        def one(kept: jax.Array, direct: jax.Array) -> jax.Array:
            return jnp.tensordot(jacobian.astype(kept.dtype), kept, 1, precision=lax.Precision.HIGHEST) + direct

        return [one(*pair) for pair in zip(influence, at_once, strict=True)]

    def pull(self, influence: list[jax.Array], of_state: list[jax.Array]) -> list[jax.Array]:
        row = _end_to_end(of_state)
        return [jnp.tensordot(row.astype(s.dtype), s, 1, precision=lax.Precision.HIGHEST) for s in influence]


class Traces:
    """The influence of each entry of θ on its own unit alone: as many rows as the unit has entries.

    Exact where the Jacobian of the step has nothing outside the units; else what is outside is left out. `direct` keeps
    only what the entry reaches within one step.
    """

    def __init__(self, one: OneExample, units: Units, direct: bool):
        units = of_parts(units, one)
        self.members, self.diagonal = units.members, units.diagonal
        self.index = [_thin(numbers, 0) for numbers in units.numbers]
        self.masks = [None if not direct or mask.all() else _thin(mask, 1) for mask in units.direct]

    def start(self, number: int, array: Any, own: int | None) -> jax.Array:
        rows = [jnp.full(array.shape, k == own, array.dtype) for k in self.members[number]]
        return jnp.stack(rows) if rows else jnp.zeros((0, *array.shape), array.dtype)

    def advance(self, influence: list[jax.Array], pull: Pull, state: list[jax.Array]) -> list[jax.Array]:
        # As each entry of θ reaches one unit, a cotangent of ones for one array of the state finds each derivative.
        count = len(state)
        ones = [jnp.stack([jnp.full_like(s, k == j) for k in range(count)]) for j, s in enumerate(state)]
        at_once, through = jax.vmap(pull)(varying((ones, state))[0])
        if self.diagonal:
            slopes = {(k, j): through[j][k].reshape(-1) for k in range(count) for j in range(count)}
        else:
            slopes = _diagonals(_jacobian(pull, state)[1], state)

        def one(kept: jax.Array, direct: jax.Array, members: list[int], index: np.ndarray, mask: Any) -> jax.Array:
            rows = []
            for k in members:
                passed = [_spread(slopes[k, j], index, e) * e for j, e in zip(members, kept, strict=True)]
                rows.append(sum(passed, direct[k].astype(kept.dtype)))
            new = jnp.stack(rows) if rows else kept
            return new if mask is None else jnp.where(jnp.broadcast_to(mask, new.shape), new, 0)

        return [one(*of) for of in zip(influence, at_once, self.members, self.index, self.masks, strict=True)]

    def pull(self, influence: list[jax.Array], of_state: list[jax.Array]) -> list[jax.Array]:
        def one(kept: jax.Array, members: list[int], index: np.ndarray) -> jax.Array:
            found = [_spread(of_state[k].reshape(-1), index, e) * e for k, e in zip(members, kept, strict=True)]
            return sum(found, jnp.zeros(kept.shape[1:], kept.dtype))

        return [one(*of) for of in zip(influence, self.members, self.index, strict=True)]


class Influence:
    """S(t) = ∂s(t)/∂θ for every example of a batch: a list of arrays `(*batch, rows, ...)`, one for each part of θ."""

    def __init__(self, one: OneExample, form: Form):
        self.one, self.form = one, form

    def start(self) -> list[jax.Array]:
        """∂s(0)/∂θ: nothing of the parameters', the identity of s(0)'s."""
        one = self.one
        theta = _real_rows(one, one.theta)
        own: list[int | None] = [None] * (len(theta) - len(_real_rows(one, one.initial)))
        own += range(len(theta) - len(own))
        found = []
        for number, (row, k) in enumerate(zip(theta, own, strict=True)):
            wide = jax.ShapeDtypeStruct(row.shape, jnp.promote_types(row.dtype, jnp.float32))
            array = self.form.start(number, wide, k)
            found.append(jnp.broadcast_to(array.reshape((1,) * len(one.batch) + array.shape), one.batch + array.shape))
        return found

    def advance(self, influence: list[jax.Array], arguments: Arguments) -> tuple[State, list[jax.Array]]:
        """s(t) and S(t)."""
        leaves = jax.tree.leaves(arguments)

        def each(influence: list[jax.Array], leaves: list[Any]) -> tuple[list[Any], list[jax.Array]]:
            new, pull = self.one.derivative(leaves)
            return new, self.form.advance(influence, pull, parts([leaves[k] for k in self.one.state]))

        new, influence = self.one.each(each, influence, leaves)
        return jax.tree.unflatten(jax.tree.structure(arguments.state), new), influence

    @property
    def theta(self) -> list[Any]:
        """Shapes and types of the arrays of θ."""
        one = self.one
        return [jax.ShapeDtypeStruct(one.batch * one.own[k] + one.rows[k].shape, one.rows[k].dtype) for k in one.theta]

    def pull(self, influence: list[jax.Array], of_state: list[Any]) -> list[Any]:
        """From cotangents of s(t) to those of the arrays of θ, summed over the examples that share one."""
        one, pull = self.one, self.form.pull
        for _ in one.batch:
            pull = jax.vmap(pull)
        found = whole_cotangents(pull(influence, parts_of_cotangents(of_state)), [one.rows[k] for k in one.theta])
        shared = tuple(range(len(one.batch)))
        return [g if one.own[k] else g.sum(shared) for k, g in zip(one.theta, found, strict=True)]

    def split(self, of_theta: list[Any]) -> tuple[list[Any], list[Any]]:
        """Of each array of the parameters with a gradient, and of s(0), in their types; None for what is not in θ."""
        one = self.one
        typed = {k: g.astype(one.rows[k].dtype) for k, g in zip(one.theta, of_theta, strict=True)}
        return [typed.get(k) for k in one.params], [typed[k] for k in one.initial]


def _real_rows(one: OneExample, places: list[int]) -> list[Any]:
    """Shapes and types of the real arrays of some leaves of one example."""
    return jax.eval_shape(parts, [one.rows[k] for k in places])


def _end_to_end(arrays: list[jax.Array]) -> jax.Array:
    return jnp.concatenate([a.reshape(-1) for a in arrays]) if arrays else jnp.zeros(0)


def _jacobian(pull: Pull, state: list[jax.Array]) -> tuple[list[jax.Array], jax.Array]:
    """∂s(t)/∂θ `(entries, *shape)` and ∂s(t)/∂s(t-1) `(entries, entries)`, of all entries of the state end to end."""
    total, before, basis = sum(s.size for s in state), 0, []
    if not state:  # a cell may do without
        return pull([])[0], jnp.zeros((0, 0))
    for s in state:
        basis.append(jnp.eye(total, dtype=s.dtype)[:, before : before + s.size].reshape(total, *s.shape))
        before += s.size
    at_once, through = jax.vmap(pull)(varying((basis, state))[0])
    return at_once, jnp.concatenate([t.reshape(total, -1) for t in through], axis=1)


def _diagonals(jacobian: jax.Array, state: list[jax.Array]) -> dict[tuple[int, int], jax.Array]:
    """Of each block of the Jacobian between two arrays of one shape, the diagonal."""
    first = np.cumsum([0, *(s.size for s in state)])
    return {
        (k, j): jacobian[first[k] + np.arange(a.size), first[j] + np.arange(a.size)]
        for k, a in enumerate(state)
        for j, b in enumerate(state)
        if a.shape == b.shape
    }


def _thin(array: np.ndarray, first: int) -> np.ndarray:
    """One entry of each axis from `first` on along which the array does not change: units, along all but the last."""
    for axis in range(first, array.ndim):
        one = array.take(range(min(1, array.shape[axis])), axis)
        array = one if (array == one).all() else array
    return array


def _spread(row: jax.Array, index: np.ndarray, like: jax.Array) -> jax.Array:
    """`row[index]`, stretched to the shape of an array, in its type."""
    return jnp.broadcast_to(row[index].astype(like.dtype), like.shape)
