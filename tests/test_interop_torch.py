"""Networks of PyTorch in and out: the same outputs, final states and gradients, and the same arrays on the way back."""

import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxrnn import GRU, LSTM, Bidirectional, Dropout, Elman, OriginalGRU, ProjectedLSTM, Recurrent, Sequential, Stack
from jaxrnn.interop.torch import from_torch, to_torch
from tests import grid

with warnings.catch_warnings():  # of PyTorch's own imports
    warnings.simplefilter("ignore")
    import torch
    from torch import nn

T, LENGTHS = 5, [5, 0, 2]
MODULES = {
    "rnn": lambda: nn.RNN(2, 3),
    "relu": lambda: nn.RNN(2, 3, 2, nonlinearity="relu", bidirectional=True),
    "lstm": lambda: nn.LSTM(2, 3, 3, bidirectional=True),
    "projected": lambda: nn.LSTM(2, 4, 2, proj_size=3, bidirectional=True),
    "gru": lambda: nn.GRU(2, 3, 2, bidirectional=True),
    "no bias": lambda: nn.GRU(2, 3, 3, bias=False),
    "no bias lstm": lambda: nn.LSTM(2, 3, bias=False, bidirectional=True),
}
CELLS = {
    "rnn cell": lambda: nn.RNNCell(2, 3),
    "relu cell": lambda: nn.RNNCell(2, 3, nonlinearity="relu"),
    "lstm cell": lambda: nn.LSTMCell(2, 3),
    "gru cell": lambda: nn.GRUCell(2, 3, bias=False),
}
ALL = MODULES | CELLS


def made(name: str, dtype: Any = torch.float64) -> Any:
    """A module, always of the same weights."""
    torch.manual_seed(0)
    return ALL[name]().to(dtype)


def activation(module: Any) -> str | None:
    """What a state dict does not tell."""
    return getattr(module, "nonlinearity", None)


def run_torch(module: Any, xs: np.ndarray, states: list[np.ndarray], weights: np.ndarray) -> Any:
    """Outputs, final states (h, then c), gradients of xs and of the states. Sequences of no steps stay as they are."""
    rows, empty = [k for k, n in enumerate(LENGTHS) if n], LENGTHS.index(0)
    x: Any = torch.tensor(xs, requires_grad=True)
    packed = nn.utils.rnn.pack_padded_sequence(x[:, rows], torch.tensor(LENGTHS)[rows], enforce_sorted=False)
    start: list[Any] = [torch.tensor(s, requires_grad=True) for s in states]
    given: Any = tuple(s[:, rows] for s in start)
    packed, final = module(packed, given if len(given) > 1 else given[0])
    out, _ = nn.utils.rnn.pad_packed_sequence(packed, total_length=T)
    final = final if isinstance(final, tuple) else (final,)
    squares = sum((f**2).sum() for f in (*final, *(s[:, empty] for s in start)))
    ((out * torch.tensor(weights)[:, rows]).sum() + squares).backward()
    outputs, finals = np.zeros((T, len(LENGTHS), out.shape[-1])), [s.copy() for s in states]
    outputs[:, rows] = out.detach().numpy()
    for state, f in zip(finals, final, strict=True):
        state[:, rows] = f.detach().numpy()
    return outputs, finals, [x.grad.numpy(), *(s.grad.numpy() for s in start)]


def slopes(module: Any) -> list[np.ndarray]:
    """The gradients of U, W, b, and of the GRU's c or the projection P, of each direction of each layer."""
    found = []
    for name, weight in module.named_parameters():
        if name.startswith("weight_ih"):
            suffix = name.removeprefix("weight_ih")
            found += [weight.grad.T, getattr(module, f"weight_hh{suffix}").grad.T]
            if module.bias:
                found.append(getattr(module, f"bias_ih{suffix}").grad)
                if isinstance(module, nn.GRU):
                    found.append(getattr(module, f"bias_hh{suffix}").grad[-module.hidden_size :])
            if getattr(module, "proj_size", 0):
                found.append(getattr(module, f"weight_hr{suffix}").grad.T)
    return [g.numpy() for g in found]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", MODULES)
