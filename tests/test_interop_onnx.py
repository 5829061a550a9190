"""RNN, GRU and LSTM of ONNX in and out: the official test cases, and ONNX's own evaluator on what is written."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from onnx.backend.test.case import node as official
from onnx.backend.test.case.node import gru, lstm, rnn  # noqa: F401  each adds its cases to the list of all
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops import op_gru, op_lstm, op_rnn

from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Dropout,
    Elman,
    OriginalGRU,
    PeepholeLSTM,
    ProjectedLSTM,
    Recurrent,
    Sequential,
    Stack,
)
from jaxrnn.interop.onnx import from_node, from_onnx, to_onnx
from tests import grid

# Collected by importing their modules: `collect_testcases` would run those of all operators, and only once a process.
CASES = [c for c in official._NodeTestCases if c.model.graph.node[0].op_type in ("RNN", "GRU", "LSTM")]
T, B = 5, 3


def test_all_official_cases_are_there() -> None:
    assert len(CASES) == 18


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_official_cases(case: Any) -> None:
    (node,) = case.model.graph.node
    ((inputs, outputs),) = case.data_sets
    given = dict(zip([name for name in node.input if name], inputs, strict=True))
    loaded: Any = from_node(node, given)
    layer, params = loaded
    batch_first = any(a.name == "layout" and a.i for a in node.attribute)
    lengths = given.get("sequence_lens")
    run = grid.quick(
        lambda params, xs: layer.apply(params, xs, lengths=lengths, time_axis=1 if batch_first else 0),
    )(params, jnp.asarray(given["X"]))
    leaves = jax.tree.leaves(run.final)
    kinds = 2 if node.op_type == "LSTM" else 1
    found = {"Y_h": np.stack(leaves[::kinds]), "Y_c": np.stack(leaves[1::kinds]) if kinds == 2 else None}
    directions = len(found["Y_h"])
    by_direction = np.stack(
        np.split(np.asarray(run.outputs), directions, axis=-1)
    )  # (directions, *time and batch, hidden)
    found["Y"] = np.moveaxis(by_direction, 0, 2 if batch_first else 1)
    if batch_first:
        found["Y_h"] = np.swapaxes(found["Y_h"], 0, 1)
    for name, expected in zip([name for name in node.output if name], outputs, strict=True):
        assert found[name].shape == expected.shape
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6, err_msg=name)


class RNN(op_rnn.RNN_14):
    """The evaluator's RNN, which knows no relu."""

    op_domain = ""

    def choose_act(self, name: str, alpha: Any, beta: Any) -> Any:
        return {"Tanh": np.tanh, "Relu": lambda x: np.maximum(x, 0)}[name]


def both(forward: Any, backward: Any = None) -> Bidirectional:
    return Bidirectional(forward, backward or forward)


