"""Recurrence from the output: teacher forcing in parallel is the run by steps on what was fed; sampling; schedules."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Elman, Jordan, JordanState
from jaxrnn.models import OutputRecurrent
from jaxrnn.training import ExponentialDecay, InverseSigmoidDecay, LinearDecay
from tests import grid

T, B, D, H, O = 6, 3, 2, 5, 2  # noqa: E741
MODEL = OutputRecurrent(Jordan(D, H, O))
LENGTHS = np.array([T, 0, 4], np.int32)


class Task:
    """Numbers to run on."""

    def __init__(self):
        rng = np.random.default_rng(0)
        with jax.enable_x64(True):
            self.params = MODEL.init(jax.random.key(0), jnp.float64)
        self.xs, self.ys = rng.normal(size=(T, B, D)), rng.normal(size=(T, B, O))
        self.start = rng.normal(size=(B, O))
        self.coins = rng.random((T, B)) < 0.5


@pytest.fixture(scope="module")
def task() -> Task:
    return Task()


def by_steps(task: Task, fed: Any) -> np.ndarray:
    """o(1), ..., o(τ), one step after another, where `fed(t, o)` is what the next step reads."""
    p, f, outputs = grid.host(task.params), task.start, []
    for t, x in enumerate(task.xs):
        o = p.c + np.tanh(p.b + f @ p.W + x @ p.U) @ p.V
        outputs.append(o)
        f = fed(t, o)
    return np.array(outputs)


@pytest.mark.usefixtures("x64")
def test_what_is_fed_makes_the_run(task: Task) -> None:
    """Teacher forcing, free running, and a mixture, against a loop over time."""
    state = JordanState(jnp.asarray(task.start))
    forced = MODEL.forced(task.params, state, task.xs, task.ys)
    np.testing.assert_allclose(forced, by_steps(task, lambda t, o: task.ys[t]), rtol=1e-12)
    free = MODEL.apply(task.params, state, jnp.asarray(task.xs)).outputs
    np.testing.assert_allclose(free, by_steps(task, lambda t, o: o), rtol=1e-12)
    np.testing.assert_allclose(MODEL.forced(task.params, state, task.xs, free), free, rtol=1e-12)

    def sampled(truth: float) -> Any:
        return MODEL.sampled(task.params, state, task.xs, task.ys, jax.random.key(1), truth)

    np.testing.assert_array_equal(sampled(1.0), task.ys)
    np.testing.assert_allclose(sampled(0.0), free, rtol=1e-12)
    mixed = np.asarray(sampled(0.5))
    true = (mixed == task.ys).all(axis=-1)
    assert 0 < true.sum() < true.size
    own = by_steps(task, lambda t, o: np.where(true[t][:, None], task.ys[t], o))
    np.testing.assert_allclose(mixed, np.where(true[..., None], task.ys, own), rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_the_loss_counts_each_step_before_the_end_and_has_its_gradient(task: Task) -> None:
    state, key = JordanState(jnp.asarray(task.start)), jax.random.key(1)
    xs, ys = task.xs.copy(), task.ys.copy()
    for row, n in enumerate(LENGTHS):
        xs[n:, row] = ys[n:, row] = np.nan

    @grid.quick
    def program(params: Any) -> Any:
        def loss(params: Any, truth: Any) -> Any:
            return MODEL.loss(params, state, (xs, ys, LENGTHS), key, truth=truth)[0]

        return [jax.value_and_grad(loss)(params, truth) for truth in (None, 1.0, 0.5)]

    (value, gradient), (same, again), (other, _) = program(task.params)
    L = ((by_steps(task, lambda t, o: task.ys[t]) - task.ys) ** 2).sum(-1)
    expected = L[np.arange(T)[:, None] < LENGTHS].mean()
    np.testing.assert_allclose((value, same), expected, rtol=1e-12)
    grid.close(gradient, again, 1e-12, 1e-14)
    assert abs(other - value) > 1e-3
    direction = jax.tree.map(lambda a: np.cos(1 + np.arange(a.size)).reshape(a.shape), task.params)
    ahead, behind = (
        program(jax.tree.map(lambda a, d, e=e: a + e * d, task.params, direction))[0][0] for e in (1e-5, -1e-5)
    )
    slope = sum((d * g).sum() for d, g in zip(direction, gradient, strict=True))
    np.testing.assert_allclose(slope, (ahead - behind) / 2e-5, rtol=1e-7)


def test_teacher_forcing_has_no_loop_over_time(task: Task) -> None:
    params = MODEL.init(jax.random.key(0))
    xs, ys = (jnp.asarray(a, jnp.float32) for a in (task.xs, task.ys))

    def program(truth: Any) -> str:
        def loss(params: Any) -> Any:
            return MODEL.loss(params, None, (xs, ys, LENGTHS), jax.random.key(0), truth=truth)[0]

        return str(jax.make_jaxpr(jax.grad(loss))(params))

    assert "scan" not in program(None)
    assert "while" not in program(None)
    assert program(0.5).count("scan[") == 1  # what is fed is drawn; the gradient is parallel there too


def test_schedules_fall_from_the_truth() -> None:
    steps = np.array([0, 1, 100, 2000])
    linear = [max(0.1, 0.9 - 0.002 * i) for i in steps]
    np.testing.assert_allclose(jax.jit(LinearDecay(0.9, 0.002, 0.1))(steps), linear, rtol=1e-5)
    np.testing.assert_allclose(ExponentialDecay(0.99)(steps), [0.99**i for i in steps], rtol=1e-3)
    sigmoid = [50 / (50 + math.exp(i / 50)) for i in steps]
    np.testing.assert_allclose(InverseSigmoidDecay(50)(steps), sigmoid, rtol=1e-4)
    assert InverseSigmoidDecay(1)(10**6) == 0  # and no overflow
    assert float(LinearDecay()(10**6)) >= 0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x, y: OutputRecurrent(Elman(D, H)), TypeError, "must be a Jordan net"),  # pyright: ignore
        (lambda x, y: MODEL.loss(MODEL.init(jax.random.key(0)), None, (x, y), truth=0.5), ValueError, "pass a key"),
        (
            lambda x, y: MODEL.loss(MODEL.init(jax.random.key(0)), None, (x, y), jax.random.key(0), truth=math.nan),
            ValueError,
            "truth must be at least 0 and at most 1, got nan",
        ),
        (lambda x, y: MODEL.loss(MODEL.init(jax.random.key(0)), None, (x, y[:3])), ValueError, r"= \(6, 3, 2\), got"),
        (lambda x, y: MODEL.loss(MODEL.init(jax.random.key(0)), None, (x, y > 0)), TypeError, "floating type"),
        (lambda x, y: MODEL.loss(MODEL.init(jax.random.key(0)), None, x), TypeError, r"batch must be \(inputs"),
        (lambda x, y: LinearDecay(1.5), ValueError, "start must be"),
        (lambda x, y: ExponentialDecay(1.0), ValueError, "k must be"),
        (lambda x, y: InverseSigmoidDecay(0.5), ValueError, "k must be"),
    ],
)
def test_bad_input(call: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call(jnp.zeros((T, B, D)), jnp.zeros((T, B, O)))
