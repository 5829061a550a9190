"""How far gradients reach, against finite differences of the recurrence and of its loss."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import GRU, LSTM, Elman, Readout, Skip, Stack, TruncatedBPTT, plotting, states, transition, unfold
from jaxrnn.diagnostics import (
    gradient_norms,
    information_flow,
    jacobians,
    products,
    sensitivity,
    singular_values,
    spectral_radius,
    state_gradients,
)
from tests import grid

T = 5
ENTRIES = [e for e in grid.CELLS if e.name in ("gru", "nested", "supervised", "transition", "lru", "skip", "ntm")]
FEW = [e for e in ENTRIES if e.name not in ("nested", "ntm")]  # whose programs are large, and of no other kind


def _numbers(state: Any) -> np.ndarray:
    """The real numbers of a state without batch axes."""
    parts = []
    for leaf in map(np.asarray, jax.tree.leaves(state)):
        if grid.has_gradient(leaf):
            parts += [np.real(leaf).ravel(), np.imag(leaf).ravel()] if np.iscomplexobj(leaf) else [leaf.ravel()]
    return np.concatenate(parts)


def _moved(state: Any, k: int, by: float) -> Any:
    """The state with its number k moved."""
    leaves, structure = jax.tree.flatten(jax.tree.map(lambda a: np.array(a), state))
    for n, leaf in enumerate(leaves):
        if not grid.has_gradient(leaf):
            continue
        for unit in (1, 1j) if np.iscomplexobj(leaf) else (1,):
            if 0 <= k < leaf.size:
                flat = leaf.ravel().copy()
                flat[k] += unit * by
                leaves[n] = flat.reshape(leaf.shape)
            k -= leaf.size
    return jax.tree.unflatten(structure, leaves)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("entry", ENTRIES, ids=[e.name for e in ENTRIES])
def test_products_of_jacobians_are_differences_of_states(entry: grid.Entry) -> None:
    params, state, xs = grid.sample(entry, ())
    J = grid.quick(lambda p, x, s: jacobians(entry.cell, p, x, state=s))(params, xs, state)
    p, s, x = grid.host((params, state, xs))
    n, epsilon = _numbers(s).size, 1e-6
    trajectory = [s]
    for t in range(grid.T):
        trajectory.append(entry.oracle.step(p, trajectory[-1], jax.tree.map(lambda a, t=t: a[t], x)))
    source, expected = 2, np.zeros((grid.T, n, n))
    expected[:source] = np.eye(n)
    for k in range(n):
        ends = [_moved(trajectory[source], k, by) for by in (epsilon, -epsilon)]
        for t in range(source, grid.T):
            ends = [entry.oracle.step(p, end, jax.tree.map(lambda a, t=t: a[t], x)) for end in ends]
            expected[t, :, k] = (_numbers(ends[0]) - _numbers(ends[1])) / (2 * epsilon)
    assert J.shape == (grid.T, n, n)
    np.testing.assert_allclose(products(J, source), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.usefixtures("x64")
def test_of_a_batch_each_row_is_its_own_and_of_a_part_its_own_numbers(rng: np.random.Generator) -> None:
    cell = Stack([LSTM(2, 3), GRU(3, 2)])
    params = cell.init(jax.random.key(0), jnp.float64)
    xs = jnp.asarray(rng.normal(size=(T, 2, 3, 2)))

    @grid.quick
    def program(params: Any, xs: jax.Array) -> Any:
        whole = jacobians(cell, params, xs)
        rows = jax.vmap(jax.vmap(lambda x: jacobians(cell, params, x), 1, 1), 1, 1)(xs)
        part = singular_values(cell, params, xs, source=1, part=lambda s: (s[1].h, s[0].c))
        return whole, rows, part, sensitivity(cell, params, xs, part=lambda s: s[0].c)

    whole, rows, part, pairs = map(np.asarray, program(params, xs))
    np.testing.assert_allclose(whole, rows, rtol=1e-12, atol=1e-14)
    chosen = [6, 7, 3, 4, 5]  # numbers of h of the GRU, of c of the LSTM
    P = np.broadcast_to(np.eye(8), whole.shape[1:])
    for t in range(T):
        P = whole[t] @ P if t >= 1 else P
        expected = np.linalg.svd(P[..., chosen, :][..., chosen], compute_uv=False)
        np.testing.assert_allclose(part[t], expected, rtol=1e-9, atol=1e-12)
    for s in range(T):
        P = np.eye(8)
        for t in range(T):
            P = whole[t] @ P if t >= s else P
            expected = np.linalg.norm(P[..., 3:6, 3:6], 2, axis=(-2, -1)) if t >= s else 0
            np.testing.assert_allclose(pairs[s, t], expected * np.ones((2, 3)), rtol=1e-9, atol=1e-12)


def _quadratic(run: Any) -> jax.Array:
    weights = jnp.cos(jnp.arange(run.outputs.size, dtype=run.outputs.dtype)).reshape(run.outputs.shape)
    return (weights * run.outputs**2).sum() + sum((s**2).sum() for s in jax.tree.leaves(run.final))


@pytest.mark.usefixtures("x64")
def test_state_gradients_are_differences_of_the_loss(rng: np.random.Generator) -> None:
    cell = Readout(LSTM(2, 3), 2)
    params = cell.init(jax.random.key(0), jnp.float64)
    xs, lengths = jnp.asarray(rng.normal(size=(T, 2, 2))), jnp.array([T, 3])
    found = grid.quick(lambda p, x: state_gradients(cell, p, x, _quadratic, lengths=lengths))(params, xs)
    norms = grid.quick(lambda p, x: gradient_norms(cell, p, x, _quadratic, lengths=lengths))(params, xs)

    @jax.jit
    def loss(moves: Any) -> jax.Array:
        """By a loop: the state is moved after each step before its sequence's end."""
        state, outputs = cell.initial_state(params, (2,)), []
        for t in range(T):
            new = cell.step(params, state, xs[t])
            here = (t < lengths)[:, None]
            state = jax.tree.map(lambda old, s, m, t=t, here=here: jnp.where(here, s + m[t], old), state, new, moves)
            outputs.append(jnp.where(here, cell.output(params, state), 0))
        return _quadratic(type("Run", (), {"outputs": jnp.stack(outputs), "final": state}))

    zeros = jax.tree.map(jnp.zeros_like, found)
    epsilon = 1e-5
    for name in ("h", "c"):
        for place in np.ndindex(T, 2, 3):
            one = getattr(zeros, name).at[place].set(epsilon)
            up, down = (zeros._replace(**{name: sign * one}) for sign in (1, -1))
            slope = (loss(up) - loss(down)) / (2 * epsilon)
            np.testing.assert_allclose(getattr(found, name)[place], slope, rtol=1e-6, atol=1e-8)
    squares = np.square(found.h).sum(-1) + np.square(found.c).sum(-1)
    np.testing.assert_allclose(norms, np.sqrt(squares), rtol=1e-12)
    assert not norms[3:, 1].any()


