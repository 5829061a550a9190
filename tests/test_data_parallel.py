"""`value_and_grad` and `map_batch` against `jax.value_and_grad` and the function itself, on one device and two."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import GRU, LSTM, Stack, unfold
from jaxrnn.training import data_parallel, map_batch, value_and_grad
from jaxrnn.training.devices import AXIS

CELL = Stack([LSTM(2, 4), GRU(4, 3)])
AXES = 1, 0  # of xs and lengths
DEVICES = pytest.mark.parametrize("devices", [1, 2])


def batch_of(rng: np.random.Generator, size: int = 6) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(5, size, 2)).astype(np.float32), rng.integers(1, 6, size)


def loss(params: Any, xs: Any, lengths: Any) -> jax.Array:
    outputs = unfold(CELL, params, xs, lengths=lengths).outputs
    return jnp.mean(jnp.sum(jnp.square(outputs), axis=(0, 2)) / lengths)


def agree(found: Any, wanted: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == b.dtype
        assert a.devices() == {jax.devices("cpu")[0]}
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@DEVICES
@pytest.mark.parametrize("size", [6, 5])  # five are not divided
def test_value_and_gradient_are_those_of_the_whole_batch(rng, key, devices, size):
    params, batch = CELL.init(key), batch_of(rng, size)
    found = value_and_grad(loss, in_axes=AXES, devices=jax.devices("cpu")[:devices])
    wanted = jax.jit(jax.value_and_grad(loss))
    agree(found(params, *batch), wanted(params, *batch))
    moved = jax.tree.map(lambda p: 2 * p, params)
    agree(found(moved, *batch), wanted(moved, *batch))


@DEVICES
def test_axes_are_named_as_in_vmap(rng, key, devices):
    params, (xs, lengths) = CELL.init(key), batch_of(rng)

    def scaled(params: Any, named: Any, scale: Any, key: Any) -> jax.Array:
        noise = scale * jax.random.normal(key, (1, 1, 2))
        return loss(params, named["xs"].swapaxes(0, 1) + noise, named["lengths"])

    named = {"xs": xs.swapaxes(0, 1), "lengths": lengths, "none": None}
    wanted = jax.jit(jax.value_and_grad(scaled))(params, named, 0.5, key)
    for axes in (0, {"xs": 0, "lengths": 0, "none": 0}):
        found = value_and_grad(scaled, in_axes=(axes, None, None), devices=jax.devices("cpu")[:devices])
        agree(found(params, named, 0.5, key), wanted)


@DEVICES
def test_types_are_those_of_the_function(devices):
    """Numbers stay numbers beside 16 bits, which hold a mean where they may not hold the sum of the devices'."""
    xs = np.full((3, 4), 4e4, np.float16)

    def scaled(params: Any, xs: Any, scale: Any, nothing: None) -> jax.Array:
        assert nothing is None
        return jnp.mean(jnp.mean(xs, 0) * params["w"] * scale)

    run = value_and_grad(scaled, in_axes=(1, None, None), devices=jax.devices("cpu")[:devices])
    given = {"w": jnp.float16(1)}, xs, 1.0, None
    value, grads = run(*given)
    assert value.dtype == grads["w"].dtype == jnp.float16
    np.testing.assert_allclose((value, grads["w"]), 4e4, rtol=1e-3)


def test_it_goes_by_the_settings_of_jax(rng):
    xs = rng.normal(size=(3, 4))
    run = value_and_grad(lambda params, xs: jnp.mean(xs * params, dtype=float), devices=jax.devices("cpu")[:2])
    assert run(np.float32(2), xs)[0].dtype == jnp.float32
    with jax.enable_x64(True):
        assert run(np.float32(2), xs)[0].dtype == jnp.float64


def test_an_accelerator_adds_within_the_program(rng, key, monkeypatch):
    """Two devices of a CPU in their place: one program, waited for, with its all-reduce."""
    params, batch = CELL.init(key), batch_of(rng)
    monkeypatch.setattr(data_parallel, "wait_for_none", lambda mesh: False)
    found = jax.block_until_ready(value_and_grad(loss, in_axes=AXES, devices=jax.devices("cpu")[:2])(params, *batch))
    agree(found, jax.jit(jax.value_and_grad(loss))(params, *batch))


