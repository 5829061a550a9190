"""Training: the step against NumPy, `fit` against a plain loop of steps, devices against one another."""

import math
import os
import signal
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrnn import GRU
from jaxrnn.data import padded_chunks
from jaxrnn.models.language import LanguageModel
from jaxrnn.plotting import curves
from jaxrnn.training import (
    Fit,
    compile_evaluation,
    fit,
    init_train_state,
    load_parameters,
    make_optimizer,
    make_train_step,
)
from jaxrnn.training import metrics as metrics_file
from jaxrnn.training.devices import AXIS, BY_COLUMN, choose, compile_step, make_mesh, place, place_train_state

BATCH, TIME = 4, 5


def line_loss(
    params: Any, state: jax.Array, batch: Any, key: Any
) -> tuple[jax.Array, tuple[jax.Array, dict[str, Any]]]:
    """The mean of (w x + s - y)², where the state s of each sequence adds up its x."""
    x, y = batch
    error = params["w"] * x + state[None] - y
    return jnp.mean(error**2), (state + x.sum(0), {"largest": jnp.abs(error).max()})


def line_batches(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=(count, TIME, BATCH)).astype(np.float32) / 10
    return x, 3 * x


LINE = {"w": jnp.array(0.5)}
START = jnp.zeros(BATCH)


def line_fit(rng: np.random.Generator, steps: int = 8, **keywords: Any) -> Fit:
    keywords = {"optimizer": optax.sgd(0.1), "progress": False} | keywords
    return fit(line_loss, LINE, START, line_batches(rng, 3), steps=steps, **keywords)


def test_train_step_is_that_of_the_equations(rng):
    optimizer = optax.sgd(0.1)
    train_state = init_train_state(LINE, START, jax.random.key(0), optimizer)
    xs, ys = line_batches(rng, 3)
    step = jax.jit(make_train_step(line_loss, optimizer))
    w, s = 0.5, np.zeros(BATCH)
    for x, y in zip(xs, ys, strict=True):
        train_state, metrics = step(train_state, (x, y))
        error = w * x + s - y
        np.testing.assert_allclose(metrics["loss"], np.mean(error**2), rtol=1e-5)
        np.testing.assert_allclose(metrics["largest"], np.abs(error).max(), rtol=1e-5)
        w, s = w - 0.1 * np.mean(2 * error * x), s + x.sum(0)
        np.testing.assert_allclose(train_state.params["w"], w, rtol=1e-5)
        np.testing.assert_allclose(train_state.state, s, rtol=1e-5, atol=1e-6)
    assert train_state.step == 3


def test_train_step_is_pure_and_takes_a_new_key_each_time(rng):
    def noisy(params: Any, state: Any, batch: Any, key: Any) -> Any:
        value, (state, _) = line_loss(params, state, batch, key)
        return value, (state, {"drawn": jax.random.uniform(key)})

    optimizer = optax.adam(0.1)
    first = init_train_state(LINE, START, jax.random.key(0), optimizer)
    step = make_train_step(noisy, optimizer)
    batch = jax.tree.map(lambda a: a[0], line_batches(rng, 1))
    (second, drawn), (again, drawn_again) = step(first, batch), step(first, batch)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), second, again))
    assert drawn["drawn"] == drawn_again["drawn"] != step(second, batch)[1]["drawn"]
    np.testing.assert_array_equal(first.params["w"], LINE["w"])


def test_optimizer_is_adam_with_clipping_warm_up_and_cosine():
    optimizer = make_optimizer(0.1, steps=10, warm_up=0.2, clip=1.0)
    w, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    params, opt_state = jnp.array(w, jnp.float32), optimizer.init(jnp.zeros(2))
    for t, rate in enumerate([0, 0.05, *(0.05 * (1 + np.cos(np.pi * k / 8)) for k in range(8))]):
        g = 3 * w if t < 5 else np.array([0.1, 0.2])  # longer than 1 at first, shorter later
        updates, opt_state = optimizer.update(jnp.asarray(g, jnp.float32), opt_state, params)
        params = optax.apply_updates(params, updates)
        g = g / max(1, np.linalg.norm(g))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - rate * (m / (1 - 0.9 ** (t + 1))) / (np.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-8)
        np.testing.assert_allclose(np.asarray(params), w, rtol=1e-4)


