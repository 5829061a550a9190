"""Layers equal loops in NumPy and PyTorch's modules: directions, depth, padding, segments, dropout."""

import itertools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    BPTT,
    GRU,
    LSTM,
    Bidirectional,
    BidirectionalParams,
    BidirectionalState,
    Dropout,
    Elman,
    Highway,
    IndRNN,
    Layer,
    MinGRU,
    Recurrent,
    Residual,
    Scan,
    Sequential,
    Stack,
    StateNoise,
    VariationalDropout,
    VariationalDropoutParams,
    Zoneout,
    perturbed,
    transition,
)
from tests import grid, oracles

with warnings.catch_warnings():  # of PyTorch's own imports
    warnings.simplefilter("ignore")
    import torch

T, B, D, H = 6, 3, 2, 3
LENGTHS = np.array([T, 0, 4])
RESETS = np.zeros((T, B), bool)
RESETS[[2, 3], 0] = RESETS[[1, 5], 2] = RESETS[0] = True


def _loop(oracle: oracles.Oracle, p: Any, start: Any, xs: Any, *, reverse: bool = False, segments: bool = True):
    """One cell over padded sequences: each segment of each sequence is run by itself, from its beginning or end."""
    outputs, finals = np.zeros((T, B, H)), []
    for row in range(B):
        n = LENGTHS[row]
        cuts = [0, *(t for t in range(1, n) if segments and RESETS[t, row]), n]
        final = first = oracles.at(start, row)
        for a, b in sorted(itertools.pairwise(cuts), reverse=reverse):
            order = np.arange(a, b)[::-1] if reverse else np.arange(a, b)
            states, final = oracles.run(oracle, p, first, oracles.at(xs, (order, row)), b - a)
            for t, s in zip(order, states, strict=True):
                outputs[t, row] = oracle.output(p, s)
        finals.append(final)
    return outputs, jax.tree.map(lambda *a: np.stack(a), *finals)


def _masked(y: np.ndarray) -> np.ndarray:
    return np.where((np.arange(T)[:, None] < LENGTHS)[..., None], y, 0)


def _states(rng: np.random.Generator, layer: Layer, params: Any) -> Any:
    """States that are not zero, and those of no two parts equal."""
    return jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape), s.dtype), layer.initial_state(params, (B,)))


MIXED = Sequential(
    [
        Bidirectional(LSTM(D, H), Recurrent(GRU(D, H)), merge=lambda f, b: f * b + 1.0),  # not zero where f and b are
        Residual(Bidirectional(GRU(H, H), Elman(H, H), merge="mean")),
        Highway(Recurrent(GRU(H, H), reverse=True), H),
    ]
)


def _mixed(p: Any, s: Any, xs: np.ndarray) -> tuple[np.ndarray, Any]:
    f, f_final = _loop(oracles.LSTM, p[0].forward, s[0].forward, xs)
    b, b_final = _loop(oracles.GRU, p[0].backward, s[0].backward, xs, reverse=True)
    x = _masked(f * b + 1)
    g, g_final = _loop(oracles.GRU, p[1].forward, s[1].forward, x)
    e, e_final = _loop(oracles.ELMAN, p[1].backward, s[1].backward, x, reverse=True)
    x = x + (g + e) / 2
    h, h_final = _loop(oracles.GRU, p[2].layer, s[2], x, reverse=True)
    t = oracles.sigmoid(x @ p[2].W + p[2].b)
    return t * h + (1 - t) * x, ((f_final, b_final), (g_final, e_final), h_final)