def test_a_truncated_gradient_ends_where_it_is_cut() -> None:
    cell = Elman(2, 3)
    norms = gradient_norms(
        cell,
        cell.init(jax.random.key(0)),
        jnp.ones((6, 2)),
        lambda run: run.outputs[-1].sum(),
        adjoint=TruncatedBPTT(3),
    )
    np.testing.assert_array_equal(np.asarray(norms) > 0, [False, False, False, True, True, True])


def _flow(params: Any, lam: np.ndarray, before: np.ndarray, xs: np.ndarray) -> float:
    """Pascanu et al. (2013), Eq. 9, for an Elman net, with λ and the states given: column vectors."""
    total = 0.0
    for t in range(len(xs)):
        h = np.tanh(params.W.T @ before[t] + params.U.T @ xs[t] + params.b)
        total += (np.linalg.norm((np.diag(1 - h**2) @ params.W.T).T @ lam[t]) / np.linalg.norm(lam[t]) - 1) ** 2
    return float(total)


@pytest.mark.usefixtures("x64")
def test_information_flow_is_that_of_the_paper_and_its_gradient_the_immediate_one(rng: np.random.Generator) -> None:
    cell = Elman(2, 3)
    params = cell.init(jax.random.key(0), jnp.float64)
    xs = rng.normal(size=(T, 4, 2))

    @grid.quick
    def program(params: Any, xs: jax.Array) -> Any:
        found = jax.value_and_grad(lambda p: information_flow(cell, p, xs, _quadratic))(params)
        return found, state_gradients(cell, params, xs, _quadratic).h, unfold(cell, params, xs, emit=states).outputs.h

    (value, gradient), lam, h = program(params, jnp.asarray(xs))
    p, lam, before = grid.host((params, lam, np.concatenate([np.zeros((1, 4, 3)), h])))

    def omega(p: Any) -> float:
        return float(np.mean([_flow(p, lam[:, row], before[:-1, row], xs[:, row]) for row in range(4)]))

    np.testing.assert_allclose(value, omega(p), rtol=1e-12)
    for name in ("U", "W", "b"):
        array = getattr(p, name)
        for place in np.ndindex(array.shape):
            step = np.zeros_like(array)
            step[place] = 1e-6
            up, down = (omega(p._replace(**{name: array + sign * step})) for sign in (1, -1))
            np.testing.assert_allclose(getattr(gradient, name)[place], (up - down) / 2e-6, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("entry", FEW, ids=[e.name for e in FEW])
def test_information_flow_of_any_cell_has_finite_gradients(entry: grid.Entry) -> None:
    """Also where steps are past the end, and where nothing of the loss depends on them."""
    params, state, xs = grid.sample(entry, (3,), jnp.float32)

    @grid.quick
    def program(params: Any, state: Any, xs: Any) -> Any:
        def omega(params: Any) -> jax.Array:
            def loss(run: Any) -> jax.Array:
                return grid.weigh(jax.tree.map(lambda o: o[2], run.outputs))

            return information_flow(entry.cell, params, xs, loss, state=state, lengths=jnp.array([grid.T, 2, 0]))

        value, pullback = jax.vjp(omega, params)
        return value, pullback(jnp.ones_like(value))

    value, gradients = program(params, state, xs)
    assert np.isfinite(value)
    assert value > 0
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients) if grid.has_gradient(g))