LAYERS = {
    "elman": Elman(2, 3),
    "relu": both(Elman(2, 3, activation="relu")),
    "lstm": Recurrent(LSTM(*np.array([2, 3])), reverse=True),  # sizes that are integers of NumPy
    "peepholes": both(PeepholeLSTM(2, 3)),
    "gru": both(GRU(2, 3)),
    "original": Recurrent(OriginalGRU(2, 3), reverse=True),
    "several": Sequential([both(LSTM(2, 3)), Dropout(0.5), Stack([GRU(6, 4), Elman(4, 2)]), both(OriginalGRU(2, 2))]),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", LAYERS)
def test_written_models_give_the_same_numbers(name: str, rng: np.random.Generator, key: jax.Array) -> None:
    layer: Any = LAYERS[name]
    params = layer.init(key, jnp.float64)
    model = to_onnx(layer, params)
    onnx.checker.check_model(model, full_check=True)
    xs = rng.normal(size=(T, B, 2))
    outputs, *finals = ReferenceEvaluator(model, new_ops=[RNN]).run(None, {"X": xs})
    run = grid.quick((layer if hasattr(layer, "apply") else Recurrent(layer)).apply)(params, jnp.asarray(xs))
    grid.close(run.outputs, outputs, 1e-12, 1e-12)
    theirs = {value.name: a for value, a in zip(model.graph.output[1:], finals, strict=True)}
    assert sum(len(a) for a in theirs.values()) == len(jax.tree.leaves(run.final))
    for path, state in jax.tree.leaves_with_path(run.final):
        where = [str(getattr(part, "idx", getattr(part, "name", ""))) for part in path]
        k = {"0": 0, "20": 1, "21": 2, "3": 3}["".join(p for p in where if p.isdigit())] if name == "several" else 0
        grid.close(state, theirs[f"layer_{k}.{where[-1]}"][int("backward" in where)], 1e-12, 1e-12)


def _row_by_row(op: type, name: str) -> type:
    """The evaluator's operator, which does not read sequence_lens, on each sequence alone, cut to its length."""

    def run(self: Any, X: Any, W: Any, R: Any, B: Any, lengths: Any, *states: Any, **attributes: Any) -> Any:
        assert lengths.dtype == np.int32
        rows = []
        for k, n in enumerate(lengths):
            y, *finals = op._run(self, X[: max(n, 1), k : k + 1], W, R, B, None, *states, **attributes)  # pyright: ignore
            y = np.concatenate([y[:n], np.zeros((len(X) - n, *y.shape[1:]))])
            rows.append([y, *(final * (n > 0) for final in finals)])
        y, *finals = zip(*rows, strict=True)
        return np.concatenate(y, axis=2), *(np.concatenate(final, axis=1) for final in finals)

    return type(name, (op,), {"op_domain": "", "_run": run})


@pytest.mark.usefixtures("x64")
def test_written_models_are_told_the_lengths(rng: np.random.Generator, key: jax.Array) -> None:
    """Padded sequences, one of them empty, through both directions of several layers."""
    layer: Any = LAYERS["several"]
    params = layer.init(key, jnp.float64)
    model = to_onnx(layer, params, lengths=True)
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["X", "sequence_lens"]
    xs, lengths = rng.normal(size=(T, B, 2)), np.array([T, 0, 2], np.int32)
    ops = [_row_by_row(op_rnn.RNN_14, "RNN"), _row_by_row(op_gru.GRU, "GRU"), _row_by_row(op_lstm.LSTM, "LSTM")]
    outputs, *finals = ReferenceEvaluator(model, new_ops=ops).run(None, {"X": xs, "sequence_lens": lengths})
    run = grid.quick(layer.apply)(params, jnp.asarray(xs), lengths=lengths)
    grid.close(run.outputs, outputs, 1e-12, 1e-12)
    ours = [run.final[0].forward, run.final[0].backward, *run.final[2], run.final[3].forward, run.final[3].backward]
    states = [array for state in ours for array in state]  # of the first, h and c of each direction
    theirs = [row for final in finals for row in final]
    grid.close([states[k] for k in (0, 2, 1, 3, 4, 5, 6, 7)], theirs, 1e-12, 1e-12)
    assert from_onnx(model, node=1)[0] == Recurrent(GRU(6, 4))
    with pytest.raises(TypeError, match=r"to_onnx: lengths must be True or False, got ndarray: .* sequence_lens"):
        to_onnx(layer, params, lengths=lengths)  # pyright: ignore[reportArgumentType]
    tensor = onnx.numpy_helper.from_array(lengths, "sequence_lens")
    model.graph.initializer.append(tensor)
    with pytest.raises(ValueError, match=r"node 'layer_1' \(GRU\): sequence_lens is a constant, .* pass lengths= to"):
        from_onnx(model, node=1)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=["float32", "bfloat16"])
def test_there_and_back(dtype: Any, key: jax.Array, tmp_path: Path) -> None:
    for name, layer in LAYERS.items():
        if name == "several":
            continue
        params = layer.init(key, dtype)
        path = tmp_path / f"{name}.onnx"
        onnx.save(to_onnx(layer, params), path)
        again, arrays = from_onnx(path)
        assert again == (layer if hasattr(layer, "apply") else Recurrent(layer))
        assert jax.tree.structure(arrays) == jax.tree.structure(params)
        jax.tree.map(np.testing.assert_array_equal, arrays, params)


