"""The unfolding itself: the classical system, shared parameters, causality, any length; the arguments of `unfold`."""

from functools import partial
from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import BPTT, GRU, LSTM, Autodiff, Cell, Elman, Readout, Stack, TruncatedBPTT, states, transition, unfold
from tests import grid, oracles

ADJOINTS = (Autodiff(), BPTT(), BPTT(block=3), TruncatedBPTT(2))
T, B = grid.T, 3


def _logistic(r: Any, s: Any, x: Any) -> Any:
    assert x is None
    return r * s * (1 - s)


@pytest.mark.usefixtures("x64")
def test_three_steps_are_f_of_f_of_s1() -> None:
    """Deep Learning, Eq. 10.1 to 10.3: for τ = 3, s(3) = f(s(2)) = f(f(s(1)))."""
    cell, r, s1 = transition(_logistic), jnp.float64(3.7), jnp.float64(0.3)
    expected = _logistic(r, _logistic(r, s1, None), None)
    for adjoint in ADJOINTS:
        run = unfold(cell, r, steps=2, state=s1, adjoint=adjoint)
        np.testing.assert_allclose(run.final, expected, rtol=1e-15)
        np.testing.assert_allclose(run.outputs[-1], expected, rtol=1e-15)
        assert run.outputs.shape == (2,)


@pytest.mark.usefixtures("x64")
def test_the_classical_system_has_gradients() -> None:
    """∂s(τ)/∂r and ∂s(τ)/∂s(0) of the logistic map by the product rule, in NumPy."""
    r, s, by_r, by_s = 3.2, 0.4, 0.0, 1.0
    for _ in range(10):
        by_r, by_s, s = s * (1 - s) + r * (1 - 2 * s) * by_r, r * (1 - 2 * s) * by_s, r * s * (1 - s)
    cell = transition(_logistic)

    @grid.quick
    def program(r: Any, s: Any) -> Any:
        return [
            jax.grad(lambda r, s, a=adjoint: unfold(cell, r, steps=10, state=s, adjoint=a).final, (0, 1))(r, s)
            for adjoint in (Autodiff(), BPTT(), BPTT(block=4))
        ]

    for found in program(jnp.float64(3.2), jnp.float64(0.4)):
        np.testing.assert_allclose(found, (by_r, by_s), rtol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "readout_stack", "transition", "linear"])
def test_the_gradient_of_shared_weights_is_the_sum_over_untied_copies(name: str) -> None:
    """Parameter sharing: one copy of θ for each step, made equal; ∂L/∂θ = Σ_t ∂L/∂θ(t)."""
    entry = grid.CELLS[grid.NAMES.index(name)]
    cell = entry.cell
    params, state, xs = grid.sample(entry, (2,))

    @grid.quick
    def program(params: Any) -> Any:
        def untied(copies: Any) -> Any:
            s, outputs = state, []
            for t in range(T):
                p, x = (jax.tree.map(lambda a, t=t: a[t], tree) for tree in (copies, xs))
                s = cell.step(p, s, x)
                outputs.append(cell.output(p, s))
            return grid.weigh(jnp.stack(outputs))

        copies = jax.tree.map(lambda p: jnp.broadcast_to(p, (T, *p.shape)), params)
        parts = jax.grad(untied)(copies)
        tied = jax.grad(lambda p: grid.weigh(unfold(cell, p, xs, state=state).outputs))(params)
        return parts, tied

    parts, tied = program(params)
    for part, whole in zip(jax.tree.leaves(parts), jax.tree.leaves(tied), strict=True):
        np.testing.assert_allclose(part.sum(0), whole, rtol=1e-10, atol=1e-12)
        assert not np.allclose(part[0], part[-1])  # the copies do differ in what they receive


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("name", ["gru", "readout_stack", "transition", "linear"])
def test_the_past_alone_is_read(name: str, reverse: bool) -> None:
    """h(t) = g(t)(x(t), ..., x(1)): neither a change of x(t+1) nor its gradient reaches it; one of x(t) does."""
    entry = grid.CELLS[grid.NAMES.index(name)]
    params, state, xs = grid.sample(entry, ())

    @grid.quick
    def program(xs: Any) -> Any:
        def outputs(xs: Any) -> Any:
            return unfold(entry.cell, params, xs, state=state, reverse=reverse, adjoint=BPTT(block=3)).outputs

        changed = jax.vmap(lambda t: outputs(jax.tree.map(lambda a: a.at[t].add(1.0), xs)))(jnp.arange(T))
        slopes = jax.vmap(lambda t: jax.grad(lambda xs: outputs(xs)[t].sum())(xs))(jnp.arange(T))
        return outputs(xs), changed, slopes

    outputs, changed, slopes = grid.host(program(xs))
    reads = np.tril(np.ones((T, T), bool))  # [t, k]: h(t) reads x(k)
    reads = reads.T if reverse else reads
    moved = (np.abs(changed - outputs) > 1e-12).any(-1).T
    np.testing.assert_array_equal(moved, reads)
    for slope in jax.tree.leaves(slopes):
        np.testing.assert_array_equal((np.asarray(slope) != 0).any(-1), reads)