@pytest.mark.usefixtures("x64")
def test_layers_equal_a_loop_over_segments(rng: np.random.Generator) -> None:
    """Padding (NaN, length 0), segments, both directions, depth; and gradients against differences of the loop."""
    params = MIXED.init(jax.random.key(0), jnp.float64)
    state, xs = _states(rng, MIXED, params), rng.normal(size=(T, B, D))
    padded = np.where((np.arange(T)[:, None] < LENGTHS)[..., None], xs, np.nan)

    @grid.quick
    def program(params: Any, state: Any, xs: Any) -> Any:
        def loss(*operands: Any) -> Any:
            run = MIXED.apply(
                operands[0], operands[2], state=operands[1], lengths=LENGTHS, resets=RESETS.T, time_axis=1
            )
            return grid.weigh((run.outputs, run.final)), (run.outputs, run.final)

        return grid.gradients(loss, params, state, xs)

    (outputs, final), slopes = program(params, state, jnp.asarray(padded.swapaxes(0, 1)))
    expected, finals = _mixed(grid.host(params), grid.host(state), xs)
    grid.close(outputs.swapaxes(0, 1), expected, 1e-12, 1e-12)
    grid.close(final, finals, 1e-12, 1e-12)
    assert isinstance(final[0], BidirectionalState)

    operands = grid.host((params, state, xs))
    ways = jax.tree.map(lambda a: rng.normal(size=a.shape), operands)

    def along(step: float) -> float:
        y, ends = _mixed(*jax.tree.map(lambda a, way: a + step * way, operands, ways))
        return grid.weigh((y.swapaxes(0, 1), ends))

    across = [*jax.tree.leaves(ways[:2]), ways[2].swapaxes(0, 1)]
    slope = sum((way * found).sum() for way, found in zip(across, jax.tree.leaves(slopes), strict=True))
    np.testing.assert_allclose(slope, (along(1e-5) - along(-1e-5)) / 2e-5, 1e-7)


@pytest.mark.usefixtures("x64")
def test_merges(rng: np.random.Generator) -> None:
    layers = {name: Bidirectional(GRU(D, H), Elman(D, H), name) for name in ("concatenate", "sum", "mean", "product")}
    params = layers["sum"].init(jax.random.key(0), jnp.float64)
    xs = rng.normal(size=(T, B, D))
    found = grid.quick(lambda: {k: v.apply(params, xs, lengths=LENGTHS).outputs for k, v in layers.items()})()
    start, p = grid.host(layers["sum"].initial_state(params, (B,))), grid.host(params)
    f, _ = _loop(oracles.GRU, p.forward, start.forward, xs, segments=False)
    b, _ = _loop(oracles.ELMAN, p.backward, start.backward, xs, reverse=True, segments=False)
    expected = {"concatenate": np.concatenate([f, b], -1), "mean": (f + b) / 2, "product": f * b, "sum": f + b}
    grid.close(found, expected, 1e-12, 1e-12)


@pytest.mark.usefixtures("x64")
def test_a_layer_of_directions_runs_backward(rng: np.random.Generator) -> None:
    """A backward layer may itself hold directions: all of them are turned round."""
    inner = Sequential([Bidirectional(GRU(D, H), Elman(D, H), "sum"), Recurrent(GRU(H, H), reverse=True)])
    layer = Bidirectional(Elman(D, H), inner, merge=lambda f, b: b)
    params, xs = layer.init(jax.random.key(0), jnp.float64), rng.normal(size=(T, B, D))
    run = grid.quick(lambda: layer.apply(params, xs, lengths=LENGTHS))()

    def turned(a: np.ndarray) -> np.ndarray:
        a = a.copy()
        for row, n in enumerate(LENGTHS):
            a[:n, row] = a[:n, row][::-1]
        return a

    p, s = grid.host((params.backward, inner.initial_state(params.backward, (B,))))
    f, _ = _loop(oracles.GRU, p[0].forward, s[0].forward, turned(xs), segments=False)
    b, _ = _loop(oracles.ELMAN, p[0].backward, s[0].backward, turned(xs), reverse=True, segments=False)
    y, final = _loop(oracles.GRU, p[1], s[1], f + b, reverse=True, segments=False)
    grid.close(run.outputs, turned(y), 1e-12, 1e-12)
    grid.close(run.final.backward[1], final, 1e-12, 1e-12)


