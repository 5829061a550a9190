"""The method that is chosen, and that it is then the one that runs."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import jaxrnn
from jaxrnn import (
    BPTT,
    GRU,
    LSTM,
    RTRL,
    Associative,
    Auto,
    Autodiff,
    Elman,
    MinGRU,
    Readout,
    Recurrent,
    Scan,
    Shooting,
    SnAp1,
    Stack,
    TruncatedBPTT,
    transition,
    unfold,
)
from jaxrnn.unfold import sizes
from jaxrnn.unfold.problem import Operands, Problem

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def _chosen(cell: Any, steps: int, batch: int, inputs: int, adjoint: Any = BPTT()) -> Any:  # noqa: B008
    """Nothing is computed: all arrays are shapes."""
    params = jax.eval_shape(cell.init, jax.random.key(0))
    state = jax.eval_shape(lambda p: cell.initial_state(p, (batch,)), params)
    xs = jax.ShapeDtypeStruct((steps, batch, inputs), jnp.float32)
    operands = Operands(params, None, state, xs, None, None)
    return Auto().choose(Problem(cell, lambda x: x, None, steps, False), operands, adjoint)


@pytest.mark.parametrize("adjoint", [BPTT(), BPTT(block=7), TruncatedBPTT(5), Autodiff()], ids=str)
def test_linear_cells_are_composed(adjoint: Any) -> None:
    assert _chosen(MinGRU(2, 3), 100, 1, 2, adjoint) == Associative()


@pytest.mark.parametrize("adjoint", [RTRL(), SnAp1()], ids=str)
def test_adjoints_that_go_step_by_step_get_their_method(adjoint: Any) -> None:
    for cell in (MinGRU(8, 512), GRU(8, 512)):
        assert _chosen(cell, 16_384, 1, 8, adjoint) == Scan()


@pytest.mark.parametrize("cell", [GRU(8, 512), Elman(8, 512), LSTM(8, 512)], ids=lambda c: type(c).__name__)
def test_long_sequences_through_large_matrices_are_cut_into_blocks(cell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    found = _chosen(cell, 16_384, 1, 8)
    assert isinstance(found, Shooting)
    assert found.probe is not None
    assert 32 < found.probe <= 16_384 // 32  # long enough to see an untrained net forget, and little beside the whole
    assert found == Shooting(probe=found.probe)
    assert _chosen(cell, 100, 1, 8) == Scan()
    assert _chosen(cell, 16_384, 64, 8) == Scan()
    for adjoint in (BPTT(block=64), BPTT(memory="300MB"), TruncatedBPTT(35), Autodiff()):
        assert _chosen(cell, 16_384, 1, 8, adjoint) == Scan()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert _chosen(cell, 16_384, 1, 8) == Scan()


def test_a_step_without_matrices_that_are_known_goes_step_by_step() -> None:
    cell = transition(
        lambda p, s, x: jnp.tanh(s @ p["W"] + x),
        init=lambda key, dtype: {"W": jnp.zeros((512, 512), dtype)},
        initial_state=lambda p, batch: jnp.zeros((*batch, 512)),
    )
    assert _chosen(cell, 16_384, 1, 512) == Scan()
    assert _chosen(GRU(8, 4), 16_384, 1, 8) == Scan()


@pytest.mark.parametrize("part", ["grid", "shooting"])
def test_nothing_that_was_measured_is_slower_than_scan_by_more_than_a_tenth(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    rows = json.loads((RESULTS / f"methods-{part}.json").read_text())["results"]
    chosen = 0
    for row in rows:
        steps, batch, inputs, hidden = row["shape"]
        cell = getattr(jaxrnn, row["label"].split(",")[0])(inputs, hidden)
        if isinstance(_chosen(cell, steps, batch, inputs), Shooting):
            chosen += 1
            for which, methods in row["passes"].items():
                found = methods.get("auto", methods["Shooting"])
                assert found["faster"] > 1 / 1.1, (row["label"], row["shape"], which)
    assert chosen


def _program(cell: Any, xs: jax.Array, method: Any) -> str:
    params = jax.eval_shape(cell.init, jax.random.key(0))
    return str(jax.make_jaxpr(jax.grad(lambda p: unfold(cell, p, xs, method=method).outputs.sum()))(params))


def test_what_is_chosen_is_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "shooting_pays", lambda problem, operands: problem.cell == GRU(5, 6))
    net, xs = Readout(Stack([Elman(4, 5), GRU(5, 6)]), 2), jnp.ones((68, 2, 4))
    params = net.init(jax.random.key(0))
    run = unfold(net, params, xs, method="auto")
    assert run.info[0] is None
    assert run.info[1].sweeps == 2
    assert not run.info[1].fell_back
    upper, below = GRU(5, 6), jnp.ones((68, 2, 5))
    assert _program(upper, below, Auto()) == _program(upper, below, Shooting(probe=sizes.SHOOTING_PROBE_STEPS))
    lower = Elman(4, 5)
    assert _program(lower, xs, "auto") == _program(lower, xs, Scan())


def test_layers_take_it_too() -> None:
    layer, xs = Recurrent(MinGRU(4, 5)), jnp.ones((9, 2, 4))
    params = layer.init(jax.random.key(0))
    found, expected = (layer.apply(params, xs, method=method).outputs for method in ("auto", Associative()))
    assert (found == expected).all()


def test_other_words_are_refused() -> None:
    cell = MinGRU(2, 3)
    with pytest.raises(TypeError, match=r'"auto", got \'fast\': pass method=Scan\(\)'):
        unfold(cell, cell.init(jax.random.key(0)), jnp.ones((5, 2)), method="fast")