def test_the_same_numbers_as_pytorch(name: str, rng: np.random.Generator) -> None:
    single = name in ("rnn", "no bias", "no bias lstm")  # one of each kind
    dtype, tolerance = (np.float32, 1e-5) if single else (np.float64, 1e-12)
    module = made(name, torch.float32 if dtype == np.float32 else torch.float64)
    loaded: Any = from_torch(module)
    layer, params = loaded
    zeros = layer.initial_state(params, (len(LENGTHS),))
    state = jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape), dtype), zeros)
    width = jax.eval_shape(lambda: layer.apply(params, jnp.zeros((1, 2), dtype)).outputs).shape[-1]
    xs, weights = (rng.normal(size=(T, len(LENGTHS), n)).astype(dtype) for n in (2, width))
    kinds = 2 if isinstance(module, nn.LSTM) else 1
    states = [np.stack(jax.tree.leaves(state)[k::kinds]) for k in range(kinds)]  # h, then c
    outputs, finals, by_operand = run_torch(module, xs, states, weights)

    def loss(params: Any, xs: Any, state: Any) -> Any:
        run = layer.apply(params, xs, lengths=jnp.array(LENGTHS), state=state)
        total = (run.outputs * weights).sum() + sum((s**2).sum() for s in jax.tree.leaves(run.final))
        return total, (run.outputs, run.final)

    program = grid.quick(lambda *operands: grid.gradients(loss, *operands))
    (found, final), (by_params, by_xs, by_state) = program(params, jnp.asarray(xs), state)
    final = [np.stack(jax.tree.leaves(final)[k::kinds]) for k in range(kinds)]
    by_state = [np.stack(by_state[k::kinds]) for k in range(kinds)]
    assert all(a.dtype == dtype for a in jax.tree.leaves((params, found, final, by_params)))
    grid.close((found, final), (outputs, finals), tolerance, tolerance)
    if not module.bias:  # PyTorch has no gradient of what it does not have
        by_params = [g for g in by_params if g.ndim == 2]
    grid.close((by_params, by_xs, by_state), (slopes(module), by_operand), tolerance, 10 * tolerance)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", CELLS)
def test_one_step_is_pytorchs(name: str, rng: np.random.Generator) -> None:
    module = made(name)
    loaded: Any = from_torch(module)
    cell, params = loaded
    state = jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape)), cell.initial_state(params, (4,)))
    x = rng.normal(size=(4, 2))
    given = [torch.tensor(np.asarray(s)) for s in state]
    with torch.no_grad():
        theirs = module(torch.tensor(x), tuple(given) if len(given) > 1 else given[0])
    grid.close(cell.step(params, state, jnp.asarray(x)), theirs, 1e-12, 1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ALL)
def test_there_and_back(name: str, rng: np.random.Generator) -> None:
    module = made(name)
    layer, params = from_torch(module)
    drawn = torch.get_rng_state()
    back = to_torch(layer, params)
    assert torch.equal(torch.get_rng_state(), drawn)  # making it draws no random numbers
    assert type(back) is type(module)
    for choice in ("num_layers", "bidirectional", "proj_size", "nonlinearity", "input_size", "hidden_size"):
        assert getattr(back, choice, None) == getattr(module, choice, None)
    x = torch.tensor(rng.normal(size=(1, 2) if name in CELLS else (T, 1, 2)))
    with torch.no_grad():
        for theirs, ours in zip(module(x), back(x), strict=True):
            ours, theirs = (a if isinstance(a, tuple) else (a,) for a in (ours, theirs))
            grid.close([a.numpy() for a in ours], [a.numpy() for a in theirs], 1e-12, 1e-12)
    again, arrays = from_torch(back)
    assert again == layer
    jax.tree.map(np.testing.assert_array_equal, arrays, params)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ALL)
def test_a_state_dict_tells_the_rest(name: str) -> None:
    module = made(name)
    layer, params = from_torch(module)
    entries = {f"net.rnn.{key}": value for key, value in module.state_dict().items()} | {"net.n": torch.tensor(1)}
    for source, prefix in ((module.state_dict(), ""), (entries, "net.rnn.")):
        again, arrays = from_torch(source, prefix=prefix, activation=activation(module))
        assert again == layer
        jax.tree.map(np.testing.assert_array_equal, arrays, params)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=["float32", "bfloat16"])