def _theirs(module: Any, params: list[Any], xs: np.ndarray, state: list[Any], lengths: Any) -> Any:
    """Values and gradients of a PyTorch module with our numbers, laid out as ours: one entry a layer and direction."""
    directions = 2 if module.bidirectional else 1
    names = [f"l{k // directions}" + "_reverse" * (k % directions) for k in range(len(params))]
    with torch.no_grad():
        for name, p in zip(names, params, strict=True):
            getattr(module, f"weight_ih_{name}").copy_(torch.tensor(p.U.T))
            getattr(module, f"weight_hh_{name}").copy_(torch.tensor(p.W.T))
            getattr(module, f"bias_ih_{name}").copy_(torch.tensor(p.b))
            bias = getattr(module, f"bias_hh_{name}").zero_()
            if hasattr(p, "c"):
                bias[2 * H :] = torch.tensor(p.c)
    x: Any = torch.tensor(xs, requires_grad=True)
    start: list[Any] = [torch.tensor(np.stack(part), requires_grad=True) for part in zip(*state, strict=True)]
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    out, final = module(packed, tuple(start) if len(start) > 1 else start[0])
    out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, total_length=T)
    final = final if isinstance(final, tuple) else (final,)
    weigh = [torch.tensor(np.cos(1.0 + np.arange(a.numel())).reshape(a.shape)) for a in (out, *final)]
    torch.stack([(a * w).sum() for a, w in zip((out, *final), weigh, strict=True)]).sum().backward()
    slopes = []
    for name, p in zip(names, params, strict=True):
        gradients = [getattr(module, f"{a}_{name}").grad.numpy() for a in ("weight_ih", "weight_hh", "bias_ih")]
        slopes += [gradients[0].T, gradients[1].T, gradients[2]]
        if hasattr(p, "c"):
            slopes.append(getattr(module, f"bias_hh_{name}").grad.numpy()[2 * H :])
    of_state = [s.grad.numpy()[k] for k in range(len(params)) for s in start]
    values = out.detach().numpy(), [f.detach().numpy() for f in final]
    return values, (slopes, of_state, [x.grad.numpy()])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("cell", "module", "depth", "directions"),
    [(LSTM, torch.nn.LSTM, 3, 2), (GRU, torch.nn.GRU, 2, 1), (Elman, torch.nn.RNN, 1, 2)],
    ids=["lstm", "gru", "elman"],
)
def test_equals_torch_with_packed_sequences(
    cell: Callable[..., Any], module: Any, depth: int, directions: int, rng: np.random.Generator
) -> None:
    sizes = [D, *[directions * H] * (depth - 1)]
    both = [[cell(n, H) for _ in range(directions)] for n in sizes]
    layer = Sequential([Bidirectional(*cells) if directions == 2 else Recurrent(*cells) for cells in both])
    params = layer.init(jax.random.key(0), jnp.float64)
    state, xs, lengths = _states(rng, layer, params), rng.normal(size=(T, B, D)), np.array([3, T, 1])

    def parts(tree: Any) -> list[Any]:
        """One entry a layer and direction, the first layer first."""
        return [part for entry in tree for part in (entry if directions == 2 else [entry])]

    def loss(params: Any, state: Any, xs: Any) -> Any:
        run = layer.apply(params, xs, lengths=lengths, state=state)
        finals = [jnp.stack(part) for part in zip(*parts(run.final), strict=True)]
        weighed = ((a * np.cos(1.0 + np.arange(a.size)).reshape(a.shape)).sum() for a in (run.outputs, *finals))
        return sum(weighed), (run.outputs, finals)

    ours = grid.quick(lambda *operands: grid.gradients(loss, *operands))(params, state, jnp.asarray(xs))
    net = module(D, H, depth, bidirectional=directions == 2, dtype=torch.float64)
    grid.close(ours, _theirs(net, parts(grid.host(params)), xs, parts(grid.host(state)), lengths), 1e-12, 1e-12)


def test_dropout_only_with_a_key() -> None:
    net = Sequential([Dropout(0.25), Dropout(0.25)])
    xs, lengths = np.full((50, 40, 5), 9.0, np.float32), np.full(40, 30)
    assert net.init(jax.random.key(0)) == (None, None)
    np.testing.assert_array_equal(net.apply((None, None), xs).outputs, xs)
    xs[30:] = np.nan
    run = net.apply((None, None), xs, key=jax.random.key(1), lengths=lengths)
    kept = np.asarray(run.outputs)[:30]
    np.testing.assert_allclose(np.unique(kept), [0, 16], 1e-6)
    assert abs((kept > 0).mean() - 0.75**2) < 0.02  # the two masks are drawn apart
    assert np.ptp(kept, axis=0).any()
    assert np.ptp(kept, axis=1).any()
    assert not np.asarray(run.outputs)[30:].any()


