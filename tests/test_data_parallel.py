"""`value_and_grad` and `map_batch` against `jax.value_and_grad` and the function itself, on one device and two."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import GRU, LSTM, Stack, unfold
from jaxrnn.training import map_batch, value_and_grad
from jaxrnn.training.devices import AXIS

CELL = Stack([LSTM(2, 4), GRU(4, 3)])
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
        assert a.devices() == {jax.devices()[0]}
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@DEVICES
@pytest.mark.parametrize("size", [6, 5])  # five are not divided
def test_value_and_gradient_are_those_of_the_whole_batch(rng, key, devices, size):
    params, batch = CELL.init(key), batch_of(rng, size)
    found = value_and_grad(loss, devices=jax.devices()[:devices])
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

    named = {"xs": xs.swapaxes(0, 1), "lengths": lengths}
    found = value_and_grad(scaled, in_axes=({"xs": 0, "lengths": 0}, None, None), devices=jax.devices()[:devices])
    wanted = jax.jit(jax.value_and_grad(scaled))
    agree(found(params, named, 0.5, key), wanted(params, named, 0.5, key))


@DEVICES
def test_map_batch_is_the_function(rng, key, devices):
    params, (xs, lengths) = CELL.init(key), batch_of(rng)

    def run(params: Any, xs: Any, lengths: Any) -> Any:
        found = unfold(CELL, params, xs, lengths=lengths)
        return found.outputs, found.final

    wanted = jax.jit(run)(params, xs, lengths)
    on = partial(map_batch, devices=jax.devices()[:devices])
    agree(on(run)(params, xs, lengths), wanted)
    agree(on(lambda *given: run(*given)[0])(params, xs, lengths), wanted[0])
    agree(on(lambda *given: run(*given)[0].sum((0, 2)))(params, xs, lengths), wanted[0].sum((0, 2)))


def test_what_is_not_gathered_stays_divided_and_goes_on(rng, key):
    params, (xs, _) = CELL.init(key), batch_of(rng)
    twice = map_batch(lambda _, xs: 2 * xs, gather=False, devices=jax.devices()[:2])
    found = twice(params, twice(params, xs))
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

    two = trained(value_and_grad(line, devices=jax.devices()[:2]))
    agree(two, trained(value_and_grad(line, devices=jax.devices()[:1])))
    np.testing.assert_allclose(two["w"], 3, atol=1e-4)


def test_it_compiles_once_for_a_shape(rng, key):
    traced = []

    def seen(params: Any, xs: Any, lengths: Any) -> jax.Array:
        traced.append(xs.shape)
        return loss(params, xs, lengths)

    run, params = value_and_grad(seen, devices=jax.devices()[:2]), CELL.init(key)
    for size in (6, 6, 4, 6, 4):
        run(params, *batch_of(rng, size))
    assert traced == [(5, 3, 2), (5, 2, 2)]


def test_what_cannot_be_divided_is_refused(rng, key):
    params, (xs, lengths) = CELL.init(key), batch_of(rng)
    run = value_and_grad(loss)
    with pytest.raises(ValueError, match=r"as many sequences.*\(5, 6, 2\) with 1, \(4,\) with 0"):
        run(params, xs, lengths[:4])
    with pytest.raises(ValueError, match=r"as many sequences.*\(5, 6, 2\) with 3"):
        value_and_grad(loss, in_axes=(3, None))(params, xs, lengths)
    with pytest.raises(ValueError, match=r"as many sequences.*\(5, 6, 2\) with -2"):
        value_and_grad(loss, in_axes=(-2, None))(params, xs, lengths)
    with pytest.raises(ValueError, match="got none"):
        value_and_grad(loss, in_axes=(None, None))(params, xs, lengths)
    with pytest.raises(ValueError, match="an entry for each argument after params"):
        value_and_grad(loss, in_axes=(1,))(params, xs, lengths)
    with pytest.raises(ValueError, match=r"one of their axes, got shape \(\) for the whole batch and \(\) for"):
        map_batch(loss)(params, xs, lengths)
    with pytest.raises(ValueError, match=r"got shape \(6, 6\) for the whole batch and \(3, 3\) for"):
        map_batch(lambda _, xs: jnp.einsum("tbf,tcf->bc", xs, xs))(params, xs)
    with pytest.raises(TypeError, match=r"outside of jax\.jit"):
        jax.jit(run)(params, xs, lengths)
    with pytest.raises(ValueError, match="all-reduce"):
        value_and_grad(lambda *given: jax.lax.pmean(loss(*given), AXIS), devices=jax.devices()[:2])(params, xs, lengths)