@DEVICES
def test_map_batch_is_the_function(rng, key, devices):
    params, (xs, lengths) = CELL.init(key), batch_of(rng)

    def run(params: Any, xs: Any, lengths: Any) -> Any:
        found = unfold(CELL, params, xs, lengths=lengths)
        return found.outputs, found.final

    wanted = jax.jit(run)(params, xs, lengths)
    on = partial(map_batch, in_axes=AXES, devices=jax.devices("cpu")[:devices])
    agree(on(run)(params, xs, lengths), wanted)
    agree(on(lambda *given: run(*given)[0])(params, xs, lengths), wanted[0])
    agree(on(lambda *given: run(*given)[0].sum((0, 2)))(params, xs, lengths), wanted[0].sum((0, 2)))


def test_what_is_not_gathered_stays_divided_and_goes_on(rng):
    xs, _ = batch_of(rng)
    twice = map_batch(lambda _, xs: 2 * xs, gather=False, devices=jax.devices("cpu")[:2])
    once = twice({}, xs)
    with jax.transfer_guard("disallow_explicit"):
        found = twice({}, once)
    assert [shard.data.shape for shard in found.addressable_shards] == [(5, 3, 2)] * 2
    np.testing.assert_array_equal(found, 4 * xs)


def test_a_loop_of_thousands_of_steps_ends_where_that_of_one_device_does():
    xs = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)

    def line(params: Any, xs: Any) -> jax.Array:
        return jnp.mean(jnp.square(params["w"] * xs + params["b"] - 3 * xs - 1))

    def trained(gradient: Any) -> Any:
        params = {"w": jnp.zeros(()), "b": jnp.zeros(())}
        move = jax.jit(lambda params, grads: jax.tree.map(lambda p, g: p - 0.05 * g, params, grads))
        for _ in range(2000):
            params = move(params, gradient(params, xs)[1])
        return params

    two = trained(value_and_grad(line, devices=jax.devices("cpu")[:2]))
    agree(two, trained(value_and_grad(line, devices=jax.devices("cpu")[:1])))
    np.testing.assert_allclose(two["w"], 3, atol=1e-4)


def test_it_compiles_once_for_a_shape(rng, key):
    traced = []

    def seen(params: Any, xs: Any, lengths: Any) -> jax.Array:
        traced.append(xs.shape)
        return loss(params, xs, lengths)

    run, params = value_and_grad(seen, in_axes=AXES, devices=jax.devices("cpu")[:2]), CELL.init(key)
    for size in (6, 4):
        run(params, *batch_of(rng, size))
    assert set(traced) == {(5, 3, 2), (5, 2, 2)}
    traced.clear()
    for size in (4, 6, 4):
        run(params, *batch_of(rng, size))
    assert not traced


@pytest.mark.parametrize(
    ("axes", "error", "says"),
    [
        ((1, 1), ValueError, r"as many sequences.*\(5, 6, 2\) with 1, \(6,\) with 1"),
        ((0, 0), ValueError, r"as many sequences.*\(5, 6, 2\) with 0, \(6,\) with 0"),
        ((3, None), ValueError, r"as many sequences.*\(5, 6, 2\) with 3"),
        (None, ValueError, "got none"),
        ((1,), ValueError, "an entry for each argument after params"),
        ((-2, 0), TypeError, "whole numbers from 0 on, or None, got -2"),
        ((True, 0), TypeError, "whole numbers from 0 on, or None, got True"),
        ((1.0, 0), TypeError, r"whole numbers from 0 on, or None, got 1\.0"),
        (1.0, TypeError, r"whole numbers from 0 on, or None, got 1\.0"),
        (({"xs": 1}, 0), ValueError, "must be a tree like that of the arguments"),
    ],
)
def test_what_holds_no_batch_is_refused(rng, key, axes, error, says):
    with pytest.raises(error, match=says):
        value_and_grad(loss, in_axes=axes)(CELL.init(key), *batch_of(rng))


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda xs: xs.sum(), r"got shape \(\) for the whole batch and \(\) for"),
        (lambda xs: jnp.einsum("tbf,tcf->bc", xs, xs), r"got shape \(6, 6\) for the whole batch and \(3, 3\) for"),
        (lambda xs: jnp.stack([xs[:, :4], xs[:, -4:]]), r"got shape \(2, 5, 4, 2\) for the whole batch and"),
        (lambda xs: xs.reshape(-1, 2), r"hold the batch, 6, .* got shape \(30, 2\) for the whole batch and \(15, 2\)"),
        (lambda xs: jnp.concatenate([xs, -xs], 1), r"got shape \(5, 12, 2\) for the whole batch and \(5, 6, 2\)"),
    ],
)
def test_what_gives_no_batch_is_refused(rng, function, says):
    with pytest.raises(ValueError, match=says):
        map_batch(lambda _, xs: function(xs), devices=jax.devices("cpu")[:2])({}, batch_of(rng)[0])