def test_dropout_leaves_the_recurrence_alone() -> None:
    """Between two layers, it acts on what the lower one gives and on nothing else; every key is another network."""
    net = Bidirectional(Sequential([GRU(D, H), Dropout(0.5), LSTM(H, H)]), Elman(D, H))
    params, xs = net.init(jax.random.key(0)), jnp.ones((T, B, D))
    keys = [jax.random.key(1), jax.random.key(1), jax.random.key(2), None]
    one, again, other, evaluated = grid.quick(lambda: [net.apply(params, xs, key=key) for key in keys])()
    np.testing.assert_allclose(one.final.forward[0].h, evaluated.final.forward[0].h, 1e-6)
    np.testing.assert_allclose(one.final.backward.h, evaluated.final.backward.h, 1e-6)
    assert np.abs(one.final.forward[2].h - other.final.forward[2].h).max() > 1e-3
    np.testing.assert_array_equal(one.outputs, again.outputs)


def test_state_carries_on() -> None:
    net = Sequential([Recurrent(LSTM(D, H)), Residual(GRU(H, H)), Dropout(0.5)])
    params, xs = net.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (T, B, D))

    @grid.quick
    def program() -> Any:
        whole, half = net.apply(params, xs), net.apply(params, xs[:2])
        first = half.final[0], *net.initial_state(params, (B,))[1:]
        parts = [net.apply(params, xs[2:], state=state) for state in (half.final, first, (half.final[0], None, None))]
        return whole, half, *parts

    whole, half, rest, given, part = program()
    np.testing.assert_allclose(jnp.concatenate([half.outputs, rest.outputs]), whole.outputs, 1e-5, 1e-6)
    grid.close(rest.final, whole.final, 1e-5, 1e-6)
    np.testing.assert_array_equal(part.outputs, given.outputs)  # None stands for the initial state of a part
    assert np.abs(part.outputs - rest.outputs).max() > 1e-3


DROPPED = Recurrent(
    GRU(D, H), reverse=True, input_dropout=0.3, state_dropout=0.4, weight_dropout=0.2, perturbation=Zoneout(0.25)
)


def _masks(layer: Recurrent, key: jax.Array, params: Any) -> Any:
    """What a layer draws: of x and h, one a sequence, of W, one in all, of the state, one a step."""
    key_x, key_h, key_W, key_d = jax.random.split(key, 4)
    inner = VariationalDropout(GRU(D, H), layer.state_dropout)
    return (
        jax.random.bernoulli(key_x, 1 - layer.input_dropout, (1, B, D)),
        inner.draw_mask(key_h, VariationalDropoutParams(params, None), (B,)),
        jax.random.bernoulli(key_W, 1 - layer.weight_dropout, params.W.shape),
        perturbed(inner.inner, Zoneout(0.25)).draw(key_d, params, T, (B,)).h,
    )


def _dropped(operands: Any, masks: Any) -> tuple[np.ndarray, Any]:
    """`DROPPED` as a loop; without masks, in evaluation."""
    p, start, xs = operands
    of_x, of_h, of_W, of_s = (1, np.ones((B, H)), 1, np.full((T, B, H), 0.25))
    if masks is not None:
        of_x, of_h, of_W, of_s = masks[0] / 0.7, masks[1] / 0.6, masks[2] / 0.8, masks[3].astype(float)

    def step(p: Any, s: Any, x: Any) -> Any:
        x, of_h, of_s = x
        read = s._replace(h=of_h * s.h)
        new = oracles.GRU.step(p, read, x).h  # (1 - z) n + z (m ⊙ h): the gate passes the state as it is
        z = oracles.sigmoid(oracles.columns(p.b + x @ p.U + read.h @ p.W, 1, H))
        return s._replace(h=of_s * s.h + (1 - of_s) * (new + z * (s.h - read.h)))

    x = of_x * xs, np.broadcast_to(of_h, (T, B, H)), of_s
    return _loop(oracles.Oracle(step, lambda p, s: s.h), p._replace(W=of_W * p.W), start, x, reverse=True)


