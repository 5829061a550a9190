"""What the laws run over: every cell with its oracle, every adjoint, every method. A new cell is one entry."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxrnn import (
    BPTT,
    RTRL,
    Associative,
    Autodiff,
    Cell,
    Driven,
    ElmanState,
    Gated,
    Linear,
    LSTMState,
    Memory,
    Newton,
    Scan,
    Shooting,
    TruncatedBPTT,
    cells,
    given,
    transition,
)
from tests import oracles, oracles_around, oracles_attention, oracles_cells, oracles_memory

T = 7  # steps: blocks of 3 and of 4 do not divide them
D = 2  # entries of x(t)

# The (method, adjoint) pairs that give exact values and gradients, shared out over three scenarios of about equal cost:
# the second is compiled as for a user, which takes longest.
PAIRS = (
    (
        (Scan(), Autodiff()),
        (Scan(), BPTT(block=4)),
        (Scan(), BPTT(block=T + 4)),
        (Scan(), TruncatedBPTT(T)),
        (Shooting(2), BPTT()),
        (Newton(), BPTT()),
    ),
    (
        (Scan(), Autodiff()),
        (Scan(), BPTT()),
        (Scan(), BPTT(block=3)),
    ),
    (
        (Scan(unroll=3), Autodiff()),
        (Scan(), BPTT(block=1)),
        (Scan(unroll=3), BPTT(block=3)),
        (Scan(), BPTT(block=2, levels=2)),
        (Scan(), RTRL()),
        (Shooting(3, probe=3), BPTT(4)),
        (Newton(3, jacobian="block"), BPTT(4)),
    ),
)


# Each way through the package (see KINDS) runs all of them; any other cell these, each method and each adjoint, those
# that compile for longest on one sequence alone. (`SnAp1`, an approximation, has its law in test_online.)
FEWER_PAIRS = (
    ((Scan(), Autodiff()), (Shooting(2), BPTT(block=5)), (Newton(), TruncatedBPTT(T))),
    ((Scan(), BPTT(block=3)),),
    ((Scan(unroll=3), TruncatedBPTT(T, block=3)), (Scan(), RTRL())),
)
# And these too, a cell that is linear.
LINEAR_PAIRS = (
    ((Associative(), Autodiff()),),
    ((Associative(), BPTT(block=3)),),
    ((Associative(), TruncatedBPTT(T)),),
)


class LeakyParams(NamedTuple):
    """θ of `Leaky`."""

    U: jax.Array  # (input, hidden)
    w: jax.Array  # (hidden,)


@dataclass(frozen=True)
class Leaky(Driven):
    """A driven cell that is not gated: h(t) = 0.7 h(t-1) + 0.3 tanh(x(t) U + w ⊙ roll(h(t-1)))."""

    input_size: int
    hidden_size: int

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LeakyParams:
        k1, k2 = jax.random.split(key)
        return LeakyParams(
            jax.random.normal(k1, (self.input_size, self.hidden_size), dtype),
            jax.random.normal(k2, (self.hidden_size,), dtype),
        )

    def initial_state(self, params: LeakyParams, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.w.dtype)

    def drive(self, params: LeakyParams, x: jax.Array) -> jax.Array:
        return x @ params.U

    def advance(self, params: LeakyParams, state: jax.Array, u: jax.Array) -> jax.Array:
        w = jnp.broadcast_to(params.w, state.shape)
        return 0.7 * state + 0.3 * jnp.tanh(u + w * jnp.roll(state, 1, axis=-1))

    def output(self, params: LeakyParams, state: jax.Array) -> jax.Array:
        return state


LEAKY = oracles.Oracle(
    lambda p, s, x: 0.7 * s + 0.3 * np.tanh(p.U.T @ x + p.w * np.concatenate([s[-1:], s[:-1]])),
    lambda p, s: s,
)


class TiedParams(NamedTuple):
    """θ of `Tied`."""

    U: jax.Array  # (input, hidden)
    W: jax.Array  # (hidden, hidden)


class TiedState(NamedTuple):
    """s(t) of `Tied`."""

    count: jax.Array  # (*batch,), integers  # pyright: ignore[reportIncompatibleMethodOverride]
    h: jax.Array  # (*batch, hidden)


@dataclass(frozen=True)
class Tied(Gated):
    """A gated cell whose recurrent matrices are made of a shared one, that counts, and that reads U in `activate` too.

    h(t) = tanh(x(t) U + h(t-1) (W + Wᵀ)) + sin(h(t-1) W) ΣU / (1 + n), n(t) = n(t-1) + 1
    """

    input_size: int
    hidden_size: int

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> TiedParams:
        k1, k2 = jax.random.split(key)
        return TiedParams(
            jax.random.normal(k1, (self.input_size, self.hidden_size), dtype),
            0.5 * jax.random.normal(k2, (self.hidden_size, self.hidden_size), dtype),
        )

    def initial_state(self, params: TiedParams, batch_shape: tuple[int, ...] = ()) -> TiedState:
        return TiedState(jnp.zeros(batch_shape, jnp.int32), jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype))

    def drive(self, params: TiedParams, x: jax.Array) -> jax.Array:
        return x @ params.U

    def recurrent(self, params: TiedParams) -> dict[str, jax.Array]:
        return {"symmetric": params.W + params.W.T, "plain": params.W}

    def hidden(self, params: TiedParams, state: TiedState) -> jax.Array:
        return state.h

    def activate(self, params: TiedParams, state: TiedState, u: jax.Array, a: dict[str, jax.Array]) -> TiedState:
        scale = params.U.sum() / (1 + state.count[..., None]).astype(u.dtype)
        return TiedState(state.count + 1, jnp.tanh(u + a["symmetric"]) + jnp.sin(a["plain"]) * scale)

    def output(self, params: TiedParams, state: TiedState) -> jax.Array:
        return state.h


TIED = oracles.Oracle(
    lambda p, s, x: s._replace(
        count=s.count + np.int32(1),
        h=np.tanh(p.U.T @ x + (p.W + p.W.T) @ s.h) + np.sin(p.W.T @ s.h) * p.U.sum() / (1 + s.count),
    ),
    lambda p, s: s.h,
)


class DiagonalParams(NamedTuple):
    """θ of `Diagonal`."""

    A: jax.Array  # (input, hidden)
    B: jax.Array  # (input, hidden)


@dataclass(frozen=True)
class Diagonal(Linear):
    """Two linear recurrences side by side: fast(t) = σ(xA) fast(t-1) + xB, slow(t) = 0.9 slow(t-1) + xA."""

    input_size: int
    hidden_size: int

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> DiagonalParams:
        k1, k2 = jax.random.split(key)
        shape = self.input_size, self.hidden_size
        return DiagonalParams(jax.random.normal(k1, shape, dtype), jax.random.normal(k2, shape, dtype))

    def initial_state(self, params: DiagonalParams, batch_shape: tuple[int, ...] = ()) -> dict[str, jax.Array]:
        zeros = jnp.zeros((*batch_shape, self.hidden_size), params.A.dtype)
        return {"fast": zeros, "slow": zeros}

    def coefficients(self, params: DiagonalParams, xs: jax.Array) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        a, b = xs @ params.A, xs @ params.B
        return {"fast": jax.nn.sigmoid(a), "slow": jnp.full_like(a, 0.9)}, {"fast": b, "slow": a}

    def output(self, params: DiagonalParams, state: dict[str, jax.Array]) -> jax.Array:
        return state["fast"] * state["slow"]


DIAGONAL = oracles.Oracle(
    lambda p, s, x: {
        "fast": oracles.sigmoid(p.A.T @ x) * s["fast"] + p.B.T @ x,
        "slow": 0.9 * s["slow"] + p.A.T @ x,
    },
    lambda p, s: s["fast"] * s["slow"],
)


def _count_and_turn(params: Any, state: Any, x: Any) -> Any:
    """A pure function with a state of integers and floats, and a tree for its input."""
    number, h = state["number"] + 1, state["h"]
    turn = jnp.cos(number[..., None].astype(h.dtype))
    return {"number": number, "h": jnp.tanh(h @ params["A"] + turn * x["in"] * x["gain"]) + 0.1 * h}


COUNTING = transition(
    _count_and_turn,
    output=lambda params, state: state["h"],
    init=lambda key, dtype: {"A": jax.random.normal(key, (D, D), dtype)},
    initial_state=lambda params, batch: {
        "number": jnp.zeros(batch, jnp.int32),
        "h": jnp.zeros((*batch, D), params["A"].dtype),
    },
)


def _counting_step(p: Any, s: Any, x: Any) -> Any:
    n = s["number"] + np.int32(1)
    return {"number": n, "h": np.tanh(p["A"].T @ s["h"] + np.cos(n) * x["in"] * x["gain"]) + 0.1 * s["h"]}


def log_loss(o: jax.Array, y: jax.Array) -> jax.Array:
    """-log softmax(o)_y."""
    return jax.nn.logsumexp(o, axis=-1) - jnp.take_along_axis(o, y[..., None], axis=-1)[..., 0]


RATES: Any = (0.1, 0.4)  # of zoneout, for h and for c
Draw = Callable[[np.random.Generator, tuple[int, ...]], Any]


def _vector(rng: np.random.Generator, axes: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=(*axes, D))


def _labelled(rng: np.random.Generator, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return _vector(rng, axes), rng.integers(0, 4, size=axes).astype(np.int32)


def _tree(rng: np.random.Generator, axes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {"gain": rng.normal(size=(*axes, 1)), "in": _vector(rng, axes)}


def _zoned_out(rng: np.random.Generator, axes: tuple[int, ...]) -> tuple[np.ndarray, LSTMState]:
    h, c = rng.random((2, *axes, 3)) < 0.4
    return _vector(rng, axes), LSTMState(h, c)


def _image(rng: np.random.Generator, axes: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=(*axes, 2, 3, 1))


def _noisy(rng: np.random.Generator, axes: tuple[int, ...]) -> tuple[np.ndarray, ElmanState]:
    noise: Any = 0.1 * rng.normal(size=(*axes, 3))
    return _vector(rng, axes), ElmanState(noise)


def _with_vector(params: Any) -> Any:
    return given(params, jnp.array([0.5, -1.5], jax.tree.leaves(params)[0].dtype))


CONDITIONED_LEAKY = oracles_around.conditioned(LEAKY)
CONDITIONED_STACK = oracles_around.conditioned(oracles.stack([oracles.ELMAN, oracles.GRU]))


def _memory(attention: Any, params: Any) -> Memory:
    """Three items, of which two are there, for all sequences."""
    items = jnp.asarray([[0.3, -1.2], [0.8, 0.5], [2.0, 1.0]], params.V.dtype)
    return attention.memory(params.attention, items, jnp.array(2))


class Entry(NamedTuple):
    """One cell of the grid."""

    name: str
    cell: Cell
    oracle: oracles.Oracle
    draw: Draw = _vector  # inputs for the axes (time, *batch)
    start: Callable[[Any], Any] = lambda state: state  # what is done to a random state, to make it one that can be
    fixed: bool = False  # the parameters are constants: their gradients are zero
    prepare: Callable[[Any], Any] = lambda params: params  # what is done to new parameters


# An entry costs its scenarios of the oracle, each one program of the pairs above, and little else.
CELLS = (
    Entry("elman", cells.Elman(D, 3), oracles.ELMAN),
    Entry("lstm", cells.LSTM(D, 3), oracles.LSTM),
    Entry("gru", cells.GRU(D, 3), oracles.GRU),
    Entry("readout_elman", cells.Readout(cells.Elman(D, 3), 2), oracles.readout(oracles.ELMAN)),
    Entry("readout_lstm", cells.Readout(cells.LSTM(D, 3), 2), oracles.readout(oracles.LSTM)),
    Entry("readout_gru", cells.Readout(cells.GRU(D, 3), 2), oracles.readout(oracles.GRU)),
    Entry("stack", cells.Stack([cells.Elman(D, 3), cells.LSTM(3, 2)]), oracles.stack([oracles.ELMAN, oracles.LSTM])),
    Entry(
        "readout_stack",
        cells.Readout(cells.Stack([cells.GRU(D, 2), cells.LSTM(2, 3)]), 2),
        oracles.readout(oracles.stack([oracles.GRU, oracles.LSTM])),
    ),
    Entry(
        "nested",
        cells.Stack([cells.Readout(cells.Elman(D, 2), 2), cells.Stack([Tied(2, 3), cells.GRU(3, 2)])]),
        oracles.stack([oracles.readout(oracles.ELMAN), oracles.stack([TIED, oracles.GRU])]),
    ),
    Entry(
        "supervised",
        cells.Supervised(cells.Readout(cells.GRU(D, 3), 4), log_loss),
        oracles.supervised(oracles.readout(oracles.GRU), oracles.negative_log_softmax),
        _labelled,
    ),
    Entry("transition", COUNTING, oracles.Oracle(_counting_step, lambda p, s: s["h"]), _tree),
    Entry("driven", Leaky(D, 3), LEAKY),
    Entry("gated", Tied(D, 3), TIED),
    Entry("linear", Diagonal(D, 3), DIAGONAL),
    Entry("peephole_lstm", cells.PeepholeLSTM(D, 3), oracles_cells.PEEPHOLE_LSTM),
    Entry("projected_lstm", cells.ProjectedLSTM(D, 3, 2), oracles_cells.PROJECTED_LSTM),
    Entry("original_gru", cells.OriginalGRU(D, 3), oracles_cells.ORIGINAL_GRU),
    Entry("coupled_lstm", cells.CoupledLSTM(D, 3), oracles_cells.COUPLED_LSTM),
    Entry("mgu", cells.MGU(D, 3), oracles_cells.MGU),
    Entry("tied_gru", cells.TiedGRU(D, 3), oracles_cells.TIED_GRU),
    Entry("min_gru", cells.MinGRU(D, 3), oracles_cells.MIN_GRU),
    Entry("min_lstm", cells.MinLSTM(D, 3), oracles_cells.MIN_LSTM),
    Entry("leaky_elman", cells.LeakyElman(D, 3), oracles_cells.LEAKY_ELMAN),
    Entry("jordan", cells.Jordan(D, 3, 2), oracles_cells.JORDAN),
    Entry("deep_transition", cells.DeepTransition(D, 3, (4,), (2,), (2,), skip=True), oracles_cells.DEEP_TRANSITION),
    Entry("ind_rnn", cells.IndRNN(D, 3), oracles_cells.IND_RNN),
    Entry("lru", cells.LRU(D, 3), oracles_cells.LRU),
    Entry("layer_norm_lstm", cells.LayerNormLSTM(D, 3, oracles_around.EPSILON), oracles_around.LAYER_NORM_LSTM),
    Entry("layer_norm_gru", cells.LayerNormGRU(D, 3, oracles_around.EPSILON), oracles_around.LAYER_NORM_GRU),
    Entry(
        "variational_dropout",
        cells.VariationalDropout(cells.Elman(D, 3), 0.4),
        oracles_around.variational_dropout_elman(0.4),
        prepare=lambda params: params._replace(mask=jnp.array([True, False, True])),
    ),
    Entry(
        "zoneout",
        cells.perturbed(cells.LSTM(D, 3), cells.Zoneout(0.4)),
        oracles_around.zoneout(oracles.LSTM, {"h": 0.4, "c": 0.4}),
        _zoned_out,
    ),
    Entry(
        "zoneout_in_evaluation",
        cells.perturbed(cells.LSTM(D, 3), cells.Zoneout(cells.LSTMState(*RATES))),
        oracles_around.zoneout(oracles.LSTM, {"h": 0.1, "c": 0.4}),
        lambda rng, axes: (_vector(rng, axes), None),
    ),
    Entry(
        "state_noise",
        cells.perturbed(cells.Readout(cells.Elman(D, 3), 2), cells.StateNoise(0.1)),
        oracles_around.state_noise(oracles.readout(oracles.ELMAN)),
        _noisy,
    ),
    Entry(
        "slstm",
        cells.SLSTM(D, 4, heads=2),
        oracles_around.slstm(2),
        start=lambda state: state._replace(n=1 + state.n**2),
    ),
    Entry("reservoir", cells.Reservoir(D, 3, leak=0.7, density=0.5), oracles_around.reservoir(0.7), fixed=True),
    Entry("conv_lstm", cells.ConvLSTM((2, 3), 1, 1, (2, 3)), oracles_around.CONV_LSTM, _image),
    Entry(
        "conditioned",
        cells.Conditioned(cells.Stack([cells.Elman(D + 2, 3), cells.GRU(3, 2)]), 2),
        CONDITIONED_STACK,
        prepare=_with_vector,
    ),
    Entry(
        "conditioned_driven",
        cells.conditioned(Leaky(D + 2, 3), 2),
        oracles_around.conditioned(LEAKY),
        prepare=_with_vector,
    ),
    Entry(
        "conditioned_gated",
        cells.conditioned(cells.LSTM(D + 2, 3), 2),
        oracles_around.conditioned(oracles.LSTM),
        prepare=_with_vector,
    ),
    Entry(
        "conditioned_linear",
        cells.conditioned(Diagonal(D + 2, 3), 2),
        oracles_around.conditioned(DIAGONAL),
        prepare=_with_vector,
    ),
    Entry(
        "conditioned_initial_state",
        cells.ConditionedInitialState(cells.GRU(D, 3), 2),
        oracles_around.learned_initial_state(oracles.GRU),
        prepare=_with_vector,
    ),
    Entry("skip", cells.Skip(cells.GRU(D, 3), 3), oracles_memory.skip(oracles.GRU)),
    Entry("feed_forward", cells.FeedForward(D, 3), oracles_memory.FEED_FORWARD),
    Entry(
        "ntm",
        cells.NTM(cells.Elman(D + 2, 3), 3, 2),
        oracles_memory.ntm(oracles.ELMAN, 1),
        start=oracles_memory.heads_somewhere,
    ),
    Entry("fast_weights", cells.FastWeights(cells.Elman(D + 2, 3), 3, 2), oracles_memory.fast_weights(oracles.ELMAN)),
    Entry(
        "attend_after",
        cells.AttendAfter(cells.GRU(D, 3), cells.MultiplicativeAttention(3, 2)),
        oracles_attention.after(oracles.GRU, oracles_attention.MULTIPLICATIVE),
        prepare=lambda params: params._replace(memory=_memory(cells.MultiplicativeAttention(3, 2), params)),
    ),
    Entry(
        "attend_before",
        cells.AttendBefore(cells.Elman(D + 2, 3), cells.AdditiveAttention(3, 2, 4)),
        oracles_attention.before(oracles.ELMAN, oracles_attention.ADDITIVE),
        prepare=lambda params: params._replace(memory=_memory(cells.AdditiveAttention(3, 2, 4), params)),
    ),
    Entry(
        "learned_initial_state",
        cells.LearnedInitialState(cells.GRU(D, 3)),
        oracles_around.learned_initial_state(oracles.GRU),
    ),
)
NAMES = [entry.name for entry in CELLS]


def pairs(entry: Entry, group: int) -> tuple[tuple[Any, Any], ...]:
    """The pairs of method and adjoint that a cell runs in one of the three scenarios: all that apply, over them."""
    chosen = (PAIRS if entry in KINDS else FEWER_PAIRS)[group]
    return chosen + (LINEAR_PAIRS[group] if isinstance(entry.cell, Linear) else ())


# One cell of each way through the package, for the laws that compile the largest programs; the oracle runs over all.
KINDS = [
    entry
    for entry in CELLS
    if entry.name in ("lstm", "gru", "readout_stack", "supervised", "transition", "driven", "gated", "linear")
]


# The compiler's defaults: full optimisation, and none of the options that `conftest` sets.
AS_FOR_A_USER: Any = {"xla_backend_optimization_level": 3, "xla_backend_extra_options": ""}


def is_float(leaf: Any) -> bool:
    """Whether a leaf has a gradient."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def has_gradient(leaf: Any) -> bool:
    """Whether a leaf is of real or complex numbers."""
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def cast(tree: Any, dtype: DTypeLike) -> Any:
    """A tree of JAX arrays whose floating-point leaves have the type `dtype`, and complex ones that of its parts."""

    def one(a: Any) -> jax.Array:
        a = np.asarray(a)
        kind = dtype if is_float(a) else jnp.promote_types(dtype, jnp.complex64) if has_gradient(a) else None
        return jnp.asarray(a, kind)

    return jax.tree.map(one, tree)


