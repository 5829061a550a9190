"""Training on all devices at once: the batch is divided among them, and every device holds the parameters.

Programs that make CPU devices wait for one another can stop for good when there are fewer free threads than devices.
So on CPU no program has a collective operation: each device finds the gradient of its own share, the gradients are
copied to the first device and averaged there, the mean is copied to every device, and each moves its own parameters. No
device ever waits for another within a program. On a GPU or TPU the average is an all-reduce within the step's program.
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxrnn.training.state import Batch, Loss, Metrics, Params, TrainState, gradients, update

Device = Any  # jax.Device, which is no type to a type checker
AXIS = "batch"
EVERYWHERE = PartitionSpec()
BY_ROW = PartitionSpec(AXIS)  # states and what each device reports
BY_COLUMN = PartitionSpec(None, AXIS)  # batches (time, batch, ...)
TRAIN_STATE: Any = TrainState(*cast(Any, (EVERYWHERE, EVERYWHERE, BY_ROW, EVERYWHERE, EVERYWHERE)))

# XLA's default is half of what AVX-512 has; other processors take what they have.
COMPILER_OPTIONS = {"xla_cpu_prefer_vector_width": 512}
COLLECTIVE = re.compile(
    r" (all-reduce|ragged-all-to-all|all-gather|all-to-all|reduce-scatter|collective-\w+?)(?:-start)?\("
)
ALONE = "axis_index", "pvary", "pcast"  # what has an axis' name, and asks nothing of its other devices
SILENT = "a function that is divided among CPU devices must not speak to other devices"
Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def use_all_cores() -> None:
    """Make one CPU device of each core that this process may use.

    It must come before anything else uses JAX. Where JAX is in use already, or was told how many devices to make
    (JAX_NUM_CPU_DEVICES, XLA_FLAGS), its devices stay as they are.
    """
    told = jax.config.values["jax_num_cpu_devices"] != -1 or "device_count" in os.environ.get("XLA_FLAGS", "")
    if told:
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(RuntimeError):  # JAX is in use
        jax.config.update("jax_num_cpu_devices", cores)


def choose(batch: int, devices: Sequence[Device] | None = None) -> list[Device]:
    """The first n of the devices (default: all there are), n the largest number of them that divides the batch."""
    devices = jax.devices() if devices is None else list(devices)
    if not devices or len(set(devices)) < len(devices):
        raise ValueError(f"devices must be different ones, at least one, got {devices}")
    n = max(n for n in range(1, len(devices) + 1) if batch % n == 0)
    return list(devices[:n])


def make_mesh(devices: Sequence[Device]) -> Mesh:
    """The devices in a row, along the axis of the batch."""
    return Mesh(np.array(devices), (AXIS,))


def place(mesh: Mesh, tree: Any, spec: PartitionSpec) -> Any:
    """Copies of the arrays on the devices; they come by way of the host, so that no program need run.

    Always copies: what is placed may be donated later, and the caller's arrays must live on.
    """

    def put(a: Any) -> jax.Array:
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(put(jax.random.key_data(a)), impl=jax.random.key_impl(a))
        return jax.device_put(np.array(a), NamedSharding(mesh, spec))

    return jax.tree.map(put, tree)


def of_batch(batch: Batch) -> Any:
    """How arrays of a batch are divided: `(time, batch, ...)` by columns, and `(batch,)`, such as lengths, by rows."""
    return jax.tree.map(lambda a: BY_ROW if np.ndim(a) == 1 else BY_COLUMN, batch)


def place_batch(mesh: Mesh, batch: Batch) -> Batch:
    """A batch on the devices."""
    return jax.tree.map(lambda a, spec: place(mesh, a, spec), batch, of_batch(batch))


def on_first(tree: Any) -> Any:
    """The first device's copy of arrays that are everywhere."""
    return jax.tree.map(lambda a: a.addressable_data(0), tree)


def shares(mesh: Mesh, tree: Any) -> list[Any]:
    """What each device has of the arrays, on the first device."""
    leaves, structure = jax.tree.flatten(tree)
    of_each = ([a.addressable_data(k) for a in leaves] for k in range(mesh.size))
    own, *others = (jax.tree.unflatten(structure, share) for share in of_each)
    return [own, *(jax.device_put(share, mesh.devices.flat[0]) for share in others)]


@jax.jit
def average(shares: list[Any]) -> Any:
    """The mean of the devices' arrays, of which each holds one row."""
    # Divided before they are added: 16 bits hold the mean where they may not hold the sum.
    return jax.tree.map(lambda *rows: sum(row[0] / len(rows) for row in rows), *shares)


def on_each(f: Callable, mesh: Mesh, in_specs: Any, out_specs: Any) -> Callable:
    """Run f on each device's share. What leaves "everywhere" is equal on every device by construction, so unchecked."""
    return jax.shard_map(f, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)


def place_train_state(mesh: Mesh, train_state: TrainState) -> TrainState:
    """The train state on the devices: its recurrent state divided by rows, everything else everywhere."""
    return TrainState(
        *(place(mesh, part, cast(Any, spec)) for part, spec in zip(train_state, TRAIN_STATE, strict=True))
    )


