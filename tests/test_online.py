"""Gradients that go forward in time: RTRL, SnAp-1, and learning from a stream.

The oracle carries the whole influence in NumPy, from the oracles' steps; its derivatives are complex steps, exact to
rounding: f(x + i ε) = f(x) + i ε f'(x).
"""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrnn import (
    BPTT,
    GRU,
    LRU,
    LSTM,
    RTRL,
    Associative,
    Autodiff,
    Elman,
    IndRNN,
    LayerNormLSTM,
    LearnedInitialState,
    MinGRU,
    Online,
    OriginalGRU,
    Readout,
    Shooting,
    SnAp1,
    Stack,
    Supervised,
    transition,
    unfold,
)
from jaxrnn.unfold.reach import labelled, reach, reaches_many, reaches_none
from tests import grid, oracles

T, B = 6, 3
RESETS = np.arange(T * B).reshape(T, B) % 7 == 4


def squares(o: Any, y: Any) -> Any:
    """The loss of every stream: half the squared distance."""
    return 0.5 * ((o - y) ** 2).sum(-1)


def flat(tree: Any) -> np.ndarray:
    """All numbers of a tree, end to end."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def rebuilt(numbers: np.ndarray, like: Any) -> Any:
    """The tree that `flat` was given."""
    leaves, structure = jax.tree.flatten(like)
    cuts = np.cumsum([np.size(leaf) for leaf in leaves])[:-1]
    parts = [part.reshape(np.shape(leaf)) for part, leaf in zip(np.split(numbers, cuts), leaves, strict=True)]
    return jax.tree.unflatten(structure, parts)


def jacobian(f: Any, tree: Any) -> np.ndarray:
    """∂f/∂tree, (outputs, entries), by complex steps."""
    numbers, columns = flat(tree).astype(complex), []
    for k in range(numbers.size):
        moved = numbers.copy()
        moved[k] += 1e-30j
        columns.append(np.imag(flat(f(rebuilt(moved, tree)))) / 1e-30)
    return np.stack(columns, axis=1)


def _second(f: Any, state: Any) -> Any:
    return lambda params: f(params, state)


def by_hand(oracle: Any, params: Any, state: Any, xs: Any, ys: Any, *, masked: bool, rate: float) -> Any:
    """Williams and Zipser's equations for one sequence, the weights going down every gradient at once."""
    influence, gradients = np.zeros((flat(state).size, flat(params).size)), []
    for x, y in zip(xs, ys, strict=True):

        def step(params: Any, state: Any, x: Any = x) -> Any:
            return oracle.step(params, state, x)

        def loss(params: Any, state: Any, y: Any = y) -> Any:
            return squares(oracle.output(params, state), y)

        through, direct = jacobian(functools.partial(step, params), state), jacobian(_second(step, state), params)
        influence = through @ influence + direct
        influence *= (direct != 0) if masked else 1
        state = step(params, state)
        of_state, of_params = jacobian(functools.partial(loss, params), state), jacobian(_second(loss, state), params)
        gradients.append((of_state @ influence + of_params)[0])
        params = rebuilt(flat(params) - rate * gradients[-1], params)
    return gradients, params


def stream(learner: Online, params: Any, xs: Any, ys: Any, *, rate: float = 0.0, state: Any = None, resets: Any = None):
    """The gradient of every step, the losses, and the weights at the end of a stream."""

    def step(carry: Any, now: Any) -> Any:
        params, state = carry
        state, grads = learner.learn_step(params, state, *now[:2], reset=now[2] if len(now) > 2 else None)
        return (jax.tree.map(lambda p, g: p - rate * g, params, grads), state), (grads, state.loss)

    first = learner.initial_state(params, *jax.tree.map(lambda a: a[0], (xs, ys)), state=state)
    (params, _), (grads, losses) = jax.lax.scan(step, (params, first), (xs, ys) if resets is None else (xs, ys, resets))
    return grads, losses, params


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("adjoint", [RTRL(), SnAp1()], ids=str)
@pytest.mark.parametrize("name", ["readout_elman", "lstm", "gru"])
def test_while_weights_change(name: str, adjoint: Any, rng: np.random.Generator) -> None:
    """Gradients and weights of a stream are those of the equations, whole or with the mask of SnAp-1."""
    entry = grid.CELLS[grid.NAMES.index(name)]
    params, state, xs = grid.sample(entry, ())
    ys = rng.normal(size=(grid.T, 2 if name == "readout_elman" else 3))
    program = grid.quick(functools.partial(stream, Online(entry.cell, squares, adjoint), rate=0.3))
    grads, _, last = program(params, xs, ys, state=state)
    masked = isinstance(adjoint, SnAp1)
    expected, weights = by_hand(entry.oracle, *grid.host((params, state, xs, ys)), masked=masked, rate=0.3)
    for t, gradient in enumerate(expected):
        np.testing.assert_allclose(flat(jax.tree.map(lambda g, t=t: g[t], grads)), gradient, 1e-10, 1e-12)
    grid.close(last, weights, 1e-10, 1e-12)
    if masked:
        whole, _ = by_hand(entry.oracle, *grid.host((params, state, xs, ys)), masked=False, rate=0.3)
        assert np.abs(whole[-1] - expected[-1]).max() > 1e-3


