"""Arrays that live on several devices: the types by which JAX tracks how, and time divided over a mesh axis."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec


def automatic(run: Callable[..., Any], batch: tuple[int, ...], *operands: Any) -> Any:
    """`run(*operands)` with mesh axes of explicit type left to the compiler; xs comes third, time first.

    A gradient summed over a batch has no place to be named in explicit types. What comes back has its batch axes on the
    devices where those of xs are (else of what else has them), and is a whole copy on each where it has none.
    """
    mesh = _explicit_mesh(operands)
    if mesh is None:
        return run(*operands)
    names = [name for name, kind in zip(mesh.axis_names, mesh.axis_types, strict=True) if kind == AxisType.Explicit]
    spec = _spec_of_batch(batch, *operands)
    with jax.sharding.use_abstract_mesh(mesh.update_axis_types(dict.fromkeys(names, AxisType.Auto))):
        found = run(*jax.sharding.reshard(operands, PartitionSpec()))

    def back(tree: Any, before: int) -> Any:
        def put(a: jax.Array) -> jax.Array:
            axes = (None,) * before + spec if a.shape[before : before + len(batch)] == batch else ()
            return jax.sharding.reshard(a, NamedSharding(mesh, PartitionSpec(*axes)))

        return jax.tree.map(put, tree)

    return found._replace(outputs=back(found.outputs, 1), final=back(found.final, 0), info=back(found.info, 0))


def _explicit_mesh(tree: Any) -> AbstractMesh | None:
    """The mesh of the first array that is on one with explicit axes."""
    for leaf in jax.tree.leaves(tree):
        mesh = jax.typeof(leaf).sharding.mesh
        if AxisType.Explicit in mesh.axis_types:
            return mesh
    return None


def _spec_of_batch(batch: tuple[int, ...], params: Any, state: Any, xs: Any, lengths: Any, resets: Any) -> tuple:
    """The mesh axes that each batch axis is divided over."""
    for tree, before in ((xs, 1), (lengths, 0), (resets, 1), (state, 0)):
        for leaf in jax.tree.leaves(tree):
            spec = (*jax.typeof(leaf).sharding.spec, *(None,) * leaf.ndim)[before : before + len(batch)]
            if leaf.shape[before : before + len(batch)] == batch and any(spec):
                return spec
    return (None,) * len(batch)


def varying(tree: Any) -> Any:
    """The arrays, each varying over every axis of `jax.shard_map` that any of them varies over."""
    own = [jax.typeof(leaf).manual_axis_type.varying for leaf in jax.tree.leaves(tree)]
    every = sorted(frozenset().union(*own))
    if not every:
        return tree

    def cast(a: jax.Array) -> jax.Array:
        missing = tuple(axis for axis in every if axis not in jax.typeof(a).manual_axis_type.varying)
        return lax.pcast(a, missing, to="varying") if missing else a

    return jax.tree.map(cast, tree)


@dataclass(frozen=True)
class Line:
    """The devices among which time is divided, the earliest on the first; without a name, one device by itself."""

    name: str | None = None
    size: int = 1
    alone: bool = True  # no other mesh axis has devices, whose collectives would have to be met in every loop

    def run(self, local: Callable[..., Any], out: Any, whole: Any, divided: Any) -> Any:
        """`local(whole, divided)` on every device, with its share of the arrays `divided`, time first.

        `out` tells the same of what comes back: a tree of booleans, True where it is divided.
        """
        if self.name is None:
            return local(whole, divided)
        specs = PartitionSpec(), PartitionSpec(self.name)
        out = jax.tree.map(lambda apart: specs[apart], out)
        return jax.shard_map(local, in_specs=specs, out_specs=out, axis_names={self.name})(whole, divided)

    def check(self, method: Any, steps: int) -> None:
        """Every device takes as many steps."""
        if steps % self.size:
            raise ValueError(
                f"{type(method).__name__}: {steps} steps cannot be divided among the {self.size} devices of the mesh "
                f"axis {self.name!r}: pad them to a multiple, and pass lengths"
            )

    def index(self) -> jax.Array:
        """Which of the devices this one is."""
        return lax.axis_index(self.name)

    def of_all(self, tree: Any) -> Any:
        """The arrays of all devices, one after the other."""
        return jax.tree.map(lambda a: lax.all_gather(a, self.name), tree)

    def most(self, x: jax.Array) -> jax.Array:
        """The largest on any device, element by element; not a number where one is not."""
        axes = tuple(sorted(jax.typeof(x).manual_axis_type.varying)) if self.name is not None else ()
        if not axes:
            return x
        unknown = jnp.isnan(x)  # a maximum over devices need not keep what is not a number
        value, unknown = lax.pmax(jnp.stack([jnp.where(unknown, -jnp.inf, x), unknown.astype(x.dtype)]), axes)
        return jnp.where(unknown > 0, jnp.nan, value)

    def so_far(self, tree: Any, backward: bool) -> tuple[Any, Any]:
        """The largest of numbers, none below zero, on the devices before this one in the recurrence, and on any."""
        if self.name is None:
            return jax.tree.map(jnp.zeros_like, tree), tree
        places, here = jnp.arange(self.size), self.index()

        def of_others(x: jax.Array) -> tuple[jax.Array, jax.Array]:
            def only(chosen: jax.Array, x: jax.Array) -> jax.Array:
                return jnp.where(chosen.reshape(-1, *(1,) * (x.ndim - 1)), x, 0)

            every = self.most(only(places == here, jnp.broadcast_to(x, (self.size, *x.shape))))
            return only(places > here if backward else places < here, every).max(0), every.max(0)

        leaves, structure = jax.tree.flatten(tree)
        earlier, whole = zip(*map(of_others, leaves), strict=True)
        return structure.unflatten(earlier), structure.unflatten(whole)

    def met(self, residual: jax.Array) -> jax.Array:
        """The residual by which a loop inside one sweep ends: of this device, where it need not wait for others."""
        return residual if self.alone else varying((self.most(residual), residual))[0]

    def entering(self, left: Any, first: Any, backward: bool) -> Any:
        """What the device before this one left, in the direction of the recurrence; on the first of them, `first`."""
        if self.name is None:
            return first
        pairs = [(i + 1, i) if backward else (i, i + 1) for i in range(self.size - 1)]
        begins = lax.axis_index(self.name) == (self.size - 1 if backward else 0)
        return jax.tree.map(lambda a, b: jnp.where(begins, b, lax.ppermute(a, self.name, pairs)), left, first)

    def ending(self, last: Any, some: jax.Array | None, backward: bool) -> Any:
        """The state that the whole recurrence ends with, on every device, from those that the devices end with.

        `some`, of the shape of the batch: whether this device has a step before the sequence's end.
        """
        if self.name is None:
            return last
        owner = 0 if backward else self.size - 1
        if some is not None and not backward:
            owner = jnp.maximum(lax.psum(some.astype(jnp.int32), self.name) - 1, 0)  # steps of padding come last
        here = jnp.asarray(lax.axis_index(self.name) == owner)

        def pick(a: jax.Array) -> jax.Array:
            mine = here.reshape(here.shape + (1,) * (a.ndim - here.ndim))
            return lax.psum(jnp.where(mine, a, jnp.zeros_like(a)), self.name)

        return jax.tree.map(pick, last)


HERE = Line()


def line(axis: str | None) -> Line:
    """The devices along a mesh axis, of the mesh that `jax.set_mesh` gave."""
    if axis is None:
        return HERE
    mesh = jax.sharding.get_abstract_mesh()
    if axis not in mesh.axis_names:
        raise ValueError(
            f"unfold: axis = {axis!r}, but the mesh has the axes {mesh.axis_names}: name one of a mesh that is set "
            "around the call: with jax.set_mesh(mesh): ..."
        )
    size = mesh.shape[axis]
    return Line(axis, size, size == mesh.size)
