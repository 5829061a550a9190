"""Cells one step at a time: the papers' equations, the start of the parameters, the traits' promises."""

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
    CoupledLSTM,
    Driven,
    Elman,
    Gated,
    LayerNormLSTM,
    LeakyElman,
    Linear,
    MinGRU,
    MinGRUParams,
    MinLSTM,
    MinLSTMParams,
    OriginalGRU,
    PeepholeLSTM,
    Readout,
    Reservoir,
    Stack,
    StateNoise,
    Supervised,
    TiedGRU,
    Zoneout,
    perturbed,
    transition,
    unfold,
)
from jaxrnn.cells import activations
from tests import grid, oracles

# Written out, for arrays of numbers.
ACTIVATIONS = {
    "celu": lambda z: np.where(z > 0, z, np.exp(z) - 1),
    "elu": lambda z: np.where(z > 0, z, np.exp(z) - 1),
    "gelu": lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    "hard_sigmoid": lambda z: np.clip(z + 3, 0, 6) / 6,
    "hard_tanh": lambda z: np.clip(z, -1, 1),
    "identity": lambda z: z,
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "log_sigmoid": lambda z: -np.log(1 + np.exp(-z)),
    "mish": lambda z: z * np.tanh(np.log(1 + np.exp(z))),
    "relu": lambda z: np.maximum(z, 0),
    "relu6": lambda z: np.clip(z, 0, 6),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * (np.exp(z) - 1)),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "soft_sign": lambda z: z / (1 + np.abs(z)),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "tanh": np.tanh,
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("entry", grid.CELLS, ids=grid.NAMES)
def test_a_step_is_the_equation(entry: grid.Entry) -> None:
    cell = entry.cell
    params, state, xs = grid.sample(entry, (2,))

    @grid.quick
    def program(params: Any, state: Any, xs: Any) -> Any:
        new = cell.step(params, state, jax.tree.map(lambda a: a[0], xs))
        return new, cell.output(params, new)

    new, read = program(params, state, xs)
    for row in range(2):
        p, s, x = grid.host(params), oracles.at(state, row), oracles.at(xs, (0, row))
        expected = entry.oracle.step(p, s, x)
        grid.close(oracles.at(new, row), expected, 1e-12, 1e-13)
        grid.close(oracles.at(read, row), entry.oracle.output(p, expected), 1e-12, 1e-13)


@pytest.mark.parametrize("entry", grid.CELLS, ids=grid.NAMES)
def test_traits_say_what_a_step_does(entry: grid.Entry) -> None:
    """Drive and advance, recurrent and activate, coefficients: each writes the same step; drive takes a block too."""
    cell: Any = entry.cell

    @grid.quick
    def program(params: Any, state: Any, xs: Any) -> Any:
        """Pairs of what is the same."""
        x = jax.tree.map(lambda a: a[0], xs)
        expected, same = cell.step(params, state, x), []
        if isinstance(cell, Driven):
            u = cell.drive(params, x)
            same.append((cell.advance(params, state, u), expected))
            same.append((jax.tree.map(lambda a: a[0], cell.drive(params, xs)), u))
        if isinstance(cell, Gated):
            h = cell.hidden(params, state)

            def times(W: jax.Array) -> jax.Array:  # block by block, where W has blocks
                parts = [h] if W.ndim == 2 else jnp.split(h, W.shape[0], axis=-1)
                return jnp.concatenate(
                    [part @ B for part, B in zip(parts, W.reshape(-1, *W.shape[-2:]), strict=True)], -1
                )

            a = jax.tree.map(times, cell.recurrent(params))
            same.append((cell.activate(params, state, cell.drive(params, x), a), expected))
        if isinstance(cell, Linear):
            a, b = cell.coefficients(params, x)
            same.append((jax.tree.map(lambda s, a, b: a * s + b, state, a, b), expected))
        return same

    for found, expected in program(*grid.sample(entry, (2,), jnp.float32)):
        grid.close(found, expected, 1e-6, 1e-6)