def test_layers_go_out(dtype: Any, key: jax.Array) -> None:
    both = [Bidirectional(GRU(size, 3), GRU(size, 3)) for size in (2, 6, 6)]
    layers = {
        "dropout": Sequential([both[0], Dropout(0.25), Sequential([both[1], Dropout(0.25), both[2]])]),
        "stack": Stack([LSTM(2, 3), LSTM(3, 3)]),
        "cell": LSTM(2, 3),
        "in training": Bidirectional(Recurrent(GRU(2, 3), input_dropout=0.1), GRU(2, 3)),
        "integers of NumPy": Recurrent(ProjectedLSTM(*np.array([2, 3, 2]))),
    }
    flat = {
        "dropout": Sequential([both[0], Dropout(0.25), both[1], Dropout(0.25), both[2]]),
        "stack": Sequential([LSTM(2, 3), LSTM(3, 3)]),
        "in training": both[0],
    }
    for name, layer in layers.items():
        params = layer.init(key, dtype)
        module = to_torch(layer, params)
        again, arrays = from_torch(module)
        assert jax.tree.leaves(arrays)[0].dtype == dtype
        assert [a.tolist() for a in jax.tree.leaves(arrays)] == [a.tolist() for a in jax.tree.leaves(params)]
        assert getattr(module, "dropout", 0) == (0.25 if name == "dropout" else 0)
        assert again == flat.get(name, layer)


def test_memory_is_not_shared() -> None:
    module = made("lstm", torch.float32)
    layer, params = from_torch(module)
    before, back = jax.tree.map(np.array, params), to_torch(layer, params)
    with torch.no_grad():
        for weight in (*module.parameters(), *back.parameters()):
            weight.zero_()
    jax.tree.map(np.testing.assert_array_equal, params, before)


def test_files(tmp_path: Path) -> None:
    module = made("projected", torch.float32)
    expected = from_torch(module)
    torch.save(module.state_dict(), tmp_path / "model.pt")
    arrays = {f"rnn.{name}": a.numpy() for name, a in module.state_dict().items()}
    safetensors.numpy.save_file(arrays, tmp_path / "model.safetensors")
    for path, prefix in ((tmp_path / "model.pt", ""), (str(tmp_path / "model.safetensors"), "rnn.")):
        layer, params = from_torch(path, prefix=prefix)
        assert layer == expected[0]
        jax.tree.map(np.testing.assert_array_equal, params, expected[1])
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from jaxrnn.interop.torch import from_torch\n"
        f"print(from_torch({str(tmp_path / 'model.safetensors')!r}, prefix='rnn.')[0])\n"
        f"try: from_torch({str(tmp_path / 'model.pt')!r})\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        str(expected[0]),
        "from_torch of a .pt file needs torch: pip install 'jaxrnn[interop]'",
    ]


class Code:
    """What is executed where pickles are trusted."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return Path.mkdir, (self.path,)


def test_files_that_are_not_what_their_names_say(tmp_path: Path) -> None:
    trap = tmp_path / "executed"
    torch.save({"weight_ih_l0": Code(trap)}, tmp_path / "zip.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Code(trap)))
    (tmp_path / "text.pt").write_text("weights")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    torch.save(made("gru"), tmp_path / "module.bin")
    torch.save(made("gru").state_dict(), tmp_path / "whole.pt")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pt").read_bytes()[:-200])
    torch.save([torch.ones(3)], tmp_path / "list.pt")
    torch.save({"epoch": 3, "model": {"weight": torch.ones(3)}}, tmp_path / "checkpoint.pt")
    (tmp_path / "text.safetensors").write_text("weights")
    (tmp_path / "weights.txt").write_text("weights")
    message = {
        "list.pt": "expected a state dict, with names for its entries, got list",
        "checkpoint.pt": "a checkpoint with the parts 'model', none with recurrent weights: pass a state dict",
        "text.safetensors": "not a whole safetensors file",
        "weights.txt": "expected a .safetensors, .pt, .pth, .bin or .ckpt file",
    }
    for path in sorted(tmp_path.iterdir()):
        if path.name != "whole.pt":
            expected = message.get(path.name, "not a whole PyTorch file of nothing but tensors")
            with pytest.raises(ValueError, match=rf"^from_torch: .*{path.name}: {expected}"):
                from_torch(path)
    assert not trap.exists()
    for name in ("gone.pt", "gone.safetensors"):
        with pytest.raises(FileNotFoundError, match=rf"^from_torch: .*{name}: no such file"):
            from_torch(tmp_path / name)


def test_a_state_dict_may_hold_parts() -> None:
    """What stands beside its weights, an average of them among it, is never taken for them."""
    weights = made("gru", torch.float32).state_dict()
    layer, expected = from_torch(weights)
    average = {name: a + 1 for name, a in weights.items()}
    named = {f"rnn.{name}": a for name, a in weights.items()}
    for part in ({"vocabulary": ["a"]}, average, {f"rnn.{name}": a for name, a in average.items()}):
        again, params = from_torch({**named, "part": part}, prefix="rnn.")
        assert again == layer
        jax.tree.map(np.testing.assert_array_equal, params, expected)
        with pytest.raises(ValueError, match="from_torch: part is no tensor but dict"):
            from_torch({**weights, "part": part})


def test_a_checkpoint_holds_a_state_dict(tmp_path: Path) -> None:
    """As trainers write it: the state dict beside the epoch and the optimizer's state, its names with a prefix."""
    module = made("lstm", torch.float32)
    layer, expected = from_torch(module)
    weights = {f"model.rnn.{name}": a for name, a in module.state_dict().items()}
    state = torch.optim.Adam(module.parameters()).state_dict()
    for checkpoint in (
        {"epoch": 3, "state_dict": weights, "optimizer_states": [state]},
        {"step": torch.tensor(3), "model": weights, "optimizer": state | {"state": {0: {"step": torch.tensor(1.0)}}}},
    ):
        torch.save(checkpoint, tmp_path / "last.ckpt")
        for source in (checkpoint, tmp_path / "last.ckpt"):
            again, params = from_torch(source, prefix="model.rnn.")
            assert again == layer
            jax.tree.map(np.testing.assert_array_equal, params, expected)
    with pytest.raises(ValueError, match=r"last.ckpt: model: neither .*: pass prefix= one of 'model.rnn.'"):
        from_torch(tmp_path / "last.ckpt")


