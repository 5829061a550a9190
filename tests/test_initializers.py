"""Starts of parameters: what the papers say of them, and of which parameters they can be made."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import GRU, LSTM, SLSTM, Elman, Jordan, ProjectedLSTM, Readout, initializers


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_each_gate_is_orthogonal(dtype: Any, key: jax.Array) -> None:
    for cell, gates in ((Elman(2, 5), 1), (LSTM(2, 5), 4)):
        params = cell.init(key, dtype)
        found = initializers.orthogonal(key, params, scale=0.5)
        assert found.W.dtype == dtype
        parts = np.split(np.asarray(found.W, np.float64), gates, axis=1)
        for part in parts:
            np.testing.assert_allclose(part @ part.T, 0.25 * np.eye(5), atol=1e-6 if dtype == jnp.float32 else 5e-3)
        assert len({part.tobytes() for part in parts}) == gates
        np.testing.assert_array_equal(found.U, params.U)


def test_identity_adds_up_inputs(key: jax.Array) -> None:
    cell = Elman(2, 3, activation=jax.nn.relu)
    params = initializers.identity(cell.init(key))
    np.testing.assert_array_equal(params.W, np.eye(3))
    state = cell.initial_state(params)._replace(h=jnp.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(cell.step(params, state, jnp.zeros(2)).h, state.h)
    np.testing.assert_allclose(initializers.identity(GRU(2, 3).init(key), 0.1).W, 0.1 * np.hstack([np.eye(3)] * 3))


def test_forget_bias_is_that_of_the_gate_that_keeps(key: jax.Array) -> None:
    for cell, gates in ((LSTM(2, 3), 4), (GRU(2, 3), 3)):
        params = cell.init(key)
        found, before = (np.split(np.asarray(p.b), gates) for p in (initializers.forget_bias(params, 2.0), params))
        np.testing.assert_array_equal(found[1], np.full(3, 2.0, np.float32))
        for k in {0, *range(2, gates)}:
            np.testing.assert_array_equal(found[k], before[k])


def test_chrono_spreads_memories_over_all_lengths(key: jax.Array) -> None:
    i, f, g, o = np.split(np.asarray(initializers.chrono(key, (params := LSTM(2, 1000).init(key)), 784.0).b), 4)
    np.testing.assert_array_equal(i, -f)
    np.testing.assert_array_equal(np.concatenate([g, o]), params.b[2000:])
    u = np.exp(f)
    assert u.min() >= 1
    assert u.max() <= 783.01
    np.testing.assert_allclose(np.quantile(u, [0.25, 0.5, 0.75]), [196, 392, 588], rtol=0.1)
    r, z, n = np.split(np.asarray(initializers.chrono(key, (params := GRU(2, 10).init(key)), 20.0).b), 3)
    np.testing.assert_array_equal(np.concatenate([r, n]), np.delete(params.b, slice(10, 20)))
    assert (z >= 0).all()
    assert (z <= np.log(19.01)).all()


def test_parameters_that_have_no_such_start(key: jax.Array) -> None:
    readout = Readout(GRU(2, 3), 2).init(key)
    for act in (
        lambda: initializers.orthogonal(key, readout),
        lambda: initializers.identity(readout),
        lambda: initializers.forget_bias(readout),
        lambda: initializers.chrono(key, readout, 10),
    ):
        with pytest.raises(TypeError, match=r"params\.cell"):
            act()
    with pytest.raises(TypeError, match="an LSTM or a GRU, got ElmanParams"):
        initializers.forget_bias(Elman(2, 3).init(key))
    with pytest.raises(ValueError, match="longest must be above 2"):
        initializers.chrono(key, GRU(2, 3).init(key), 2)
    with pytest.raises(ValueError, match=r"got shape \(2, 2, 8\)"):
        initializers.orthogonal(key, SLSTM(2, 4, heads=2).init(key))
    for cell, says in (
        (Jordan(2, 6, 3), r"\(hidden, 1·hidden\), got shape \(3, 6\)"),
        (ProjectedLSTM(2, 6, 3), "4·hidden"),
    ):
        with pytest.raises(ValueError, match=says):
            initializers.identity(cell.init(key))