@pytest.mark.parametrize("clip", [None, 5.0])
@pytest.mark.parametrize("clip_value", [None, 4.0])
def test_optimizer_clips_entries_before_the_norm(clip, clip_value):
    """One gradient that is clipped, one that is not: their weights in Adam's mean tell how long the first was."""
    optimizer = make_optimizer(0.1, steps=2, warm_up=0, clip=clip, clip_value=clip_value)
    params, first, second = np.zeros(2), np.array([3.0, -40.0]), np.array([0.1, 0.2])
    opt_state = optimizer.init(jnp.asarray(params, jnp.float32))
    for gradient in (first, second):
        update, opt_state = optimizer.update(jnp.asarray(gradient, jnp.float32), opt_state, jnp.zeros(2))
    g = first if clip_value is None else np.clip(first, -clip_value, clip_value)
    g = g if clip is None else g * min(1, clip / np.linalg.norm(g))
    m = (0.09 * g + 0.1 * second) / (1 - 0.9**2)
    v = (0.000999 * g**2 + 0.001 * second**2) / (1 - 0.999**2)
    np.testing.assert_allclose(np.asarray(update), -0.05 * m / np.sqrt(v), rtol=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [{"learning_rate": 0.0}, {"steps": 0}, {"clip": -1.0}, {"clip_value": 0.0}, {"warm_up": 1.0}, {"steps": None}],
)
def test_optimizer_refuses(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make_optimizer(**({"learning_rate": 0.1, "steps": 10} | wrong))


@pytest.mark.parametrize("devices", [1, 2])
def test_fit_is_a_loop_of_steps_and_begins_the_text_anew(rng, devices):
    tokens = rng.integers(0, 6, (2, 3, TIME, BATCH)).astype(np.int32)
    model = LanguageModel(6, 3, GRU(3, 4))
    params, optimizer = model.init(jax.random.key(1)), make_optimizer(0.05, 7)
    state = model.initial_state(params, (BATCH,))
    result = fit(
        model.loss,
        params,
        state if devices == 1 else None,  # the same
        (tokens[0], tokens[1]),
        optimizer=optimizer,
        steps=7,
        devices=jax.devices()[:devices],
        progress=False,
    )
    step = jax.jit(make_train_step(model.loss, optimizer))
    train_state, losses = init_train_state(params, state, jax.random.key(0), optimizer), []
    for t in range(7):
        if t % 3 == 0:
            train_state = train_state._replace(state=state)
        train_state, metrics = step(train_state, (tokens[0, t % 3], tokens[1, t % 3]))
        losses.append(float(metrics["loss"]))
    np.testing.assert_allclose([m["training_loss"] for m in result.metrics], losses, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), result.params, train_state.params)


def test_thousands_of_steps_on_two_devices_finish_and_agree(rng):
    one, two = (line_fit(rng=np.random.default_rng(0), steps=2000, devices=jax.devices()[:n]) for n in (1, 2))
    assert two.steps == 2000
    np.testing.assert_allclose(two.params["w"], one.params["w"], rtol=1e-4)


def test_devices_are_the_most_that_divide_the_batch():
    several = list(range(4))
    assert [len(choose(n, several)) for n in (1, 2, 3, 4, 6, 7, 8, 9)] == [1, 2, 3, 4, 3, 1, 4, 3]
    assert choose(2) == jax.devices()[:2]


def test_a_program_in_which_cpu_devices_would_wait_is_refused(rng):
    def talks(params: Any, state: Any, batch: Any, key: Any) -> Any:
        value, rest = line_loss(params, state, batch, key)
        return jax.lax.pmean(value, AXIS), rest

    with pytest.raises(ValueError, match="all-reduce"):
        fit(talks, LINE, START, line_batches(rng, 1), optimizer=optax.sgd(0.1), steps=1, progress=False)


def test_each_device_draws_for_itself(rng):
    def draws(params: Any, state: Any, batch: Any, key: Any) -> Any:
        value, (state, _) = line_loss(params, state, batch, key)
        return value, (state, {"drawn": jax.random.uniform(key)})

    mesh, optimizer = make_mesh(jax.devices()[:2]), optax.sgd(0.1)
    train_state = place_train_state(mesh, init_train_state(LINE, START, jax.random.key(0), optimizer))
    batch = place(mesh, jax.tree.map(lambda a: a[0], line_batches(rng, 1)), BY_COLUMN)
    step, _ = compile_step(draws, optimizer, mesh, train_state, batch)
    train_state, first = step(train_state, batch)
    _, second = step(train_state, batch)
    assert len({*np.asarray(first["drawn"]).tolist(), *np.asarray(second["drawn"]).tolist()}) == 4


def test_fit_keeps_the_best_and_writes_it(rng, tmp_path):
    seen, values = [], iter([3.0, 1.0, math.nan, 2.0])

    def evaluate(params: Any) -> float:
        seen.append(float(params["w"]))
        return next(values)

    result = line_fit(rng, steps=7, evaluate=evaluate, evaluate_every=2, folder=tmp_path)
    assert [m["step"] for m in result.metrics] == [2, 4, 6, 7]
    assert result.metrics[1]["validation_loss"] == 1.0
    assert float(result.params["w"]) == seen[1] != seen[2]
    written = load_parameters(tmp_path / "parameters.safetensors", LINE)
    assert float(written["w"]) == seen[1]
    lines = metrics_file.read(tmp_path / "metrics.jsonl")
    assert [m["step"] for m in lines] == [2, 4, 6, 7]
    assert lines[3] == result.metrics[3]
    assert all(m["characters_per_second"] > 0 for m in lines)


