"""Arrays that live on several devices: the types by which JAX tracks how, made to agree where a loop needs them to."""

from collections.abc import Callable
from typing import Any

import jax
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
