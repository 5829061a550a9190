"""Newton's method over a window of time: the states of one step after another, and a residual that says so."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxrnn import (
    BPTT,
    GRU,
    LRU,
    LSTM,
    Autodiff,
    Certificate,
    Elman,
    Newton,
    Readout,
    Scan,
    Stack,
    TruncatedBPTT,
    states,
    transition,
    unfold,
)
from tests import oracles, oracles_cells
from tests.grid import close, gradients, quick, weigh

STEPS = 23  # no window divides them
EPS = float(np.finfo(np.float32).eps)


def residual(step: Any, params: Any, first: Any, found: Any, xs: Any) -> float:
    """The largest |s(t) - f(s(t-1), x(t))| relative to the largest |s| of its sequence, in NumPy, double precision."""
    params, first, found, xs = cast_to_double((params, first, found, xs))
    sequences = range(xs.shape[1])
    return max(
        _of_one(step, params, *(_at(tree, k, axis) for tree, axis in ((first, 0), (found, 1), (xs, 1))))
        for k in sequences
    )


def _of_one(step: Any, params: Any, before: Any, found: Any, xs: Any) -> float:
    scales = [np.abs(a).max() for a in jax.tree.leaves(found)]
    largest = 0.0
    for t in range(xs.shape[0]):
        new, before = step(params, before, xs[t]), _at(found, t, 0)
        for f, s, scale in zip(jax.tree.leaves(new), jax.tree.leaves(before), scales, strict=True):
            largest = max(largest, float(np.abs(f - s).max() / scale))
    return largest


def _at(tree: Any, index: Any, axis: int) -> Any:
    return jax.tree.map(lambda a: np.take(a, index, axis), tree)


def cast_to_double(tree: Any) -> Any:
    """NumPy, in double precision."""
    return jax.tree.map(lambda a: np.asarray(a, np.complex128 if np.iscomplexobj(a) else np.float64), tree)


def sample(cell: Any, dtype: Any = jnp.float32, steps: int = STEPS, batch: tuple[int, ...] = (3,)) -> Any:
    """Parameters, a state that is not zero, and inputs."""
    params = cell.init(jax.random.key(0), dtype)
    state = jax.tree.map(lambda s: s + 0.3, cell.initial_state(params, batch))
    return params, state, jax.random.normal(jax.random.key(1), (steps, *batch, 2), dtype)


CONTRACTING = {
    "elman": (Elman(2, 4), oracles.ELMAN, Newton()),
    "gru, windows": (GRU(2, 4), oracles.GRU, Newton(window=9)),
    "lstm": (LSTM(2, 4), oracles.LSTM, Newton()),
    "lstm, blocks": (LSTM(2, 4), oracles.LSTM, Newton(jacobian="block")),
    "lstm, diagonal, windows": (LSTM(2, 4), oracles.LSTM, Newton(window=9, jacobian="diagonal")),
    "lru, blocks": (LRU(2, 4), oracles_cells.LRU, Newton(jacobian="block")),
}


@pytest.mark.parametrize("name", CONTRACTING)
def test_the_residual_is_what_numpy_finds(name):
    cell, oracle, method = CONTRACTING[name]
    params, state, xs = sample(cell)
    run = unfold(cell, params, xs, state=state, emit=states, method=method)
    assert run.info.fell_back == 0
    assert run.info.sweeps <= {"full": 4, "block": 10, "diagonal": 14}[method.jacobian]
    again = residual(oracle.step, params, state, run.outputs, xs)
    assert again <= 64 * EPS
    np.testing.assert_allclose(float(run.info.residual), again, atol=8 * EPS)
    # The dynamics contract: a small residual bounds the distance from the path of one step after another.
    close(run.outputs, quick(lambda: unfold(cell, params, xs, state=state, emit=states).outputs)(), 0, 2e-5)


SCENARIOS = {
    "padded": {"lengths": np.array([23, 0, 9])},
    "backward, padded, resets": {
        "reverse": True,
        "lengths": np.array([5, 23, 14]),
        "resets": np.arange(STEPS * 3).reshape(-1, 3) % 7 == 3,
    },
}
CELLS = {
    "stack": (Readout(Stack([Elman(2, 4), LSTM(4, 3)]), 2), [(Newton(), BPTT()), (Newton(window=9), BPTT(10))]),
    "gru": (GRU(2, 4), [(Newton(), BPTT(10)), (Newton(jacobian="diagonal"), BPTT())]),
    "lru": (LRU(2, 3), [(Newton(window=9, jacobian="block"), BPTT())]),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("name", "scenario"), [("gru", "padded"), *((name, "backward, padded, resets") for name in CELLS)]
)
def test_values_and_gradients_are_those_of_one_step_after_another(name, scenario):
    cell, pairs = CELLS[name]
    params, state, xs = sample(cell, jnp.float64)

    def run(method, adjoint):
        def loss(params, state, xs):
            run = unfold(cell, params, xs, state=state, method=method, adjoint=adjoint, **SCENARIOS[scenario])
            values = run.outputs, jax.tree.map(lambda s: jnp.stack([s.real, s.imag]), run.final)
            return weigh(values), (values, run.info)

        return gradients(loss, params, state, xs)

    ((values, _), grads), *found = quick(lambda: [run(Scan(), Autodiff()), *(run(*pair) for pair in pairs)])()
    for (values_found, info), grads_found in found:
        for report in (info,) if isinstance(info, Certificate) else info:
            assert report.fell_back == 0
            assert report.residual <= 64 * np.finfo(np.float64).eps
        close((values_found, grads_found), (values, grads), 1e-10, 1e-11)


@pytest.mark.usefixtures("x64")
def test_truncated_gradients():
    cell = GRU(2, 3)
    params, _, xs = sample(cell, jnp.float64)

    def run(method):
        def loss(params):
            return weigh(unfold(cell, params, xs, method=method, adjoint=TruncatedBPTT(4)).outputs)

        return jax.grad(loss)(params)

    found, expected = quick(lambda: (run(Newton()), run(Scan())))()
    close(found, expected, 1e-10, 1e-11)


@pytest.mark.usefixtures("x64")
def test_shards_equal_the_whole():
    cell = LSTM(2, 3)
    params, state, xs = sample(cell, jnp.float64, batch=(4,))

    def gradient(params, state, xs):
        def loss(params, state, xs):
            run = unfold(cell, params, xs, state=state, method=Newton(window=9, jacobian="block"))
            return weigh(run.final), run.outputs

        return gradients(loss, params, state, xs)

    rows, of_time = P("batch"), P(None, "batch")
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    specs = {"in_specs": (P(), rows, of_time), "out_specs": (of_time, [P(), rows, of_time])}
    parts = jax.block_until_ready(quick(jax.shard_map(gradient, mesh=mesh, **specs))(params, state, xs))
    halves = [gradient(params, _at(state, k, 0), _at(xs, k, 1)) for k in ([0, 1], [2, 3])]
    (outputs, (of_params, *_)), (more_outputs, (of_more, *_)) = halves
    close(parts[0], jnp.concatenate([outputs, more_outputs], 1), 1e-10, 1e-11)
    close(parts[1][0], jax.tree.map(jnp.add, of_params, of_more), 1e-10, 1e-11)


LOGISTIC = transition(lambda r, s, x: r * s * (1 - s) + 0 * x[..., :1])


@pytest.mark.parametrize("jacobian", ["full", "diagonal"])
def test_chaos_is_left_to_scan_bit_for_bit(jacobian):
    state, xs, r = jnp.array([[0.3], [0.4]]), jnp.zeros((200, 2, 2)), jnp.float32(4)
    method = Newton(window=128, jacobian=jacobian)
    run = unfold(LOGISTIC, r, xs, state=state, method=method)
    np.testing.assert_array_equal(run.outputs, unfold(LOGISTIC, r, xs, state=state).outputs)
    assert run.info.fell_back == 2
    assert run.info.residual == 0
    assert run.info.depth > 200


def test_strongly_driven_chaos_is_certified_or_left_to_scan():
    cell = Elman(2, 16)
    params, state, xs = sample(cell, steps=60)
    W = np.asarray(params.W)
    params = params._replace(W=jnp.asarray(3 * W / np.abs(np.linalg.eigvals(W)).max()))
    found = [unfold(cell, params, xs, state=state, emit=states, method=Newton(window=w)) for w in (4, 60)]
    expected = unfold(cell, params, xs, state=state, emit=states).outputs.h
    short, long = found
    # Windows of four steps converge, since each Newton step makes one more state exact; the whole does not.
    assert short.info.fell_back == 0
    assert residual(oracles.ELMAN.step, params, state, short.outputs, xs) <= 65 * EPS
    assert long.info.fell_back == 1
    np.testing.assert_array_equal(long.outputs.h, expected)


def test_not_a_number_stays_where_it_is():
    cell = GRU(2, 4)
    params, state, xs = sample(cell)
    xs = xs.at[11, 1].set(jnp.nan)
    run = unfold(cell, params, xs, state=state, method=Newton())
    np.testing.assert_array_equal(run.outputs, unfold(cell, params, xs, state=state).outputs)
    assert np.isnan(run.outputs[11:, 1]).all()
    assert np.isfinite(run.outputs[:, [0, 2]]).all()
    assert np.isnan(run.info.residual)
    assert run.info.fell_back == 1


def test_too_few_steps_fall_back():
    cell = LSTM(2, 4)
    params, state, xs = sample(cell)
    run = unfold(cell, params, xs, state=state, method=Newton(max_steps=2))
    assert (run.info.sweeps, run.info.fell_back) == (2, 1)
    np.testing.assert_array_equal(run.outputs, unfold(cell, params, xs, state=state).outputs)


def test_a_linear_recurrence_takes_one_step_and_depth_grows_with_the_logarithm():
    W = jnp.array([[0.6, 0.5], [-0.5, 0.6]])
    depths = []
    for steps in (64, 4096):
        xs = jax.random.normal(jax.random.key(0), (steps, 2, 2))
        rotation = transition(lambda W, s, x: s @ W + x)
        run = unfold(rotation, W, xs, state=jnp.zeros((2, 2)), method=Newton())
        assert run.info.sweeps == 1
        assert run.info.fell_back == 0
        depths.append(int(run.info.depth))
    assert depths == [2 * 6 + 4, 2 * 12 + 4]


def test_windows_begin_where_the_last_ended_and_add_up():
    cell = GRU(2, 4)
    params, state, xs = sample(cell)
    whole = unfold(cell, params, xs, state=state, method=Newton(window=9)).info
    parts, now = [], state
    for rows in (xs[:9], xs[9:18], xs[18:]):
        run = unfold(cell, params, rows, state=now, method=Newton())
        parts, now = [*parts, run.info], run.final
    assert whole.sweeps == max(p.sweeps for p in parts)
    assert whole.depth == sum(p.depth for p in parts)
    np.testing.assert_allclose(whole.residual, max(p.residual for p in parts), atol=4 * EPS)


def _counting(params: Any, s: Any, x: jax.Array) -> Any:
    n = s["n"] + 1
    return {"n": n, "h": jnp.tanh(s["h"] @ params + jnp.cos(n)[..., None] * x)}


def test_integers_are_carried_unless_they_depend_on_what_is_real():
    params, xs = 0.4 * jnp.ones((2, 2)), jax.random.normal(jax.random.key(0), (STEPS, 3, 2))
    state = {"n": jnp.arange(3), "h": jnp.zeros((3, 2))}
    run, expected = (unfold(transition(_counting), params, xs, state=state, method=m) for m in (Newton(), Scan()))
    assert run.info.fell_back == 0
    assert run.info.depth > STEPS
    np.testing.assert_array_equal(run.outputs["n"], expected.outputs["n"])
    close(run.outputs["h"], expected.outputs["h"], 0, 1e-5)

    def events(params: Any, s: Any, x: jax.Array) -> Any:
        return s | {"n": s["n"] + (s["h"].sum(-1) > 0)}

    with pytest.raises(TypeError, match=r"integers that depend on its real numbers.*Scan\(\)"):
        unfold(transition(events), params, xs, state=state, method=Newton())
    with pytest.raises(TypeError, match=r"no real numbers.*Scan\(\)"):
        unfold(transition(lambda p, s, x: s + 1), params, xs, state=jnp.arange(3), method=Newton())


def test_under_vmap_each_example_has_its_own_report():
    state, xs, r = jnp.array([0.3]), jnp.zeros((100, 2)), jnp.array([0.5, 4.0])
    run = jax.vmap(lambda r: unfold(LOGISTIC, r, xs, state=state, method=Newton()))(r)
    np.testing.assert_array_equal(run.info.fell_back, [0, 1])
    each = unfold(LOGISTIC, r[1], xs, state=state)
    np.testing.assert_array_equal(run.outputs[1], each.outputs)


@pytest.mark.parametrize("jacobian", ["full", "diagonal"])
def test_half_precision(jacobian):
    cell = GRU(2, 4)
    params, state, xs = sample(cell, jnp.bfloat16)
    run = unfold(cell, params, xs, state=state, method=Newton(jacobian=jacobian))
    assert run.outputs.dtype == jnp.bfloat16
    assert run.info.fell_back == 0
    assert run.info.residual <= 4 * float(jnp.finfo(jnp.bfloat16).eps)
    close(run.outputs, unfold(cell, params, xs, state=state).outputs, 0, 0.06)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, "Newton: window must be at least 1"),
        ({"max_steps": 0}, "Newton: max_steps must be at least 1"),
        ({"tolerance": -1.0}, "Newton: tolerance must be above 0, got -1.0"),
        ({"jacobian": "exact"}, "Newton: jacobian must be one of full, block, diagonal, got 'exact'"),
    ],
)
def test_wrong_choices(arguments, message):
    with pytest.raises(ValueError, match=message):
        Newton(**arguments)


def test_a_tolerance_below_rounding():
    cell = Elman(2, 3)
    with pytest.raises(ValueError, match="tolerance = 1e-08 is below what float32 can hold"):
        unfold(cell, cell.init(jax.random.key(0)), jnp.ones((5, 2)), method=Newton(tolerance=1e-8))