def test_information_flow_keeps_gradients_from_vanishing() -> None:
    """An Elman net whose gradient loses a factor of 1,000 over 20 steps; after descent on Ω alone it loses little."""
    cell, xs = Elman(1, 8), jax.random.normal(jax.random.key(1), (20, 4, 1))
    params = cell.init(jax.random.key(0))
    params = params._replace(W=0.5 * params.W)

    def loss(run: Any) -> jax.Array:
        return run.outputs[-1].sum()

    @jax.jit
    def descend(params: Any) -> Any:
        def step(params: Any, _: Any) -> Any:
            value, gradient = jax.value_and_grad(lambda p: information_flow(cell, p, xs, loss))(params)
            return jax.tree.map(lambda p, g: p - 0.01 * g, params, gradient), value

        return jax.lax.scan(step, params, length=100)

    trained, values = descend(params)
    assert values[-1] < 0.2 * values[0]
    first, last = (gradient_norms(cell, p, xs, loss).mean(1) for p in (params, trained))
    assert first[0] < 1e-3 * first[-1]
    assert last[0] > 1e-1 * last[-1]


def test_a_skip_connection_leaves_more_of_the_gradient() -> None:
    xs = jnp.zeros((40, 1))
    plain, skip = Elman(1, 4), Skip(Elman(1, 4), 10)
    params = plain.init(jax.random.key(0))._replace(W=0.5 * jnp.eye(4), b=jnp.zeros(4))
    delayed = skip.init(jax.random.key(0))._replace(cell=params, W=0.4 * jnp.eye(4))
    without = singular_values(plain, params, xs)[-1, 0]
    with_skip = singular_values(skip, delayed, xs, part=lambda s: s.cell.h)[-1, 0]
    np.testing.assert_allclose(without, 0.5**40, rtol=1e-4)
    assert with_skip > 0.4**4


