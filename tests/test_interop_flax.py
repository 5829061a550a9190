"""Flax: weights in and out give the same numbers, and our layers live in Flax models."""

from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from jaxrnn import GRU, LSTM, MGU, ConvLSTM, Elman, Stack, TiedGRU
from jaxrnn.interop import linen as ours_linen
from jaxrnn.interop import nnx as ours_nnx
from jaxrnn.interop.flax import from_flax, to_flax
from jaxrnn.layers import Bidirectional, Dropout, Recurrent, Residual, Sequential
from tests import grid

B, T, D, H = 4, 5, 2, 3
LENGTHS = np.array([5, 3, 0, 1])
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}


def _bias(key: Any, shape: Any, dtype: Any = jnp.float32) -> Any:  # Flax's are zeros, which hide mistakes
    return jax.random.normal(jax.random.fold_in(key, 1), shape, dtype)


def _rnn(kind: Any, inputs: int, dtype: Any, activation_fn: Any = jnp.tanh, **options: Any) -> Any:
    cell = kind(
        inputs, H, activation_fn=activation_fn, dtype=dtype, param_dtype=dtype, bias_init=_bias, rngs=nnx.Rngs(0)
    )
    return nnx.RNN(cell, **options)


def _linen_rnn(kind: Any, dtype: Any, **options: Any) -> Any:
    return linen.RNN(kind(H, param_dtype=dtype, bias_init=_bias), **options)


def _linen_mgu(dtype: Any, reset_gate: bool) -> Any:
    biases: Any = {"forget_bias_init": _bias, "activation_bias_init": _bias}
    return linen.RNN(linen.MGUCell(H, param_dtype=dtype, reset_gate=reset_gate, **biases), reverse=not reset_gate)


def _nnx_layers(dtype: Any) -> Any:
    return nnx.Sequential(
        _rnn(nnx.LSTMCell, D, dtype, reverse=True),
        nnx.Sequential(
            _rnn(nnx.SimpleCell, H, dtype, jax.nn.relu, reverse=True),
            _rnn(nnx.GRUCell, H, dtype, reverse=True, keep_order=True),
        ),
    )


def _nnx_directions(dtype: Any) -> Any:
    forward, backward = _rnn(nnx.OptimizedLSTMCell, D, dtype), _rnn(nnx.GRUCell, D, dtype)
    return nnx.Bidirectional(forward, backward, merge_fn=lambda f, b: f * b, return_carry=True)


def _linen_layers(dtype: Any) -> Any:
    rnns = [_linen_rnn(kind, dtype, name=kind.__name__) for kind in (linen.LSTMCell, linen.SimpleCell)]
    upper = linen.Sequential([_linen_mgu(dtype, True), _linen_mgu(dtype, False)], name="upper")
    return _given(linen.Sequential([*rnns, upper]), dtype)


def _linen_directions(dtype: Any) -> Any:
    forward, backward = _linen_rnn(linen.OptimizedLSTMCell, dtype), _linen_rnn(linen.GRUCell, dtype)
    return _given(linen.Bidirectional(forward, backward, return_carry=True), dtype)


def _given(module: Any, dtype: Any) -> Any:
    return module, grid.quick(module.init)(jax.random.key(1), jnp.ones((B, T, D), dtype))


NETWORKS = {  # each form of a cell, layers 1 to 3, both directions
    "nnx": _nnx_layers,
    "nnx bidirectional": _nnx_directions,
    "linen": _linen_layers,
    "linen bidirectional": _linen_directions,
}


