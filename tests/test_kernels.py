"""A fused kernel as a method: the values and gradients of `Scan`, and `Scan` itself where it does not fit."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import jaxrnn
from jaxrnn import BPTT, GRU, LSTM, Autodiff, Scan, TruncatedBPTT, unfold
from jaxrnn.unfold.kernels import Fused, Kernel
from jaxrnn.unfold.kernels.lstm import PallasLSTM
from tests import grid

FUSED = Fused(PallasLSTM(interpret=True))


def _case(batch: tuple[int, ...], dtype: Any = jnp.float32) -> tuple[LSTM, Any, jax.Array]:
    cell = LSTM(3, 4)
    return cell, cell.init(jax.random.key(0), dtype), jax.random.normal(jax.random.key(1), (7, *batch, 3), dtype)


def _both(cell: Any, params: Any, xs: jax.Array, **choices: Any) -> tuple[Any, Any]:
    """Outputs, final state, and the gradients of a function of both, by the kernel and by `Scan`."""

    def loss(params: Any, xs: jax.Array, method: Any) -> Any:
        run = unfold(cell, params, xs, method=method, **choices)
        return grid.weigh((run.outputs, run.final)), (run.outputs, run.final)

    run = jax.value_and_grad(loss, (0, 1), has_aux=True)
    return run(params, xs, FUSED), run(params, xs, Scan())


def _kernels(cell: Any, params: Any, xs: jax.Array, **choices: Any) -> int:
    program = jax.make_jaxpr(lambda params, xs: unfold(cell, params, xs, method=FUSED, **choices))(params, xs)
    return str(program).count("pallas_call[")


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("adjoint", [BPTT(), BPTT(block=3), TruncatedBPTT(2)], ids=str)
def test_values_and_gradients_are_those_of_scan(batch: tuple[int, ...], reverse: bool, adjoint: Any):
    given = _case(batch)
    assert _kernels(*given, reverse=reverse) == 1
    grid.close(*_both(*given, reverse=reverse, adjoint=adjoint), 1e-5, 1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64], ids=["bfloat16", "float64"])
def test_of_other_types_too(dtype: Any, x64: None):
    found, expected = _both(*_case((2,), dtype))
    types, due = (jax.tree.map(lambda a: a.dtype, tree) for tree in (found, expected))
    assert types == due
    grid.close(found, expected, *((1e-12, 1e-12) if dtype == jnp.float64 else (0.05, 0.05)))


def test_mapped_over_and_compiled():
    cell, params, xs = _case((5,))
    gradient = jax.grad(lambda params, xs, method: jnp.sum(unfold(cell, params, xs, method=method).outputs ** 2))
    found, expected = (
        jax.jit(jax.vmap(gradient, (None, 1, None)), static_argnums=2)(params, xs, method) for method in (FUSED, Scan())
    )
    grid.close(found, expected, 1e-5, 1e-5)


@pytest.mark.parametrize("choices", [{"lengths": jnp.array([7, 0])}, {"resets": jnp.arange(7) == 3}], ids=str)
def test_what_it_does_not_take_scan_runs(choices: dict[str, Any]):
    given = _case((2,))
    assert _kernels(*given, **choices) == 0
    grid.close(*_both(*given, **choices), 0, 0)
    gru = GRU(3, 4)
    assert _kernels(gru, gru.init(jax.random.key(0)), given[2]) == 0


def test_in_a_stack_each_layer_is_asked_for_itself():
    cell = jaxrnn.Stack([LSTM(3, 4), GRU(4, 4), LSTM(4, 2)])
    params, xs = cell.init(jax.random.key(0)), jnp.ones((5, 2, 3))
    assert _kernels(cell, params, xs) == 2
    grid.close(*_both(cell, params, xs), 1e-5, 1e-5)


def test_another_kernel_plugs_in_alike():
    @dataclass(frozen=True)
    class Looped(Kernel):
        """A Python loop over the steps of any gated cell whose product is kept as it is."""

        def takes(self, cell: Any, params: Any, state: Any) -> bool:
            return isinstance(cell, GRU)

        def run(self, cell: Any, params: Any, state: Any, us: Any, backward: bool) -> tuple[Any, Any]:
            states, products = [], []
            for u in us[::-1] if backward else us:
                products.append(cell.recur(params, state))
                state = cell.activate(params, state, u, products[-1])
                states.append(state)
            order = slice(None, None, -1 if backward else 1)
            return tuple(jax.tree.map(lambda *a: jnp.stack(a[order]), *each) for each in (states, products))  # pyright: ignore[reportReturnType]

    cell = GRU(3, 4)
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (5, 2, 3))

    def loss(params: Any, method: Any) -> Any:
        return jnp.sum(unfold(cell, params, xs, method=method, reverse=True).outputs ** 2)

    for method in (Fused(Looped()), Fused(PallasLSTM(interpret=True))):
        grid.close(jax.grad(loss)(params, method), jax.grad(loss)(params, Scan()), 1e-5, 1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(TypeError, match="kernel must be a Kernel, got 3"):
        Fused(3)  # pyright: ignore[reportArgumentType]
    cell, params, xs = _case((2,))
    with pytest.raises(TypeError, match=r"pass adjoint=BPTT\(\), or method=Scan\(\)"):
        unfold(cell, params, xs, method=FUSED, adjoint=Autodiff())