def host(tree: Any) -> Any:
    """A tree of NumPy arrays."""
    return jax.tree.map(np.asarray, tree)


class Sample(NamedTuple):
    """Numbers to run a cell on."""

    params: Any
    state: Any
    xs: Any


@cache
def _initial(cell: Cell) -> Callable[[jax.Array], Any]:
    """The start of the parameters in double precision, compiled once for all laws and seeds."""
    return quick(lambda key: cell.init(key, jnp.float64))


def sample(entry: Entry, batch: tuple[int, ...], dtype: DTypeLike = jnp.float64, seed: int = 0) -> Sample:
    """Parameters, a state that is not zero, and inputs `(T, *batch, ...)`."""
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        params = host(_initial(entry.cell)(jax.random.key(seed, impl="unsafe_rbg")))  # compiles sooner than the default
    params = entry.prepare(cast(params, dtype))
    zero = entry.cell.initial_state(params, batch)

    def draw(s: Any) -> Any:
        if not has_gradient(s):
            return np.asarray(s)
        real = 0.5 * rng.normal(size=s.shape)
        return real if is_float(s) else real + 0.5j * rng.normal(size=s.shape)

    state = jax.tree.map(draw, zero)
    return Sample(params, cast(entry.start(state), dtype), cast(entry.draw(rng, (T, *batch)), dtype))