# A complex state: it has another law below, exactness.
APART = ("lru",)
MAXIMUM = ("slstm",)  # which hides one of two in each step, but not in all that are tried
# Stacks run layer by layer, each with its own influence.
LAYERS = {
    "stack": (oracles.ELMAN, oracles.LSTM),
    "readout_stack": (oracles.GRU, oracles.readout(oracles.LSTM)),
}


def _floats(tree: Any) -> np.ndarray:
    """All real numbers of a tree, end to end."""
    return flat([leaf for leaf in jax.tree.leaves(tree) if grid.is_float(np.asarray(leaf))])


def _moved(tree: Any, k: int, by: float) -> Any:
    """The tree with its real number k moved."""
    leaves, structure = jax.tree.flatten(jax.tree.map(np.array, tree))
    for leaf in leaves:
        if grid.is_float(leaf):
            if 0 <= k < leaf.size:
                leaf.flat[k] += by
            k -= leaf.size
    return jax.tree.unflatten(structure, leaves)


def _differences(f: Any, tree: Any) -> np.ndarray:
    """∂f/∂tree, (outputs, entries), by central differences: exactly 0 where f does not read an entry."""
    epsilon, size = 1e-5, _floats(tree).size
    columns = [_floats(f(_moved(tree, k, epsilon))) - _floats(f(_moved(tree, k, -epsilon))) for k in range(size)]
    return np.stack(columns, axis=1) / (2 * epsilon)


def _direct(oracle: Any, params: Any, state: Any, x: Any) -> np.ndarray:
    """∂f/∂θ."""
    return _differences(lambda p: oracle.step(p, state, x), params)


def masked(oracle: Any, params: Any, state: Any, xs: Any, slopes: Any, others: Any = ()) -> np.ndarray:
    """SnAp-1's equations for one sequence and the slopes ∂L/∂y(t): the influence of what a parameter reaches in a step.

    That is where ∂f/∂θ has an entry in any of the steps, or of `others`, triples (params, state, x): a maximum passes
    one of two.
    """
    through, direct, read = [], [], []
    for t, slope in enumerate(slopes):
        x = oracles.at(xs, t)
        through.append(_differences(lambda s, x=x: oracle.step(params, s, x), state))
        direct.append(_direct(oracle, params, state, x))
        state = oracle.step(params, state, x)
        of_state = _differences(lambda s: oracle.output(params, s), state)
        of_params = _differences(lambda p, s=state: oracle.output(p, s), params)
        read.append((np.ravel(slope) @ of_state, np.ravel(slope) @ of_params))
    reached = [D != 0 for D in (*direct, *(_direct(oracle, *other) for other in others))]
    mask, influence, total = np.any(reached, axis=0), np.zeros_like(direct[0]), 0.0
    for J, D, (of_state, of_params) in zip(through, direct, read, strict=True):
        influence = mask * (J @ influence + D)
        total = total + of_state @ influence + of_params
    return np.asarray(total)


def _outputs(oracle: Any, params: Any, state: Any, xs: Any) -> np.ndarray:
    """y(t) of all steps."""
    states, _ = oracles.run(oracle, params, state, xs, grid.T)
    return np.stack([oracle.output(params, s) for s in states])


def masked_by_layers(layers: Any, params: Any, states: Any, xs: Any, slopes: np.ndarray) -> np.ndarray:
    """SnAp-1's equations within each layer; what the layers above make of its outputs, and of which when, is exact."""
    inputs, gradients = [xs], []
    for layer, p, s in zip(layers, params, states, strict=True):
        inputs.append(_outputs(layer, p, s, inputs[-1]))
    for layer, p, s, x in reversed(list(zip(layers, params, states, inputs[:-1], strict=True))):
        gradients.append(masked(layer, p, s, x, slopes))
        by_x = _differences(functools.partial(_outputs, layer, p, s), x)
        slopes = (np.ravel(slopes) @ by_x).reshape(np.shape(x))
    return np.concatenate(gradients[::-1])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", [name for name in grid.NAMES if name not in APART])