def _leaves(tree: Any) -> Any:
    """A carry of Flax, (c, h), and a state of ours, (h, c), as one list."""
    if isinstance(tree, tuple) and len(tree) == 2 and not hasattr(tree, "_fields") and hasattr(tree[0], "shape"):
        return [tree[1], tree[0]]
    if isinstance(tree, tuple):
        return [leaf for part in tree for leaf in _leaves(part)]
    return [tree]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, np.float64) for name in NETWORKS), ("nnx", np.float32), ("linen bidirectional", np.float32)],
    ids=[*NETWORKS, "nnx float32", "linen float32"],
)
def test_equals_flax(name: str, dtype: Any, rng: np.random.Generator) -> None:
    source = NETWORKS[name](dtype)
    layer: Any
    layer, params = from_flax(source)
    xs = jnp.asarray(rng.normal(size=(B, T, D)), dtype)
    two = "bidirectional" in name  # only these take lengths

    graph: Any = None
    if isinstance(source, tuple):
        module, weights = source
        call = module.apply
    else:
        graph, weights = nnx.split(source)

        def call(weights: Any, xs: Any, **options: Any) -> Any:
            return nnx.merge(graph, weights)(xs, **options)

    weigh = _mask(LENGTHS if two else None)
    some = (LENGTHS > 0)[:, None].astype(dtype)  # Flax's carry after no step is that after all

    def theirs(weights: Any, xs: Any) -> Any:
        out = call(weights, xs, seq_lengths=LENGTHS) if two else (None, call(weights, xs))
        carry, y = ([leaf * some for leaf in _leaves(out[0])] if two else []), out[1]
        y = y * weigh.astype(y.dtype)  # what Flax has past the length is anything
        return grid.weigh([y, *carry]), [y, *carry]

    def here(params: Any, xs: Any) -> Any:
        run = layer.apply(params, xs, lengths=LENGTHS if two else None, time_axis=1)
        y = run.outputs if name != "linen" else run.outputs[:, ::-1]  # the last is in reverse there
        carry = jax.tree.leaves(run.final) if two else []
        return grid.weigh([y, *carry]), [y, *carry]

    (_, expected), (by_weights, by_x) = grid.quick(jax.value_and_grad(theirs, (0, 1), True, allow_int=True))(
        weights, xs
    )
    (_, found), (by_params, by_xs) = grid.quick(jax.value_and_grad(here, (0, 1), True))(params, xs)
    tolerance = TOLERANCE[dtype]
    grid.close(found, expected, tolerance, tolerance)
    grid.close(by_xs, by_x, tolerance, 10 * tolerance)
    # The gradient of weights, which has their structure, is read as weights are.
    back = from_flax((source[0], by_weights) if isinstance(source, tuple) else nnx.merge(graph, by_weights))[1]
    if name.startswith("nnx"):  # no bias inside the reset, of which they would have the gradient
        back, by_params = _without_c(back), _without_c(by_params)
    grid.close(by_params, back, tolerance, 10 * tolerance)


def _mask(lengths: Any) -> np.ndarray:
    if lengths is None:
        return np.ones((B, T, 1))
    return (np.arange(T) < lengths[:, None])[..., None]


