"""Blocks of time side by side: the sequential answer, certified by a residual that NumPy finds again."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    BPTT,
    GRU,
    Elman,
    ElmanParams,
    Readout,
    Scan,
    Shooting,
    TruncatedBPTT,
    states,
    transition,
    unfold,
)
from tests import grid

T = 384


def _elman(radius: float, seed: int = 0) -> ElmanParams:
    """An Elman net whose recurrent matrix has this spectral radius."""
    params = Elman(2, 16).init(jax.random.key(seed), jnp.float64)
    W = np.asarray(jax.random.normal(jax.random.key(seed + 1), (16, 16), jnp.float64))
    return params._replace(W=jnp.asarray(W * radius / np.abs(np.linalg.eigvals(W)).max()), b=params.b + 0.1)


def _residual(params: ElmanParams, xs: np.ndarray, h: np.ndarray) -> float:
    """Max |h(t) - tanh(x(t) U + h(t-1) W + b)| / max |h|, in double precision."""
    U, W, b, xs, h = (np.asarray(a, np.float64) for a in (params.U, params.W, params.b, xs, h))
    before = np.concatenate([np.zeros_like(h[:1]), h[:-1]])
    gap = np.abs(h - np.tanh(xs @ U + before @ W + b)).max((0, 2))
    return float((gap / np.abs(h).max((0, 2))).max())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("radius", [0.8, 1.2, 3.0])
def test_the_residual_is_the_one_that_numpy_finds(radius: float) -> None:
    """Contractive, marginal and chaotic dynamics; where it contracts, the residual bounds the distance."""
    params, cell = _elman(radius), Elman(2, 16)
    xs = jax.random.normal(jax.random.key(5), (T, 3, 2), jnp.float64)

    @grid.quick
    def program(params, xs):
        run = [unfold(cell, params, xs, emit=states, method=Shooting(4, tolerance, 3)) for tolerance in (1e-5, 1e-9)]
        return run, unfold(cell, params, xs, emit=states, method=Scan())

    runs, expected = program(params, xs)
    for run, tolerance in zip(runs, (1e-5, 1e-9), strict=True):
        h, info = np.asarray(run.outputs.h), run.info
        found = _residual(params, np.asarray(xs), h)
        np.testing.assert_allclose(found, info.residual, rtol=1e-5, atol=1e-15)
        if info.fell_back:
            assert radius > 1
            np.testing.assert_array_equal(h, expected.outputs.h)
            assert info.depth >= T
        else:
            assert info.residual <= tolerance
            assert info.depth < T
        if radius < 1:
            assert info.residual > 0
            assert not info.fell_back
            gain = np.linalg.norm(np.asarray(params.W), 2)
            assert np.abs(h - expected.outputs.h).max() <= 100 * tolerance * max(1, gain)
        if radius == 3:
            assert info.fell_back == 1


def test_chaos_falls_back_bit_for_bit() -> None:
    """The logistic map at r = 4, whose solutions part as fast as rounding grows."""
    logistic = transition(lambda r, s, x: r * s * (1 - s))
    start = jnp.array([0.3, 0.71])

    @jax.jit
    def both(r):
        return [unfold(logistic, r, steps=200, state=start, method=m) for m in (Shooting(blocks=8), Scan())]

    found, expected = both(jnp.float32(4))
    np.testing.assert_array_equal(found.outputs, expected.outputs)
    assert found.info.fell_back == 1
    assert found.info.residual == 0


def test_with_as_many_sweeps_as_blocks_it_never_falls_back() -> None:
    logistic = transition(lambda r, s, x: r * s * (1 - s))
    arguments = {"steps": 203, "state": jnp.float32(0.3)}
    found = unfold(logistic, jnp.float32(4), method=Shooting(blocks=8, max_sweeps=8), **arguments)
    expected = unfold(logistic, jnp.float32(4), **arguments)
    np.testing.assert_array_equal(found.outputs, expected.outputs)
    assert not found.info.fell_back
    assert found.info.residual == 0


def _grows_in_between(steps: int) -> np.ndarray:
    """a(t) and b(t) of s(t) = a(t) s(t-1) + b(t), which forgets all, then grows from nothing, then forgets again."""
    a, b = np.full(steps, 0.5), np.full(steps, 1e-3)
    a[steps // 4 : steps // 2] = 1.3
    a[steps // 4 - 2 : steps // 4] = 0
    b[steps // 4 - 8 : steps // 2] = 0
    return np.stack([a, b], -1).astype(np.float32)


def test_a_path_that_grew_from_a_wrong_start_is_no_measure_of_itself() -> None:
    """From s(0) = 1 the second block reaches 4e14; the states are 0.5 at the most. So it is of λ, from the end."""
    cell = transition(lambda _, s, x: x[..., :1] * s + x[..., 1:])
    xs, start = jnp.asarray(_grows_in_between(512)), jnp.ones(1)

    @jax.jit
    def program(xs):
        def final(xs, method):
            return unfold(cell, None, xs, state=start, method=method).final.sum()

        methods = Shooting(blocks=4), Scan()
        runs = [unfold(cell, None, xs, state=start, method=m) for m in methods]
        return runs, [jax.grad(lambda xs, m=m: final(xs, m))(xs[::-1]) for m in methods]

    (found, expected), (slope, expected_slope) = program(xs)
    grid.close(found.outputs, expected.outputs, 1e-4, 1e-5)
    grid.close(slope, expected_slope, 1e-4, 1e-5)
    assert not found.info.fell_back


def test_gradients_that_would_grow_from_a_guess() -> None:
    """λ ends where tanh is saturated; before that it would grow by 1.2 a step, had anything been left of it."""
    cell = Elman(8, 8)
    params = cell.init(jax.random.key(0))
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    params = params._replace(U=jnp.eye(8), W=jnp.asarray(1.2 * turn, jnp.float32), b=jnp.zeros(8))
    xs = jnp.zeros((512, 8)).at[380:390].set(20.0)

    @jax.jit
    def both(params, xs):
        def loss(params, xs, method):
            return unfold(cell, params, xs, method=method).final.h.sum()

        return [jax.grad(lambda p, x, m=m: loss(p, x, m), (0, 1))(params, xs) for m in (Shooting(blocks=4), Scan())]

    found, expected = both(params, xs)
    assert not np.asarray(expected[1][:380]).any()
    grid.close(found, expected, 1e-4, 1e-4)


def test_what_stands_in_padding_is_no_measure() -> None:
    """A start that is large beside the states; from the end, it is what padding holds before the sequence begins."""
    cell = transition(lambda _, s, x: 0.5 * s + x, initial_state=lambda _, batch: jnp.full((*batch, 1), 1e6))
    xs = jax.random.normal(jax.random.key(0), (256, 2, 1)).at[255, 0].set(-5e5).at[99, 1].set(-5e5)
    options: Any = {"lengths": jnp.array([256, 100]), "reverse": True}
    found, expected = (unfold(cell, None, xs, method=m, **options) for m in (Shooting(blocks=8), Scan()))
    assert not found.info.fell_back
    grid.close(found.outputs, expected.outputs, 0, 1e-3)


def test_padding_costs_no_sweeps() -> None:
    """A sequence that ends early does not have its last state handed on from block to block."""
    cell = GRU(2, 8)
    params = cell.init(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (512, 3, 2))
    lengths = jnp.array([512, 40, 0])

    @jax.jit
    def both(params, xs):
        def loss(params, xs, method):
            run = unfold(cell, params, xs, lengths=lengths, method=method, adjoint=BPTT())
            return grid.weigh(run.outputs) + grid.weigh(run.final), run

        return [grid.gradients(lambda p, x, m=m: loss(p, x, m), params, xs) for m in (Shooting(blocks=8), Scan())]

    (found, slopes), (expected, expected_slopes) = both(params, xs)
    grid.close((found.outputs, found.final), (expected.outputs, expected.final), 1e-4, 1e-5)
    grid.close(slopes, expected_slopes, 1e-3, 1e-3)
    assert found.info.sweeps == 2
    assert not found.info.fell_back


@pytest.mark.usefixtures("x64")
def test_windows_blocks_and_truncation_go_together() -> None:
    net = Readout(GRU(2, 5), 3)
    params = net.init(jax.random.key(0), jnp.float64)
    xs = jax.random.normal(jax.random.key(1), (T + 3, 2, 2), jnp.float64)
    pairs = [
        (Shooting(blocks=4, window=130), BPTT()),
        (Shooting(blocks=4, max_sweeps=4), BPTT(block=160)),
        (Shooting(blocks=5, max_sweeps=1), BPTT()),
    ]
    cut = [(Scan(), TruncatedBPTT(7)), (Shooting(blocks=3), TruncatedBPTT(7))]

    @grid.quick
    def program(params, xs):
        def loss(params, xs, method, adjoint):
            run = unfold(net, params, xs, method=method, adjoint=adjoint)
            return grid.weigh((run.outputs, run.final)), run

        return [grid.gradients(lambda p, x, m=m: loss(p, x, *m), params, xs) for m in ((Scan(), BPTT()), *pairs, *cut)]

    (run, slopes), *found = program(params, xs)
    for other, other_slopes in found[:3]:
        grid.close((other.outputs, other.final, other_slopes), (run.outputs, run.final, slopes), 1e-9, 1e-10)
    grid.close(found[4][1], found[3][1], 1e-9, 1e-10)
    windows, blocks, no_second_sweep = (other.info for other, _ in found[:3])
    assert not windows.fell_back
    assert not blocks.fell_back
    assert no_second_sweep.fell_back == 1


def test_what_is_not_finite_is_said_and_not_patched() -> None:
    cell = Elman(2, 4)
    params = cell.init(jax.random.key(0))
    xs = jnp.ones((64, 2)).at[40].set(jnp.nan)
    run = unfold(cell, params, xs, method=Shooting(blocks=4))
    expected = unfold(cell, params, xs)
    np.testing.assert_array_equal(run.outputs, expected.outputs)
    assert np.isnan(run.outputs[40:]).all()
    assert np.isfinite(run.outputs[:40]).all()
    assert np.isnan(run.info.residual)
    assert run.info.fell_back == 1


def test_sweeps_are_no_more_than_make_every_block_exact() -> None:
    """What never agrees, for it is not a number, is not swept as often as it may be."""
    cell = Elman(2, 4)
    xs = jnp.ones((64, 2)).at[20].set(jnp.nan)
    run = unfold(cell, cell.init(jax.random.key(0)), xs, method=Shooting(blocks=4, max_sweeps=100))
    assert run.info.sweeps == 5
    assert run.info.fell_back == 1


@pytest.mark.parametrize("blocks", [None, 4])
def test_a_batch_of_nothing(blocks: int | None) -> None:
    cell = GRU(2, 4)
    params, xs = cell.init(jax.random.key(0)), jnp.ones((64, 0, 2))

    @grid.quick
    def slope(params, lengths):
        def loss(params):
            return unfold(cell, params, xs, lengths=lengths, method=Shooting(blocks)).outputs.sum()

        return jax.grad(loss)(params)

    assert not any(np.asarray(g).any() for g in slope(params, jnp.zeros(0, jnp.int32)))


def test_vmap_and_a_second_call() -> None:
    cell = Elman(2, 4)
    params = cell.init(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (3, 64, 2))

    @jax.jit
    def both(xs):
        one = [lambda xs, m=m: unfold(cell, params, xs, method=m) for m in (Shooting(blocks=4), Scan())]
        return [jax.vmap(f)(xs) for f in one]

    found, expected = both(xs)
    grid.close(found.outputs, expected.outputs, 1e-4, 3e-5)
    assert found.info.residual.shape == (3,)


def test_errors_name_what_to_pass() -> None:
    cell = Elman(2, 4)
    params, xs = cell.init(jax.random.key(0)), jnp.ones((8, 2))
    with pytest.raises(ValueError, match="blocks = 9, but there are 8 steps: pass fewer"):
        unfold(cell, params, xs, method=Shooting(blocks=9))
    with pytest.raises(ValueError, match=r"tolerance = 1e-09 is below what float32 can hold: pass at least 1\.1"):
        unfold(cell, params, xs, method=Shooting(tolerance=1e-9))
    for wrong in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="Shooting: tolerance must be above 0, got"):
            Shooting(tolerance=wrong)
    for wrong in ("small", True):
        with pytest.raises(TypeError, match="Shooting: tolerance must be a number, got"):
            Shooting(tolerance=wrong)  # pyright: ignore[reportArgumentType]
    assert Shooting(tolerance=np.float32(1e-3)).tolerance == np.float32(1e-3)  # pyright: ignore[reportArgumentType]
    for name in ("blocks", "max_sweeps", "window"):
        with pytest.raises(ValueError, match=name):
            Shooting(**{name: 0})  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"second derivative.*method=Scan\(\)"):
        jax.grad(lambda p: jax.grad(lambda p: unfold(cell, p, xs, method=Shooting(2)).outputs.sum())(p).W.sum())(params)