def test_snap1_is_its_equations_or_names_another(name: str, rng: np.random.Generator) -> None:
    """For every cell: values as ever, and the gradient of the masked influence; or `RTRL()` is what to pass."""
    entry = grid.CELLS[grid.NAMES.index(name)]
    params, state, xs = grid.sample(entry, ())
    theirs, begin, inputs = grid.host((params, state, xs))
    start = entry.oracle.output(theirs, begin)
    ys = rng.normal(size=(grid.T, *np.shape(start)))

    @grid.quick
    def program(params: Any) -> Any:
        def loss(params: Any) -> Any:
            outputs = unfold(entry.cell, params, xs, state=state, adjoint=SnAp1()).outputs
            return 0.5 * ((outputs - ys) ** 2).sum(), outputs

        return grid.gradients(loss, params)

    try:
        outputs, (gradients,) = program(params)
    except TypeError as error:
        assert "pass adjoint=RTRL()" in str(error)  # noqa: PT017
        return
    found = _outputs(entry.oracle, theirs, begin, inputs)
    grid.close(outputs, found, 1e-10, 1e-11)
    if name in LAYERS:
        of_layers = theirs
        if name == "readout_stack":
            of_layers = theirs.cell[0], theirs._replace(cell=theirs.cell[1])
        expected = masked_by_layers(LAYERS[name], of_layers, begin, inputs, found - ys)
    else:
        others = [grid.host(grid.sample(entry, (), seed=k)) for k in range(1, 9 if name in MAXIMUM else 1)]
        others = [(p, s, oracles.at(x, t)) for p, s, x in others for t in range(grid.T)]
        expected = masked(entry.oracle, theirs, begin, inputs, found - ys, others)
    expected = 0 * expected if entry.fixed else expected
    np.testing.assert_allclose(flat(gradients), expected, 1e-6, 1e-7)


NETS = {
    "gru": Readout(GRU(2, 3), 2),
    "complex": Readout(LRU(2, 3), 2),
    "stack": Readout(Stack([MinGRU(2, 3), LSTM(3, 2)]), 2),
    "learned start": Readout(LearnedInitialState(IndRNN(2, 3)), 2),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())
def test_a_stream_sums_to_backpropagation(net: Any, rng: np.random.Generator) -> None:
    """With weights that stay, and rows of a batch that begin anew at different times."""
    params = jax.tree.map(lambda p: p + 0.1, net.init(jax.random.key(0), jnp.float64))
    xs, ys = rng.normal(size=(2, T, B, 2))

    @grid.quick
    def program(params: Any) -> Any:
        def loss(params: Any) -> Any:
            losses = squares(unfold(net, params, xs, resets=RESETS).outputs, ys)
            return losses.sum(), losses

        (_, losses), expected = jax.value_and_grad(loss, has_aux=True)(params)
        return stream(Online(net, squares), params, xs, ys, resets=RESETS)[:2], (expected, losses)

    (grads, losses), (expected, expected_losses) = program(params)
    grid.close(jax.tree.map(lambda g: g.sum(0), grads), expected, 1e-10, 1e-12)
    grid.close(losses, expected_losses, 1e-12, 1e-14)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("cell", [MinGRU(2, 3), LRU(2, 3), IndRNN(2, 3)], ids=lambda cell: type(cell).__name__)
def test_snap1_is_exact_where_units_do_not_meet(cell: Any, rng: np.random.Generator) -> None:
    params = cell.init(jax.random.key(0), jnp.float64)
    xs = rng.normal(size=(T, B, 2))

    @grid.quick
    def program(params: Any) -> Any:
        def loss(params: Any, adjoint: Any) -> Any:
            return grid.weigh(unfold(cell, params, xs, lengths=jnp.array([6, 0, 4]), adjoint=adjoint).outputs)

        return [jax.grad(loss)(params, adjoint) for adjoint in (SnAp1(), BPTT())]

    found, expected = program(params)
    grid.close(found, expected, 1e-10, 1e-12)


