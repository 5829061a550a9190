"""What goes around cells: dropout, zoneout, noise, learned starts; in training, in evaluation, and given wrongly."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    BPTT,
    GRU,
    LRU,
    LSTM,
    MGU,
    Autodiff,
    Elman,
    IndRNN,
    LearnedInitialState,
    LSTMState,
    OriginalGRU,
    Perturbed,
    PerturbedGated,
    Readout,
    Stack,
    StateNoise,
    VariationalDropout,
    Zoneout,
    perturbed,
    sequence_dropout,
    unfold,
    weight_dropout,
)
from tests import grid, oracles, oracles_around

XS = np.random.default_rng(0).normal(size=(grid.T, 2, 2))

RATES: Any = (0.1, 0.5)  # of h and of c


@pytest.mark.usefixtures("x64")
def test_every_sequence_has_its_own_mask() -> None:
    """Values and the gradients of what is kept, row by row; and none of the mask."""
    cell = VariationalDropout(Elman(2, 3), 0.25)
    params = cell.init(jax.random.key(0), jnp.float64)
    mask = jnp.array([[True, False, True], [False, True, True]])

    @grid.quick
    def program(params: Any, xs: Any) -> Any:
        def loss(params: Any, xs: Any, adjoint: Any) -> Any:
            run = unfold(cell, params, xs, lengths=jnp.array([grid.T, 4]), adjoint=adjoint)
            return grid.weigh(run.outputs), run.outputs

        return [
            grid.gradients(lambda p, x, a=adjoint: loss(p, x, a), params, xs)
            for adjoint in (Autodiff(), BPTT(), BPTT(block=3))
        ]

    (expected, *found) = program(params._replace(mask=mask), jnp.asarray(XS))
    grid.close(found, [expected, expected], 1e-11, 1e-12)
    oracle = oracles_around.variational_dropout_elman(0.25)
    for row, n in enumerate((grid.T, 4)):
        given = grid.host(params._replace(mask=mask[row]))
        start = grid.host(cell.initial_state(params))
        states, _ = oracles.run(oracle, given, start, XS[:, row], n)
        np.testing.assert_allclose(expected[0][:n, row], np.stack([s.h for s in states]), rtol=1e-11)


def test_without_a_mask_nothing_is_dropped(key: jax.Array) -> None:
    for inner in (LSTM(2, 3), GRU(2, 3)):
        cell = VariationalDropout(inner, 0.5)
        params = cell.init(key)
        xs = jnp.asarray(XS, jnp.float32)
        found, plain = unfold(cell, params, xs), unfold(inner, params.cell, xs)
        grid.close(found, plain, 1e-5, 1e-6)  # an LSTM alone adds in another order


def test_masks_drop_at_their_rate(key: jax.Array) -> None:
    cell = VariationalDropout(LSTM(2, 100), 0.3)
    params = cell.init(key)
    mask = cell.draw_mask(key, params, (50,))
    assert mask.shape == (50, 100)
    assert mask.dtype == jnp.bool_
    np.testing.assert_allclose(mask.mean(), 0.7, atol=0.02)
    assert not np.array_equal(mask, cell.draw_mask(jax.random.key(1), params, (50,)))
    zoned = perturbed(LSTM(2, 100), Zoneout(LSTMState(*RATES)))
    masks = zoned.draw(key, params.cell, steps=20, batch_shape=(5,))
    assert masks.h.shape == masks.c.shape == (20, 5, 100)
    np.testing.assert_allclose(masks.h.mean(), 0.1, atol=0.02)
    np.testing.assert_allclose(masks.c.mean(), 0.5, atol=0.02)
    noise = perturbed(LSTM(2, 100), StateNoise(0.2)).draw(key, params.cell, steps=20, batch_shape=(5,))
    np.testing.assert_allclose(noise.h.std(), 0.2, rtol=0.05)
    assert not np.array_equal(noise.h, noise.c)


def test_inputs_lose_the_same_entries_in_every_step(key: jax.Array) -> None:
    for axis in (0, 1, -2):
        dropped = np.moveaxis(np.asarray(sequence_dropout(key, jnp.ones((20, 30, 40)), 0.25, time_axis=axis)), axis, 0)
        np.testing.assert_array_equal(dropped, np.broadcast_to(dropped[:1], dropped.shape))
        assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.75)}
        np.testing.assert_allclose(dropped.mean(), 1, atol=0.1)
    for rate in (0.0, 0):
        np.testing.assert_array_equal(sequence_dropout(key, jnp.ones((3, 2)), rate), np.ones((3, 2)))


def test_weights_are_dropped_and_scaled(key: jax.Array) -> None:
    params = GRU(4, 30).init(key)
    dropped = weight_dropout(key, params, 0.5)
    kept = np.asarray(dropped.W) != 0
    np.testing.assert_allclose(dropped.W, np.where(kept, 2 * params.W, 0))
    np.testing.assert_allclose(kept.mean(), 0.5, atol=0.05)
    jax.tree.map(np.testing.assert_array_equal, dropped._replace(W=0), params._replace(W=0))
    slope = jax.grad(lambda p: (weight_dropout(key, p, 0.5).W ** 2).sum())(params)
    np.testing.assert_allclose(slope.W, np.where(kept, 8 * params.W, 0), rtol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, weight_dropout(key, params, 0.0), params)


def test_a_gated_cell_stays_gated_and_evaluation_of_noise_is_exact(key: jax.Array) -> None:
    noisy = perturbed(GRU(2, 3), StateNoise(0.1))
    assert isinstance(noisy, PerturbedGated)
    assert isinstance(perturbed(Readout(GRU(2, 3), 2), StateNoise(0.1)), Perturbed)
    params = noisy.init(key)
    xs = jnp.asarray(XS, jnp.float32)
    jax.tree.map(np.testing.assert_array_equal, unfold(noisy, params, (xs, None)), unfold(noisy.inner, params, xs))


@pytest.mark.usefixtures("x64")
def test_a_stack_is_perturbed_as_a_whole_and_counts_are_not(rng: np.random.Generator) -> None:
    cell = perturbed(Stack([grid.Tied(2, 3), GRU(3, 2)]), Zoneout(0.5))
    params = cell.init(jax.random.key(0), jnp.float64)
    masks = cell.draw(jax.random.key(1), params, steps=grid.T, batch_shape=(2,))
    run = grid.quick(lambda p, x: unfold(cell, p, x))(params, (jnp.asarray(XS), masks))
    np.testing.assert_array_equal(run.final[0].count, [grid.T, grid.T])
    step = grid.quick(cell.inner.step)
    state = cell.initial_state(params, (2,))
    for t in range(grid.T):
        new, kept = step(params, state, jnp.asarray(XS[t])), oracles.at(masks, t)
        state = (
            new[0]._replace(h=np.where(kept[0].h, state[0].h, new[0].h)),
            new[1]._replace(h=np.where(kept[1].h, state[1].h, new[1].h)),
        )
    grid.close(run.final, state, 1e-11, 1e-12)


def test_complex_states_are_perturbed(key: jax.Array) -> None:
    """In training and, of zoneout, in evaluation; the noise is as strong as that of real numbers."""
    cell = LRU(2, 3)
    params, x = cell.init(key), jnp.asarray(XS[0], jnp.float32)
    before = jax.tree.map(lambda s: s + 1, cell.initial_state(params, (2,)))
    new = cell.step(params, before, x)
    zoned, noisy = perturbed(cell, Zoneout(0.5)), perturbed(cell, StateNoise(0.2))
    masks, noise = (jax.tree.map(lambda d: d[0], c.draw(key, params, 1, (2,))) for c in (zoned, noisy))
    assert 0 < masks.h.sum() < masks.h.size
    np.testing.assert_array_equal(zoned.step(params, before, (x, masks)).h, np.where(masks.h, before.h, new.h))
    np.testing.assert_allclose(zoned.step(params, before, (x, None)).h, (before.h + new.h) / 2, rtol=1e-5)
    np.testing.assert_allclose(noisy.step(params, before, (x, noise)).h, new.h + noise.h, rtol=1e-5)
    many = noisy.draw(key, params, 2000, (2,)).h
    np.testing.assert_allclose([many.real.std(), many.imag.std()], 0.2 / np.sqrt(2), rtol=0.05)


def test_rates_do_not_change_the_type_of_a_state(key: jax.Array) -> None:
    for perturbation in (Zoneout(np.float32(0.2)), StateNoise(np.float64(0.2)), Zoneout(0), StateNoise(1)):
        cell = perturbed(GRU(2, 3), perturbation)
        params = cell.init(key, jnp.bfloat16)
        x, state = jnp.ones((4, 2), jnp.bfloat16), cell.initial_state(params, (4,))
        for drawn in (jax.tree.map(lambda d: d[0], cell.draw(key, params, 1, (4,))), None):
            assert cell.step(params, state, (x, drawn)).h.dtype == jnp.bfloat16


def test_rates_of_numpy_and_rates_of_each_part_can_be_compared() -> None:
    assert Zoneout(np.float64(0.5)) == Zoneout(0.5) != Zoneout(LSTMState(0.5, 0.5))  # pyright: ignore[reportArgumentType]
    assert StateNoise(np.float32(0.5)) == StateNoise(0.5) != StateNoise({"h": 0.5})


@pytest.mark.usefixtures("x64")
def test_a_learned_start_has_the_gradient_of_the_start(rng: np.random.Generator) -> None:
    """Also where resets return to it, and by finite differences of the whole."""
    cell = LearnedInitialState(Elman(2, 3))
    params = cell.init(jax.random.key(0), jnp.float64)
    params = params._replace(state=params.state._replace(h=jnp.asarray(rng.normal(size=3))))
    resets = np.zeros((grid.T, 2), bool)
    resets[3, 1] = True
    start = cell.initial_state(params, (4, 2))
    np.testing.assert_array_equal(start.h, np.broadcast_to(params.state.h, (4, 2, 3)))

    @grid.quick
    def slope(params: Any) -> Any:
        def loss(params: Any, adjoint: Any) -> Any:
            return grid.weigh(unfold(cell, params, jnp.asarray(XS), resets=resets, adjoint=adjoint).outputs)

        return [jax.grad(lambda p, a=adjoint: loss(p, a))(params) for adjoint in (Autodiff(), BPTT(), BPTT(block=3))]

    def value(params: Any) -> Any:
        start = params.state._replace(h=np.stack([params.state.h] * 2))
        outputs, _ = oracles.unfolded(oracles.ELMAN, params.cell, start, XS, steps=grid.T, batch=(2,), resets=resets)
        return grid.weigh(outputs)

    directions, expected = oracles.differences(value, grid.host(params), np.random.default_rng(0))
    for found in slope(params):
        slopes = [np.sum(g * d) for g, d in zip(jax.tree.leaves(found), directions, strict=True)]
        grid.close(slopes, expected, 1e-6, 1e-8)


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "dropout of a readout": (lambda: VariationalDropout(Readout(GRU(2, 3), 2), 0.1), TypeError, "must be Gated"),  # pyright: ignore
    "dropout of products in activate": (lambda: VariationalDropout(OriginalGRU(2, 3), 0.1), TypeError, "OriginalGRU("),
    "dropout within a perturbation": (
        lambda: VariationalDropout(PerturbedGated(MGU(2, 3), Zoneout(0.1)), 0.1),
        TypeError,
        "the new content of MGU(",
    ),
    "dropout of no products": (lambda: VariationalDropout(IndRNN(2, 3), 0.1), TypeError, "no recurrent matrices"),
    "rate of one": (
        lambda: VariationalDropout(GRU(2, 3), 1.0),
        ValueError,
        "rate must be at least 0 and below 1, got 1.0",
    ),
    "rate of text": (lambda: Zoneout("a"), TypeError, "rate must be a number"),
    "negative noise": (lambda: StateNoise(-0.1), ValueError, "scale must be at least 0"),
    "no perturbation": (lambda: perturbed(GRU(2, 3), 0.1), TypeError, "Zoneout(0.1)"),  # pyright: ignore
    "learned start of a class": (lambda: LearnedInitialState(GRU), TypeError, "instance"),  # pyright: ignore
    "learned start that is complex": (
        lambda: LearnedInitialState(LRU(2, 3)).init(jax.random.key(0)),
        TypeError,
        "LRU(input_size=2, hidden_size=3, r_min=0.0, r_max=1.0, max_phase=6.283185307179586)",
    ),
    "learned start that counts": (
        lambda: LearnedInitialState(grid.Tied(2, 3)).init(jax.random.key(0)),
        TypeError,
        "real floating-point numbers",
    ),
    "weights of a readout": (
        lambda: weight_dropout(jax.random.key(0), Readout(GRU(2, 3), 2).init(jax.random.key(0)), 0.1),
        TypeError,
        "pass the part that belongs to the cell, such as params.cell",
    ),
    "inputs of integers": (lambda: sequence_dropout(jax.random.key(0), jnp.ones((3, 2), int), 0.1), TypeError, "int32"),
}


@pytest.mark.parametrize(("act", "kind", "says"), WRONG.values(), ids=WRONG.keys())
def test_wrong_choices(act: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        act()
    assert says in str(caught.value)


def test_wrong_masks(key: jax.Array) -> None:
    dropout, zoned = VariationalDropout(GRU(2, 3), 0.1), perturbed(GRU(2, 3), Zoneout(0.1))
    params, xs = dropout.init(key), jnp.ones((5, 4, 2))
    for mask, kind, says in (
        (jnp.ones((4, 3)), TypeError, "booleans"),
        (jnp.ones((2, 3), bool), ValueError, "mask must be like h, (4, 3), got (2, 3)"),
    ):
        with pytest.raises(kind) as caught:
            unfold(dropout, params._replace(mask=mask), xs)
        assert says in str(caught.value)
    with pytest.raises(TypeError, match=re.escape("cell.draw(key")):
        unfold(zoned, params.cell, xs)
    for masks in (
        jnp.ones((5, 4, 3), bool),
        zoned.draw(key, params.cell, 5),
        zoned.inner.initial_state(params.cell, (5, 4)),
    ):
        with pytest.raises(ValueError, match="booleans like the state"):
            unfold(zoned, params.cell, (xs, masks))
    rates = perturbed(GRU(2, 3), Zoneout(LSTMState(*RATES)))
    with pytest.raises(ValueError, match="rate must be one number or a tree"):
        unfold(rates, params.cell, (xs, None))