def test_one_node_of_several_is_chosen(key: jax.Array) -> None:
    layer: Any = LAYERS["several"]
    params = layer.init(key)
    model = to_onnx(layer, params)
    for node in ("layer_1", 1):
        chosen, arrays = from_onnx(model, node=node)
        assert chosen == Recurrent(GRU(6, 4))
        np.testing.assert_array_equal(arrays.U, params[2][0].U)
    there = (
        r"0: node 'layer_0' \(LSTM\); 1: node 'layer_1' \(GRU\); 2: node 'layer_2' \(RNN\); 3: node 'layer_3' \(GRU\)"
    )
    with pytest.raises(
        ValueError, match=f"expected one RNN, GRU or LSTM node, pass node= name or number of .*: {there}"
    ):
        from_onnx(model)
    for wrong in ("layer", 4, -1):
        with pytest.raises(ValueError, match=f"node={wrong!r} is not one of .*: {there}"):
            from_onnx(model, node=wrong)
    for wrong in (True, 1.0):
        with pytest.raises(TypeError, match=f"^from_onnx: node must be a name, a number from 0, or None, got {wrong}"):
            from_onnx(model, node=wrong)  # pyright: ignore[reportArgumentType]


def test_memory_is_not_shared() -> None:
    given = {"W": np.ones((1, 3, 2), np.float32), "R": np.ones((1, 3, 3), np.float32)}
    _, params = from_node(onnx.helper.make_node("RNN", ["X", "W", "R"], ["Y"]), given)
    given["W"][:] = 0
    assert (params.U == 1).all()


def test_activations_may_differ_between_directions() -> None:
    node = onnx.helper.make_node("RNN", ["X", "W", "R"], ["Y"], direction="bidirectional", activations=["Tanh", "Relu"])
    layer, _ = from_node(node, {"W": np.ones((2, 3, 2), np.float32), "R": np.ones((2, 3, 3), np.float32)})
    assert layer == both(Elman(2, 3), Elman(2, 3, activation="relu"))


def test_constant_nodes_hold_weights(key: jax.Array) -> None:
    layer = Recurrent(GRU(2, 3))
    params = layer.init(key)
    model = to_onnx(layer, params)
    tensors = {t.name: t for t in model.graph.initializer}
    model.graph.ClearField("initializer")
    constants = [onnx.helper.make_node("Constant", [], [name], value=t) for name, t in tensors.items()]
    model.graph.node.extend(constants)
    jax.tree.map(np.testing.assert_array_equal, from_onnx(model)[1], params)


def node(kind: str = "LSTM", inputs: str = "X W R B", **attributes: Any) -> Any:
    """A node that is called n."""
    return onnx.helper.make_node(kind, inputs.replace("-", "").split(" "), ["Y"], "n", **attributes)


def weights(**changed: Any) -> dict[str, Any]:
    """Those of an LSTM with changes; None takes one out."""
    found = {"W": np.ones((1, 12, 2)), "R": np.ones((1, 12, 3)), "B": np.ones((1, 24)), "P": np.ones((1, 9))} | changed
    return {name: np.asarray(a, np.float32) if a is not None and a is not B else a for name, a in found.items()}


def _spoilt(node: Any) -> Any:
    """A node with an attribute whose name is in no known characters."""
    raw = node.SerializeToString()
    return onnx.NodeProto.FromString(raw.replace(b"direction", b"dire\xd9tion"))