@pytest.mark.usefixtures("x64")
def test_snap1_takes_any_function_whose_parameters_reach_one_unit(rng: np.random.Generator) -> None:
    """Without a trait, it finds the diagonal of the whole Jacobian: the same numbers as for the gated cell."""
    cell = Elman(2, 3)
    plain = transition(cell.step, output=cell.output, init=cell.init, initial_state=cell.initial_state)
    params = cell.init(jax.random.key(0), jnp.float64)
    xs = rng.normal(size=(T, B, 2))

    @grid.quick
    def program(params: Any) -> Any:
        def loss(params: Any, net: Any, adjoint: Any) -> Any:
            return grid.weigh(unfold(net, params, xs, adjoint=adjoint).outputs)

        return [jax.grad(loss)(params, *of) for of in ((plain, SnAp1()), (cell, SnAp1()), (cell, BPTT()))]

    found, gated, exact = program(params)
    grid.close(found, gated, 1e-11, 1e-13)
    assert np.abs(found.W - exact.W).max() > 1e-3


@pytest.mark.usefixtures("x64")
def test_examples_that_meet(rng: np.random.Generator) -> None:
    """A function that mixes the rows of a batch, and one that has parameters for each row."""
    mixing = transition(lambda p, s, x: jnp.tanh(x @ p["U"] + s * p["w"] + s.mean(0, keepdims=True)))
    params = {"U": rng.normal(size=(2, 3)), "w": rng.normal(size=(B, 3))}
    xs, state = rng.normal(size=(T, B, 2)), rng.normal(size=(B, 3))
    alone = transition(lambda p, s, x: jnp.tanh(x @ p["U"] + s * p["w"]))

    @grid.quick
    def program(params: Any, state: Any) -> Any:
        def loss(params: Any, state: Any, cell: Any, adjoint: Any) -> Any:
            return grid.weigh(unfold(cell, params, xs, state=state, adjoint=adjoint).outputs)

        gradient = jax.grad(loss, argnums=(0, 1))
        return [[gradient(params, state, cell, adjoint) for adjoint in (RTRL(), BPTT())] for cell in (mixing, alone)]

    for found, expected in program(params, state):
        grid.close(found, expected, 1e-10, 1e-12)


@pytest.mark.usefixtures("x64")
def test_second_derivatives() -> None:
    entry = grid.CELLS[grid.NAMES.index("elman")]
    params, state, xs = grid.sample(entry, ())

    @grid.quick
    def program(params: Any) -> Any:
        def slope(params: Any, adjoint: Any) -> Any:
            loss = lambda p: grid.weigh(unfold(entry.cell, p, xs, state=state, adjoint=adjoint).outputs)  # noqa: E731
            return grid.weigh(jax.grad(loss)(params), salt=0.5)

        return [jax.grad(slope)(params, adjoint) for adjoint in (RTRL(), Autodiff())]

    found, expected = program(params)
    grid.close(found, expected, 1e-9, 1e-11)


@pytest.mark.usefixtures("x64")
def test_vmap_equals_one_by_one() -> None:
    cell = GRU(2, 3)
    params = cell.init(jax.random.key(0), jnp.float64)
    xs = jax.random.normal(jax.random.key(1), (2, T, B, 2), jnp.float64)

    @grid.quick
    def program(params: Any) -> Any:
        def gradient(xs: Any) -> Any:
            return jax.grad(lambda p: grid.weigh(unfold(cell, p, xs, adjoint=RTRL()).outputs))(params)

        return jax.vmap(gradient)(xs), jax.lax.map(gradient, xs)

    found, expected = program(params)
    grid.close(found, expected, 1e-11, 1e-13)


def _temporary(cell: Any, steps: int, adjoint: Any) -> int:
    """Temporary bytes of the gradient of a loss on the final state."""

    def loss(params: Any, xs: Any) -> Any:
        run = unfold(cell, params, xs, emit=None, adjoint=adjoint)
        return sum(jnp.abs(leaf).sum() for leaf in jax.tree.leaves(run.final))

    params = cell.init(jax.random.key(0))
    analysis = jax.jit(jax.grad(loss)).lower(params, jnp.ones((steps, 8))).compile().memory_analysis()
    assert analysis is not None
    return analysis.temp_size_in_bytes


@pytest.mark.parametrize("cell", [IndRNN(8, 64), MinGRU(8, 64)], ids=lambda cell: type(cell).__name__)
def test_memory_of_diagonal_cells(cell: Any) -> None:
    """A few times the parameters' bytes, and none for longer sequences."""
    of_params = 4 * flat(cell.init(jax.random.key(0))).size
    assert _temporary(cell, 20_000, RTRL()) < 5 * of_params + 4096
    assert _temporary(cell, 20_000, RTRL()) == _temporary(cell, 1_000_000, RTRL())