@pytest.mark.parametrize(
    ("cell", "shapes"),
    [
        (Elman(2, 5), {"U": (2, 5), "W": (5, 5), "b": (5,)}),
        (LSTM(2, 5), {"U": (2, 20), "W": (5, 20), "b": (20,)}),
        (GRU(2, 5), {"U": (2, 15), "W": (5, 15), "b": (15,), "c": (5,)}),
        (PeepholeLSTM(2, 5), {"U": (2, 20), "W": (5, 20), "b": (20,), "p": (15,)}),
        (OriginalGRU(2, 5), {"U": (2, 15), "W": (5, 15), "b": (15,)}),
        (CoupledLSTM(2, 5), {"U": (2, 15), "W": (5, 15), "b": (15,)}),
        (MGU(2, 5), {"U": (2, 10), "W": (5, 10), "b": (10,)}),
        (TiedGRU(2, 5), {"U": (2, 10), "W": (5, 10), "b": (10,), "c": (5,)}),
        (LeakyElman(2, 5), {"U": (2, 5), "W": (5, 5), "b": (5,), "r": (5,)}),
    ],
    ids=["elman", "lstm", "gru", "peephole_lstm", "original_gru", "coupled_lstm", "mgu", "tied_gru", "leaky_elman"],
)
def test_parameters_start_uniform_within_one_over_root_hidden(cell: Any, shapes: Any, key: jax.Array) -> None:
    params = cell.init(key)
    assert {name: a.shape for name, a in params._asdict().items()} == shapes
    entries = np.concatenate([np.ravel(a) for a in params])
    assert np.abs(entries).max() <= 5**-0.5
    assert len(np.unique(entries)) == entries.size  # no array is a copy of another
    large = type(cell)(50, 100).init(key)
    np.testing.assert_allclose(np.std(large.W), 0.1 / 3**0.5, rtol=0.05)
    assert not np.array_equal(params.U, cell.init(jax.random.key(1)).U)
    np.testing.assert_array_equal(params.U, cell.init(key).U)


@pytest.mark.parametrize("name", activations.NAMES)
def test_an_elman_net_takes_the_activation_that_it_is_given(name: str, key: jax.Array) -> None:
    cell = Elman(2, 3, activation=name)
    params = cell.init(key)
    x, state = jnp.array([0.3, -0.7]), cell.initial_state(params)._replace(h=jnp.array([3.0, -2.0, 0.5]))
    z = np.asarray(params.b) + np.asarray(params.U).T @ x + np.asarray(params.W).T @ state.h
    np.testing.assert_allclose(cell.step(params, state, x).h, ACTIVATIONS[name](z), rtol=1e-5, atol=1e-6)
    given = Elman(2, 3, activation=getattr(jax.nn, name))
    np.testing.assert_array_equal(given.step(params, state, x).h, cell.step(params, state, x).h)


def test_gates_have_their_places() -> None:
    """A gate forced open or shut by its bias does what its name says."""
    lstm, h = LSTM(1, 1), jnp.array([0.3])
    zeros = jax.tree.map(jnp.zeros_like, lstm.init(jax.random.key(0)))
    state = lstm.initial_state(zeros)._replace(h=h, c=jnp.array([0.7]))
    keep = lstm.step(zeros._replace(b=jnp.array([-50.0, 50.0, 1.0, 50.0])), state, jnp.ones(1))  # i shut, f and o open
    np.testing.assert_allclose(keep.c, state.c, rtol=1e-6)
    np.testing.assert_allclose(keep.h, np.tanh(0.7), rtol=1e-6)
    write = lstm.step(
        zeros._replace(b=jnp.array([50.0, -50.0, 0.5, -50.0])), state, jnp.ones(1)
    )  # i open, f and o shut
    np.testing.assert_allclose(write.c, np.tanh(0.5), rtol=1e-6)
    np.testing.assert_allclose(write.h, 0, atol=1e-6)
    gru = GRU(1, 1)
    zeros = jax.tree.map(jnp.zeros_like, gru.init(jax.random.key(0)))
    state = gru.initial_state(zeros)._replace(h=h)
    kept = gru.step(zeros._replace(b=jnp.array([0.0, 50.0, 1.0])), state, jnp.ones(1))  # z open: the state stays
    np.testing.assert_allclose(kept.h, h, rtol=1e-6)
    shut = zeros._replace(b=jnp.array([-50.0, -50.0, 0.5]), c=jnp.array([9.0]))  # r shut: c and h W are not read
    np.testing.assert_allclose(gru.step(shut, state, jnp.ones(1)).h, np.tanh([0.5]), rtol=1e-6)