def test_the_same_parameters_run_any_length() -> None:
    cell = LSTM(2, 3)
    params = cell.init(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (33, 2))
    whole = unfold(cell, params, xs).outputs
    for steps in (1, 2, 16):
        np.testing.assert_allclose(unfold(cell, params, xs[:steps]).outputs, whole[:steps], rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("entry", grid.KINDS, ids=lambda entry: entry.name)
def test_two_halves_equal_one_whole(entry: grid.Entry) -> None:
    """With the state carried over; values and gradients, which pass from half to half."""
    sample = grid.sample(entry, (2,))

    @grid.quick
    def program(*operands: Any) -> Any:
        def halves(params: Any, state: Any, xs: Any) -> Any:
            first = unfold(entry.cell, params, jax.tree.map(lambda a: a[:4], xs), state=state)
            second = unfold(entry.cell, params, jax.tree.map(lambda a: a[4:], xs), state=first.final)
            found = jnp.concatenate([first.outputs, second.outputs]), second.final
            return grid.weigh(found), found

        def whole(params: Any, state: Any, xs: Any) -> Any:
            run = unfold(entry.cell, params, xs, state=state)
            return grid.weigh((run.outputs, run.final)), (run.outputs, run.final)

        return grid.gradients(halves, *operands), grid.gradients(whole, *operands)

    halves, whole = program(*sample)
    grid.close(halves, whole, 1e-11, 1e-12)


@pytest.mark.parametrize("adjoint", ADJOINTS, ids=str)
def test_emit(adjoint: Any) -> None:
    """Nothing, outputs, states, a function of one's own that gives a tree; `final` is the same whatever is kept."""
    net = Readout(Stack([GRU(2, 3), LSTM(3, 4)]), 2)
    params = net.init(jax.random.key(0))
    xs, lengths = jax.random.normal(jax.random.key(1), (T, B, 2)), jnp.array([T, 0, 4])

    def mine(cell: Cell, params: Any, state: Any) -> Any:
        assert cell is net
        return {"norm": (state[0].h ** 2).sum(-1), "again": (cell.output(params, state), state[1].c)}

    @jax.jit
    def program(params: Any, xs: Any) -> Any:
        return [
            unfold(net, params, xs, lengths=lengths, emit=emit, adjoint=adjoint)
            for emit in (None, Cell.output, states, mine)
        ]

    nothing, outputs, whole, own = grid.host(program(params, xs))
    assert nothing.outputs is None
    for run in (outputs, whole, own):
        grid.close(run.final, nothing.final, 1e-6, 1e-7)
    valid = np.arange(T)[:, None] < np.asarray(lengths)
    np.testing.assert_allclose(
        outputs.outputs,
        (whole.outputs[1].h @ np.asarray(params.V) + np.asarray(params.c)) * valid[..., None],
        rtol=1e-4,
        atol=1e-6,
    )
    np.testing.assert_allclose(own.outputs["norm"], (whole.outputs[0].h ** 2).sum(-1), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(own.outputs["again"][0], outputs.outputs, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(own.outputs["again"][1], whole.outputs[1].c * valid[..., None], rtol=1e-5, atol=1e-7)
    assert whole.outputs[1].c.shape == (T, B, 4)


@pytest.mark.parametrize("axis", [0, 1, -2, 2])
def test_time_axis(axis: int) -> None:
    cell = GRU(2, 3)
    params = cell.init(jax.random.key(0))
    xs, resets = (
        jax.random.normal(jax.random.key(1), (T, B, 4, 2)),
        jax.random.bernoulli(jax.random.key(2), 0.3, (T, B, 4)),
    )
    expected = unfold(cell, params, xs, resets=resets)
    moved = unfold(
        cell,
        params,
        jnp.moveaxis(xs, 0, axis),
        resets=jnp.moveaxis(resets, 0, 2 if axis == -2 else axis),
        time_axis=axis,
    )
    np.testing.assert_allclose(jnp.moveaxis(moved.outputs, axis, 0), expected.outputs, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(moved.final.h, expected.final.h, rtol=1e-6, atol=1e-7)


def test_no_steps_give_the_start() -> None:
    cell = Readout(LSTM(2, 3), 2)
    params = cell.init(jax.random.key(0))
    state = jax.tree.map(lambda s: s + 0.5, cell.initial_state(params, (B,)))
    for adjoint in ADJOINTS:
        run = unfold(cell, params, jnp.ones((0, B, 2)), state=state, adjoint=adjoint)
        assert run.outputs.shape == (0, B, 2)
        grid.close(run.final, state, 0, 0)


def test_lists_of_lengths_are_lengths() -> None:
    cell = Elman(2, 3)
    params, xs = cell.init(jax.random.key(0)), jnp.ones((T, B, 2))
    given = unfold(cell, params, xs, lengths=[T, 0, 4]).outputs
    np.testing.assert_array_equal(given, unfold(cell, params, xs, lengths=jnp.array([T, 0, 4])).outputs)


DIRECTIONS = {"elman": False, "lstm": False, "gru": True}  # whether in reverse; both ways would compile twice as long


def _any_run(entry: grid.Entry, params: Any, state: Any, xs: Any, lengths: Any, resets: Any) -> Any:
    """A run, with the gradient of a loss."""

    def loss(params: Any, state: Any, xs: Any) -> Any:
        run = unfold(
            entry.cell,
            params,
            xs,
            state=state,
            lengths=lengths,
            resets=resets,
            reverse=DIRECTIONS[entry.name],
            adjoint=BPTT(block=3),
        )
        return grid.weigh((run.outputs, run.final)), (run.outputs, run.final)

    return grid.gradients(loss, params, state, xs)


ENTRIES = [grid.CELLS[grid.NAMES.index(name)] for name in DIRECTIONS]
ANY_RUN = {entry.name: grid.quick(partial(_any_run, entry)) for entry in ENTRIES}  # compiled once for all examples


@hypothesis.given(
    entry=st.sampled_from(ENTRIES),
    seed=st.integers(0, 1000),
    lengths=st.lists(st.integers(0, T), min_size=B, max_size=B),
    resets=st.lists(st.lists(st.booleans(), min_size=B, max_size=B), min_size=T, max_size=T),
)
@pytest.mark.usefixtures("x64")
def test_any_lengths_and_resets(entry: grid.Entry, seed: int, lengths: list[int], resets: list[list[bool]]) -> None:
    """The values of the oracle; no gradient of what was not read."""
    sample = grid.sample(entry, (B,), seed=seed)
    n, marks = np.array(lengths), np.array(resets)
    (outputs, final), (_, _, of_xs) = ANY_RUN[entry.name](*sample, n, marks)
    expected = oracles.unfolded(
        entry.oracle,
        *grid.host(sample),
        steps=T,
        batch=(B,),
        lengths=n,
        resets=marks,
        reverse=DIRECTIONS[entry.name],
    )
    grid.close((outputs, final), expected, 1e-11, 1e-12)
    read = np.arange(T)[:, None] < n
    np.testing.assert_array_equal((np.asarray(of_xs[0]) != 0).any(-1), read)