def test_spectral_radius() -> None:
    W = jnp.array([[[0.0, -2.0], [2.0, 0.0]], [[3.0, 7.0], [0.0, -4.0]]])
    np.testing.assert_allclose(spectral_radius(W), [2.0, 4.0], rtol=1e-6)
    with pytest.raises(ValueError, match="square"):
        spectral_radius(jnp.ones((2, 3)))


def test_refusals() -> None:
    cell = LSTM(2, 3)
    params, xs = cell.init(jax.random.key(0)), jnp.ones((T, 2))
    with pytest.raises(ValueError, match="0 to the 5 steps, got 6"):
        singular_values(cell, params, xs, source=6)
    J = jacobians(cell, params, xs)
    for source in (6, np.int64(6), np.int64(-1)):
        with pytest.raises(ValueError, match="products: source must be"):
            products(J, source)
    for source in (1.5, True):
        with pytest.raises(TypeError, match="products: source must be a whole number"):
            products(J, source)
    with pytest.raises(ValueError, match="part must return arrays of the state"):
        singular_values(cell, params, xs, part=lambda s: s.h + 0.5)
    with pytest.raises(TypeError, match="one real number"):
        gradient_norms(cell, params, xs, lambda run: run.outputs)
    with pytest.raises(ValueError, match="input_size = 2"):
        jacobians(cell, params, jnp.ones((T, 3)))


def test_of_a_system_without_inputs_and_of_no_steps() -> None:
    logistic = transition(lambda r, s, x: r * s * (1 - s))
    J = jacobians(logistic, jnp.float32(3.7), steps=2, state=jnp.array([0.5, 0.25]))
    s = np.array([[0.5, 0.25], [3.7 * 0.25, 3.7 * 0.25 * 0.75]])
    np.testing.assert_allclose(J, [np.diag(3.7 * (1 - 2 * row)) for row in s], rtol=1e-5, atol=1e-6)
    cell = GRU(2, 3)
    params = cell.init(jax.random.key(0))
    assert jacobians(cell, params, jnp.ones((0, 2))).shape == (0, 3, 3)
    assert sensitivity(cell, params, jnp.ones((0, 2))).shape == (0, 0)
    assert gradient_norms(cell, params, jnp.ones((0, 2)), lambda run: run.outputs.sum()).shape == (0,)


def test_of_few_bits_and_of_no_sequences() -> None:
    cell = Elman(2, 3)
    params, xs = cell.init(jax.random.key(0), jnp.bfloat16), jnp.ones((4, 2), jnp.bfloat16)
    assert singular_values(cell, params, xs).dtype == jnp.float32
    assert information_flow(cell, params, xs, lambda run: run.outputs.astype(jnp.float32).sum()) > 0
    none = jnp.ones((4, 0, 2), jnp.bfloat16)
    assert information_flow(cell, params, none, lambda run: run.outputs.astype(jnp.float32).sum()) == 0


def test_pictures() -> None:
    norms = np.array([[1.0, 0.1, 0.0], [0.0, 1.0, 0.1], [0.0, 0.0, 1.0]])
    (image,) = plotting.sensitivity(norms).axes[0].images
    shown = np.ma.asarray(image.get_array())
    np.testing.assert_array_equal(np.ma.getmaskarray(shown), norms == 0)
    np.testing.assert_allclose(shown.compressed(), np.log10(norms[norms > 0]))
    lines = plotting.over_time({"a": norms[0], "b": norms[1]}, "norm").axes[0].lines
    assert [line.get_label() for line in lines] == ["a", "b"]
    np.testing.assert_array_equal(np.asarray(lines[0].get_xydata()), [[1, 1.0], [2, 0.1], [3, 0.0]])