def weigh(tree: Any, salt: float = 0.0) -> Any:
    """A scalar that depends on every floating-point entry of a tree, each with a weight of its own."""
    total = 0.0
    for number, leaf in enumerate(jax.tree.leaves(tree)):
        leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
        if has_gradient(leaf) and not is_float(leaf):
            total = total + weigh([jnp.real(leaf), jnp.imag(leaf)], salt + number)
        elif is_float(leaf):
            weights = np.cos(1.0 + salt + number + np.arange(leaf.size)).reshape(leaf.shape)
            total = total + (leaf * weights.astype(leaf.dtype)).sum()
    return total


def quick(f: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.jit` that compiles fast code less and compiles it fast: for programs that run once, on a few numbers."""
    return jax.jit(f, compiler_options={"xla_backend_optimization_level": 0})


def optimised(f: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.jit` that compiles as for a user, whatever `conftest` has other programs compiled with."""
    return jax.jit(f, compiler_options=AS_FOR_A_USER)


def gradients(f: Callable[..., Any], *arguments: Any) -> Any:
    """Of each argument, the list of gradients of its floating-point leaves; of the function's aux output, itself."""

    def on_lists(lists: Any) -> Any:
        merged = []
        for argument, values in zip(arguments, lists, strict=True):
            leaves, structure = jax.tree.flatten(argument)
            found = iter(values)
            merged.append(jax.tree.unflatten(structure, [next(found) if has_gradient(v) else v for v in leaves]))
        return f(*merged)

    lists = [[v for v in jax.tree.leaves(argument) if has_gradient(v)] for argument in arguments]
    (_, aux), found = jax.value_and_grad(on_lists, has_aux=True)(lists)
    return aux, found


def close(actual: Any, expected: Any, rtol: float, atol: float, what: str = "") -> None:
    """The same structure, and numbers close to each other."""
    a, b = jax.tree.leaves(actual), jax.tree.leaves(expected)
    assert len(a) == len(b), what
    for x, y in zip(a, b, strict=True):
        assert np.shape(x) == np.shape(y), what
        kind = np.complex128 if np.iscomplexobj(x) else np.float64
        np.testing.assert_allclose(np.asarray(x, kind), np.asarray(y, kind), rtol, atol, err_msg=what)
