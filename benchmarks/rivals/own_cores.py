"""jaxrnn on all cores: a CPU device for each, the batch divided, no program that waits for another device."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import reference
from benchmarks.rivals import adam, own
from benchmarks.rivals.entrant import Entrant
from benchmarks.task import Task, Weights
from jaxrnn import unfold
from jaxrnn.training import devices, init_train_state, map_batch, value_and_grad

PACKAGE = "jaxrnn"


def build(task: Task, device: str) -> Entrant:
    """`training.map_batch` and `training.value_and_grad`; a training step as `training.fit` takes it."""
    if device != "cpu" or jax.device_count() == 1:
        raise ImportError("needs CPU devices, one a core: training.use_all_cores() before JAX is used")
    cell, params = own.cell_of(task)
    mesh = devices.make_mesh(devices.choose(task.shape.batch))
    params = jax.tree.map(jnp.asarray, params)

    def apply(params: Any, xs: jax.Array) -> jax.Array:
        return unfold(cell, params, xs).outputs

    def total(params: Any, xs: jax.Array) -> jax.Array:  # the mean over the devices is the sum over the batch
        return mesh.size * jnp.sum(jnp.square(apply(params, xs)))

    def loss(params: Any, state: Any, xs: jax.Array, key: Any) -> Any:
        return total(params, xs), (state, {})

    gradient = value_and_grad(total)
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
        params=params,
        xs=devices.place(mesh, task.xs, devices.BY_COLUMN),
        forward=map_batch(apply, gather=False),
        gradient=lambda params, xs: gradient(params, xs)[1],
        training=training,
        wait=jax.block_until_ready,
        outputs=np.asarray,
        weights=weights,
        trained=lambda result: weights(adam.first_gradient(result)),
        reference=reference.own,
        note=f"a device for each of {mesh.size} cores, the batch divided: `training.map_batch` (outputs left divided), "
        "`training.value_and_grad`, and the step of `training.fit`",
    )
