"""Linear cells many steps at once: the values and gradients of one step after another."""

import re
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import BPTT, GRU, LRU, Associative, Autodiff, GRUState, MinGRU, MinLSTM, Scan, Stack, TruncatedBPTT, unfold
from jaxrnn.unfold import sizes
from tests.grid import Diagonal, close, gradients, quick, weigh
from tests.oracles import sigmoid

STEPS = 23  # chunks and blocks do not divide it

RESETS = np.arange(STEPS * 3).reshape(-1, 3) % 7 == 3
SCENARIOS = {
    "backward, padded": ((3,), {"reverse": True, "lengths": np.array([23, 0, 9])}),
    "padded, resets": (
        (3,),
        {"lengths": np.array([5, 23, 14]), "resets": RESETS},
    ),
}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The prefix scan also on a CPU, where it is not chosen."""
    asked = []
    monkeypatch.setattr(sizes, "prefix_scan_pays", lambda: asked.append(None) or True)
    yield
    assert asked  # no program traced before was taken


@pytest.mark.usefixtures("x64", "at_once")
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("cell", [Diagonal(2, 3), LRU(2, 3)], ids=["diagonal", "lru"])
def test_equals_one_step_after_another(cell, scenario):
    batch, arguments = SCENARIOS[scenario]
    params = cell.init(jax.random.key(0), jnp.float64)
    xs = jax.random.normal(jax.random.key(1), (STEPS, *batch, 2), jnp.float64)
    state = jax.tree.map(lambda s: s + 0.3, cell.initial_state(params, batch))

    def run(method, adjoint):
        def loss(params, xs):
            run = unfold(cell, params, xs, state=state, method=method, adjoint=adjoint, **arguments)
            values = run.outputs, jax.tree.map(lambda s: jnp.stack([s.real, s.imag]), run.final)
            return weigh(values), values

        return gradients(loss, params, xs)

    def all_pairs():
        exact = [(Associative(), BPTT()), (Associative(), BPTT(5))]
        cut = [(Scan(), TruncatedBPTT(4)), (Associative(), TruncatedBPTT(4))]
        return run(Scan(), Autodiff()), [run(*pair) for pair in exact], [run(*pair) for pair in cut]

    expected, found, (cut, cut_at_once) = quick(all_pairs)()
    for each in found:
        close(each, expected, 1e-10, 1e-11)
    close(cut_at_once, cut, 1e-10, 1e-11)


def _min_gru(p, x):
    # Feng et al. (2024): z = σ(Linear(x)), h̃ = Linear(x), h(t) = (1 - z) h(t-1) + z h̃
    z, new = np.split(x @ p.U + p.b, 2, axis=-1)
    z = sigmoid(z)
    return 1 - z, z * new, lambda h: h


def _min_lstm(p, x):
    # Feng et al. (2024): h(t) = f / (f + i) h(t-1) + i / (f + i) h̃
    i, f, new = np.split(x @ p.U + p.b, 3, axis=-1)
    i, f = sigmoid(i), sigmoid(f)
    return f / (f + i), i / (f + i) * new, lambda h: h


def _lru(p, x):
    # Orvieto et al. (2023): h(t) = λ ⊙ h(t-1) + γ ⊙ B x(t), y(t) = Re[C h(t)] + D x(t)
    eigenvalues = np.exp(-np.exp(p.nu_log) + 1j * np.exp(p.theta_log))
    b = np.exp(p.gamma_log) * (x @ (p.B_re + 1j * p.B_im))
    return np.broadcast_to(eigenvalues, b.shape), b, lambda h: (h @ (p.C_re + 1j * p.C_im)).real + p.D * x


LONG = {"mingru": (MinGRU(3, 4), _min_gru), "minlstm": (MinLSTM(3, 4), _min_lstm), "lru": (LRU(3, 4), _lru)}


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("cell", "recurrence"), LONG.values(), ids=LONG)
def test_long_sequences_in_single_precision(cell, recurrence, rng):
    """65,536 steps by a prefix scan, which has no loop over them, equal NumPy's in turn in double precision."""
    params = cell.init(jax.random.key(0), jnp.float32)
    xs = rng.normal(size=(65_536, 3)).astype(np.float32)
    program: Any = quick(lambda params, xs: unfold(cell, params, xs, method=Associative()).outputs)
    compiled = program.lower(params, xs).compile()
    trips = re.findall(r'"known_trip_count":{"n":"(\d+)"', compiled.as_text())
    assert compiled.as_text().count(" while(") == len(trips)
    assert max(map(int, trips), default=0) < 20  # outputs are computed in blocks

    a, b, output = recurrence(jax.tree.map(lambda p: np.asarray(p, np.float64), params), xs.astype(np.float64))
    h, states = np.zeros_like(b[0]), []
    for a_t, b_t in zip(a, b, strict=True):
        h = a_t * h + b_t
        states.append(h)
    close(compiled(params, xs), output(np.stack(states)), 1e-4, 1e-4)


def test_on_a_cpu_it_is_the_program_of_one_step_after_another():
    cell = LRU(3, 4)
    params, xs = jax.eval_shape(cell.init, jax.random.key(0)), jnp.zeros((50, 2, 3))

    def program(method):
        return str(jax.make_jaxpr(jax.grad(lambda p: unfold(cell, p, xs, method=method).outputs.sum()))(params))

    assert (program(Associative()) == program(Scan())) == (jax.default_backend() == "cpu")


@pytest.mark.parametrize("adjoint", [Autodiff(), BPTT(), TruncatedBPTT(4)], ids=["autodiff", "bptt", "truncated"])
def test_no_steps_leave_the_state(adjoint):
    cell = MinGRU(2, 3)
    params, state = cell.init(jax.random.key(0)), GRUState(jnp.arange(6.0).reshape(2, 3))
    run = unfold(cell, params, jnp.ones((0, 2, 2)), state=state, method=Associative(), adjoint=adjoint)
    assert run.outputs.shape == (0, 2, 3)
    np.testing.assert_array_equal(run.final.h, state.h)


def test_other_cells_are_refused_by_name():
    net = Stack([MinGRU(2, 3), GRU(3, 3)])
    with pytest.raises(TypeError, match=r"Linear .*got GRU\(input_size=3.*pass method=Scan\(\)"):
        unfold(net, net.init(jax.random.key(0)), jnp.ones((5, 2)), method=Associative())
