"""A look before the sweeps: a net that does not forget what it started from goes one step after another at once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import GRU, LSTM, Elman, Readout, Scan, Shooting, Stack, states, transition, unfold
from jaxrnn.unfold.probe import probe
from tests import grid

T = 384


def _linear(s: Any, item: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
    a, b = item
    return a * s + b, None


def _look(a: np.ndarray, b: np.ndarray, first: float = 0.0, valid: Any = None, **options: Any) -> tuple[bool, int]:
    given = {"steps": 100, "tolerance": 1e-5, "backward": False} | options
    items = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)
    start = jnp.full(items[0].shape[1:], first, jnp.float32)
    found = jax.jit(lambda items, start: probe(_linear, start, items, valid, **given))(items, start)
    return bool(found.forgets), int(found.steps)


def _meets(a: np.ndarray, b: np.ndarray, first: float, steps: int, apart: int, tolerance: float) -> tuple[bool, int]:
    """The same of one number, by hand, in double precision."""
    one, other, largest = first, first, 0.0
    for t in range(steps):
        one, other = a[t] * one + b[t], a[t] * (first if t == apart else other) + b[t]
        largest = max(largest, abs(one))
        if t >= apart and abs(one - other) <= tolerance * largest:
            return True, t + 1
    return False, steps


@pytest.mark.parametrize("a", [0.3, 0.8, 0.95, 1.0, 1.1])
@pytest.mark.parametrize("apart", [1, 8])
def test_paths_meet_where_numpy_finds_that_they_do(a: float, apart: int) -> None:
    rng = np.random.default_rng(0)
    factors, b = np.full(128, a), rng.normal(size=128)
    expected = _meets(factors, b, 0.5, 100, apart, 1e-5)
    assert expected[0] == (a < 0.9)
    assert _look(factors[:, None], b[:, None], 0.5, apart=apart) == expected
    turned = np.concatenate([b[:100][::-1], b[100:]])
    assert _look(factors[:, None], turned[:, None], 0.5, apart=apart, backward=True) == expected


def test_every_sequence_of_a_batch_has_to_forget() -> None:
    b = np.random.default_rng(0).normal(size=(128, 3, 2))
    a = np.full_like(b, 0.5)
    forgets, few = _look(a, b)
    assert forgets
    assert few < 30
    a[:, 1, 0] = 1
    assert _look(a, b) == (False, 100)
    valid = jnp.asarray(
        np.arange(128)[:, None] < np.array([128, 5, 128])
    )  # what comes after the end is nothing to forget
    assert _look(a, b, valid=valid) == (True, few)


def test_what_is_not_finite_never_meets() -> None:
    b = np.ones((128, 1))
    b[12] = np.nan
    assert _look(np.full_like(b, 0.9), b) == (False, 100)


def test_fewer_steps_than_the_look_would_take() -> None:
    b = np.ones((3, 1))
    assert _look(np.zeros_like(b), b) == (True, 2)
    assert _look(np.ones_like(b), b) == (False, 3)
    assert _look(np.zeros_like(b), b, steps=1) == (False, 1)  # nothing can be seen in one step


def _remembering(cell: Any) -> Any:
    """Parameters with which an Elman net turns its state, or an LSTM keeps c, and neither forgets."""
    params = cell.init(jax.random.key(0))
    n = cell.hidden_size
    if isinstance(cell, LSTM):
        return params._replace(b=params.b.at[n : 2 * n].add(8.0))
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))[0]
    return params._replace(W=jnp.asarray(turn, jnp.float32))


def _runs(cell: Any, params: Any, xs: jax.Array, methods: tuple[Any, ...], **options: Any) -> Any:
    """Of each method the run, and the gradients of a function of all of its states."""

    @jax.jit
    def program(params, xs):
        def loss(params, xs, method):
            run = unfold(cell, params, xs, emit=states, method=method, **options)
            return grid.weigh((run.outputs, run.final)), run

        return [grid.gradients(lambda p, x, m=m: loss(p, x, m), params, xs) for m in methods]

    return program(params, xs)


def _same(found: Any, expected: Any) -> None:
    """But for the last bits, which are the compiler's: in a loop of its own it may round otherwise."""
    grid.close(found, expected, 1e-5, 1e-6)


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "lengths": {"lengths": jnp.array([384, 100])},
    "reverse": {"lengths": jnp.array([384, 100]), "reverse": True},
    "resets": {"resets": jnp.zeros((T, 2), bool).at[T - 9].set(True)},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("cell", [Elman(2, 16), LSTM(2, 16)], ids=lambda c: type(c).__name__)
