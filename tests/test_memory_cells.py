"""Cells that reach far back: what the grid of laws leaves out, and the task that they are for."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import GRU, LSTM, NTM, SLSTM, Elman, FastWeights, FeedForward, IndRNN, Readout, Skip, Stack, unfold
from jaxrnn.cells import addressing
from jaxrnn.data import copy_task
from tests import grid, oracles, oracles_memory


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("reads", "writes", "shift"), [(2, 3, 1), (1, 2, 0)])
def test_several_heads_of_an_ntm(reads: int, writes: int, shift: int) -> None:
    """Writing one after another; moving by nothing at all."""
    cell = NTM(LSTM(3 + 2 * reads, 4), 4, 2, reads, writes, shift)
    oracle = oracles_memory.ntm(oracles.LSTM, shift, reads, writes)
    entry = grid.Entry(
        "ntm", cell, oracle, lambda rng, axes: rng.normal(size=(*axes, 3)), oracles_memory.heads_somewhere
    )
    params, state, xs = grid.sample(entry, ())
    run = grid.quick(lambda p, s, x: unfold(cell, p, x, state=s))(params, state, xs)
    expected = oracles.unfolded(oracle, *grid.host((params, state, xs)), steps=grid.T)
    grid.close((run.outputs, run.final), expected, 1e-11, 1e-12)


def test_a_memory_starts_empty_and_its_heads_somewhere() -> None:
    cell = NTM(LSTM(3 + 2, 4), slots=5, width=2)
    params = cell.init(jax.random.key(0))
    state = cell.initial_state(params, (3,))
    assert (np.asarray(state.M) == np.float32(1e-6)).all()
    np.testing.assert_allclose(state.w.sum(-1), np.ones((3, 2)), rtol=1e-6)
    np.testing.assert_allclose(state.w[0], np.exp(params.w) / np.exp(params.w).sum(-1, keepdims=True), rtol=1e-5)
    gradient = jax.grad(lambda p: (unfold(cell, p, jnp.ones((4, 3))).outputs ** 2).sum())(params)
    assert np.abs(gradient.w).min() > 0


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_addresses_at_their_extremes_are_finite(dtype: Any) -> None:
    """An empty memory, a key of zeros, weights of zero and powers that underflow: values and gradients."""
    one_hot = jnp.array([[[1.0, 0.0, 0.0]]], dtype)

    def f(k: jax.Array, M: jax.Array, w: jax.Array, gamma: jax.Array) -> jax.Array:
        w = 0.5 * addressing.by_content(k, jnp.ones((1, 1, 1), dtype), M) + 0.5 * addressing.sharpened(w, gamma)
        return w[0, 0] @ jnp.arange(3, dtype=dtype)

    given = jnp.zeros((1, 1, 2), dtype), jnp.zeros((1, 3, 2), dtype), one_hot, jnp.full((1, 1, 1), 90, dtype)
    value, gradients = jax.value_and_grad(f, argnums=(0, 1, 2, 3))(*given)
    assert float(value) == 0.5
    assert all(np.isfinite(np.asarray(g, np.float32)).all() for g in gradients)
    flat = addressing.sharpened(jnp.full((1, 1, 3), 0.01, dtype), jnp.full((1, 1, 1), 90, dtype))
    np.testing.assert_allclose(np.asarray(flat, np.float32), 1 / 3, rtol=1e-2)


def test_fast_weights_give_back_what_stands_under_a_key() -> None:
    """The delta rule: with a key that is one entry and β = 1, what was there gives way to v, all else stays."""
    cell = FastWeights(FeedForward(9 + 2, 9, "identity"), keys=3, width=2)
    params = cell.init(jax.random.key(0))
    params = params._replace(  # the controller hands x on, and nothing of what was read
        controller=params.controller._replace(U=jnp.eye(11, 9), b=jnp.zeros(9)), V=jnp.eye(9)
    )
    far = 200.0
    writes = [(0, [1.0, 2.0]), (1, [3.0, 4.0]), (0, [5.0, 6.0]), (2, [0.0, 0.0])]
    asked = [0, 0, 1, 0]
    xs = np.zeros((4, 9), np.float32)
    for t, ((key, value), ask) in enumerate(zip(writes, asked, strict=True)):
        xs[t, key], xs[t, 3 + ask], xs[t, 6:8], xs[t, 8] = far, far, value, far
    outputs = unfold(cell, params, jnp.asarray(xs)).outputs
    np.testing.assert_allclose(outputs[:, 9:], [[1, 2], [1, 2], [3, 4], [5, 6]], rtol=1e-5)


def test_a_skip_connection_reads_the_state_of_its_delay() -> None:
    """An impulse comes back after `delay` steps where nothing else is recurrent; before the start, h was h(0)."""
    cell = Skip(Elman(1, 1, "identity"), 3)
    params = cell.init(jax.random.key(0))
    one = jnp.ones((1, 1))
    params = params._replace(cell=params.cell._replace(U=one, W=0 * one, b=jnp.zeros(1)), W=0.5 * one)
    xs = jnp.zeros((8, 1)).at[0].set(1.0)
    np.testing.assert_allclose(unfold(cell, params, xs).outputs[:, 0], [1, 0, 0, 0.5, 0, 0, 0.25, 0], rtol=1e-6)
    start = cell.initial_state(params)
    start = start._replace(cell=start.cell._replace(h=jnp.array([8.0])), past=jnp.array([[4.0], [2.0]]))
    run = unfold(cell, params, jnp.zeros((3, 1)), state=start)
    np.testing.assert_allclose(run.outputs[:, 0], [1.0, 2.0, 4.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (
            lambda: NTM(LSTM, 4, 2),  # pyright: ignore[reportArgumentType]
            "expected a cell",
        ),
        (lambda: NTM(LSTM(5, 4), 0, 2), "slots"),
        (lambda: NTM(LSTM(5, 4), 4, 2, shift=2), "2·shift"),
        (lambda: NTM(LSTM(5, 4), 4, 2, shift=-1), "shift"),
        (lambda: FastWeights(LSTM(5, 4), 4, 0), "width"),
        (lambda: FeedForward(3, 4, "tahn"), "activation"),
        (lambda: Skip(Readout(GRU(3, 4), 2), 3), "Gated"),  # pyright: ignore[reportArgumentType]
        (lambda: Skip(GRU(3, 4), 1), "delay must be at least 2"),
        (lambda: Skip(GRU(3, 4), 2.5), "delay must be a whole number"),  # pyright: ignore[reportArgumentType]
        (lambda: Skip(IndRNN(3, 4), 2).init(jax.random.key(0)), "recurrent matrices"),
        (lambda: Skip(SLSTM(3, 4, heads=2), 2).init(jax.random.key(0)), "recurrent matrices"),
        (lambda: copy_task(jax.random.key(0), 2, 0), "longest must be at least 1"),
        (lambda: copy_task(jax.random.key(0), 2, 3, shortest=4), "longest must be at least 4"),
        (lambda: copy_task(jax.random.key(0), 2, 3, bits=0), "bits"),
    ],
)
def test_what_is_refused(make: Any, named: str) -> None:
    with pytest.raises((TypeError, ValueError), match=named):
        make()


@pytest.mark.parametrize("cell", [NTM(LSTM(9, 4), 4, 2), FastWeights(LSTM(9, 4), 4, 2)], ids=["ntm", "fast_weights"])
def test_inputs_that_the_controller_does_not_read(cell: Any) -> None:
    params = cell.init(jax.random.key(0))
    assert unfold(cell, params, jnp.ones((3, 7))).outputs.shape == (3, 6)
    with pytest.raises(ValueError, match=r"last axis of x must be input_size - 2 = 7, got shape \(9,\)"):
        unfold(cell, params, jnp.ones((3, 9)))
    with pytest.raises(TypeError, match="floating"):
        unfold(cell, params, jnp.ones((3, 7), int))


@pytest.mark.parametrize("cell", [NTM(LSTM(5, 4), 4, 2), FastWeights(LSTM(5, 4), 4, 2)], ids=["ntm", "fast_weights"])
def test_a_batch_of_no_sequences_and_no_steps(cell: Any) -> None:
    params = cell.init(jax.random.key(0))
    assert unfold(cell, params, jnp.ones((3, 0, 3))).outputs.shape == (3, 0, 6)
    assert unfold(cell, params, jnp.ones((0, 2, 3))).outputs.shape == (0, 2, 6)


def test_controllers_may_be_stacks() -> None:
    cell = NTM(Stack([LSTM(3 + 2, 4), GRU(4, 5)]), 4, 2)
    run = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((3, 2, 3)))
    assert run.outputs.shape == (3, 2, 7)


def test_the_copy_task_says_again_what_was_said() -> None:
    task = copy_task(jax.random.key(3), batch=50, longest=4, shortest=2, bits=3)
    xs, ys, mask, lengths = map(np.asarray, task)
    assert xs.shape == (9, 50, 4)
    assert ys.shape == (9, 50, 3)
    seen = set()
    for row in range(50):
        n = (lengths[row] - 1) // 2
        seen.add(int(n))
        np.testing.assert_array_equal(xs[:, row, 3], np.arange(9) == n)
        np.testing.assert_array_equal(mask[:, row], (np.arange(9) > n) & (np.arange(9) <= 2 * n))
        np.testing.assert_array_equal(ys[n + 1 : 2 * n + 1, row], xs[:n, row, :3])
        assert not xs[n:, row, :3].any()
        assert not ys[~mask[:, row], row].any()
    assert seen == {2, 3, 4}
    assert 0.4 < ys[mask].mean() < 0.6
    assert set(np.unique(xs)) == {0.0, 1.0}
    jax.tree.map(np.testing.assert_array_equal, task, copy_task(jax.random.key(3), 50, 4, shortest=2, bits=3))
