"""A product that cores share: the same values, derivatives and batches as `A @ B`, and where it is used."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxrnn import BPTT, GRU, LSTM, Autodiff, Elman, unfold
from jaxrnn.unfold import sizes
from jaxrnn.unfold.product import product, rows_product, shared_product
from tests import grid, oracles


def _draw(*shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(sum(shape)), shape)


@pytest.fixture
def anew() -> Iterator[None]:
    """Programs that were traced under other sizes are left neither to this test nor to the next."""
    jax.clear_caches()
    yield
    jax.clear_caches()


@pytest.fixture
def everywhere(anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns and shared products, however small."""
    monkeypatch.setattr(sizes, "COLUMNS", (1, 64))
    monkeypatch.setattr(sizes, "SHARED", (1, 1))
    monkeypatch.setattr(sizes, "SHARED_BACK", (1, 64))
    monkeypatch.setattr(sizes, "TURNED", (1, 0))


@pytest.mark.parametrize("sizes_of", [(1, 1, 1), (3, 5, 2), (7, 1, 4), (16, 32, 8)])
def test_value_and_derivatives_are_those_of_a_product(sizes_of: tuple[int, int, int], x64: None) -> None:
    m, k, n = sizes_of
    A, B = _draw(m, k), _draw(k, n)
    np.testing.assert_allclose(shared_product(A, B), np.asarray(A) @ np.asarray(B), rtol=0, atol=1e-14 * k)
    check_grads(shared_product, (A, B), order=2, modes=("fwd", "rev"), rtol=1e-6)


@pytest.mark.parametrize("mapped", [(0, None), (None, 0), (0, 0), (1, 2), (None, 1)])
def test_many_products_are_no_convolution_in_groups(mapped: tuple[Any, Any], x64: None) -> None:
    """Mapped over either operand: the values, the gradients, and a program without a convolution."""
    A = _draw(4, 5) if mapped[0] is None else jnp.moveaxis(_draw(3, 4, 5), 0, mapped[0])
    B = _draw(5, 6) if mapped[1] is None else jnp.moveaxis(_draw(3, 5, 6), 0, mapped[1])
    expected = jax.vmap(jnp.matmul, mapped)(A, B)
    np.testing.assert_allclose(jax.vmap(shared_product, mapped)(A, B), expected, rtol=0, atol=1e-13)
    assert "convolution" not in jax.jit(jax.vmap(shared_product, mapped)).lower(A, B).as_text()

    def loss(f: Any) -> Any:
        return lambda A, B: (jax.vmap(f, mapped)(A, B) ** 3).sum()

    for found, true in zip(
        jax.grad(loss(shared_product), (0, 1))(A, B), jax.grad(loss(jnp.matmul), (0, 1))(A, B), strict=True
    ):
        np.testing.assert_allclose(found, true, rtol=1e-12, atol=1e-12)


def test_a_large_product_is_shared_and_a_small_one_is_not() -> None:
    def convolves(m: int, k: int, n: int) -> bool:
        return "convolution" in jax.jit(product).lower(jnp.ones((m, k)), jnp.ones((k, n))).as_text()

    on_cpu = jax.default_backend() == "cpu"
    assert convolves(512, 128, 32) == on_cpu
    assert not convolves(512, 1024, 8)
    assert not convolves(128, 64, 32)


@pytest.mark.parametrize("dtypes", [("bfloat16", "float32"), ("float32", "bfloat16"), ("bfloat16", "bfloat16")])
def test_other_types_than_float32_are_not_shared(dtypes: tuple[str, str]) -> None:
    A, B = jnp.ones((512, 128), dtypes[0]), jnp.ones((128, 32), dtypes[1])
    assert "convolution" not in jax.jit(product).lower(A, B).as_text()
    assert product(A, B).dtype == (A @ B).dtype


@pytest.mark.parametrize("precision", ["bfloat16", "BF16_BF16_F32", "float32"])
def test_a_setting_of_precision_leaves_the_product_as_it_is(precision: str) -> None:
    A, B = jnp.ones((512, 128)), jnp.ones((128, 32))
    with jax.default_matmul_precision(precision):
        assert "convolution" not in jax.jit(product).lower(A, B).as_text()


def test_rows_keep_their_batch_axes(x64: None, everywhere: None) -> None:
    d, W = _draw(2, 3, 4), _draw(4, 5)
    np.testing.assert_allclose(rows_product(d, W), np.asarray(d) @ np.asarray(W), rtol=0, atol=1e-14)