@pytest.mark.usefixtures("x64")
def test_a_regularised_recurrence_equals_a_loop_with_its_masks(rng: np.random.Generator) -> None:
    """All of it at once, in reverse, with padding and segments, in training and in evaluation; and gradients."""
    params = DROPPED.init(jax.random.key(0), jnp.float64)
    state, xs, key = _states(rng, DROPPED, params), rng.normal(size=(T, B, D)), jax.random.key(1)
    padded = np.where((np.arange(T)[:, None] < LENGTHS)[..., None], xs, np.nan)

    @grid.quick
    def program(params: Any, state: Any, xs: Any) -> Any:
        def loss(params: Any, state: Any, xs: Any) -> Any:
            run = DROPPED.apply(params, xs, state=state, lengths=LENGTHS, resets=RESETS, key=key)
            return grid.weigh((run.outputs, run.final)), (run.outputs, run.final)

        evaluated = DROPPED.apply(params, xs, state=state, lengths=LENGTHS, resets=RESETS)
        found, slopes = grid.gradients(loss, params, state, xs)
        return found, slopes, (evaluated.outputs, evaluated.final), _masks(DROPPED, key, params)

    found, slopes, evaluated, masks = program(params, state, jnp.asarray(padded))
    operands, masks = grid.host((params, state, xs)), grid.host(masks)
    grid.close(found, _dropped(operands, masks), 1e-12, 1e-12)
    grid.close(evaluated, _dropped(operands, None), 1e-12, 1e-12)

    ways = jax.tree.map(lambda a: rng.normal(size=a.shape), operands)

    def along(step: float) -> float:
        return grid.weigh(_dropped(jax.tree.map(lambda a, way: a + step * way, operands, ways), masks))

    slope = sum((way * found).sum() for way, found in zip(jax.tree.leaves(ways), jax.tree.leaves(slopes), strict=True))
    np.testing.assert_allclose(slope, (along(1e-5) - along(-1e-5)) / 2e-5, 1e-7)


@dataclass(frozen=True)
class _Noting:
    """An adjoint that notes what it is given to run."""

    seen: tuple[list[Any]] = field(default_factory=lambda: ([],), compare=False)

    def run(self, problem: Any, operands: Any, method: Any) -> Any:
        self.seen[0].append((problem.cell, problem.reverse, method))
        return BPTT().run(problem, operands, method)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_layers_are_values_keep_the_type_and_pass_choices_on(dtype: Any) -> None:
    def net() -> Layer:
        layers = [Bidirectional(GRU(D, H), LSTM(D, H), "mean"), Dropout(0.1), Highway(Residual(Elman(H, H)), H)]
        return Sequential([*layers, replace(DROPPED, cell=LSTM(H, H))])

    assert net() == net()
    assert hash(net()) == hash(net())
    noting, xs = _Noting(), jnp.ones((T, B, D), dtype)

    def once(key: jax.Array) -> Any:
        params = net().init(key, dtype)
        return params, net().apply(params, xs, key=key, method=Scan(unroll=2), adjoint=noting)

    found = jax.eval_shape(once, jax.random.key(0))
    assert all(a.dtype == dtype for a in jax.tree.leaves(found))
    assert found[1].info is None
    dropped = perturbed(VariationalDropout(LSTM(H, H), 0.4), Zoneout(0.25))
    cells = (GRU(D, H), False), (LSTM(D, H), True), (Elman(H, H), False), (dropped, True)
    assert noting.seen[0] == [(*cell, Scan(unroll=2)) for cell in cells]


def test_a_layer_is_shown_as_it_would_be_written() -> None:
    assert repr(Recurrent(GRU(2, 3))) == "Recurrent(cell=GRU(input_size=2, hidden_size=3))"
    for layer in (
        Recurrent(LSTM(2, 3), reverse=True),
        DROPPED,
        Sequential([Dropout(0.1), Bidirectional(DROPPED.cell, DROPPED.cell)]),
    ):
        assert eval(repr(layer)) == layer