def entries(**changed: Any) -> dict[str, np.ndarray]:
    """The state dict of a GRU with changes; None takes an entry out."""
    found = {name: a.numpy() for name, a in made("gru", torch.float32).state_dict().items()}
    return {name: a for name, a in (found | changed).items() if a is not None}


def f32(*shape: int) -> np.ndarray:
    """Ones."""
    return np.ones(shape, np.float32)


LSTM_ENTRIES = {"weight_ih": f32(12, 2), "weight_hh": f32(12, 3)}
BAD = {
    "missing": (entries(bias_hh_l1=None), {}, "missing bias_hh_l1; not expected none"),
    "missing matrix": (entries(weight_hh_l1_reverse=None), {}, "missing weight_hh_l1_reverse"),
    "missing first": (entries(weight_ih_l0=None), {}, "weight_ih_l0 is missing"),
    "missing layer": (entries() | {"weight_ih_l3": f32(9, 6)}, {}, "missing bias_hh_l2"),
    "extra": (entries(linear=f32(2)), {}, "missing none; not expected linear; where a model holds more"),
    "shape": (entries(weight_ih_l1=f32(9, 5)), {}, r"weight_ih_l1 has shape \(9, 5\), expected \(9, 6\)"),
    "rows": (entries(weight_hh_l0=f32(6, 3)), {}, r"weight_hh_l0 has shape \(6, 3\): its rows must be 1 \(RNN\), 3"),
    "axes": (entries(weight_hh_l0=f32(9)), {}, r"weight_hh_l0 must be a matrix, got shape \(9,\)"),
    "no size": (entries(weight_hh_l0=f32(0, 0)), {}, "weight_hh_l0 must be a matrix"),
    "nan": (entries(bias_ih_l1=f32(9) * np.nan), {}, "bias_ih_l1 has 9 entries that are NaN"),
    "integers": (entries(bias_ih_l1=np.ones(9, int)), {}, "bias_ih_l1 must be of a floating type, got int64"),
    "types": (entries(bias_ih_l1=np.ones(9)), {}, "weight_ih_l0 is float32, but bias_ih_l1 is float64"),
    "no arrays": (entries(bias_ih_l1="ones"), {}, "bias_ih_l1 is no tensor but str"),
    "sparse": ({"weight_ih": torch.ones(2, 2).to_sparse()}, {}, "weight_ih is not a plain tensor"),
    "projected gru": (entries() | {"weight_hr_l0": f32(3, 3)}, {}, "its rows must be 4 times hidden = 3"),
    "numbers for names": ({0: f32(3)}, {}, "expected a state dict, with names for its entries, got dict"),
    "two state dicts": (
        {"model": entries(), "average": entries()},
        {},
        "a checkpoint with recurrent weights in several parts, 'average', 'model': pass one of these as source",
    ),
    "no state dict": ({"a": {"b": entries()}}, {}, "a checkpoint with the parts 'a', none with recurrent weights"),
    "nothing": ({}, {}, "neither weight_hh_l0 nor weight_hh is there; there are none$"),
    "none recurrent": ({"fc.weight": f32(2, 2)}, {}, "nor weight_hh is there; there are fc.weight$"),
    "prefix of a part": (
        {"rnn": LSTM_ENTRIES, "head": f32(2)},
        {"prefix": "rnn."},
        "rnn: neither rnn.weight_hh_l0 nor rnn.weight_hh is there: leave prefix out; there are weight_hh, weight_ih$",
    ),
    "another prefix": (
        LSTM_ENTRIES | {f"b.{name}": a for name, a in LSTM_ENTRIES.items()},
        {"prefix": "a."},
        "is there: pass prefix= one of 'b.', or leave prefix out; there are b.weight_hh, b.weight_ih, weight_hh, ",
    ),
    "prefix": (
        {f"{of}.rnn.{name}": a for of in "ab" for name, a in entries().items()},
        {},
        r"neither weight_hh_l0 nor weight_hh is there: pass prefix= one of 'a.rnn.', 'b.rnn.'",
    ),
    "tanh or relu": (
        {"weight_ih": f32(3, 2), "weight_hh": f32(3, 3)},
        {},
        "pass activation='tanh' or activation='relu'",
    ),
    "activation": (LSTM_ENTRIES, {"activation": "tanh"}, "these weights are of kind LSTM: leave it out"),
    "unknown activation": (LSTM_ENTRIES, {"activation": "gelu"}, "activation must be 'tanh' or 'relu', got 'gelu'"),
    "float64": (
        {name: a.astype(float) for name, a in LSTM_ENTRIES.items()},
        {},
        "the weights are float64, which JAX has",
    ),
    "module and prefix": (made("lstm"), {"prefix": "a."}, "pass the module alone"),
}