def _without_c(tree: Any) -> Any:
    if hasattr(tree, "c"):
        return tree._replace(c=0)
    if isinstance(tree, tuple) and not hasattr(tree, "U"):
        parts = [_without_c(part) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    return tree


NESTED = Sequential([Sequential([LSTM(D, H), Sequential([Recurrent(GRU(H, H), reverse=True)])]), GRU(H, 1)])
BETWEEN = Sequential([Dropout(0.1), Recurrent(LSTM(D, H), reverse=True), Dropout(0.25), Elman(H, 1), Dropout(0.5)])
LAYERS = (
    Elman(D, H, activation="relu"),
    Sequential([Recurrent(LSTM(D, H), reverse=True), Bidirectional(GRU(H, H), Elman(H, H), "mean"), GRU(H, 1)]),
    Bidirectional(LSTM(D, H), LSTM(D, H)),
    Sequential([TiedGRU(D, H), TiedGRU(H, 1, reset=False)]),
)


def test_streams_of_other_names_are_no_dropout() -> None:
    module = ours_nnx.Recurrent(Sequential([GRU(D, H), Dropout(0.5)]), rngs=nnx.Rngs(0))
    xs = jnp.ones((2, 5, D))
    for rngs in (None, nnx.Rngs(params=0)):
        np.testing.assert_array_equal(module(xs, rngs=rngs), module(xs))
    assert (module(xs, rngs=nnx.Rngs(0)) == 0).any()


def test_dropout_of_a_module_draws_masks_of_its_own() -> None:
    net = Sequential([Dropout(0.5), Elman(16, 16), Dropout(0.5)])
    module = to_flax(net, net.init(jax.random.key(0)))
    module.train()
    first, _, last = module.layers
    assert (first(jnp.ones((1, 64))) != last(jnp.ones((1, 64)))).any()


@pytest.mark.parametrize(
    ("layer", "api"),
    [*((layer, api) for layer in (*LAYERS[:3], BETWEEN, NESTED) for api in (nnx, linen)), (LAYERS[3], linen)],
    ids=[
        *(
            f"{name}-{api}"
            for name in ("cell", "sequential", "bidirectional", "dropout", "nested")
            for api in ("nnx", "linen")
        ),
        "mgu",
    ],
)
def test_out_and_in_again_is_the_same(layer: Any, api: Any) -> None:
    dtype = jnp.bfloat16 if isinstance(layer, Elman) else jnp.float32
    params = layer.init(jax.random.key(0), dtype)
    if api is nnx:
        params = _zero_c(params)
    again, found = from_flax(to_flax(layer, params, api))
    assert again == layer
    assert all(
        a.dtype == b.dtype and (a == b).all() for a, b in zip(*map(jax.tree.leaves, (found, params)), strict=True)
    )


def test_dropout_between_layers(rng: np.random.Generator) -> None:
    """It is the identity in evaluation, as the modules are made; nnx's drops after `train()`."""
    params = BETWEEN.init(jax.random.key(0))
    xs = jnp.asarray(rng.normal(size=(B, T, D)), jnp.float32)
    expected = BETWEEN.apply(params, xs, time_axis=1).outputs
    by_nnx: Any = to_flax(BETWEEN, params)
    module, variables = to_flax(BETWEEN, params, linen)
    grid.close((by_nnx(xs), module.apply(variables, xs)), (expected, expected), 1e-5, 1e-5)
    by_nnx.train()
    assert 0.3 < np.mean(by_nnx(xs) == 0) < 0.7
    module = linen.Sequential([*module.layers[:-1], linen.Dropout(0.5, deterministic=False)])
    dropped = module.apply(variables, xs, rngs={"dropout": jax.random.key(1)})
    assert 0.3 < np.mean(dropped == 0) < 0.7
    assert from_flax((module, variables))[0] == BETWEEN


def test_stacks_become_layers() -> None:
    stack = Recurrent(Stack([LSTM(D, H), Elman(H, D)]), reverse=True)
    params = stack.init(jax.random.key(0))
    layer, found = from_flax(to_flax(stack, params))
    assert layer == Sequential([Recurrent(LSTM(D, H), reverse=True), Recurrent(Elman(H, D), reverse=True)])
    grid.close(found, params, 0, 0)


@pytest.mark.parametrize("keeps", [False, True])
def test_names_of_layers_are_where_flax_has_them(keeps: bool) -> None:
    """Linen gives a module that it is passed the name of the attribute, unless it is told to keep its own."""
    f, b = linen.RNN(linen.GRUCell(H), name="f"), linen.RNN(linen.LSTMCell(H, name="lstm"))
    module = linen.Sequential([linen.RNN(linen.GRUCell(H), name="encoder"), linen.Bidirectional(f, b, name="both")])
    layer: Any
    with flax.config.temp_flip_flag("preserve_adopted_names", keeps):
        _, variables = _given(module, jnp.float32)
        layer, params = from_flax((module, variables))
    assert ("encoder" in variables["params"]) == keeps
    assert layer == Sequential([GRU(D, H), Bidirectional(GRU(H, H), LSTM(H, H))])
    xs = jax.random.normal(jax.random.key(0), (B, T, D))
    with flax.config.temp_flip_flag("preserve_adopted_names", keeps):
        expected = module.apply(variables, xs)
    grid.close(layer.apply(params, xs, time_axis=1).outputs, expected, 1e-5, 1e-5)


def test_arrays_may_say_how_they_are_divided() -> None:
    module, variables = to_flax(GRU(D, H), params := GRU(D, H).init(jax.random.key(0)), linen)
    boxed = jax.tree.map(lambda a: linen.Partitioned(a, (None,) * a.ndim), variables)
    grid.close(from_flax((module, boxed))[1], params, 0, 0)


def _zero_c(tree: Any) -> Any:
    return jax.tree.map(
        lambda p: p._replace(c=jnp.zeros_like(p.c)) if hasattr(p, "c") else p, tree, is_leaf=lambda p: hasattr(p, "c")
    )


def _cell(api: Any = nnx, kind: str = "GRUCell", **options: Any) -> Any:
    """A small cell, with options that this library may not have."""
    if api is nnx:
        return getattr(nnx, kind)(D, H, rngs=nnx.Rngs(0), **options)
    module = getattr(linen, kind)(H, **options)
    return module, {"params": to_flax(GRU(D, H), GRU(D, H).init(jax.random.key(0)), linen)[1]["params"]}


class Own(nnx.GRUCell):
    pass


class Backwards(nnx.RNN):
    pass


def _changed(name: str, gate: str, value: Any) -> Any:
    module, variables = _cell(linen)
    return module, {"params": variables["params"] | {gate: {**variables["params"].get(gate, {}), name: value}}}


NAN = np.array([0, np.nan, 0], np.float32)
REFUSED = {
    "kind": (lambda: (linen.ConvLSTMCell(H, (3,)), {"params": {}}), TypeError, "ConvLSTMCell has no counterpart here"),
    "subclass of layers": (lambda: Backwards(_cell()), TypeError, "Backwards has no counterpart here"),
    "subclass": (lambda: nnx.RNN(Own(D, H, rngs=nnx.Rngs(0))), TypeError, "Own has no counterpart"),
    "gate_fn": (lambda: _cell(gate_fn=jnp.tanh), ValueError, "GRUCell: gate_fn must be sigmoid"),
    "activation_fn": (lambda: nnx.RNN(_cell(activation_fn=jnp.sin)), ValueError, "cell/GRUCell: activation_fn must be"),
    "residual": (lambda: _cell(nnx, "SimpleCell", residual=True), ValueError, "SimpleCell: residual must be False"),
    "carry_init": (lambda: _cell(linen, carry_init=_bias), ValueError, "GRUCell: carry_init must be zeros"),
    "order": (
        lambda: nnx.Sequential(nnx.RNN(_cell(), reverse=True), nnx.Bidirectional(nnx.RNN(_cell()), nnx.RNN(_cell()))),
        ValueError,
        "layers/1/Bidirectional reads a sequence in reverse order",
    ),
    "direction": (lambda: nnx.Bidirectional(_cell(), _cell()), TypeError, "forward_rnn must be an RNN, got GRUCell"),
    "sizes": (
        lambda: nnx.Sequential(_rnn(nnx.GRUCell, D, jnp.float32), _rnn(nnx.GRUCell, D, jnp.float32)),
        ValueError,
        "layers/1 reads 2 entries, but the layer below gives 3",
    ),
    "sizes of directions": (
        lambda: nnx.Bidirectional(_rnn(nnx.GRUCell, D, jnp.float32), _rnn(nnx.GRUCell, H, jnp.float32)),
        ValueError,
        "backward_rnn reads 3 entries, but forward_rnn 2",
    ),
    "sizes beside dropout": (
        lambda: nnx.Sequential(
            nnx.Dropout(0.5), _rnn(nnx.GRUCell, D, jnp.float32), nnx.Dropout(0.1), _rnn(nnx.GRUCell, D, jnp.float32)
        ),
        ValueError,
        "layers/3 reads 2 entries, but the layer below gives 3",
    ),
    "rate": (lambda: nnx.Dropout(1.0), ValueError, "Dropout: rate must be at least 0 and below 1, got 1.0"),
    "broadcast": (
        lambda: nnx.Sequential(_rnn(nnx.GRUCell, D, jnp.float32), nnx.Dropout(0.5, broadcast_dims=(1,))),
        ValueError,
        r"layers/1/Dropout: broadcast_dims must be \(\), got \(1,\)",
    ),
    "nothing": (lambda: nnx.Sequential(), ValueError, "Sequential holds no layers"),
    "function": (
        lambda: nnx.Sequential(_rnn(nnx.GRUCell, D, jnp.float32), jnp.tanh),
        TypeError,
        "layers/1/: .*has no counterpart here",
    ),
    "layer": (lambda: nnx.Sequential(_cell()), TypeError, r"layers 0 must be an RNN, got GRUCell: pass RNN\(GRUCell"),
    "missing": (lambda: (_cell(linen)[0], {"params": {"ir": {"kernel": np.ones((D, H))}}}), ValueError, "missing hn/b"),
    "one module twice": (
        lambda: nnx.Sequential(*[nnx.RNN(nnx.SimpleCell(H, H, rngs=nnx.Rngs(0)))] * 2),
        ValueError,
        "layers/1/cell/dense_i/kernel must be there, .*a module that stands in two places .* give each place its own",
    ),
    "no kernel": (lambda: (_cell(linen)[0], {"params": {}}), ValueError, "ir/kernel must be there, with two axes"),
    "extra": (lambda: _changed("scale", "in", NAN), ValueError, "missing none; not expected in/scale"),
    "shape": (lambda: _changed("bias", "iz", NAN[:2]), ValueError, r"iz/bias has shape \(2,\), expected \(3,\)"),
    "nan": (lambda: _changed("bias", "hn", NAN), ValueError, "hn/bias has 1 entries that are NaN"),
    "collections": (lambda: (_cell(linen)[0], {"cache": {}}), ValueError, "variables must hold params and nothing"),
    "no dict": (lambda: (_cell(linen)[0], {"params": [3]}), ValueError, "params must be a dict of arrays .*, got list"),
    "no array": (lambda: _changed("bias", "iz", jax.random.key(0)), ValueError, "iz/bias is no array but"),
    "no variables": (lambda: linen.GRUCell(H), TypeError, "for linen, the pair"),
}


@pytest.mark.parametrize(("source", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_named(source: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^from_flax: .*{message}"):
        from_flax(source())


def test_what_flax_cannot_hold_is_named() -> None:
    params = GRU(D, H).init(jax.random.key(0))
    with pytest.raises(ValueError, match=r"nnx.GRUCell has no bias inside the reset, .*: pass api=flax.linen"):
        to_flax(GRU(D, H), params)
    with pytest.raises(TypeError, match=r"Residual has no counterpart in Flax: .* jaxrnn.interop.nnx.Recurrent"):
        to_flax(Sequential([GRU(D, H), Residual(Dropout(0.5))]), (params, None), linen)
    with pytest.raises(ValueError, match=r"params.c has 3 entries that are NaN"):
        to_flax(GRU(D, H), params._replace(c=params.c * jnp.nan), linen)
    with pytest.raises(TypeError, match=r"api must be flax.nnx or flax.linen, got 'nnx'"):
        to_flax(GRU(D, H), params, "nnx")  # pyright: ignore[reportArgumentType]
    inner = Bidirectional(Sequential([GRU(D, H)]), GRU(D, H))
    with pytest.raises(TypeError, match=r"each direction of Bidirectional must be Recurrent"):
        to_flax(inner, inner.init(jax.random.key(0)), linen)
    for cell, message in (
        (TiedGRU(D, H), r"TiedGRU is linen's MGUCell, which nnx does not have: pass api=flax.linen"),
        (MGU(D, H), r"MGU has no counterpart in Flax: pass .* TiedGRU \(the MGUCell of Flax\)"),
    ):
        with pytest.raises(TypeError, match=message):
            to_flax(cell, cell.init(jax.random.key(0)))


class Model(nnx.Module):
    """A small model as Flax users write them."""

    def __init__(self, rngs: nnx.Rngs):
        self.embedding = nnx.Embed(5, D, rngs=rngs)
        self.rnn = ours_nnx.Recurrent(Sequential([GRU(D, H), Dropout(0.1)]), rngs=rngs)
        self.readout = nnx.Linear(H, 5, rngs=rngs)

    def __call__(self, symbols: Any, rngs: Any = None) -> Any:
        return self.readout(self.rnn(self.embedding(symbols), seq_lengths=LENGTHS, rngs=rngs))


def test_a_model_of_nnx_learns() -> None:
    model = Model(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)
    symbols = jax.random.randint(jax.random.key(1), (B, T), 0, 5)

    @nnx.jit
    def step(model: Model, optimizer: nnx.Optimizer, rngs: nnx.Rngs) -> Any:
        def loss(model: Model, rngs: nnx.Rngs) -> Any:
            logits = model(symbols, rngs)
            return (optax.softmax_cross_entropy_with_integer_labels(logits, symbols) * _mask(LENGTHS)[..., 0]).mean()

        value, gradients = nnx.value_and_grad(loss)(model, rngs)
        optimizer.update(model, gradients)
        return value

    rngs = nnx.Rngs(dropout=0)
    losses = [float(step(model, optimizer, rngs)) for _ in range(30)]
    assert losses[-1] < 0.3 * losses[0]
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    assert ("rnn", "params", 0, "U") in dict(nnx.to_flat_state(params))
    again = nnx.merge(graph, params, rest)
    assert (again(symbols) == model(symbols)).all()  # without rngs: no dropout
    assert (again(symbols, nnx.Rngs(dropout=0)) != model(symbols)).any()


def test_a_model_of_linen_learns() -> None:
    module = linen.Sequential(
        [linen.Embed(5, D), ours_linen.Recurrent(Bidirectional(GRU(D, H), GRU(D, H))), linen.Dense(5)]
    )
    symbols = jax.random.randint(jax.random.key(1), (B, T), 0, 5)
    variables: Any = module.init(jax.random.key(0), symbols)
    assert variables["params"]["layers_1"]["forward.U"].shape == (D, 3 * H)
    optimizer = optax.adam(0.1)

    @grid.quick
    def step(variables: Any, state: Any) -> Any:
        def loss(variables: Any) -> Any:
            logits: Any = module.apply(variables, symbols)
            return optax.softmax_cross_entropy_with_integer_labels(logits, symbols).mean()

        value, gradients = jax.value_and_grad(loss)(variables)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(variables, updates), state, value

    state, losses = optimizer.init(variables), []
    for _ in range(30):
        variables, state, value = step(variables, state)
        losses.append(float(value))
    assert losses[-1] < 0.3 * losses[0]


CALLS = (
    {},
    {"reverse": True, "seq_lengths": np.maximum(LENGTHS, 1)},
    {"reverse": True, "keep_order": True, "time_major": True, "initial_carry": True},
)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("options", CALLS, ids=["plain", "reverse", "order"])
def test_modules_are_called_as_rnn_is(options: dict[str, Any], rng: np.random.Generator) -> None:
    cell = LSTM(D, H)
    params = cell.init(jax.random.key(0), np.float64)
    rnn: Any = nnx.RNN(to_flax(cell, params))
    xs = jnp.asarray(rng.normal(size=(B, T, D)))
    options, theirs = dict(options), dict(options)
    if options.get("time_major"):
        xs = xs.swapaxes(0, 1)
    if options.get("initial_carry"):
        state = jax.tree.map(lambda s: s + 0.5, cell.initial_state(params, (B,)))
        options["initial_carry"], theirs["initial_carry"] = state, (state.c, state.h)
    (c, h), y = rnn(xs, return_carry=True, **theirs)
    mask = _mask(options["seq_lengths"]) if "seq_lengths" in options else 1.0
    by_nnx = ours_nnx.Recurrent(cell, params=params)
    by_linen = ours_linen.Recurrent(cell)
    variables = ours_linen.variables(cell, params)
    for carry, outputs in (
        by_nnx(xs, return_carry=True, **options),
        by_linen.apply(variables, xs, return_carry=True, **options),
    ):
        grid.close((carry.h, carry.c, outputs), (h, c, y * mask), 1e-12, 1e-12)
    grid.close(by_nnx(xs, **options), outputs, 0, 0)
    # a layer of several goes the same way
    both = ours_nnx.Recurrent(Sequential([cell]), params=(params,), reverse=options.pop("reverse", False))
    if isinstance(options.get("initial_carry"), tuple):
        options["initial_carry"] = (options["initial_carry"],)
    grid.close(both(xs, **options), outputs, 1e-12, 1e-12)


def test_within_bidirectional_of_flax() -> None:
    forward, backward = GRU(D, H), Elman(D, H)
    p, q = forward.init(jax.random.key(0)), backward.init(jax.random.key(1))
    theirs: Any = nnx.Bidirectional(ours_nnx.Recurrent(forward, params=p), ours_nnx.Recurrent(backward, params=q))
    xs = jax.random.normal(jax.random.key(2), (B, T, D))
    expected = Bidirectional(forward, backward).apply((p, q), xs, lengths=LENGTHS, time_axis=1).outputs
    grid.close(theirs(xs, seq_lengths=LENGTHS), expected, 0, 0)


def test_within_bidirectional_of_linen() -> None:
    forward, backward = GRU(D, H), Elman(D, H)
    theirs: Any = linen.Bidirectional(ours_linen.Recurrent(forward), ours_linen.Recurrent(backward))
    xs = jax.random.normal(jax.random.key(2), (B, T, D))
    variables = theirs.init(jax.random.key(0), xs)
    layers = zip((forward, backward), ("forward_rnn", "backward_rnn"), strict=True)
    p, q = (ours_linen.parameters(layer, {"params": variables["params"][name]}) for layer, name in layers)
    expected = Bidirectional(forward, backward).apply((p, q), xs, lengths=LENGTHS, time_axis=1).outputs
    grid.close(theirs.apply(variables, xs, seq_lengths=LENGTHS), expected, 0, 0)


def test_parameters_and_variables() -> None:
    layer = Bidirectional(GRU(D, H), GRU(D, H))
    params = layer.init(jax.random.key(0), jnp.bfloat16)
    variables = ours_linen.variables(layer, params)
    again = ours_linen.parameters(layer, variables)
    assert jax.tree.structure(again) == jax.tree.structure(params)
    assert jax.tree.all(jax.tree.map(lambda a, b: a.dtype == b.dtype and (a == b).all(), again, params))
    with pytest.raises(ValueError, match=r"linen.parameters: .* missing backward.U.*; not expected none"):
        ours_linen.parameters(layer, {"params": {}})
    with pytest.raises(ValueError, match=r"linen.parameters: variables must be a dict that holds params, got dict"):
        ours_linen.parameters(layer, {"batch_stats": {}})
    with pytest.raises(TypeError, match=r"nnx.Recurrent: expected a layer or a cell, got 3"):
        ours_nnx.Recurrent(3, rngs=nnx.Rngs(0))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"nnx.Recurrent: neither params nor rngs"):
        ours_nnx.Recurrent(layer)
    with pytest.raises(ValueError, match=r"nnx.Recurrent: params must have the structure"):
        ours_nnx.Recurrent(layer, params=params.forward)
    module: Any = ours_nnx.Recurrent(layer, params=params)
    for wrong in (0, jax.random.key(0)):
        with pytest.raises(TypeError, match=r"nnx.Recurrent: rngs must be an nnx.Rngs, got .*: pass rngs=nnx.Rngs\(0"):
            ours_nnx.Recurrent(layer, rngs=wrong)  # pyright: ignore[reportArgumentType]
        with pytest.raises(TypeError, match=r"rngs must be an nnx.Rngs, got .*: pass rngs=nnx.Rngs\(dropout=0\)"):
            module(jnp.ones((B, T, D), jnp.bfloat16), rngs=wrong)
    spatial = ConvLSTM((4, 4), 1, 2, (3, 3))
    for each in (spatial, Sequential([Residual(Recurrent(Stack([spatial])))])):
        with pytest.raises(TypeError, match=r"nnx.Recurrent: Flax has time next to the features, where ConvLSTM"):
            ours_nnx.Recurrent(each, rngs=nnx.Rngs(0))
    with pytest.raises(TypeError, match=r"linen.Recurrent: .* call layer.apply\(params, xs, time_axis=...\)"):
        ours_linen.Recurrent(spatial).init(jax.random.key(0), jnp.ones((2, 3, 4, 4, 1)))