@pytest.mark.parametrize("within", [jax.jit, jax.vmap, jax.grad], ids=["jit", "vmap", "grad"])
@pytest.mark.parametrize("devices", [1, 2])
def test_it_is_no_part_of_another_program(rng, within, devices):
    xs = rng.normal(size=(3, 4)).astype(np.float32)

    def outer(scale: Any) -> jax.Array:
        return value_and_grad(lambda p, xs: jnp.mean(p * xs) * scale, devices=jax.devices("cpu")[:devices])(scale, xs)[
            0
        ]

    with pytest.raises(TypeError, match=r"outside of jax\.jit"):
        within(outer)(np.ones(3, np.float32) if within is jax.vmap else np.float32(2))
    two = jax.devices("cpu")[:2]
    if devices == 2:  # what is traced is nowhere but in the loss
        with pytest.raises(TypeError, match=r"outside of jax\.jit"):
            jax.vmap(lambda s: value_and_grad(lambda p, xs: s * jnp.mean(p * xs), devices=two)(np.float32(2), xs)[0])(
                jnp.ones(2)
            )
    with pytest.raises(TypeError, match=r"outside of jax\.jit"):
        jax.jit(lambda: map_batch(lambda p, xs: p * xs, devices=jax.devices("cpu")[:devices])(np.float32(2), xs))()


def test_devices_that_speak_to_one_another_are_refused(rng):
    xs, two = rng.normal(size=(3, 4)).astype(np.float32), jax.devices("cpu")[:2]

    def talks(params: Any, xs: Any) -> jax.Array:
        return jax.lax.cond(xs[0, 0] > 0, lambda x: jax.lax.pmean(x, AXIS), lambda x: x, xs)

    with pytest.raises(ValueError, match="must not speak to other devices"):
        value_and_grad(lambda p, xs: jnp.mean(p * talks(p, xs)), devices=two)(np.float32(1), xs)
    with pytest.raises(ValueError, match="must not speak to other devices"):
        map_batch(talks, devices=two)({}, xs)
    with pytest.raises(ValueError, match="all_to_all"):
        map_batch(lambda _, xs: jax.lax.all_to_all(xs, AXIS, 1, 1, tiled=True), devices=two)({}, xs)
    with jax.named_scope("all-reduce"):  # a name is no operation
        own = map_batch(lambda _, xs: xs + jax.lax.axis_index(AXIS), devices=two)({}, xs)
    np.testing.assert_allclose(own, xs + np.array([[0, 0, 1, 1]]), rtol=1e-6)


@pytest.mark.parametrize("devices", [[], [jax.devices("cpu")[0]] * 2])
def test_devices_are_different_ones(rng, devices):
    with pytest.raises(ValueError, match="different ones, at least one"):
        map_batch(lambda _, xs: xs, devices=devices)({}, batch_of(rng)[0])


def test_it_has_a_mesh_of_its_own(rng, key):
    params, batch = CELL.init(key), batch_of(rng, 5)
    with (
        jax.set_mesh(jax.make_mesh((2,), ("x",), devices=jax.devices("cpu")[:2])),
        pytest.raises(ValueError, match=r"outside of jax\.set_mesh"),
    ):
        value_and_grad(loss, in_axes=AXES)(params, *batch)


@DEVICES
def test_arrays_come_from_wherever_they_are(rng, key, devices):
    """From two devices, with axes that are explicit, to one and to two; in trees of other names; and empty."""
    xs, _ = batch_of(rng)
    mesh = jax.make_mesh((2,), ("x",), devices=jax.devices("cpu")[:2])
    there = jax.device_put(jnp.asarray(xs), jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))
    run = map_batch(
        lambda params, given: jax.tree.map(lambda a: params * a, given), devices=jax.devices("cpu")[:devices]
    )
    np.testing.assert_array_equal(run(there[0, 0, 0], {"xs": there})["xs"], xs[0, 0, 0] * xs)
    np.testing.assert_array_equal(run(2.0, {"ys": xs})["ys"], 2 * xs)
    assert run(2.0, xs[:0]).shape == (0, 6, 2)
    assert run(2.0, xs[..., :0]).shape == (5, 6, 0)