@pytest.mark.parametrize(("source", "keywords", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named(source: Any, keywords: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^from_torch: .*{message}"):
        from_torch(source, **keywords)


def test_float64_where_jax_has_none() -> None:
    _, params = from_torch(made("lstm"), dtype=jnp.float32)
    assert {a.dtype for a in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}


def test_other_modules_are_refused() -> None:
    class Mine(nn.GRU):
        pass

    for module, name in ((nn.Sequential(nn.GRU(2, 3)), "Sequential"), (Mine(2, 3), "Mine"), (3, "int")):
        with pytest.raises(TypeError, match=f"expected an nn.RNN, .* got {name}: pass the recurrent module within it"):
            from_torch(module)
    with pytest.raises(TypeError, match="from_torch: prefix must be a string, got 3"):
        from_torch(entries(), prefix=3)  # pyright: ignore[reportArgumentType]


REFUSED = {
    "reverse": Recurrent(GRU(2, 3), reverse=True),
    "original": OriginalGRU(2, 3),
    "gelu": Elman(2, 3, activation="gelu"),
    "one step": ProjectedLSTM(2, 3, 2),
    "merge": Bidirectional(GRU(2, 3), GRU(2, 3), merge="sum"),
    "unlike directions": Bidirectional(GRU(2, 3), GRU(2, 4)),
    "unlike layers": Sequential([GRU(2, 3), LSTM(3, 3)]),
    "unlike sizes": Sequential([GRU(2, 3), GRU(3, 4)]),
    "one and two directions": Sequential([GRU(2, 3), Bidirectional(GRU(3, 3), GRU(3, 3))]),
    "dropout at the end": Sequential([GRU(2, 3), Dropout(0.5)]),
    "nothing but dropout": Dropout(0.5),
    "dropout here and there": Sequential([GRU(2, 3), Dropout(0.5), GRU(3, 3), GRU(3, 3)]),
    "two rates": Sequential([GRU(2, 3), Dropout(0.5), GRU(3, 3), Dropout(0.2), GRU(3, 3)]),
}


@pytest.mark.parametrize("layer", REFUSED.values(), ids=REFUSED)
def test_what_pytorch_does_not_have_is_refused(layer: Any, key: jax.Array) -> None:
    with pytest.raises(ValueError, match=r"^to_torch: PyTorch"):
        to_torch(layer, layer.init(key))


def test_parameters_of_another_layer_are_refused(key: jax.Array) -> None:
    with pytest.raises(ValueError, match=r"^to_torch: params.* has shape \(3, 3\), expected \(2, 3\)"):
        to_torch(Elman(2, 3), Elman(3, 3).init(key))
    params = Elman(2, 3).init(key)
    mixed = r"^to_torch: params.U is float32, but params.b is bfloat16: make them all of one, such as jax.tree.map"
    with pytest.raises(ValueError, match=mixed):
        to_torch(Elman(2, 3), params._replace(b=params.b.astype(jnp.bfloat16)))
    with pytest.raises(TypeError, match="expected a cell or a layer"):
        to_torch(GRU, ())  # pyright: ignore[reportArgumentType]