def test_a_regularised_recurrence_is_the_cell_without_a_key_and_keeps_its_parameters() -> None:
    """What is run, and the shapes of all that comes back; of a stack too, which is perturbed as a whole."""
    gru, stack, noise = GRU(D, H), Stack([GRU(D, H), MinGRU(H, H)]), StateNoise(0.1)
    dropped = Recurrent(gru, input_dropout=0.3, state_dropout=0.4, weight_dropout=0.2)
    noisy = Recurrent(stack, input_dropout=0.3, perturbation=noise)

    def once(layer: Recurrent, key: jax.Array | None, adjoint: Any) -> Any:
        params = layer.init(jax.random.key(0))
        return params, layer.apply(params, jnp.ones((T, B, D)), key=key, adjoint=adjoint)

    for layer, trained, evaluated in (
        (dropped, VariationalDropout(gru, 0.4), gru),
        (noisy, perturbed(stack, noise), perturbed(stack, noise)),
    ):
        noting = _Noting()
        plain = jax.eval_shape(lambda layer=layer: once(Recurrent(layer.cell), None, BPTT()))
        for key in (jax.random.key(1), None):
            assert jax.eval_shape(lambda layer=layer, key=key, noting=noting: once(layer, key, noting)) == plain
        assert [cell for cell, *_ in noting.seen[0]] == [trained, evaluated]


def test_a_function_is_perturbed_from_the_state_that_it_is_given() -> None:
    """Rates for a state that is a dict; what is drawn has the shapes of the state, though the cell knows no s(0)."""
    bare = transition(lambda W, s, x: {"n": s["n"] + 1, "h": jnp.tanh(s["h"] @ W + x)}, output=lambda W, s: s["h"])
    layer, same = (Recurrent(bare, perturbation=Zoneout({"n": 0, "h": 0.4})) for _ in range(2))
    assert layer == same
    assert hash(layer) == hash(same)
    assert layer != Recurrent(bare, perturbation=Zoneout({"n": 0, "h": 0.5}))
    assert hash(StateNoise({"h": 0.1})) == hash(StateNoise({"h": 0.1}))
    start = {"n": jnp.zeros(B, int), "h": jnp.ones((B, D))}
    W, xs, key = jnp.eye(D), jax.random.normal(jax.random.key(0), (T, B, D)), jax.random.key(1)
    run = grid.quick(lambda W: layer.apply(W, xs, state=start, key=key))(W)
    cell = perturbed(bare, layer.perturbation)  # pyright: ignore[reportArgumentType]
    drawn = cell.draw(jax.random.split(key, 4)[3], W, T, (B,), start)
    assert drawn["h"].any()
    assert not drawn["n"].any()
    state = start
    for t in range(T):
        new = np.tanh(np.asarray(state["h"] @ W + xs[t]))
        state = {"n": state["n"] + 1, "h": np.where(drawn["h"][t], state["h"], new)}
        np.testing.assert_allclose(run.outputs[t], state["h"], 1e-5, 1e-6)
    grid.close(run.final, state, 1e-5, 1e-6)
    with pytest.raises(ValueError, match=r"does not know s\(0\): pass state="):
        layer.apply(W, xs, key=key)