def compile_step(
    loss: Loss, optimizer: optax.GradientTransformation, mesh: Mesh, train_state: TrainState, batch: Batch
) -> tuple[Step, float]:
    """Compile `step(train_state, batch)` for arrays placed on the mesh; the seconds that took beside it.

    The value is that of `make_train_step` on the whole batch, up to rounding, where the loss is a mean over the batch
    and draws nothing from its key; what is drawn (dropout) depends on the number of devices. The metrics have one entry
    a device. The step donates its train state.
    """
    began = time.perf_counter()
    if wait_for_none(mesh):
        step = _averaged_outside(loss, optimizer, mesh, train_state, batch)
    else:
        step = _averaged_inside(loss, optimizer, mesh, train_state, batch)
    return step, time.perf_counter() - began


def _own_gradients(mesh: Mesh, loss: Loss, train_state: TrainState, batch: Batch) -> tuple[Params, TrainState, Metrics]:
    """The gradients of this device's share, drawing by its own key; the key that is carried on is every device's."""
    key = train_state.key
    if mesh.size > 1:
        train_state = train_state._replace(key=jax.random.fold_in(key, jax.lax.axis_index(AXIS)))
    grads, train_state, metrics = gradients(loss, train_state, batch)
    metrics = jax.tree.map(lambda m: m[None], metrics)
    return grads, train_state._replace(key=jax.random.split(key)[0]), metrics


def options(device: Device) -> dict[str, Any] | None:
    """What a program for such a device is compiled with."""
    return COMPILER_OPTIONS if device.platform == "cpu" else None


def wait_for_none(mesh: Mesh) -> bool:
    """Whether the mesh is of devices of which none may wait for another within a program."""
    return mesh.size > 1 and mesh.devices.flat[0].platform == "cpu"


def _averaged_inside(
    loss: Loss, optimizer: optax.GradientTransformation, mesh: Mesh, train_state: TrainState, batch: Batch
) -> Step:
    def step(train_state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        grads, train_state, metrics = _own_gradients(mesh, loss, train_state, batch)
        if mesh.size > 1:
            grads = jax.lax.pmean(grads, AXIS)
        return update(optimizer, train_state, grads), metrics

    step = on_each(step, mesh, (TRAIN_STATE, of_batch(batch)), (TRAIN_STATE, BY_ROW))
    return jax.jit(step, donate_argnums=0).lower(train_state, batch).compile(options(mesh.devices.flat[0]))


def _averaged_outside(
    loss: Loss, optimizer: optax.GradientTransformation, mesh: Mesh, train_state: TrainState, batch: Batch
) -> Step:
    flat, unravel = ravel_pytree(on_first(train_state.params))
    first, *_ = devices = list(mesh.devices.flat)
    everywhere = NamedSharding(mesh, EVERYWHERE)

    def own(train_state: TrainState, batch: Batch) -> tuple[jax.Array, Any, jax.Array, Metrics]:
        grads, train_state, metrics = _own_gradients(mesh, loss, train_state, batch)
        return ravel_pytree(grads)[0][None], train_state.state, train_state.key, metrics

    def move(train_state: TrainState, mean: jax.Array) -> TrainState:
        return update(optimizer, train_state, unravel(mean))

    own = jax.jit(on_each(own, mesh, (TRAIN_STATE, of_batch(batch)), (BY_ROW, BY_ROW, EVERYWHERE, BY_ROW)))
    own = without_collectives(own.lower(train_state, batch).compile(options(mesh.devices.flat[0])))
    move = jax.jit(on_each(move, mesh, (TRAIN_STATE, EVERYWHERE), TRAIN_STATE), donate_argnums=0)
    mean = jax.ShapeDtypeStruct(flat.shape, flat.dtype, sharding=everywhere)
    move = without_collectives(move.lower(train_state, mean).compile())
    share = jax.ShapeDtypeStruct((1, *flat.shape), flat.dtype, sharding=jax.sharding.SingleDeviceSharding(first))
    compiled = average.lower([share] * len(devices)).compile()

    def step(train_state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        grads, state, key, metrics = own(train_state, batch)
        mean = compiled(shares(mesh, grads))
        mean = [jax.device_put(mean, device) for device in devices]
        mean = jax.make_array_from_single_device_arrays(flat.shape, everywhere, mean)
        return move(train_state._replace(state=state, key=key), mean), metrics

    return step


def without_collectives(program: Any) -> Any:
    """The program, if no device waits in it for another.

    Raises:
        ValueError: it has a collective operation, which CPU devices may never come back from.
    """
    found = sorted(set(COLLECTIVE.findall(program.as_text())))
    if found:
        raise ValueError(f"{SILENT}, but it has {', '.join(found)}")
    return program


def refuse_collectives(jaxpr: Any) -> None:
    """Raise unless each device can run what is divided among the devices by itself.

    Raises:
        ValueError: it has a collective operation, which CPU devices may never come back from.
    """
    for equation in jaxpr.eqns:
        axes = [equation.params.get(name) for name in ("axes", "axis_name")]
        named = any(axis == AXIS or (isinstance(axis, tuple | list) and AXIS in axis) for axis in axes)
        if named and equation.primitive.name not in ALONE:
            raise ValueError(f"{SILENT}, but it has {equation.primitive.name}")
        for inner in jax.tree.leaves(list(equation.params.values())):  # branches come as tuples
            if hasattr(inner, "eqns"):
                refuse_collectives(inner)