def test_a_net_that_does_not_forget_goes_as_scan_does(cell: Any, name: str) -> None:
    """Without a sweep, after a look whose steps are counted."""
    params, xs = _remembering(cell), 0.02 * jax.random.normal(jax.random.key(1), (T, 2, 2))
    methods = Scan(), Shooting(blocks=4, probe=24)
    (expected, slopes), (found, found_slopes) = _runs(cell, params, xs, methods, **OPTIONS[name])
    _same((found.outputs, found.final), (expected.outputs, expected.final))
    assert (found.info.sweeps, found.info.residual, found.info.fell_back) == (0, 0, 1)
    assert found.info.depth == T + 24
    for slope, other in zip(jax.tree.leaves(found_slopes), jax.tree.leaves(slopes), strict=True):
        # Sums over time of terms as large as the largest entry: 32 units of rounding of that.
        np.testing.assert_allclose(slope, other, rtol=0, atol=4e-6 * np.abs(other).max())


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("cell", [Elman(2, 16), GRU(2, 16)], ids=lambda c: type(c).__name__)
def test_a_net_that_forgets_is_swept_as_without_a_look(cell: Any, name: str) -> None:
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (T, 2, 2))
    methods = Shooting(blocks=4), Shooting(blocks=4, probe=96)
    (expected, slopes), (found, found_slopes) = _runs(cell, params, xs, methods, **OPTIONS[name])
    _same((found.outputs, found.final), (expected.outputs, expected.final))
    grid.close(found_slopes, slopes, 1e-4, 1e-4)
    assert expected.info.sweeps == found.info.sweeps == 2
    assert not found.info.fell_back
    assert expected.info.depth + 8 < found.info.depth < expected.info.depth + 96


def test_each_window_is_looked_at() -> None:
    """A net that forgets until half of the time is over, by an input that says how much."""
    cell = transition(lambda _, s, x: x[..., :1] * s + x[..., 1:])
    xs = jax.random.normal(jax.random.key(0), (T, 1, 2)).at[: T // 2, :, 0].set(0.5).at[T // 2 :, :, 0].set(-1.0)
    options: Any = {"state": jnp.ones((1, 1))}
    methods = Scan(), Shooting(blocks=4, window=T // 4, probe=48)
    (expected, slopes), (found, found_slopes) = _runs(cell, None, xs, methods, **options)
    grid.close((found.outputs, found_slopes), (expected.outputs, slopes), 1e-4, 1e-3)
    assert found.info.fell_back == 2
    assert found.info.sweeps == 2


def test_lambda_is_looked_at_by_itself() -> None:
    """States far apart that stay so, each of them stable: two paths never meet, and λ vanishes on both."""
    cell = Elman(1, 2)
    params = cell.init(jax.random.key(0))
    params = params._replace(U=jnp.ones((1, 2)), W=jnp.diag(jnp.array([3.0, -0.1])), b=jnp.zeros(2))
    xs = jnp.zeros((T, 1)).at[3].set(8.0)  # from then on h(t) = tanh(3 h(t-1)), near 1; from s(0) it stays 0
    (expected, slopes), (found, found_slopes) = _runs(cell, params, xs, (Scan(), Shooting(blocks=4, probe=32)))
    _same(found.outputs, expected.outputs)
    assert found.info.fell_back == 1
    grid.close(found_slopes, slopes, 1e-4, 1e-4)


def test_each_layer_and_each_example_of_vmap_is_looked_at() -> None:
    lower = Elman(2, 8)
    cell = Readout(Stack([lower, Elman(8, 8)]), 3)
    params, first = cell.init(jax.random.key(0)), _remembering(lower)
    both = jax.tree.map(lambda a, b: jnp.stack([a, b]), params, params._replace(cell=(first, params.cell[1])))
    xs = 0.02 * jax.random.normal(jax.random.key(1), (2, T, 2))

    @jax.jit
    def program(params, xs):
        def run(method):
            return jax.vmap(lambda p, x: unfold(cell, p, x, method=method))(params, xs)

        return run(Shooting(blocks=4, probe=48)), run(Scan())

    found, expected = program(both, xs)
    grid.close(found.outputs, expected.outputs, 1e-4, 1e-4)
    np.testing.assert_array_equal([info.fell_back for info in found.info], [[0, 1], [0, 0]])
    np.testing.assert_array_equal([info.sweeps for info in found.info], [[2, 0], [2, 2]])


def test_errors_name_what_to_pass() -> None:
    with pytest.raises(ValueError, match="probe"):
        Shooting(probe=0)
    with pytest.raises(ValueError, match=r"probe = 8 looks where time begins, and axis = .time..*pass one of them"):
        Shooting(probe=8, axis="time")