CELL, XS = GRU(2, 3), np.ones((7, 4, 2), np.float32)
PARAMS = CELL.init(jax.random.key(0))
BOTH = Bidirectional(CELL, CELL)
# what is done, the exception, and what its message must say
WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a layer for a cell": (lambda: Recurrent(Recurrent(CELL)), TypeError, "cell must be a Cell"),  # pyright: ignore
    "a number for reverse": (lambda: Recurrent(CELL, 1), TypeError, "reverse must be True or False"),  # pyright: ignore
    "input dropout of everything": (lambda: Recurrent(CELL, input_dropout=1.0), ValueError, "below 1, got 1.0"),
    "a negative rate": (lambda: Recurrent(CELL, weight_dropout=-0.1), ValueError, "weight_dropout must be at least 0"),
    "state dropout of a stack": (
        lambda: Recurrent(Stack([CELL]), state_dropout=0.1),
        TypeError,
        "state_dropout needs a Gated cell, such as GRU(8, 32)",
    ),
    "state dropout of no products": (
        lambda: Recurrent(IndRNN(2, 3), state_dropout=0.1),
        TypeError,
        "IndRNN(input_size=2, hidden_size=3, activation='relu') has no recurrent matrices",
    ),
    "weight dropout of a stack": (
        lambda: Recurrent(Stack([CELL]), weight_dropout=0.1),
        TypeError,
        "weight_dropout needs a cell whose parameters have a recurrent matrix W",
    ),
    "a rate for a perturbation": (lambda: Recurrent(CELL, perturbation=0.1), TypeError, "such as Zoneout(0.1)"),  # pyright: ignore
    "input dropout of symbols": (
        lambda: Recurrent(CELL, input_dropout=0.1).apply(PARAMS, np.ones((7, 4), int)),
        TypeError,
        "floating type",
    ),
    "parameters of another cell, with a key": (
        lambda: Recurrent(CELL, state_dropout=0.1).apply(None, XS, key=jax.random.key(0)),
        ValueError,
        "params must be like cell.init(key)",
    ),
    "a class for a layer": (lambda: Residual(GRU), TypeError, "expected a layer or a cell"),  # pyright: ignore
    "in reverse twice": (lambda: Bidirectional(CELL, Recurrent(CELL, reverse=True)), ValueError, "in reverse already"),
    "unknown merge": (lambda: Bidirectional(CELL, CELL, "add"), ValueError, "concatenate, sum, mean, product"),
    "a list for merge": (lambda: Bidirectional(CELL, CELL, ["sum"]), ValueError, "concatenate, sum, mean, product"),  # pyright: ignore
    "one cell for layers": (lambda: Sequential(CELL), TypeError, "layers must be a list of layers or cells"),  # pyright: ignore
    "one cell for a stack": (lambda: Stack(CELL), TypeError, "Stack: cells must be a list of cells, got GRU("),  # pyright: ignore
    "a number for a key": (lambda: Dropout(0.1).apply(None, XS, key=0), TypeError, "such as jax.random.key(1), got 0"),  # pyright: ignore
    "no layers": (lambda: Sequential([]), ValueError, "at least one layer"),
    "dropout of everything": (lambda: Dropout(1.0), ValueError, "below 1, got 1.0"),
    "no input": (lambda: Recurrent(CELL).apply(PARAMS, None), ValueError, "xs holds no arrays"),
    "a class for a method": (lambda: Recurrent(CELL).apply(PARAMS, XS, method=BPTT), TypeError, "method=Scan()"),
    "lengths too long": (lambda: Recurrent(CELL).apply(PARAMS, XS, lengths=np.full(4, 8)), ValueError, "7 steps"),
    "lengths of another batch": (lambda: Dropout(0.1).apply(None, XS, lengths=np.ones(3, int)), ValueError, "batch"),
    "parameters for one direction": (lambda: BOTH.apply(PARAMS, XS), TypeError, "BidirectionalParams(forward"),
    "a state for one direction": (
        lambda: BOTH.apply(BidirectionalParams(PARAMS, PARAMS), XS, state=CELL.initial_state(PARAMS, (4,))),
        TypeError,
        "BidirectionalState(forward",
    ),
    "sum of unlike sizes": (
        lambda: Bidirectional(CELL, GRU(2, 5), "sum").apply(Bidirectional(CELL, GRU(2, 5)).init(jax.random.key(0)), XS),
        ValueError,
        "merge='concatenate'",
    ),
    "too few parameters": (
        lambda: Sequential([CELL, CELL]).apply((PARAMS,), XS),
        ValueError,
        "got 1 entries",
    ),
    "residual of another size": (lambda: Residual(CELL).apply(PARAMS, XS), ValueError, "(7, 4, 2), got (7, 4, 3)"),
    "highway of another size": (lambda: Highway(CELL, 3).apply(None, XS), ValueError, "input_size = 3"),
    "highway of the layer's parameters": (
        lambda: Highway(CELL, 2).apply(PARAMS, XS),
        TypeError,
        "Highway: params must be HighwayParams(layer, W, b), got GRUParams",
    ),
    "parameters of another highway": (
        lambda: Highway(CELL, 2).apply(Highway(CELL, 3).init(jax.random.key(0)), XS),
        ValueError,
        "the shapes (2, 2) and (2,), got (3, 3) and (3,)",
    ),
    "dropout of symbols": (lambda: Dropout(0.1).apply(None, np.ones((7, 4), int)), TypeError, "floating type"),
    "dropout of trees": (lambda: Dropout(0.1).apply(None, {"a": XS}), TypeError, "must be one array"),
}


@pytest.mark.parametrize(("call", "kind", "says"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit_raises(call: Callable[[], Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as error:
        call()
    assert says in str(error.value)