@pytest.mark.parametrize("adjoint", [BPTT(), BPTT(block=3), Autodiff()], ids=str)
@pytest.mark.parametrize("cell", [Elman, GRU, LSTM])
def test_cells_are_their_equations(cell: Any, adjoint: Any, everywhere: None) -> None:
    """Against NumPy in float64, and gradients against those of float64, which no product is shared in."""
    T, B, D, H = 7, 5, 3, 4
    cell = cell(D, H)
    params, xs = cell.init(jax.random.key(0)), _draw(T, B, D)

    def loss(params: Any, xs: jax.Array) -> Any:
        run = unfold(cell, params, xs, lengths=jnp.array([T, 0, 4, T, 1]), adjoint=adjoint)
        return grid.weigh(run.outputs), run.outputs

    step = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
    assert ("convolution" in step.lower(params, xs).as_text()) == (jax.default_backend() == "cpu")
    (_, outputs), gradients = step(params, xs)
    oracle: Any = {Elman: oracles.ELMAN, GRU: oracles.GRU, LSTM: oracles.LSTM}[type(cell)]
    p, state = jax.tree.map(np.asarray, params), jax.tree.map(np.asarray, cell.initial_state(params))
    for t in range(T):
        state = oracle.step(p, state, np.asarray(xs[t, 0]))
        np.testing.assert_allclose(outputs[t, 0], oracle.output(p, state), rtol=0, atol=1e-6)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: jnp.asarray(np.asarray(a), jnp.float64), (params, xs))
        _, expected = jax.value_and_grad(loss, (0, 1), has_aux=True)(*wide)
    for found, true in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(found, true, rtol=0, atol=2e-6 * np.abs(true).max())


@pytest.mark.parametrize("shared", [True, False])
def test_the_product_of_the_way_back_is_shared(shared: bool, anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """λ Wᵀ alone: no pass is in columns."""
    monkeypatch.setattr(sizes, "COLUMNS", (65, 64))
    monkeypatch.setattr(sizes, "SHARED", (1, 1))
    monkeypatch.setattr(sizes, "TURNED", (1, 0))
    monkeypatch.setattr(sizes, "SHARED_BACK", (1, 64 if shared else 0))
    cell = LSTM(2, 3)
    params, xs = cell.init(jax.random.key(0)), _draw(5, 4, 2)
    back = jax.jit(jax.grad(lambda p: unfold(cell, p, xs).outputs.sum()))
    on_cpu = jax.default_backend() == "cpu"
    assert ("convolution" in back.lower(params).as_text()) == (shared and on_cpu)
    assert "convolution" not in jax.jit(lambda p: unfold(cell, p, xs).outputs).lower(params).as_text()


def test_an_ensemble_and_second_derivatives(everywhere: None) -> None:
    """`vmap` over parameters, and a derivative of a derivative: as without shared products."""
    cell = GRU(2, 3)
    params = jax.vmap(cell.init)(jax.random.split(jax.random.key(0), 3))
    xs = _draw(5, 4, 2)

    def loss(params: Any) -> jax.Array:
        return (unfold(cell, params, xs).outputs ** 2).sum()

    def found() -> Any:
        one = jax.tree.map(lambda p: p[0], params)
        direction = jax.tree.map(jnp.ones_like, one)
        curvature = jax.grad(lambda p: jax.tree.reduce(jnp.add, jax.tree.map(jnp.sum, jax.grad(loss)(p))))(one)
        return jax.vmap(jax.value_and_grad(loss))(params), curvature, jax.jvp(jax.grad(loss), (one,), (direction,))

    shared = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "SHARED", (1, 1 << 60))
        jax.clear_caches()
        plain = found()
    for a, b in zip(jax.tree.leaves(shared), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("batch", "columns"), [((128,), True), ((300,), False)])
def test_more_rows_are_columns_where_no_products_are_kept(
    batch: Any, columns: bool, anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forward passes alone, of cells with several gates."""
    answers: list[tuple[bool, bool]] = []
    pays = sizes.columns_pay

    def asked(problem: Any, operands: Any, products: bool) -> bool:
        answers.append((products, pays(problem, operands, products)))
        return answers[-1][1]

    monkeypatch.setattr(sizes, "columns_pay", asked)
    for cell, wide in ((LSTM(2, 4), True), (Elman(2, 4), False)):
        answers.clear()
        params, xs = cell.init(jax.random.key(0)), jnp.ones((3, *batch, 2))
        unfold(cell, params, xs)
        on_cpu = jax.default_backend() == "cpu"
        assert set(answers) == {(False, columns and wide and on_cpu)}
        answers.clear()
        jax.grad(lambda p, cell=cell, xs=xs: unfold(cell, p, xs).outputs.sum())(params)
        assert {pays for products, pays in answers if products} == {False}
