"""Corners where sizes are zero, functions close over arrays, and what is given is of the wrong kind."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrnn import (
    BPTT,
    GRU,
    LSTM,
    Autodiff,
    Elman,
    Gated,
    Readout,
    Scan,
    Stack,
    StateNoise,
    Supervised,
    Zoneout,
    perturbed,
    transition,
    unfold,
)
from tests import grid

CELL = GRU(2, 3)
PARAMS = CELL.init(jax.random.key(0))
XS = jax.random.normal(jax.random.key(1), (7, 2, 2))


def assert_close(a: Any, b: Any) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-5, atol=1e-6), a, b)


def test_no_batch_and_no_steps() -> None:
    none = jax.grad(lambda p: unfold(CELL, p, jnp.zeros((7, 0, 2))).outputs.sum())(PARAMS)
    assert not np.asarray(none.U).any()
    one_feature = LSTM(1, 5)
    params = one_feature.init(jax.random.key(0))
    for adjoint in (BPTT(), Autodiff()):
        run = unfold(one_feature, params, jnp.zeros((0, 3, 1)), adjoint=adjoint)
        assert run.outputs.shape == (0, 3, 5)
        assert not np.asarray(run.final.h).any()


@pytest.mark.parametrize("adjoint", [BPTT(), BPTT(3)])
def test_gradients_of_what_functions_close_over(adjoint: BPTT) -> None:
    """Arrays that emit and f close over, with and without gradients of their own, inside jit."""

    def loss(V: jax.Array, n: jax.Array, adjoint: Any) -> jax.Array:
        cell = transition(lambda W, s, x: jnp.tanh(s @ W + x @ V * (n > 2)))
        run = unfold(cell, jnp.eye(3), XS, state=jnp.zeros((2, 3)), emit=lambda c, p, s: (s * n) @ V.T, adjoint=adjoint)
        return jnp.sum(run.outputs**2)

    V = jax.random.normal(jax.random.key(2), (2, 3))
    found, expected = (jax.jit(jax.grad(loss), static_argnums=2)(V, jnp.array(3), a) for a in (adjoint, Autodiff()))
    assert_close(found, expected)


def test_gradients_of_what_a_cell_within_a_cell_closes_over() -> None:
    """A perturbed function in training and in evaluation, and an activation, which is a choice of a gated cell."""
    masks = jax.random.bernoulli(jax.random.key(3), 0.5, (7, 2, 3))

    def loss(V: jax.Array, gain: Any, adjoint: Any) -> jax.Array:
        bare = transition(lambda W, s, x: jnp.tanh(gain * (s @ W) + x @ V))
        zoned, noisy = perturbed(bare, Zoneout(0.3)), perturbed(Stack([bare]), StateNoise(0.1))
        start, W = jnp.zeros((2, 3)), jnp.eye(3)
        runs = [unfold(zoned, W, (XS, drawn), state=start, adjoint=adjoint) for drawn in (masks, None)]
        runs.append(unfold(noisy, (W,), (XS, None), state=(start,), adjoint=adjoint))
        elman = Elman(2, 3, activation=lambda z: jnp.tanh(gain * z))
        params = elman.init(jax.random.key(0))._replace(U=V)
        runs.append(unfold(perturbed(elman, Zoneout(0.3)), params, (XS, None), adjoint=adjoint))
        return jnp.stack([(k + 1) * (run.outputs**2).sum() for k, run in enumerate(runs)]).sum()

    @grid.quick
    def program(V: jax.Array, gain: Any) -> Any:
        return [jax.grad(loss, (0, 1))(V, gain, adjoint) for adjoint in (Autodiff(), BPTT(), BPTT(3))]

    expected, *found = program(jax.random.normal(jax.random.key(2), (2, 3)), 0.7)
    assert_close(found, [expected, expected])


def test_outputs_that_read_no_state() -> None:
    assert unfold(CELL, PARAMS, XS, emit=lambda c, p, s: 0).outputs.shape == (7,)
    params_alone = transition(lambda p, s, x: (), output=lambda p, s: p)
    assert unfold(params_alone, jnp.ones(2), steps=3, state=()).outputs.shape == (3, 2)


@dataclass(frozen=True)
class Squashed(Gated):
    """A gated cell whose h is not a part of its state but a function of it."""

    def init(self, key: jax.Array, dtype: Any = jnp.float32) -> Any:
        return 0.3 * jax.random.normal(key, (2, 2), dtype)

    def initial_state(self, params: Any, batch_shape: tuple[int, ...] = ()) -> Any:
        return jnp.zeros((*batch_shape, 2), params.dtype)

    def output(self, params: Any, state: Any) -> Any:
        return state

    def drive(self, params: Any, x: Any) -> Any:
        return x

    def recurrent(self, params: Any) -> Any:
        return params

    def hidden(self, params: Any, state: Any) -> jax.Array:
        return jnp.tanh(state)

    def activate(self, params: Any, state: Any, u: Any, a: Any) -> Any:
        return 0.5 * state + u + a


def test_a_hidden_part_that_is_computed() -> None:
    cell = Squashed()
    params = cell.init(jax.random.key(0))

    def gradient(adjoint: Any) -> Any:
        return jax.grad(lambda p: jnp.sum(unfold(cell, p, XS, adjoint=adjoint).outputs ** 2))(params)

    assert_close(gradient(BPTT()), gradient(Autodiff()))


def test_an_eager_call_compiles_once(caplog: pytest.LogCaptureFixture) -> None:
    cell = GRU(2, 4)  # of sizes that no other test runs
    params = cell.init(jax.random.key(0))
    for _ in range(2):
        unfold(cell, params, XS)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        unfold(cell, params, XS)
    assert not [record for record in caplog.records if "Compiling" in record.getMessage()]


def test_targets_of_another_kind() -> None:
    net = Supervised(Readout(CELL, 1), lambda o, y: (o[..., 0] - y) ** 2)
    params = net.init(jax.random.key(0))
    with pytest.raises(TypeError, match="target="):
        unfold(net, params, (XS, jnp.full((7, 2), 0.5)))
    with pytest.raises(TypeError, match="pair"):
        unfold(net, params, XS)
    right = Supervised(net.inner, net.loss, target=jax.ShapeDtypeStruct((), jnp.float32))
    o = unfold(net.inner, params, XS).outputs[..., 0]
    assert_close(unfold(right, params, (XS, jnp.full((7, 2), 0.5))).outputs, (o - 0.5) ** 2)


def test_choices_of_the_wrong_kind() -> None:
    for wrong in (
        {"method": None},
        {"method": Scan},
        {"adjoint": BPTT},
        {"emit": "states"},
        {"reverse": "no"},
        {"time_axis": 1.5},
    ):
        given: Any = wrong
        with pytest.raises(TypeError, match=next(iter(wrong))):
            unfold(CELL, PARAMS, XS, **given)
    inner: Any = GRU
    with pytest.raises(TypeError, match="instance"):
        Readout(inner, 3)
    with pytest.raises(TypeError, match="instance"):
        Stack([inner])
    with pytest.raises(TypeError, match="loss"):
        Supervised(CELL, "nll")  # pyright: ignore[reportArgumentType]


def test_memory_of_values_and_of_wide_outputs() -> None:
    """A long sequence of a small batch drives blocks, and logits of a large vocabulary live for a block."""
    wide = GRU(4, 256)
    params = wide.init(jax.random.key(0))
    xs = jnp.ones((20_000, 1, 4))
    run = jax.jit(lambda p, xs: unfold(wide, p, xs, emit=None).final.h).lower(params, xs).compile()
    analysis = run.memory_analysis()
    assert analysis is not None
    assert analysis.temp_size_in_bytes < 20_000 * 3 * 256 * 4 / 10
    net = Supervised(Readout(CELL, 20_000), optax.softmax_cross_entropy_with_integer_labels)
    many = net.init(jax.random.key(0))
    batch = jnp.ones((128, 2, 2)), jnp.ones((128, 2), jnp.int32)
    gradient = jax.jit(jax.grad(lambda p: unfold(net, p, batch).outputs.sum())).lower(many).compile()
    analysis = gradient.memory_analysis()
    assert analysis is not None
    assert analysis.temp_size_in_bytes < 128 * 2 * 20_000 * 4 / 4
