"""Steps with the batch as the last axis: the same values and gradients, where it is done, and where it is not."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    BPTT,
    GRU,
    LSTM,
    MGU,
    SLSTM,
    Affine,
    Autodiff,
    CoupledLSTM,
    Elman,
    LayerNormLSTM,
    LeakyElman,
    PeepholeLSTM,
    ProjectedLSTM,
    Reservoir,
    Scan,
    Shooting,
    TiedGRU,
    TruncatedBPTT,
    Zoneout,
    perturbed,
    unfold,
)
from jaxrnn.unfold import sizes, structure
from tests import grid, oracles

T, B, D, H = 7, 3, 2, 4


def _columns(monkeypatch: pytest.MonkeyPatch, used: bool) -> list[bool]:
    """Columns wherever they fit, or nowhere; what was answered is noted."""
    answers = []

    def answer(problem: Any, operands: Any, products: bool) -> bool:
        answers.append(used and structure.columns_fit(problem, operands))
        return answers[-1]

    monkeypatch.setattr(sizes, "columns_pay", answer)
    jax.clear_caches()
    return answers


def _sample(cell: Any, dtype: Any = jnp.float64) -> tuple[Any, Any, jax.Array]:
    params = cell.init(jax.random.key(0), dtype)
    state = cell.initial_state(params, (B,))
    state = jax.tree.map(lambda s: 0.3 * jax.random.normal(jax.random.key(1), s.shape, dtype), state)
    return params, state, jax.random.normal(jax.random.key(2), (T, B, D), dtype)


@pytest.mark.parametrize(("features", "ahead"), [(1, False), (D, False), (D, True)])
@pytest.mark.parametrize("cell", [GRU, LSTM])
def test_columns_are_the_equations(
    cell: Any, features: int, ahead: bool, x64: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against NumPy's loop over one sequence after another; with drives computed ahead, and without."""
    answers = _columns(monkeypatch, True)
    monkeypatch.setattr(sizes, "drive_a_block", lambda operands, copies=1: ahead)
    cell = cell(features, H)
    params, xs = cell.init(jax.random.key(0), jnp.float64), jax.random.normal(jax.random.key(2), (T, B, features))
    run = unfold(cell, params, xs, adjoint=BPTT())
    assert set(answers) == {True}
    oracle: Any = {GRU: oracles.GRU, LSTM: oracles.LSTM}[type(cell)]
    p = jax.tree.map(np.asarray, params)
    for b in range(B):
        state = jax.tree.map(np.asarray, cell.initial_state(params))
        for t in range(T):
            state = oracle.step(p, state, np.asarray(xs[t, b]))
            np.testing.assert_allclose(run.outputs[t, b], oracle.output(p, state), rtol=0, atol=1e-14)
        for found, expected in zip(jax.tree.leaves(run.final), jax.tree.leaves(state), strict=True):
            np.testing.assert_allclose(found[b], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("cell", "adjoint"),
    [
        (CoupledLSTM(D, H), BPTT()),
        (Elman(D, H), TruncatedBPTT(3)),
        (GRU(D, H), BPTT(block=3)),
        (LSTM(D, H), Autodiff()),
        (LeakyElman(D, H), BPTT()),
    ],
    ids=str,
)
def test_values_and_gradients_do_not_change(
    cell: Any, adjoint: Any, x64: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With lengths, one of them zero, resets, in both directions."""
    params, state, xs = _sample(cell)
    lengths, resets = jnp.array([T, 0, 4]), jax.random.bernoulli(jax.random.key(3), 0.2, (T, B))

    def results() -> Any:
        def loss(params: Any, state: Any, xs: jax.Array) -> Any:
            runs = [
                unfold(cell, params, xs, state=state, lengths=lengths, resets=resets, reverse=way, adjoint=adjoint)
                for way in (False, True)
            ]
            found = [(run.outputs, run.final) for run in runs]
            return grid.weigh(found), found

        return jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(params, state, xs)

    assert not any(_columns(monkeypatch, False))
    expected = results()
    answers = _columns(monkeypatch, True)
    found = results()
    assert any(answers)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "cell",
    [LayerNormLSTM(D, H), MGU(D, H), PeepholeLSTM(D, H), ProjectedLSTM(D, H, 3), SLSTM(D, H), TiedGRU(D, H)],
    ids=lambda cell: type(cell).__name__,
)
def test_every_other_cell_is_right_too(cell: Any, x64: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its steps are taken in columns or not."""
    params, state, xs = _sample(cell)
    _columns(monkeypatch, False)
    expected = unfold(cell, params, xs, state=state)
    answers = _columns(monkeypatch, True)
    found = unfold(cell, params, xs, state=state)
    assert set(answers) == {isinstance(cell, Affine) and not isinstance(cell, MGU | ProjectedLSTM | SLSTM)}
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", [GRU(D, H), LSTM(D, H), LeakyElman(D, H)], ids=lambda cell: type(cell).__name__)
def test_blocks_of_time_are_columns_too(cell: Any, reverse: bool, x64: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shooting's blocks of every sequence side by side, with lengths and resets, against rows one after another."""
    params, state, xs = _sample(cell)
    xs = jnp.concatenate([xs] * 6)
    lengths, resets = jnp.array([6 * T, 0, 25]), jax.random.bernoulli(jax.random.key(3), 0.2, xs.shape[:2])
    extras: Any = {"state": state, "lengths": lengths, "resets": resets, "reverse": reverse}
    _columns(monkeypatch, False)
    expected = unfold(cell, params, xs, **extras)
    answers = _columns(monkeypatch, True)
    found = unfold(cell, params, xs, method=Shooting(blocks=4, max_sweeps=4), **extras)
    assert set(answers) == {True}
    assert not found.info.fell_back
    pairs = zip(jax.tree.leaves(found[:2]), jax.tree.leaves(expected[:2]), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def _asked(cell: Any, params: Any, xs: Any, monkeypatch: pytest.MonkeyPatch) -> set[bool]:
    answers: list[bool] = []
    pays = sizes.columns_pay
    monkeypatch.setattr(sizes, "columns_pay", lambda *problem: answers.append(pays(*problem)) or answers[-1])
    unfold(cell, params, xs)
    return set(answers)


@pytest.mark.parametrize(
    ("batch", "dtype", "used"),
    [((16,), "float32", True), ((4,), "float32", False), ((16,), "bfloat16", False), ((2, 8), "float32", True)],
)
def test_where_columns_are_used(batch: Any, dtype: Any, used: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = LSTM(D, H)
    params = cell.init(jax.random.key(0), dtype)
    assert _asked(cell, params, jnp.ones((T, *batch, D), dtype), monkeypatch) == {
        used and jax.default_backend() == "cpu"
    }


def test_what_has_a_batch_of_its_own_stays_in_rows(key: jax.Array, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask for each sequence is among the inputs of zoneout, and is not driven."""
    cell = perturbed(LSTM(D, H), Zoneout(0.5))
    params = cell.init(jax.random.key(0))
    masks = jax.tree.map(lambda s: jnp.ones((T, *s.shape), bool), cell.initial_state(params, (16,)))
    assert _asked(cell, params, (jnp.ones((T, 16, D)), masks), monkeypatch) == {False}


class HalfLSTM(LSTM):
    """A user's cell, whose recurrent matrix is not the one among its weights."""

    def recurrent(self, params: Any) -> Any:
        return params.W / 2


class SquashedGRU(GRU):
    """A user's cell, whose drive is not affine."""

    def drive(self, params: Any, x: jax.Array) -> jax.Array:
        return jnp.tanh(super().drive(params, x))


class NoisyGRU(GRU):
    """A user's cell, which draws a number for each sequence."""

    def activate(self, params: Any, state: Any, u: jax.Array, a: jax.Array) -> Any:
        return super().activate(params, state, u + jax.random.normal(jax.random.key(0), u.shape, u.dtype), a)


class CentredGRU(GRU):
    """A user's cell, whose sequences meet in the mean of their drives."""

    def activate(self, params: Any, state: Any, u: jax.Array, a: jax.Array) -> Any:
        return super().activate(params, state, u - u.mean(0, keepdims=True), a)


@pytest.mark.parametrize("batch", [3, 16])
@pytest.mark.parametrize("kind", [HalfLSTM, SquashedGRU, NoisyGRU, CentredGRU])
def test_what_overrides_its_sums_is_taken_at_its_word(kind: Any, batch: int) -> None:
    cell = kind(D, H)
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (T, batch, D))
    state = cell.initial_state(params, (batch,))
    for x in xs:
        state = cell.step(params, state, x)
    np.testing.assert_allclose(unfold(cell, params, xs).final.h, state.h, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", [Scan(), Shooting(blocks=3)], ids=str)
@pytest.mark.parametrize("cell", [GRU(D, H), LSTM(D, H), Reservoir(D, H)], ids=lambda cell: type(cell).__name__)
def test_the_way_back_turns_its_product_round(cell: Any, method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """λ Wᵀ as (W λᵀ)ᵀ gives the gradients of JAX's own derivative."""
    params, state, xs = _sample(cell, jnp.float32)
    monkeypatch.setattr(sizes, "TURNED", (1, 64))
    jax.clear_caches()

    def gradients(**choices: Any) -> Any:
        def loss(params: Any, state: Any, xs: jax.Array) -> jax.Array:
            return grid.weigh(unfold(cell, params, xs, state=state, **choices).outputs)

        return jax.grad(loss, (0, 1, 2))(params, state, xs)

    grid.close(gradients(method=method), gradients(adjoint=Autodiff()), 1e-5, 1e-6)


def test_the_product_of_the_way_back_has_the_matrix_on_its_left() -> None:
    cell = LSTM(64, 128)
    params = cell.init(jax.random.key(0))

    def products(batch: int) -> str:
        run = jax.jit(jax.grad(lambda p: unfold(cell, p, jnp.ones((T, batch, 64))).outputs.sum()))
        return "\n".join(line for line in run.lower(params).as_text().splitlines() if "dot_general" in line)

    turned = "(tensor<128x512xf32>, tensor<512x16xf32>) -> tensor<128x16xf32>"
    assert products(16).count(turned) == 1
    assert "tensor<512x32xf32>) -> tensor<128x32xf32>" not in products(32)


@pytest.mark.parametrize(("batch", "shared"), [(8, False), (32, True)])
def test_the_product_of_a_step_has_the_matrix_on_its_left(batch: int, shared: bool) -> None:
    """In the compiled program: (4·128, 64 + 128) by (192, batch), and no matrix is transposed in the loop."""
    cell = LSTM(64, 128)
    params, xs = cell.init(jax.random.key(0)), jnp.ones((T, batch, 64))
    text = jax.jit(lambda p, x: unfold(cell, p, x).outputs).lower(params, xs).as_text()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line or "convolution(" in line]
    assert len(products) == 1
    one = "1x" if shared else ""
    left, right = ("512x1x192", f"1x192x{batch}") if shared else ("512x192", f"192x{batch}")
    assert f"(tensor<{left}xf32>, tensor<{right}xf32>) -> tensor<512x{one}{batch}xf32>" in products[0]