def test_minimal_cells_with_saturated_gates() -> None:
    """Where 1 - σ is 0 and a quotient of gates 0 / 0 in floating point, values and gradients are right."""
    gru, lstm = MinGRU(1, 1), MinLSTM(1, 1)
    a, b = gru.coefficients(MinGRUParams(jnp.zeros((1, 2)), jnp.array([30.0, 0.5])), jnp.ones(1))
    np.testing.assert_allclose((a.h, b.h), [[np.exp(-30.0)], [0.5]], rtol=1e-5)

    def keep(bias: jax.Array) -> Any:  # f / (f + i), both gates shut: exp(f - i) / (1 + exp(f - i))
        return lstm.coefficients(MinLSTMParams(jnp.zeros((1, 3)), bias), jnp.ones(1))[0].h[0]

    value, slope = jax.value_and_grad(keep)(jnp.array([-201.0, -200.0, 0.3]))
    expected = 1 / (1 + np.exp(-1.0))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(slope, expected * (1 - expected) * np.array([-1, 1, 0]), rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_a_linear_recurrent_unit_starts_within_its_ring(dtype: Any, key: jax.Array) -> None:
    p = grid.host(grid.cast(LRU(2, 500, r_min=0.5, r_max=0.9, max_phase=1.5).init(key, dtype), jnp.float32))
    size = np.exp(-np.exp(p.nu_log))
    tolerance = 0.02 if dtype == jnp.bfloat16 else 1e-5
    assert 0.5 - tolerance < size.min() < 0.55
    assert 0.85 < size.max() < 0.9 + tolerance
    assert np.abs(np.median(size**2) - (0.5**2 + 0.9**2) / 2) < 0.05  # uniform in area
    assert np.exp(p.theta_log).max() < 1.5 + tolerance
    np.testing.assert_allclose(np.exp(p.gamma_log) ** 2, 1 - size**2, atol=2 * tolerance)
    np.testing.assert_allclose([p.B_re.std(), p.C_im.std()], [0.5, 500**-0.5], rtol=0.1)
    whole = LRU(2, 500).init(key, dtype)
    assert all(np.isfinite(np.asarray(a, np.float32)).all() for a in whole)


def test_a_leaky_net_with_a_fixed_rate(key: jax.Array) -> None:
    """At rate 1 it is an Elman net; below, a part of the way from the old state to its new one."""
    elman, x = Elman(2, 3), jnp.array([0.3, -0.7])
    params = elman.init(key)
    state = elman.initial_state(params)._replace(h=jnp.array([3.0, -2.0, 0.5]))
    expected = elman.step(params, state, x).h
    for rate in (1, 0.25, np.float64(0.25)):
        cell = LeakyElman(2, 3, rate)
        fixed = cell.init(key)._replace(U=params.U, W=params.W, b=params.b)
        assert fixed.r is None
        found = cell.step(fixed, state, x).h
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, (1 - rate) * state.h + rate * expected, rtol=1e-5)


@pytest.mark.parametrize(
    "cell",
    [
        Reservoir(2, 3, leak=np.float32(0.3)),  # pyright: ignore[reportArgumentType]
        LeakyElman(2, 3, np.float32(0.3)),  # pyright: ignore[reportArgumentType]
        LayerNormLSTM(2, 3, np.float32(0.3)),  # pyright: ignore[reportArgumentType]
        perturbed(LSTM(2, 3), Zoneout(np.float32(0.3))),
        perturbed(LSTM(2, 3), StateNoise(np.float32(0.3))),
    ],
    ids=["reservoir", "leaky", "layer_norm", "zoneout", "state_noise"],
)
def test_numbers_of_numpy_do_not_widen_a_state(cell: Any, key: jax.Array) -> None:
    def step(key: jax.Array) -> Any:
        params = cell.init(key, jnp.bfloat16)
        state, x = cell.initial_state(params), jnp.ones(2, jnp.bfloat16)
        if not hasattr(cell, "draw"):
            return [cell.step(params, state, x)]
        drawn = jax.tree.map(lambda a: a[0], cell.draw(key, params, 1, ()))
        return [cell.step(params, state, (x, None)), cell.step(params, state, (x, drawn))]

    assert {leaf.dtype for leaf in jax.tree.leaves(jax.eval_shape(step, key))} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.usefixtures("x64")
