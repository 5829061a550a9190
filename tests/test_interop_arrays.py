"""Foreign arrays: what is wrong with them is named, and nothing is loaded by half."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxrnn import GRU, Bidirectional, Elman, Recurrent, Sequential, Zoneout
from jaxrnn.interop import arrays
from jaxrnn.interop.flax import to_flax
from jaxrnn.interop.keras import to_keras
from jaxrnn.interop.onnx import to_onnx
from jaxrnn.interop.torch import to_torch

SHAPES = {"U": (2, 3), "b": (3,)}
GOOD = {"U": np.ones((2, 3), np.float32), "b": np.zeros(3, np.float32)}
BAD = {
    "missing": ({"U": GOOD["U"]}, "missing b; not expected none"),
    "extra": (GOOD | {"c": GOOD["b"]}, "missing none; not expected c: look"),
    "shape": (GOOD | {"b": np.zeros(4, np.float32)}, r"b has shape \(4,\), expected \(3,\)"),
    "integers": (GOOD | {"b": np.zeros(3, int)}, "b must be of a floating type, got int64"),
    "types": (GOOD | {"b": np.zeros(3)}, "U is float32, but b is float64: pass dtype="),
    "a shape": (GOOD | {"b": jax.ShapeDtypeStruct((2,), np.float32)}, "b is no array but ShapeDtypeStruct"),
    "no array": (GOOD | {"b": [[1.0], [1.0, 2.0]]}, "b is no array but list"),
    "nan": (GOOD | {"U": np.full((2, 3), np.nan, np.float32)}, "U has 6 entries that are NaN"),
    "bfloat16": ({name: (a + np.inf).astype(jnp.bfloat16) for name, a in GOOD.items()}, r"6 entries .*\(as bfloat16"),
}


@pytest.mark.parametrize(("found", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named(found, message):
    with pytest.raises(ValueError, match=f"^file: .*{message}"):
        arrays.exactly("file", found, SHAPES, hint=": look elsewhere")


def test_a_type_may_be_chosen():
    mixed = GOOD | {"b": np.array([1.0, 2.0, 1e300])}
    with pytest.raises(ValueError, match=r"b has 1 entries .*\(as float32"):
        arrays.exactly("file", mixed, SHAPES, dtype=jnp.float32)
    with pytest.raises(ValueError, match="dtype must be a floating type, got int32"):
        arrays.exactly("file", GOOD, SHAPES, dtype=jnp.int32)
    with pytest.raises(
        TypeError, match=r"^file: dtype must be a floating type, such as jnp.float32, got 'single float'"
    ):
        arrays.exactly("file", GOOD, SHAPES, dtype="single float")
    found = arrays.exactly("file", GOOD | {"b": np.ones(3)}, SHAPES, dtype=jnp.bfloat16)
    assert [(name, a.dtype) for name, a in found.items()] == [("U", jnp.bfloat16), ("b", jnp.bfloat16)]


def test_jax_arrays_keep_their_type_and_share_nothing():
    given = np.ones(16, np.float32)
    made = arrays.to_jax("file", given)
    given[:] = 2
    assert (made == 1).all()
    with pytest.raises(ValueError, match=r"^file: the weights are float64"):
        arrays.to_jax("file", [np.ones(3)])
    with jax.enable_x64(True):
        assert arrays.to_jax("file", [np.ones(3)])[0].dtype == np.float64


def test_parameters_that_are_not_the_layers_are_named():
    cell = GRU(2, 3)
    params = cell.init(jax.random.key(0), jnp.bfloat16)
    assert arrays.of_layer("to_torch", cell, params).U.dtype == jnp.bfloat16
    with pytest.raises(ValueError, match=r"params.c has shape \(4,\), expected \(3,\)"):
        arrays.of_layer("to_torch", cell, params._replace(c=np.zeros(4)))
    with pytest.raises(ValueError, match="to_torch: params must have the structure that init gives"):
        arrays.of_layer("to_torch", Elman(2, 3), params)
    with pytest.raises(TypeError, match="expected a cell or a layer, got"):
        arrays.of_layer("to_torch", GRU, params)


@pytest.mark.parametrize("export", [to_flax, to_keras, to_onnx, to_torch])
def test_what_evaluation_needs_is_not_left_out(export):
    zoned = Recurrent(GRU(2, 3), perturbation=Zoneout(0.1))
    for net in Sequential([zoned]), Bidirectional(zoned.cell, zoned):
        with pytest.raises(ValueError, match=rf"^{export.__name__}: other libraries have no Zoneout\(rate=0.1\)"):
            export(net, net.init(jax.random.key(0)))


def test_safetensors(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(FileNotFoundError, match=r"^read_safetensors: .*model.safetensors: no such file"):
        arrays.read_safetensors(path)
    half = np.arange(3).astype(jnp.bfloat16)
    path.write_bytes(safetensors.numpy.save({"half": half, "count": np.arange(2, dtype=np.uint16)}))
    found = arrays.read_safetensors(path)
    assert (found["half"] == half).all()
    assert found["count"].dtype == np.uint16
    whole = path.read_bytes()
    for content in (whole[:-1], b"weights", b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"^read_safetensors: .*model.safetensors: not a whole safetensors file"):
            arrays.read_safetensors(path)
    path.write_bytes(safetensors.numpy.save({"z": np.ones(3, np.complex64)}))
    with pytest.raises(ValueError, match=r"^from_x: .*model.safetensors: z is of type C64, which cannot be read"):
        arrays.read_safetensors(path, "from_x")


def test_a_framework_that_is_not_there_is_named():
    with pytest.raises(ModuleNotFoundError, match=r"from_x needs no_such_package: pip install 'jaxrnn\[interop\]'"):
        arrays.framework("no_such_package", "from_x")


def test_interop_alone_brings_no_framework():
    code = "import sys, jaxrnn; jaxrnn.interop.arrays; print(*sorted({'keras', 'onnx', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
