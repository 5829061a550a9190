"""jaxrnn on all cores: a CPU device for each, the batch divided, no program that waits for another device."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jax.sharding import PartitionSpec

from benchmarks import reference
from benchmarks.rivals import adam, own
from benchmarks.rivals.entrant import Entrant
from benchmarks.task import Task, Weights
from jaxrnn import unfold
from jaxrnn.training import devices, init_train_state

PACKAGE = "jaxrnn"


def build(task: Task, device: str) -> Entrant:
    """`unfold` under `jax.shard_map` over the batch, compiled as `training.fit` compiles; gradients added outside."""
    if device != "cpu" or jax.device_count() == 1:
        raise ImportError("needs CPU devices, one a core: training.use_all_cores() before JAX is used")
    cell, params = own.cell_of(task)
    mesh = devices.make_mesh(devices.choose(task.shape.batch))
    first, everywhere = mesh.devices.flat[0], devices.EVERYWHERE
    params = jax.tree.map(jnp.asarray, params)
    placed = devices.place(mesh, params, everywhere), devices.place(mesh, task.xs, devices.BY_COLUMN)
    unravel = ravel_pytree(params)[1]

    def apply(params: Any, xs: jax.Array) -> jax.Array:
        return unfold(cell, params, xs).outputs

    def own_gradient(params: Any, xs: jax.Array) -> jax.Array:
        gradient = jax.grad(lambda params: jnp.sum(jnp.square(apply(params, xs))))(params)
        return ravel_pytree(gradient)[0][None]

    def on_each(f: Any, out: PartitionSpec) -> Any:
        shared = devices.on_each(f, mesh, (everywhere, devices.BY_COLUMN), out)
        return jax.jit(shared, compiler_options=devices.COMPILER_OPTIONS)

    add = jax.jit(lambda parts: unravel(jnp.concatenate(parts).sum(0)))
    own_gradients = on_each(own_gradient, devices.BY_ROW)

    def gradient(params: Any, xs: jax.Array) -> Any:
        parts = own_gradients(params, xs).addressable_shards
        return add([jax.device_put(part.data, first) for part in parts])

    def loss(params: Any, state: Any, xs: jax.Array, key: Any) -> Any:  # `fit` takes the mean over the devices
        return mesh.size * jnp.sum(jnp.square(apply(params, xs))), (state, {})

    optimizer = optax.adam(adam.RATE, adam.FIRST)
    here: list[Any] = []

    def training(_: Any, xs: jax.Array) -> Any:
        if not here:
            start = init_train_state(params, None, jax.random.key(0), optimizer)
            start = devices.place_train_state(mesh, start)
            here[:] = devices.compile_step(loss, optimizer, mesh, start, xs)[0], start
        step, now = here
        here[1], _ = step(now, xs)
        return here[1].params, here[1].opt_state

    def weights(result: Any) -> Weights:
        return Weights(*jax.tree.map(np.asarray, result))

    return Entrant(
        params=placed[0],
        xs=placed[1],
        forward=on_each(apply, devices.BY_COLUMN),
        gradient=gradient,
        training=training,
        wait=jax.block_until_ready,
        outputs=np.asarray,
        weights=weights,
        trained=lambda result: weights(adam.first_gradient(result)),
        reference=reference.own,
        note=f"a device for each of {mesh.size} cores, the batch divided, as `training.fit` does after use_all_cores()",
    )