def test_fit_ends_where_the_loss_is_not_finite(rng):
    result = line_fit(rng, steps=1000, optimizer=optax.sgd(1e30), evaluate=lambda params: float(params["w"]) ** 2)
    assert result.diverged
    assert result.steps < 100
    np.testing.assert_array_equal(result.params["w"], LINE["w"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_fit_ends_after_a_signal_and_keeps_what_it_has(rng, number):
    before = signal.getsignal(number)
    times = iter([1])

    def evaluate(params: Any) -> float:
        for _ in times:
            os.kill(os.getpid(), number)
        return -float(params["w"])

    result = line_fit(rng, steps=1000, evaluate=evaluate, evaluate_every=5)
    assert result.interrupted == number
    assert 5 <= result.steps < 15
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"steps": 0}, "steps"),
        ({"evaluate_every": -1}, "evaluate_every"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"folder": "not/there"}, "not/there"),
        ({"state": jnp.zeros(3)}, "batch = 4"),
        ({"chunks": (np.zeros((2, 3)), np.zeros((2, 3)))}, "chunks, time, batch"),
        ({"chunks": (np.zeros((2, 3, 4)), np.zeros((2, 3, 2)))}, "chunks, time, batch"),
    ],
)
def test_fit_refuses(rng, wrong, named):
    given = {"state": START, "chunks": line_batches(rng, 2), "optimizer": optax.sgd(0.1), "steps": 1} | wrong
    with pytest.raises((ValueError, TypeError), match=named):
        fit(line_loss, LINE, **given)


def test_fit_shows_loss_and_speed(rng, capsys):
    line_fit(rng, progress=True)
    shown = capsys.readouterr().err
    assert "nats" in shown
    assert "characters/s" in shown


def test_evaluation_is_the_mean_over_all_steps(rng):
    tokens = rng.integers(0, 6, 50)
    model = LanguageModel(6, 3, GRU(3, 4))
    params = model.init(jax.random.key(1))
    state = model.initial_state(params, (4,))
    found = []
    for n, given in ((1, state), (2, None)):
        evaluate, seconds = compile_evaluation(
            model.loss, params, given, padded_chunks(tokens, 4, 5), jax.devices()[:n]
        )
        found.append(evaluate(params))
        assert seconds > 0
    # 49 steps in four streams of 13, 12, 12 and 12, each read whole
    nats = 0.0
    for first, length in ((0, 13), (13, 12), (25, 12), (37, 12)):
        part = tokens[first : first + length + 1]
        logits = np.asarray(model.apply(params, None, part[:-1]).outputs, np.float64)
        p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        nats -= np.log(p[np.arange(length), part[1:]]).sum()
    np.testing.assert_allclose(found, nats / 49, rtol=1e-5)


def test_a_learned_start_is_that_of_the_parameters_at_hand(rng):
    def loss(params: Any, state: Any, batch: Any, key: Any, lengths: Any = None) -> Any:
        start = jnp.full(batch[0].shape[1], 10 * params["w"]) if state is None else state
        return start.mean(), (start + batch[0].sum(0), {})

    x, y = line_batches(rng, 2)
    evaluate, _ = compile_evaluation(loss, LINE, None, (x, y, np.full((2, BATCH), TIME)))
    later = 10 * 2.0 + x[0].sum(0).mean() / 2  # the mean of both chunks
    np.testing.assert_allclose(evaluate({"w": jnp.array(2.0)}), later, rtol=1e-5)
    result = fit(loss, LINE, None, (x, y), optimizer=optax.sgd(0.1), steps=3, evaluate_every=1, progress=False)
    carried = [5.0, 5.0 + x[0].sum(0).mean(), 5.0]  # no gradient reaches the start, so w stays
    np.testing.assert_allclose([m["training_loss"] for m in result.metrics], carried, rtol=1e-5)


def test_a_loss_without_a_state(rng):
    def loss(params: Any, state: None, batch: Any, key: Any) -> Any:
        return line_loss(params, START[: batch[0].shape[1]], batch, key)[0], (None, {})

    x, y = line_batches(rng, 3)
    result = fit(loss, LINE, None, (x, y), optimizer=optax.sgd(0.1), steps=4, evaluate_every=1, progress=False)
    w, expected = 0.5, []
    for k in (0, 1, 2, 0):
        error = w * x[k] - y[k]
        expected.append(np.mean(error**2))
        w -= 0.1 * np.mean(2 * error * x[k])
    np.testing.assert_allclose([m["training_loss"] for m in result.metrics], expected, rtol=1e-5)


def test_curves_are_in_bits():
    metrics = [{"step": s, "training_loss": s * math.log(2), "validation_loss": 2 * s * math.log(2)} for s in (1, 2)]
    training, validation = curves(metrics).axes[0].lines
    np.testing.assert_allclose(np.asarray(training.get_xydata()), [[1, 1], [2, 2]])
    np.testing.assert_allclose(np.asarray(validation.get_xydata()), [[1, 2], [2, 4]])
    assert validation.get_label() == "validation"
