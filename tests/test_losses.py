"""Losses of sequences against NumPy, and what padding may reach."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import losses


def test_negative_log_likelihood_is_minus_log_softmax(rng: np.random.Generator) -> None:
    o, y = rng.normal(size=(5, 3, 7)), rng.integers(0, 7, (5, 3))
    p = np.exp(o) / np.exp(o).sum(-1, keepdims=True)
    expected = -np.log(np.take_along_axis(p, y[..., None], -1)[..., 0])
    L = losses.negative_log_likelihood(jnp.asarray(o, jnp.float32), jnp.asarray(y))
    np.testing.assert_allclose(L, expected, rtol=2e-5)


def test_negative_log_likelihood_holds_where_exp_overflows() -> None:
    L = losses.negative_log_likelihood(jnp.array([[1e4, 0.0], [1e4, 0.0]]), jnp.array([0, 1]))
    np.testing.assert_allclose(L, [0, 1e4])


def test_small_types_are_widened() -> None:
    o = jnp.zeros((1000, 3), jnp.bfloat16)
    L = losses.negative_log_likelihood(o, jnp.zeros(1000, int))
    assert L.dtype == jnp.float32
    total = losses.reduce(jnp.ones(1000, jnp.bfloat16)).sum
    assert total.dtype == jnp.float32
    assert total == 1000


@pytest.mark.parametrize("shape", [(6,), (6, 4), (6, 2, 3)])
def test_sum_and_means(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    L = rng.normal(size=shape)
    found = losses.reduce(jnp.asarray(L, jnp.float32))
    sequences = L[0].size
    np.testing.assert_allclose(found, [L.sum(), L.mean(), L.sum() / sequences], rtol=1e-4)


def test_lengths_leave_out_what_is_past_them(rng: np.random.Generator) -> None:
    L, lengths = rng.normal(size=(6, 4)), np.array([6, 3, 0, 1])
    total = sum(L[:n, b].sum() for b, n in enumerate(lengths))
    found = losses.reduce(jnp.asarray(L, jnp.float32), jnp.asarray(lengths))
    np.testing.assert_allclose(found, [total, total / 10, total / 4], rtol=1e-5)


def test_one_sequence_has_one_length() -> None:
    np.testing.assert_allclose(losses.reduce(jnp.arange(5.0), lengths=3), [3, 1, 3])


@pytest.mark.parametrize("field", losses.SequenceLoss._fields)
def test_nan_in_the_padding_reaches_neither_value_nor_gradient(field: str) -> None:
    L = jnp.ones((4, 2)).at[2:, 1].set(jnp.nan)
    value, gradient = jax.value_and_grad(lambda L: getattr(losses.reduce(L, jnp.array([4, 2])), field))(L)
    assert value == {"sum": 6, "per_step": 1, "per_sequence": 3}[field]
    np.testing.assert_allclose(gradient, np.where(np.isnan(L), 0, 1) / (6 / float(value)))


def test_no_step_at_all_is_zero_with_zero_gradient() -> None:
    L = jnp.full((4, 2), jnp.nan)
    for field in losses.SequenceLoss._fields:
        value, gradient = jax.value_and_grad(lambda L, f=field: getattr(losses.reduce(L, jnp.zeros(2, int)), f))(L)
        assert value == 0
        np.testing.assert_array_equal(gradient, np.zeros((4, 2)))
    for shape in [(0, 2), (4, 0)]:
        np.testing.assert_array_equal(losses.reduce(jnp.zeros(shape)), [0, 0, 0])


def test_reduce_under_jit_and_vmap(rng: np.random.Generator) -> None:
    L, lengths = jnp.asarray(rng.normal(size=(3, 6, 2)), jnp.float32), jnp.array([[6, 2], [1, 0], [0, 0]])
    mapped = jax.jit(jax.vmap(losses.reduce))(L, lengths)
    for k in range(3):
        np.testing.assert_allclose([m[k] for m in mapped], losses.reduce(L[k], lengths[k]), rtol=1e-5)


def test_errors_say_what_was_given() -> None:
    with pytest.raises(TypeError, match="o must be of a floating type, got int32"):
        losses.negative_log_likelihood(jnp.zeros((2, 3), int), jnp.zeros(2, int))
    with pytest.raises(TypeError, match="y must be of integers, got float32"):
        losses.negative_log_likelihood(jnp.zeros((2, 3)), jnp.zeros(2))
    with pytest.raises(ValueError, match=r"got o of shape \(2, 3\) and y of \(3,\)"):
        losses.negative_log_likelihood(jnp.zeros((2, 3)), jnp.zeros(3, int))
    with pytest.raises(TypeError, match="L must be of a floating type"):
        losses.reduce(jnp.zeros(3, int))
    with pytest.raises(ValueError, match="got a scalar"):
        losses.reduce(jnp.zeros(()))
    with pytest.raises(TypeError, match="lengths must be integers, got float32"):
        losses.reduce(jnp.zeros((3, 2)), jnp.ones(2))
    with pytest.raises(ValueError, match=r"batch axes of L, \(2,\), got shape \(3,\)"):
        losses.reduce(jnp.zeros((3, 2)), jnp.ones(3, int))
    with pytest.raises(ValueError, match="between 0 and the 3 steps of L, got 1 to 4"):
        losses.reduce(jnp.zeros((3, 2)), jnp.array([1, 4]))
    with pytest.raises(ValueError, match="got -1 to 2"):
        losses.reduce(jnp.zeros((3, 2)), [-1, 2])
