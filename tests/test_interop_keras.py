"""Keras: weights in and out give the same numbers, and files are read as data."""

import contextlib
import io
import json
import os
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import h5py
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from jaxrnn import GRU, LSTM, Elman, OriginalGRU, Stack, Zoneout
from jaxrnn.cells import activations
from jaxrnn.interop.flatten import flatten
from jaxrnn.interop.keras import from_keras, to_keras
from jaxrnn.interop.keras_cells import ACTIVATIONS
from jaxrnn.layers import Bidirectional, Dropout, Recurrent, Residual, Sequential
from tests import grid

B, T, D, H = 4, 5, 2, 3
LENGTHS = np.array([5, 0, 3, 1])
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
K: Any = keras.layers


@contextlib.contextmanager
def _as_keras_is() -> Iterator[None]:
    """Keras promotes ranks, and warns of its own."""
    with jax.numpy_rank_promotion("allow"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@pytest.fixture(autouse=True)
def _lenient(_strict: None) -> Iterator[None]:
    with _as_keras_is():
        yield


def _built(layers: list[Any], inputs: int = D) -> list[Any]:
    """Layers with weights, none of them zero."""
    for layer in layers:
        layer.build((None, None, inputs))
        _drawn(layer)
        inputs = 2 * H if getattr(layer, "merge_mode", None) == "concat" else H
    return layers


def _drawn(layer: Any) -> None:
    rng = np.random.default_rng(0)
    for weight in layer.trainable_variables:
        weight.assign(rng.normal(size=weight.shape) * 0.7)


def _layers_1(dtype: str) -> list[Any]:
    options = {"return_sequences": True, "return_state": True, "dtype": dtype, "recurrent_initializer": "ones"}
    return _built(
        [
            K.GRU(H, **options),
            K.Bidirectional(K.LSTM(H, **options), dtype=dtype),
            K.SimpleRNN(H, activation="softsign", go_backwards=True, **options),
        ]
    )


def _layers_2(dtype: str) -> list[Any]:
    options = {"return_sequences": True, "return_state": True, "dtype": dtype, "recurrent_initializer": "ones"}
    return _built(
        [
            K.Bidirectional(K.GRU(H, reset_after=False, **options), merge_mode="mul", dtype=dtype),
            K.Bidirectional(K.SimpleRNN(H, **options), merge_mode="ave", dtype=dtype),
            K.Bidirectional(K.LSTM(H, use_bias=False, **options), merge_mode="sum", dtype=dtype),
        ]
    )


def _zrn(array: Any) -> Any:
    z, r, n = np.split(np.asarray(array), 3, axis=-1)
    return np.concatenate([r, z, n], axis=-1)


def _gradients(layer: Any, found: list[Any]) -> list[Any]:
    """Keras' gradients of one layer, laid out as here."""
    if isinstance(layer, K.Bidirectional):
        half = len(found) // 2
        return _gradients(layer.forward_layer, found[:half]) + _gradients(layer.backward_layer, found[half:])
    if isinstance(layer, K.GRU):
        U, W, b = found
        if layer.cell.reset_after:
            return [_zrn(U), _zrn(W), _zrn(b[0]), b[1, 2 * H :]]
        return [_zrn(U), _zrn(W), _zrn(b)]
    return list(found)


CASES = {"layers": (_layers_1, "float64"), "directions": (_layers_2, "float64"), "float32": (_layers_1, "float32")}


@pytest.fixture
def tanh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras on JAX computes tanh of float64 in float32; here in float64, or nothing would be equal to 1e-12."""
    monkeypatch.setattr("keras.src.backend.numpy.tanh", jnp.tanh)


@pytest.mark.usefixtures("x64", "tanh")
@pytest.mark.parametrize(("make", "dtype"), CASES.values(), ids=CASES)
def test_equals_keras(make: Any, dtype: str, rng: np.random.Generator) -> None:
    source = make(dtype)
    layer, params = from_keras(source)
    xs = jnp.asarray(rng.normal(size=(B, T, D)), dtype)
    mask = np.arange(T) < LENGTHS[:, None]
    backwards = make is _layers_1  # the last layer gives its outputs in reverse order

    def theirs(weights: Any, xs: Any) -> Any:
        finals = []
        for one, w in zip(source, weights, strict=True):
            (xs, *states), _ = one.stateless_call(w, [v.value for v in one.non_trainable_variables], xs, mask=mask)
            finals += states
        y = (xs[:, ::-1] if backwards else xs) * mask[..., None].astype(dtype)  # it repeats the last past the length
        return grid.weigh([y, *finals]), [y, *finals]

    def ours(params: Any, xs: Any) -> Any:
        run = layer.apply(params, xs, lengths=LENGTHS, time_axis=1)
        values = [run.outputs, *jax.tree.leaves(run.final)]
        return grid.weigh(values), values

    weights = [[v.value for v in one.trainable_variables] for one in source]
    (_, expected), (by_weights, by_x) = grid.quick(jax.value_and_grad(theirs, (0, 1), True))(weights, xs)
    (_, found), (by_params, by_xs) = grid.quick(jax.value_and_grad(ours, (0, 1), True))(params, xs)
    tolerance = TOLERANCE[dtype]
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves((params, found)))
    grid.close(found, expected, tolerance, tolerance)
    grid.close(by_xs, by_x, tolerance, 10 * tolerance)
    for one, theirs_, p in zip(source, by_weights, by_params, strict=True):
        if "use_bias=False" not in repr(one) and len(theirs_) == 4:  # two directions without bias
            p = [g for side in p for g in side[:2]]
        grid.close(p, _gradients(one, theirs_), tolerance, 10 * tolerance)


LAYERS = {
    "sequential": Sequential(
        [
            Bidirectional(GRU(D, H), OriginalGRU(D, H)),
            Recurrent(LSTM(2 * H, H), reverse=True),
            Recurrent(Elman(H, 1, activation="identity"), reverse=True),
            OriginalGRU(1, 2),
        ]
    ),
    "bidirectional": Bidirectional(LSTM(D, H), Elman(D, H, activation="relu"), "product"),
    "recurrent": Recurrent(GRU(*np.array([D, H])), reverse=True),  # sizes that are integers of NumPy
    "dropout": Sequential(
        [
            Dropout(0.1),
            Bidirectional(GRU(D, H), GRU(D, H)),
            Dropout(0.25),
            Recurrent(LSTM(2 * H, H), reverse=True),
            Dropout(0),
            Recurrent(LSTM(H, H), reverse=True),
            Dropout(0.5),
        ]
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_out_and_in_again_is_the_same(name: str) -> None:
    layer = LAYERS[name]
    params = layer.init(jax.random.key(0), jnp.bfloat16 if name == "recurrent" else jnp.float32)
    _same(from_keras(to_keras(layer, params)), layer, params)


def test_dropout_between_layers(tmp_path: Path, rng: np.random.Generator) -> None:
    """It goes through objects and files; in Keras it is the identity in evaluation, and drops in training."""
    layer: Any = LAYERS["dropout"]
    params = layer.init(jax.random.key(0))
    made = to_keras(layer, params)
    for name in ("model.keras", "model.weights.h5", "model.h5"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # says that a format is old
            (made.save_weights if "weights" in name else made.save)(tmp_path / name)
        _same(from_keras(tmp_path / name, layer=None if name == "model.keras" else layer), layer, params)
    xs = rng.normal(size=(B, T, D)).astype(np.float32)
    expected = layer.apply(params, jnp.asarray(xs), time_axis=1).outputs[:, ::-1]  # the last is in reverse there
    grid.close(np.asarray(made(xs)), expected, 1e-5, 1e-5)
    above = keras.Sequential(made.layers[-1:])
    zeros = np.asarray(above(np.ones((100, 100), np.float32), training=True)) == 0
    assert 0.4 < zeros.mean() < 0.6
    last = keras.Sequential([keras.Input((None, D)), K.LSTM(H), K.Dropout(0.5)])  # of the last output alone
    assert from_keras(last)[0] == Sequential([LSTM(D, H), Dropout(0.5)])


NESTED = {
    "sequential": Sequential([Stack([LSTM(D, H), Elman(H, D)]), Sequential([OriginalGRU(D, 1), Dropout(0.5)])]),
    "stack": Recurrent(Stack([GRU(D, H), LSTM(H, D)]), reverse=True),
}


@pytest.mark.parametrize("nested", NESTED.values(), ids=NESTED)
def test_stacks_become_layers(nested: Any, tmp_path: Path) -> None:
    """Of Keras' objects; a file of weights is read for the layer as it is nested."""
    params = nested.init(jax.random.key(0))
    flat, of_flat = zip(*flatten(nested, params), strict=True)
    made = to_keras(nested, params)
    _same(from_keras(made), Sequential(flat), of_flat)
    for name in ("model.weights.h5", "model.h5"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # says that a format is old
            (made.save_weights if "weights" in name else made.save)(tmp_path / name)
        _same(from_keras(tmp_path / name, layer=nested), nested, params)


def _same(found: tuple[Any, Any], layer: Any, params: Any) -> None:
    assert found[0] == layer
    assert jax.tree.structure(found[1]) == jax.tree.structure(params)
    assert all(
        a.dtype == b.dtype and (a == b).all() for a, b in zip(*map(jax.tree.leaves, (found[1], params)), strict=True)
    )


@pytest.fixture(scope="module")
def model() -> Any:
    """A model with recurrent layers and others."""
    with _as_keras_is():
        made = keras.Sequential(
            [
                keras.Input((None,)),
                K.Embedding(7, D, name="symbols"),
                K.LSTM(H, return_sequences=True, name="first", dropout=0.5),
                K.Bidirectional(K.GRU(H, return_sequences=True), name="both"),
                K.LSTM(H, use_bias=False, name="last"),
                K.Dense(2),
            ]
        )
        for layer in made.layers[1:4]:
            _drawn(layer)
    return made


NAMES = ["first", "both", "last"]
EXPECTED = Sequential([LSTM(D, H), Bidirectional(GRU(H, H), GRU(H, H)), LSTM(2 * H, H)])


@pytest.fixture(scope="module")
def files(model: Any, tmp_path_factory: Any) -> Path:
    folder = tmp_path_factory.mktemp("keras")
    with _as_keras_is():
        model.save(folder / "model.keras")
        model.save_weights(folder / "model.weights.h5")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # says that the format is old
            model.save(folder / "model.h5")
        half = to_keras(LAYERS["sequential"], LAYERS["sequential"].init(jax.random.key(0), jnp.bfloat16))
        half.save(folder / "half.keras")
        half.save_weights(folder / "half.weights.h5")
    return folder


def test_a_name_comes_before_the_group_of_another_layer(tmp_path: Path) -> None:
    """A file numbers its groups anew: that of the second layer has the name of the first here."""
    with _as_keras_is():
        layers = [K.LSTM(H, return_sequences=True, name=f"lstm_{k}") for k in (1, 2)]
        made = keras.Sequential([keras.Input((None, D)), *layers])
        for layer in layers:
            _drawn(layer)
        made.save_weights(tmp_path / "model.weights.h5")
    expected = Sequential([LSTM(D, H), LSTM(H, H)])
    _, params = from_keras(tmp_path / "model.weights.h5", layer=expected, names=["lstm_1", "lstm_2"])
    for found, layer in zip(params, layers, strict=True):
        np.testing.assert_array_equal(found.W, layer.cell.recurrent_kernel)


def test_models_and_files_hold_the_same(model: Any, files: Path) -> None:
    layer: Any
    layer, params = from_keras(model, names=NAMES)
    assert layer == EXPECTED
    np.testing.assert_array_equal(params[0].U, model.layers[1].cell.kernel)
    _same(from_keras(files / "model.keras", names=NAMES), layer, params)
    _same(from_keras(files / "model.weights.h5", names=NAMES, layer=EXPECTED), layer, params)
    _same(from_keras(files / "model.h5", names=NAMES, layer=EXPECTED), layer, params)
    _same(from_keras(str(files / "model.keras"), names="both"), layer.layers[1], params[1])
    _same(from_keras(files / "model.weights.h5", names="lstm_1", layer=LSTM(2 * H, H)), layer.layers[2], params[2])
    _same(from_keras(model.layers[1]), layer.layers[0], params[0])
    half = LAYERS["sequential"].init(jax.random.key(0), jnp.bfloat16)
    _same(from_keras(files / "half.keras"), LAYERS["sequential"], half)
    _same(from_keras(files / "half.weights.h5", layer=LAYERS["sequential"]), LAYERS["sequential"], half)


def test_activations_are_those_of_keras() -> None:
    x = np.linspace(-8, 8, 33, dtype=np.float32)
    for theirs, ours in ACTIVATIONS.items():
        found = activations.function(None, ours)(jnp.asarray(x))
        grid.close(found, keras.ops.convert_to_numpy(keras.activations.get(theirs)(x)), 1e-6, 1e-6, theirs)


class Own(K.LSTM):
    pass


def _lstm(**options: Any) -> Any:
    layer = K.LSTM(H, recurrent_initializer="ones", **options)
    layer.build((None, None, D))
    return layer


def _nan() -> Any:
    layer = _lstm()
    layer.cell.bias.assign(np.full(4 * H, np.nan))
    return layer


REFUSED = {
    "activation": (lambda: _lstm(activation="relu"), ValueError, "lstm.*: activation must be 'tanh', got 'relu'"),
    "gates": (lambda: _lstm(recurrent_activation="hard_sigmoid"), ValueError, "recurrent_activation must be 'sigmoid'"),
    "elman": (
        lambda: _built([K.SimpleRNN(H, activation="leaky_relu")])[0],
        ValueError,
        "simple_rnn.*: activation must be one of .*, got 'leaky_relu'",
    ),
    "merge": (
        lambda: _built([K.Bidirectional(K.SimpleRNN(H), merge_mode=None)])[0],
        ValueError,
        "merge_mode must be one of concat, sum, ave, mul, got None",
    ),
    "unbuilt": (lambda: K.LSTM(H), ValueError, "lstm.* has no weights yet"),
    "subclass": (lambda: Own(H), TypeError, "own.* is of the kind Own, not one of Keras itself"),
    "kind": (lambda: K.Dense(3), TypeError, "dense.* is of the kind Dense: pass SimpleRNN"),
    "rate": (lambda: K.Dropout(1.0), ValueError, "dropout.*: rate must be at least 0 and below 1, got 1.0"),
    "noise": (lambda: K.Dropout(0.5, (None, 1, D)), ValueError, r"dropout.*: noise_shape must be None, got .*1"),
    "sequences": (lambda: [_lstm(), _lstm()], ValueError, "lstm.* has layers after it, but not return_sequences=True"),
    "sizes": (lambda: [_lstm(return_sequences=True), _lstm()], ValueError, r"kernel has shape \(2, 12\), expected \(3"),
    "nan": (_nan, ValueError, "lstm.*/bias has 12 entries that are NaN"),
    "other": (lambda: 3, TypeError, "expected a Keras layer or model, .* got int"),
}


@pytest.mark.parametrize(("source", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_named(source: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^from_keras: .*{message}"):
        from_keras(source())


def test_what_keras_cannot_hold_is_named() -> None:
    def refused(layer: Any, message: str, error: Any = ValueError) -> None:
        with pytest.raises(error, match=f"^to_keras: .*{message}"):
            to_keras(layer, layer.init(jax.random.key(0)))

    refused(Bidirectional(GRU(D, H), GRU(D, H), lambda f, b: f - b), "merge must be one of")
    refused(Elman(D, H, activation=jnp.sin), "Keras has no activation")
    refused(Sequential([Recurrent(GRU(D, H), reverse=True), Bidirectional(GRU(H, H), GRU(H, H))]), "would read it rev")
    refused(Bidirectional(Sequential([GRU(D, H)]), GRU(D, H)), "each direction .* must be Recurrent", TypeError)
    refused(grid.Tied(D, H), "Tied has no counterpart in Keras", TypeError)
    refused(Sequential([Dropout(0.5)]), "has no recurrent layer")
    refused(Sequential([GRU(D, D), Residual(Dropout(0.5))]), "Residual has no counterpart in Keras", TypeError)
    with pytest.raises(ValueError, match="to_keras: params must have the structure"):
        to_keras(GRU(D, H), ())


def _edited(path: Path, change: Any) -> bytes:
    """A `.keras` file with another configuration."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        weights = archive.read("model.weights.h5")
    change(config["config"]["layers"])
    return _archive(json.dumps(config).encode(), weights)


def _archive(config: bytes, weights: bytes, **options: Any) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", **options) as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", weights)
    return made.getvalue()


def _spoilt(archive: bytes) -> bytes:
    """An archive whose last file cannot be unpacked."""
    at = archive.rindex(b"model.weights.h5", 0, archive.index(b"PK\x01\x02")) + 40
    return archive[:at] + b"\xff" * 20 + archive[at + 20 :]


BOMB = {"compression": zipfile.ZIP_DEFLATED}
CHANGES = {  # of the configuration of half.keras, whose second layer after the input is an LSTM
    "lambda": (lambda layers: layers[2].update(class_name="Lambda"), TypeError, "is of the kind Lambda"),
    "custom": (lambda layers: layers[2].update(registered_name="mine>LSTM"), TypeError, "not one of Keras itself"),
    "module": (lambda layers: layers[2].update(module="os"), TypeError, "not one of Keras itself"),
    "units": (lambda layers: layers[2]["config"].update(units=4), ValueError, r"kernel has shape \(6, 12\), expected"),
    "no units": (lambda layers: layers[2]["config"].pop("units"), ValueError, "units must be a whole number .*None"),
    "one more": (lambda layers: layers.append(layers[2]), ValueError, "two layers have one name: .*lstm"),
    "bias": (lambda layers: layers[2]["config"].update(use_bias=False), ValueError, "not expected .*/bias"),
    "list for name": (lambda layers: layers[2]["config"].update(name=["lstm"]), ValueError, "a layer without a name"),
    "no name": (lambda layers: layers[2]["config"].pop("name"), ValueError, "a layer without a name"),
    "merge": (
        lambda layers: layers[1]["config"].update(merge_mode=["sum"]),
        ValueError,
        r"bidirectional.*: merge_mode must be one of concat, .* got \['sum'\]",
    ),
    "direction": (
        lambda layers: layers[1]["config"]["layer"].update(class_name=["GRU"]),
        TypeError,
        "bidirectional.*: layer must be SimpleRNN, LSTM or GRU",
    ),
    "no list": (lambda layers: layers.clear(), ValueError, "there are no layers"),
}


@pytest.mark.parametrize(("change", "error", "message"), CHANGES.values(), ids=CHANGES)
def test_a_model_that_is_not_keras_own_is_named(
    files: Path, tmp_path: Path, change: Any, error: Any, message: str
) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(_edited(files / "half.keras", change))
    with pytest.raises(error, match=f"^from_keras: .*model.keras.*{message}"):
        from_keras(path)


CONTENTS = {
    "no zip": ("model.keras", lambda whole, weights: weights, "not a whole .keras file, which is a zip"),
    "cut": ("model.keras", lambda whole, weights: whole[: len(whole) // 2], "not a whole .keras file"),
    "end": ("model.keras", lambda whole, weights: whole[len(whole) // 2 :], "not a whole .keras file"),
    "stream": ("model.keras", lambda whole, weights: _spoilt(_archive(b"{}", weights, **BOMB)), "not a whole .keras f"),
    "characters": ("model.weights.h5", lambda whole, weights: weights.replace(b"lstm\0", b"l\xd9tm\0"), "not a"),
    "json": ("model.keras", lambda whole, weights: _archive(b"{", weights), "config.json is not JSON"),
    "deep": ("model.keras", lambda whole, weights: _archive(b"[" * 100_000, weights), "config.json is not JSON"),
    "list": ("model.keras", lambda whole, weights: _archive(b"[]", weights), "describes no model of layers"),
    "bomb": ("model.keras", lambda whole, weights: _archive(b" " * 2**20, weights, **BOMB), "would unpack from"),
    "pickle": ("model.weights.h5", lambda whole, weights: b"\x80\x04cos\nsystem\n", "not a whole HDF5 file"),
    "short": ("model.weights.h5", lambda whole, weights: weights[: len(weights) // 2], "not a whole HDF5 file"),
    "archive": ("model.weights.h5", lambda whole, weights: whole, "not a whole HDF5 file"),
    "name": ("model.hdf", lambda whole, weights: weights, "whose name ends in .keras, .h5 or .hdf5"),
}


@pytest.mark.parametrize(("name", "content", "message"), CONTENTS.values(), ids=CONTENTS)
def test_a_file_that_is_not_what_its_name_says(
    files: Path, tmp_path: Path, name: str, content: Any, message: str
) -> None:
    path = tmp_path / name
    layer = LSTM(D, H) if name.endswith(".weights.h5") else None
    with pytest.raises((FileNotFoundError, ValueError), match=name):
        from_keras(path, layer=layer)
    path.write_bytes(content((files / "half.keras").read_bytes(), (files / "half.weights.h5").read_bytes()))
    with pytest.raises(ValueError, match=f"^from_keras: .*{name}.*{message}"):
        from_keras(path, layer=layer)


def _h5(path: Path, change: Any) -> Path:
    """A file of weights of one LSTM, changed."""
    with h5py.File(path, "w") as file:
        cell = file.create_group("layers/lstm/cell/vars")
        for key, shape in zip("012", ((D, 4 * H), (H, 4 * H), (4 * H,)), strict=True):
            cell[key] = np.ones(shape, np.float32)
        change(file, cell)
    return path


def _replaced(key: str, **options: Any) -> Any:
    def change(file: Any, cell: Any) -> None:
        if key in cell:
            del cell[key]
        cell.create_dataset(key, **options)

    return change


def _linked(file: Any, cell: Any) -> None:
    del cell["2"]
    cell["2"] = h5py.ExternalLink("elsewhere.h5", "b")


def _turned_back(file: Any, cell: Any) -> None:
    file["layers/lstm/cell/again"] = h5py.SoftLink("/layers")


STORED = {
    "extra": (_replaced("3", data=np.ones(2)), "not expected lstm/cell/vars/3"),
    "missing": (lambda file, cell: cell.pop("1"), "missing lstm/recurrent_kernel"),
    "no rows": (_replaced("0", data=np.ones((0, 4 * H), np.float32)), r"lstm/kernel has shape \(0, 12\), expected"),
    "text": (_replaced("2", data="weights"), "lstm/cell/vars/2"),
    "integers": (_replaced("2", data=np.ones(4 * H, int)), "lstm/bias must be of a floating type"),
    "nan": (_replaced("2", data=np.full(4 * H, np.nan, np.float32)), "lstm/bias has 12 entries"),
    "fill": (_replaced("2", shape=(2**40,), dtype=np.float32), "lstm/cell/vars/2 is compressed or stored elsewhere"),
    "compressed": (_replaced("2", data=np.ones(4 * H), compression="gzip"), "is compressed or stored elsewhere"),
    "link": (_linked, "/layers/lstm/cell/vars/2 is a link"),
    "loop": (_turned_back, "/layers/lstm/cell/again is a link"),
    "other": (lambda file, cell: file.create_group("layers/dense"), "not expected dense: pass the names"),
    "empty": (lambda file, cell: file.pop("layers"), "it has no group of layers"),
}


@pytest.mark.parametrize(("change", "message"), STORED.values(), ids=STORED)
def test_weights_that_are_not_keras_own_are_named(tmp_path: Path, change: Any, message: str) -> None:
    path = _h5(tmp_path / "model.weights.h5", change)
    with pytest.raises(ValueError, match=f"^from_keras: .*model.weights.h5.*{message}"):
        from_keras(path, layer=LSTM(D, H))


def test_names_and_layers_are_for_some_sources(model: Any, files: Path, tmp_path: Path) -> None:
    path = _h5(tmp_path / "model.weights.h5", lambda file, cell: None)
    assert from_keras(path, layer=LSTM(D, H))[0] == Recurrent(LSTM(D, H))
    in_training = Recurrent(LSTM(D, H), input_dropout=0.1)
    assert from_keras(path, layer=in_training)[0] == in_training
    with pytest.raises(ValueError, match=r"lstm/kernel has shape \(2, 12\), expected \(3, 12\)"):
        from_keras(path, layer=LSTM(D + 1, H))
    with pytest.raises(ValueError, match=r"^from_keras: .*: other libraries have no Zoneout.* perturbation=None"):
        from_keras(path, layer=Recurrent(LSTM(D, H), perturbation=Zoneout(0.1)))
    with pytest.raises(ValueError, match=r"holds arrays and no choices .* pass the layer that they are for"):
        from_keras(path)
    with pytest.raises(ValueError, match=r"2 names for 1 layers"):
        from_keras(files / "model.weights.h5", names=["first", "both"], layer=LSTM(D, H))
    with pytest.raises(ValueError, match=r"layer is for a .h5 or .hdf5 file"):
        from_keras(files / "model.keras", layer=LSTM(D, H))
    with pytest.raises(ValueError, match=r"no layer third: there are both, dense.*, first, last, symbols"):
        from_keras(model, names=["first", "third"])
    with pytest.raises(TypeError, match=r"names must be the name of a layer, or a list of names, got \[3\]"):
        from_keras(model, names=[3])  # pyright: ignore[reportArgumentType]
    there = r"pass names= of those to read, in order, here \['first', 'both', 'last'\]"
    for source in (model, files / "model.keras"):
        with pytest.raises(TypeError, match=f"symbols is of the kind Embedding: .* or Dropout; of a model, {there}"):
            from_keras(source)
    twice = keras.Model(model.inputs, model.outputs)
    with pytest.raises(ValueError, match=f"only keras.Sequential runs its layers one after another: {there}"):
        from_keras(twice)
    assert from_keras(twice, names=NAMES)[0] == EXPECTED


def _old(path: Path, found: dict[str, Any], change: Any = None) -> Path:
    """A file of weights of Keras 2, of layers called `first` and `last`, and one without weights."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"first", b"nothing", b"last"]
        for layer in ("first", "nothing", "last"):
            group, names = file.create_group(layer), [name for name in found if name.startswith(layer)]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name in names:
                group[name] = found[name]
        if change is not None:
            change(file["first/first"], "kernel:0")
    return path


def _cudnn(kernel: np.ndarray, gates: int) -> np.ndarray:
    """The same in CuDNN's order: the rows of each gate's matrix that multiplies from the left."""
    return np.concatenate([g.T.ravel().reshape(g.shape) for g in np.split(kernel, gates, axis=1)], axis=1)


def test_weights_of_older_files(rng: np.random.Generator, tmp_path: Path) -> None:
    layer, today, cudnn = Sequential([LSTM(D, H), Bidirectional(GRU(H, H), GRU(H, H))]), {}, {}
    for name, gates, rows in (("first/", 4, D), ("last/forward_gru/", 3, H), ("last/backward_gru/", 3, H)):
        for kernel, size in (("kernel:0", rows), ("recurrent_kernel:0", H)):
            today[name + kernel] = rng.normal(size=(size, gates * H)).astype(np.float32)
            cudnn[name + kernel] = _cudnn(today[name + kernel], gates)
        biases = rng.normal(size=(2, gates * H)).astype(np.float32)
        today[f"{name}bias:0"] = biases if gates == 3 else biases[0] + biases[1]
        cudnn[f"{name}bias:0"] = biases.ravel()
    path = _old(tmp_path / "today.h5", today)
    _, params = from_keras(path, layer=layer)
    np.testing.assert_array_equal(params[0].U, today["first/kernel:0"])
    np.testing.assert_array_equal(params[1].backward.W, _zrn(today["last/backward_gru/recurrent_kernel:0"]))
    _same(from_keras(_old(tmp_path / "cudnn.hdf5", cudnn), layer=layer), layer, params)
    with pytest.raises(ValueError, match=r"2 layers have weights \(first, last\), expected 1: pass the names"):
        from_keras(path, layer=LSTM(D, H))
    narrow = _old(tmp_path / "narrow.h5", cudnn | {"first/kernel:0": np.ones((D, 3), np.float32)})
    with pytest.raises(ValueError, match=r"first/kernel has shape \(2, 3\), expected \(2, 12\)"):
        from_keras(narrow, names="first", layer=LSTM(D, H))
    for change, message in (
        (lambda group, name: group.pop(name), "/first/first/kernel:0 is a link, or of another kind"),
        (_linked_old, "/first/first/kernel:0 is a link"),
    ):
        with pytest.raises(ValueError, match=message):
            from_keras(_old(path, today, change), names="first", layer=LSTM(D, H))


def _linked_old(group: Any, name: str) -> None:
    group.pop(name)
    group[name] = h5py.ExternalLink("elsewhere.h5", "b")
