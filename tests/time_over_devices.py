"""Time divided over a mesh: what the tests run, and, as a program, over four devices."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxrnn import GRU, Associative, MinGRU, Scan, Shooting, unfold

T, BATCH, BLOCKS = 192, 6, 8
LENGTHS = np.array([T, 70, 0, 120, T - 1, 97])


def mesh(time: int, batch: int = 1) -> jax.sharding.Mesh:
    """The first devices, as many as it takes."""
    devices = jax.devices()[: time * batch]
    return jax.make_mesh((time, batch), ("time", "batch"), (AxisType.Auto, AxisType.Auto), devices=devices)


def inputs(features: int) -> jax.Array:
    """A batch of sequences of numbers."""
    return jnp.asarray(np.random.default_rng(0).normal(size=(T, BATCH, features)), jnp.float32)


def gradients(cell: Any, method: Any, reverse: bool, flags: bool, params: Any, xs: jax.Array) -> Any:
    """Outputs, the final state and what the method reports; the gradients of a loss on all of it."""
    lengths = jnp.asarray(LENGTHS) if flags else None
    resets = jnp.zeros((T, BATCH), bool).at[jnp.array([20, 100, 96]), jnp.array([1, 0, 3])].set(True) if flags else None

    def loss(params: Any, xs: jax.Array) -> Any:
        run = unfold(cell, params, xs, lengths=lengths, resets=resets, reverse=reverse, method=method)
        weights = jnp.cos(jnp.arange(T))[:, None, None]
        final = sum(jnp.sum(jnp.sin(s)) for s in jax.tree.leaves(run.final))
        return jnp.sum(weights * run.outputs) + final, run

    grads, run = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, xs)
    return run, grads


def over(where: jax.sharding.Mesh, function: Any, params: Any, xs: jax.Array) -> tuple[Any, str]:
    """What the function gives with time and batch divided over a mesh, and the program of one device."""
    with jax.set_mesh(where):
        params = jax.device_put(params, NamedSharding(where, PartitionSpec()))
        xs = jax.device_put(xs, NamedSharding(where, PartitionSpec("time", "batch")))
        program = jax.jit(function).lower(params, xs).compile()
        # Two programs with collectives must not run at once on CPU devices.
        return jax.block_until_ready(program(params, xs)), program.as_text() or ""


def check_divided(program: str, quiet: bool = True) -> None:
    """No array of a program has all of time, and (quiet) devices tell each other nothing that has a share of it."""
    assert not re.search(rf"[a-z0-9]\[(?:\d+,)*{T}[,\]]", program)
    if not quiet:
        return
    for shape in re.findall(
        r"= (.*?) (?:all-gather|all-reduce|all-to-all|reduce-scatter|collective-permute)(?:-start)?\(", program
    ):
        for axes in re.findall(r"\[([\d,]*)\]", shape):
            assert not {T // n for n in (1, 2, 4)} & {int(n) for n in axes.split(",") if n}, shape


def equal(found: Any, expected: Any, atol: float = 3e-5) -> None:
    """The same answer and gradients, up to rounding."""
    (run, grads), (run_expected, grads_expected) = found, expected
    for a, b in zip(
        jax.tree.leaves((run[:2], grads)), jax.tree.leaves((run_expected[:2], grads_expected)), strict=True
    ):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-4, atol=atol * max(1, np.abs(b).max()))


def four_devices() -> None:
    """The same answer from 1, 4 and 2 x 2 devices."""
    for cell, method in (
        (GRU(3, 5), Shooting(blocks=BLOCKS, axis="time")),
        (MinGRU(3, 5), Associative(axis="time")),
    ):
        params, xs = cell.init(jax.random.key(0)), inputs(3)
        expected = jax.jit(partial(gradients, cell, Scan(), False, True))(params, xs)
        for time, batch in ((1, 1), (4, 1), (2, 2)):
            found, program = over(mesh(time, batch), partial(gradients, cell, method, False, True), params, xs)
            equal(found, expected)
            outputs = found[0].outputs
            if time > 1:
                check_divided(program, quiet=batch == 1)  # the compiler divides the batch as it finds best
                assert {s.data.shape[0] for s in outputs.addressable_shards} == {T // time}
            if found[0].info is not None:
                assert found[0].info.fell_back == 0
                assert found[0].info.depth < T // 2
            print(type(cell).__name__, time, batch)


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 4)
    four_devices()