def test_memory_of_snap1() -> None:
    cell = GRU(8, 64)
    of_params = 4 * flat(cell.init(jax.random.key(0))).size
    assert _temporary(cell, 20_000, SnAp1()) < 8 * of_params


def test_a_step_is_traced_once_and_keeps_types() -> None:
    net = Readout(LSTM(2, 3), 2)
    traces = []

    def loss(o: Any, y: Any) -> Any:
        traces.append(None)
        return squares(o, y)

    learner = Online(net, loss, SnAp1())
    for dtype in (jnp.float32, jnp.bfloat16):
        params = net.init(jax.random.key(0), dtype)
        x, y = jnp.ones((B, 2), dtype), jnp.ones((B, 2), dtype)
        state, step = learner.initial_state(params, x, y), jax.jit(learner.learn_step)
        before = jax.tree.map(jnp.result_type, state)
        state, grads = step(params, state, x, y)
        traced = len(traces)
        for _ in range(2):
            params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
            state, grads = step(params, state, x, y)
        assert len(traces) == traced
        assert jax.tree.map(jnp.result_type, state) == before
        assert jax.tree.map(jnp.result_type, grads) == jax.tree.map(jnp.result_type, params)
        assert state.outputs.shape == (B, 2)
        assert state.loss.shape == (B,)


def test_learning_from_a_stream() -> None:
    """The sign of four steps before, learned in one run through a stream with Adam; to guess 0 costs 1/2 a step."""
    net = Readout(LRU(1, 16, r_min=0.8, r_max=0.99), 1)
    params = net.init(jax.random.key(0))
    signs = jnp.sign(jax.random.normal(jax.random.key(1), (4000, 1)))
    learner, optimizer = Online(net, squares), optax.adam(3e-3)

    def step(carry: Any, now: Any) -> Any:
        params, state, moments = carry
        state, grads = learner.learn_step(params, state, *now)
        updates, moments = optimizer.update(grads, moments)
        return (optax.apply_updates(params, updates), state, moments), state.loss

    @jax.jit
    def learn(params: Any) -> Any:
        first = params, learner.initial_state(params, signs[0], signs[0]), optimizer.init(params)
        return jax.lax.scan(step, first, (signs[4:], signs[:-4]))[1]

    losses = learn(params)
    assert losses[-200:].mean() < 0.05


def test_the_loss_may_be_the_cells_output() -> None:
    net = Supervised(Readout(GRU(2, 3), 4), optax.softmax_cross_entropy_with_integer_labels)
    params = net.init(jax.random.key(0))
    learner = Online(net, lambda loss, _: loss)
    x = jnp.ones((B, 2)), jnp.array([0, 3, 1])
    state, grads = learner.learn_step(params, learner.initial_state(params, x), x)
    expected = jax.value_and_grad(lambda p: unfold(net, p, jax.tree.map(lambda a: a[None], x)).outputs.sum())(params)
    grid.close((state.loss.sum(), grads), expected, 1e-5, 1e-6)


FUNCTIONS: tuple[Any, ...] = (
    lambda a: jnp.tanh(a) * a[:1] + 2.0,
    lambda a: a @ jnp.ones((4, 2)),
    lambda a: jnp.einsum("ij,kj->ik", a, a[:2]),
    lambda a: jnp.einsum("bij,bjk->bik", a.reshape(3, 2, 2), a.reshape(3, 2, 2)),
    lambda a: jnp.roll(a, 1, axis=1)[::2],
    lambda a: jnp.concatenate([a.T, a.T[::-1]], axis=1)[1:3],
    lambda a: jnp.stack(jnp.split(a, 2, axis=1)).sum(0),
    lambda a: jnp.stack([jnp.tile(b, (2,)) for b in jnp.unstack(a, axis=1)[1:]], axis=1)[:4],
    lambda a: jnp.broadcast_to(a[:, None, 1:2], (3, 5, 2)),
    lambda a: jax.nn.relu(a) - a.mean(1, keepdims=True),
    lambda a: jnp.max(a, axis=0),
    lambda a: jax.lax.stop_gradient(a[0]) * a[1] + jnp.floor(a[2]).astype(int),
    lambda a: jnp.cumsum(a, axis=0),
    lambda a: a[jnp.array([2, 0])],
    lambda a: jax.lax.scan(lambda s, x: (s + x, s * x), a[0], a)[1],
    lambda a: jnp.sort(a, axis=1),
)
EXACT = 12  # the others hold operations that are taken to join all with all