STATE = "X W R B - initial_h"
BAD = {
    "clip": (node(clip=3.0), {}, "clip=3.0 is not supported: only nodes without it"),
    "input_forget": (node(input_forget=1), {}, "input_forget=1 is not supported"),
    "activations": (node(activations=["Sigmoid", "Relu", "Tanh"]), {}, "activations must be sigmoid, tanh, tanh, got"),
    "activation": (node("RNN", activations=["Elu"]), {}, "activations must be tanh or relu, one a direction, got elu"),
    "alpha": (node(activation_alpha=[0.1]), {}, r"activation_alpha=\[0.1.*\] is not supported"),
    "direction": (node(direction="both"), {}, "direction must be forward, reverse or bidirectional, got 'both'"),
    "directions": (node(direction="bidirectional"), {}, r"W has shape \(1, 12, 2\), expected \(2, 12, 2\)"),
    "hidden_size": (node(hidden_size=4), {}, r"W has shape \(1, 12, 2\), expected \(1, 16, 2\)"),
    "gates": (node("GRU"), {}, r"W has shape \(1, 12, 2\), expected \(1, 9, 2\)"),
    "axes": (node(), {"R": np.ones((12, 3))}, r"R must be \(directions, gates · hidden, size\), got \(12, 3\)"),
    "bias": (node(), {"B": np.ones((1, 12))}, r"B has shape \(1, 12\), expected \(1, 24\)"),
    "peepholes": (node(inputs="X W R B - - - P"), {"P": np.ones(9)}, r"P has shape \(9,\), expected \(1, 9\)"),
    "nan": (node(), {"R": np.full((1, 12, 3), np.nan)}, "R has 36 entries that are NaN"),
    "missing": (node(), {"B": None}, "B must be given by an initialiser or a Constant node"),
    "nothing": (node(inputs="X W"), {}, "not a valid node"),
    "no R": (node(inputs="X W - B"), {}, "not a valid node"),
    "kind of attribute": (node(direction=1), {}, "not a valid node"),
    "characters": (_spoilt(node(direction="reverse")), {}, "not a valid node"),
    "unknown attribute": (node(output_sequence=1), {}, "not a valid node"),
    "state": (node(inputs=STATE), {"initial_h": np.ones((1, 1, 3))}, "initial_h is a constant that is not zero"),
}


@pytest.mark.parametrize(("wrong", "changed", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named(wrong: Any, changed: dict[str, Any], message: str) -> None:
    given = {name: np.asarray(a, np.float32) for name, a in weights(**changed).items() if a is not None}
    with pytest.raises(ValueError, match=rf"^from_node: node 'n' \({wrong.op_type}\): .*{message}"):
        from_node(wrong, given)


def test_other_nodes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a node of type RNN, GRU or LSTM, got node 'n' \(Gemm\)"):
        from_node(node("Gemm"), {})
    with pytest.raises(ValueError, match=r"got node 'n' \(com.example.LSTM\)"):
        from_node(node(domain="com.example"), {})
    with pytest.raises(TypeError, match=r"expected an onnx.NodeProto, got str"):
        from_node("LSTM", {})


def test_models_that_are_none(tmp_path: Path, key: jax.Array) -> None:
    model = to_onnx(GRU(2, 3), GRU(2, 3).init(key))
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    whole = path.read_bytes()
    for content, message in (
        (b"weights", "not a whole ONNX model"),
        (whole[: len(whole) // 2], "not a whole ONNX model"),
        (whole[:10], r"not a whole ONNX model \(it has no graph\)"),
        (b"", r"not a whole ONNX model \(it has no graph\)"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"model.onnx: {message}"):
            from_onnx(path)
    with pytest.raises(FileNotFoundError, match=r"^from_onnx: .*gone.onnx: no such file"):
        from_onnx(tmp_path / "gone.onnx")
    with pytest.raises(TypeError, match="expected a ModelProto or a path, got NodeProto"):
        from_onnx(model.graph.node[0])
    model.graph.initializer[1].raw_data = b"short"
    with pytest.raises(ValueError, match=r"from_onnx: the values of layer_0.W cannot be read"):
        from_onnx(model)


REFUSED = {
    "projected": ProjectedLSTM(2, 3, 2),
    "gelu": Elman(2, 3, activation="gelu"),
    "merge": Bidirectional(GRU(2, 3), GRU(2, 3), merge="sum"),
    "unlike directions": both(GRU(2, 3), LSTM(2, 3)),
    "unlike sizes": both(GRU(2, 3), GRU(2, 4)),
    "layers in a direction": both(Stack([GRU(2, 3), GRU(3, 3)])),
}


@pytest.mark.parametrize("layer", REFUSED.values(), ids=REFUSED)
def test_what_onnx_does_not_have_is_refused(layer: Any, key: jax.Array) -> None:
    with pytest.raises(ValueError, match=r"^to_onnx: ONNX has no node for"):
        to_onnx(layer, layer.init(key))


def test_nothing_recurrent_is_refused(key: jax.Array) -> None:
    with pytest.raises(ValueError, match="has no recurrent layer"):
        to_onnx(Dropout(0.5), None)