def test_a_stack_by_steps_equals_a_stack_by_layers(rng: np.random.Generator) -> None:
    net = Stack([GRU(2, 3), Readout(LSTM(3, 2), 4), Elman(4, 2)])
    params = net.init(jax.random.key(0), jnp.float64)
    xs = jnp.asarray(rng.normal(size=(5, 2)))
    run = grid.quick(lambda p, x: unfold(net, p, x))(params, xs)
    state, outputs = net.initial_state(params), []
    for x in xs:
        state = net.step(params, state, x)
        outputs.append(net.output(params, state))
    grid.close((run.outputs, run.final), (np.stack(outputs), state), 1e-12, 1e-13)


@pytest.mark.usefixtures("x64")
def test_floating_targets_have_gradients(rng: np.random.Generator) -> None:
    """A target of numbers: L(t) = |o(t) - y(t)|²; also of the gradient of the targets."""
    target = jax.ShapeDtypeStruct((2,), jnp.float64)
    net = Supervised(Readout(Elman(2, 3), 2), lambda o, y: ((o - y) ** 2).sum(-1), target)
    params = net.init(jax.random.key(0), jnp.float64)
    xs, ys = jnp.asarray(rng.normal(size=(5, 3, 2))), jnp.asarray(rng.normal(size=(5, 3, 2)))
    lengths = jnp.array([5, 0, 2])

    @grid.quick
    def program(*operands: Any) -> Any:
        def loss(params: Any, xs: Any, ys: Any, adjoint: Any) -> Any:
            run = unfold(net, params, (xs, ys), lengths=lengths, adjoint=adjoint)
            return grid.weigh((run.outputs, run.final)), run.outputs

        return [
            grid.gradients(lambda *a, adjoint=adjoint: loss(*[*a, adjoint]), *operands)
            for adjoint in (Autodiff(), BPTT(block=2))
        ]

    expected, found = program(params, xs, ys)
    grid.close(found, expected, 1e-11, 1e-12)
    read = unfold(net.inner, params, xs, lengths=lengths).outputs
    squares = ((read - ys) ** 2).sum(-1) * (np.arange(5)[:, None] < np.asarray(lengths))
    np.testing.assert_allclose(found[0], squares, rtol=1e-12)


def test_a_transition_reads_the_whole_state_by_default() -> None:
    cell = transition(lambda r, s, x: r * s * (1 - s))
    outputs = unfold(cell, jnp.float32(3.7), steps=3, state=jnp.float32(0.5)).outputs
    a = 3.7 * 0.25
    b = 3.7 * a * (1 - a)
    np.testing.assert_allclose(outputs, [a, b, 3.7 * b * (1 - b)], rtol=1e-5)


@pytest.mark.parametrize(("r_min", "r_max"), [(0.0, 0.01), (0.0, 1.0), (0.99999, 1.0)])
def test_lru_starts_finite_however_near_the_unit_circle(r_min: float, r_max: float) -> None:
    params = LRU(1, 2**16, r_min=r_min, r_max=r_max).init(jax.random.key(0))
    assert all(bool(jnp.isfinite(a).all()) for a in params)
    radius = np.exp(-np.exp(np.asarray(params.nu_log, np.float64)))
    assert radius.min() >= r_min - 1e-6
    assert radius.max() <= r_max + 1e-6
    drawn = np.exp(2 * np.asarray(params.gamma_log, np.float64))
    np.testing.assert_allclose(drawn, 1 - radius**2, rtol=1e-4)