def test_reach_is_where_derivatives_are(rng: np.random.Generator) -> None:
    """No derivative outside what is reached; and nothing else reached, where every operation is known."""
    a = np.asarray(rng.normal(size=(3, 4)), np.float32)
    every = grid.quick(lambda a: [jax.jacobian(f)(a) for f in FUNCTIONS])(a)
    for number, (f, slopes) in enumerate(zip(FUNCTIONS, every, strict=True)):
        jaxpr = jax.make_jaxpr(f)(a).jaxpr
        shape = jaxpr.outvars[0].aval.shape
        (found,) = reach(jaxpr, [labelled(np.arange(np.prod(shape)).reshape(shape))], derivatives=True)
        found, slopes = found.reshape(2, -1), np.asarray(slopes).reshape(-1, a.size) != 0
        for k in range(a.size):
            labels = np.flatnonzero(slopes[:, k])
            assert labels.size == 0 or not reaches_none(found)[k]
            assert labels.size < 2 or reaches_many(found)[k]
            assert labels.size != 1 or reaches_many(found)[k] or found[0, k] == labels[0]
            if number < EXACT and number not in (9, 10):  # where relu and max pass nothing, they might
                assert labels.size > 1 or not reaches_many(found)[k]
                assert labels.size > 0 or reaches_none(found)[k]


CELL, XS = GRU(2, 3), np.ones((4, B, 2), np.float32)
PARAMS = CELL.init(jax.random.key(0))


def _run(cell: Any = CELL, **keywords: Any) -> Any:
    params = cell.init(jax.random.key(0))
    return lambda: jax.grad(lambda p: unfold(cell, p, XS, **keywords).outputs.sum())(params)


def _learn(**keywords: Any) -> Any:
    def act() -> Any:
        learner = Online(CELL, squares)
        x = jnp.ones((B, 2))
        return learner.learn_step(PARAMS, learner.initial_state(PARAMS, x, 1.0), x, 1.0, **keywords)

    return act


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "RTRL with Shooting": (_run(method=Shooting(), adjoint=RTRL()), TypeError, "pass method=Scan(), or adjoint=BPTT()"),
    "RTRL with Associative": (
        _run(MinGRU(2, 3), method=Associative(), adjoint=RTRL()),
        TypeError,
        "RTRL() takes one step of time after another, got method=Associative(",
    ),
    "SnAp1 with Associative": (_run(MinGRU(2, 3), method=Associative(), adjoint=SnAp1()), TypeError, "SnAp1() takes"),
    "SnAp1 and a product within the gates": (
        _run(OriginalGRU(2, 3), adjoint=SnAp1()),
        TypeError,
        "several are reached by params.U, params.W, params.b: pass adjoint=RTRL()",
    ),
    "SnAp1 and layer norm": (_run(LayerNormLSTM(2, 3), adjoint=SnAp1()), TypeError, "pass adjoint=RTRL()"),
    "forward mode": (
        lambda: jax.jvp(lambda p: unfold(CELL, p, XS, adjoint=RTRL()).outputs, (PARAMS,), (PARAMS,)),
        TypeError,
        "adjoint=Autodiff()",
    ),
    "a stream by BPTT": (lambda: Online(CELL, squares, BPTT()), TypeError, "pass RTRL() or SnAp1()"),  # pyright: ignore
    "a stream of a class": (lambda: Online(GRU, squares), TypeError, "pass an instance"),  # pyright: ignore
    "a loss that is none": (lambda: Online(CELL, "nll"), TypeError, "loss must be a function"),  # pyright: ignore
    "resets of numbers": (_learn(reset=np.ones(B, np.int32)), TypeError, "reset.astype(bool)"),
    "resets of another batch": (_learn(reset=np.ones(2, bool)), ValueError, "shape of the batch, (3,), got (2,)"),
    "a state of another batch": (
        lambda: Online(CELL, squares).initial_state(PARAMS, XS[0], 1.0, state=CELL.initial_state(PARAMS)),
        ValueError,
        "cell.initial_state",
    ),
}


@pytest.mark.parametrize(("act", "kind", "says"), WRONG.values(), ids=WRONG.keys())
def test_bad_input(act: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=re.escape(says)):
        act()
