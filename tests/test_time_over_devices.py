"""Time divided over a mesh: the answer of one device, from devices that hold their share of time and tell little."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import BPTT, GRU, LSTM, Associative, Elman, MinGRU, Scan, Shooting, Stack, states, transition, unfold
from tests import time_over_devices as over_devices

SHOOTING = Shooting(blocks=over_devices.BLOCKS, axis="time")


def _any(params: Any, h: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.tanh(x @ params["U"] + 0.5 * h * jnp.broadcast_to(params["w"], h.shape))


CASES = {
    "stack": (Stack((GRU(3, 4), LSTM(4, 3))), SHOOTING, False, True),
    "reverse": (GRU(3, 4), SHOOTING, True, True),
    "linear": (MinGRU(3, 4), Associative(axis="time"), True, True),
    "any": (
        transition(_any, initial_state=lambda params, batch: jnp.zeros((*batch, 4))),
        Shooting(axis="time"),
        False,
        False,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_two_devices_give_the_answer_of_one(name: str) -> None:
    """Values and gradients, with lengths and resets, in both directions; no device ever has all of time."""
    cell, method, reverse, flags = CASES[name]
    params = {"U": jnp.ones((3, 4)) / 4, "w": jnp.ones(4)} if name == "any" else cell.init(jax.random.key(0))
    xs = over_devices.inputs(3)
    expected = jax.jit(partial(over_devices.gradients, cell, Scan(), reverse, flags))(params, xs)
    function = partial(over_devices.gradients, cell, method, reverse, flags)
    found, program = over_devices.over(over_devices.mesh(2), function, params, xs)
    over_devices.equal(found, expected)
    over_devices.check_divided(program)


def test_four_devices_give_the_answer_of_one() -> None:
    """In a process of its own, which begins with four devices: 1, 4, and 2 x 2 of time and batch."""
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "tests.time_over_devices"], cwd=root, env=os.environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split("\n")[:-1] == [f"{cell} {n}" for cell in ("GRU", "MinGRU") for n in ("1 1", "4 1", "2 2")]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("radius", [0.9, 1.3])
def test_the_residual_is_that_of_the_whole(radius: float) -> None:
    """Where devices meet their last paths at different steps; what comes to no agreement is the answer of Scan."""
    cell = Elman(2, 8)
    params = cell.init(jax.random.key(0), jnp.float64)
    W = np.asarray(jax.random.normal(jax.random.key(1), (8, 8), jnp.float64))
    params = params._replace(W=jnp.asarray(W * radius / np.abs(np.linalg.eigvals(W)).max()))
    xs = jax.random.normal(jax.random.key(2), (over_devices.T, 3, 2), jnp.float64) / 4
    tolerance = 1e-3 if radius < 1 else 1e-12

    def run(method: Any, params: Any, xs: jax.Array) -> Any:
        return unfold(cell, params, xs, emit=states, method=method)

    where = over_devices.mesh(2)
    method = Shooting(blocks=8, tolerance=tolerance, max_sweeps=6 if radius < 1 else 2, axis="time")
    found, _ = over_devices.over(where, partial(run, method), params, xs)
    h = np.asarray(found.outputs.h)
    if found.info.fell_back:
        assert radius > 1
        assert found.info.depth > over_devices.T
        np.testing.assert_array_equal(h, np.asarray(jax.jit(partial(run, Scan()))(params, xs).outputs.h))
        return
    assert radius < 1
    assert found.info.sweeps > 2
    before = np.concatenate([np.zeros_like(h[:1]), h[:-1]])
    gap = np.abs(h - np.tanh(np.asarray(xs @ params.U) + before @ np.asarray(params.W) + np.asarray(params.b)))
    np.testing.assert_allclose((gap.max((0, 2)) / np.abs(h).max((0, 2))).max(), found.info.residual, rtol=1e-6)
    assert 0 < found.info.residual <= tolerance


@pytest.mark.usefixtures("x64")
def test_the_joints_that_stand_count_and_no_other() -> None:
    """A device that forgets meets its paths in each sweep while the other, which adds up, comes to new ends.

    What enters it changes by 1, by 4e-5 and by 0.011: the second joint, the largest, lies before the first, and before
    the third, which replaces it.
    """
    size, blocks, tolerance = 32, 6, 1e-5
    a, b = np.ones(size * blocks), np.zeros(size * blocks)
    a[3 * size :] = 0.5
    b[[size - 1, 2 * size - 1, 3 * size - 1]] = -0.7 * 2.0**-6, -3.8e-5, -1
    cell = transition(lambda _, s, x: x[..., :1] * s + x[..., 1:])

    def run(_: Any, xs: jax.Array) -> Any:
        method = Shooting(blocks, tolerance, max_sweeps=blocks, axis="time")
        return unfold(cell, None, xs, state=jnp.full((1, 1), 2.0), method=method)

    found, _ = over_devices.over(over_devices.mesh(2), run, None, jnp.asarray(np.stack([a, b], -1)[:, None]))
    s = np.asarray(found.outputs)[:, 0, 0]
    gap = np.abs(s - (a * np.concatenate([[2.0], s[:-1]]) + b)) / np.abs(s).max()
    assert not found.info.fell_back
    assert np.count_nonzero(gap[3 * size : 4 * size] > tolerance / 4) == 2
    np.testing.assert_allclose(found.info.residual, gap.max(), rtol=1e-6)


@pytest.mark.parametrize(
    ("method", "adjoint", "steps", "message"),
    [
        (Shooting(axis="depth"), BPTT(), 8, "axes"),
        (Shooting(axis="time"), BPTT(), 9, "pad them"),
        (Shooting(blocks=3, axis="time"), BPTT(), 8, "multiple of 2"),
        (Shooting(axis="time"), BPTT(block=4), 8, "mesh axis"),
        (Associative(axis="time"), BPTT(), 9, "pad them"),
    ],
)
def test_what_cannot_be_divided_is_said(method: Any, adjoint: Any, steps: int, message: str) -> None:
    """Which steps, which devices, and what to pass."""
    cell = MinGRU(2, 2)
    with jax.set_mesh(over_devices.mesh(2)), pytest.raises(ValueError, match=message):
        unfold(cell, cell.init(jax.random.key(0)), jnp.ones((steps, 1, 2)), method=method, adjoint=adjoint)


def test_a_window_is_no_part_of_a_line() -> None:
    """All of time is divided at once."""
    with pytest.raises(ValueError, match="one of them"):
        Shooting(axis="time", window=64)
