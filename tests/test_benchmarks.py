"""What is compared computes the same function, and results have the form that the tables are made from."""

import importlib.metadata
import json
import re
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxrnn
from benchmarks import (
    against_rivals,
    around,
    cases,
    compile_times,
    depth,
    generation,
    machine,
    memory,
    methods,
    newton,
    online,
    peak,
    plots,
    profile,
    programs,
    reference,
    report,
    rivals,
    scaling,
    turns,
    words,
)
from benchmarks.task import GATES, Shape, Task, draw
from tests import grid

MODULES, ABSENT = against_rivals.present(list(rivals.RIVALS))
SHAPE = Shape(5, 2, 3, 4)


@pytest.fixture(autouse=True)
def _rivals_promote_ranks() -> Iterator[None]:
    """Rivals add a bias to rows without saying so."""
    with jax.numpy_rank_promotion("allow"):
        yield


def test_the_rivals_that_the_tests_need_are_there():
    assert {"jaxrnn", "plain-scan", "flax-linen", "flax-nnx", "torch"} <= set(MODULES)
    assert set(MODULES) | set(ABSENT) == set(rivals.RIVALS)


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("name", MODULES)
def test_every_rival_computes_outputs_and_gradients_of_the_same_weights(name: str, cell: str):
    task = draw(cell, SHAPE)
    entrant = MODULES[name].build(task, "cpu")
    outputs, gradients = entrant.reference(task)
    assert reference.error(entrant.outputs(entrant.forward(entrant.params, entrant.xs)), outputs) < 1e-5
    found = entrant.weights(entrant.gradient(entrant.params, entrant.xs))
    assert reference.largest_error(found, gradients) < 1e-5


def test_only_gru_has_rivals_of_another_function():
    others = {
        (name, cell): entrant.reference
        for name, module in MODULES.items()
        for cell in GATES
        if (entrant := module.build(draw(cell, SHAPE), "cpu")).reference is not reference.own
    }
    expected = {("flax-nnx", "gru"): reference.without_c, ("haiku", "gru"): reference.reset_first}
    assert others == {key: function for key, function in expected.items() if key[0] in MODULES}


@pytest.mark.parametrize(("cell", "function"), [("gru", reference.reset_first), *((c, reference.own) for c in GATES)])
def test_gradients_of_the_reference_are_its_finite_differences(cell: str, function: reference.Reference):
    task = draw(cell, SHAPE)
    _, gradients = function(task)

    weights, along = jax.tree.map(lambda w: w.astype(np.float64), (task.weights, draw(cell, SHAPE, seed=1).weights))

    def loss(distance: float) -> float:
        moved = jax.tree.map(lambda w, d: w + distance * d, weights, along)
        return float(np.sum(function(task._replace(weights=moved))[0] ** 2))

    slope = sum(np.sum(g * d) for g, d in zip(gradients, along, strict=True) if g is not None and d is not None)
    np.testing.assert_allclose((loss(1e-4) - loss(-1e-4)) / 2e-4, slope, rtol=1e-5)


def test_result_of_the_race_has_what_the_tables_need(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "new" / "result.json"
    chosen = ["--cells", "elman", "--shapes", "3,2,2,4", "--rivals", "torch", "plain-scan", "--rounds", "2"]
    against_rivals.main([*chosen, "--out", str(out)])
    result = json.loads(out.read_text())
    assert result["versions"]["torch"] == importlib.metadata.version("torch")
    assert {"processor", "cores", "memory_GiB", "device"} <= set(result["machine"])
    (row,) = result["results"]
    assert (row["cell"], row["shape"]) == ("elman", [3, 2, 2, 4])
    assert set(row["entrants"]) == {"jaxrnn", "torch", "plain-scan"}
    assert min(row["matrix_product_GFLOPs"].values()) > 0
    for entry in row["entrants"].values():
        for which in against_rivals.PASSES:
            times = [entry[which][f"{part}_s"] for part in turns.Spread._fields]
            assert times[0] > 0
            assert times == sorted(times)
            assert entry[which]["rounds"] == 2
            assert entry[which]["error"] < 1e-5
            assert entry[which]["first_call_s"] > 0
    assert row["entrants"]["jaxrnn"]["gradient"]["ratio"] == 1
    table = report.markdown(result)
    assert table in capsys.readouterr().out
    assert "| elman | 3, 2, 2, 4 | 2 |" in table
    assert "### Training step" in table


def test_a_result_measured_in_pieces_is_one_result(tmp_path: Path):
    out = tmp_path / "result.json"
    chosen = ["--cells", "elman", "--rivals", "plain-scan", "--rounds", "1", "--out", str(out)]
    for shape, which in (("4,2,2,4", "forward"), ("3,2,2,4", "forward"), ("4,2,2,4", "training")):
        result = against_rivals.main([*chosen, "--shapes", shape, "--passes", which])
    assert result == json.loads(out.read_text())
    found = {tuple(r["shape"]): set(r["entrants"]["jaxrnn"]) & set(against_rivals.PASSES) for r in result["results"]}
    assert found == {(3, 2, 2, 4): {"forward"}, (4, 2, 2, 4): {"forward", "training"}}
    with pytest.raises(SystemExit, match="was measured with --precision None"):
        against_rivals.main([*chosen, "--shapes", "3,2,2,4", "--precision", "bfloat16"])
    out.write_text('{"kind": "memory"}')
    with pytest.raises(SystemExit, match="another kind"):
        against_rivals.main([*chosen, "--shapes", "3,2,2,4"])


def test_precision_is_that_of_all_entrants():
    torch = pytest.importorskip("torch")
    before = torch.get_float32_matmul_precision()
    with machine.products_in("bfloat16"):
        assert torch.get_float32_matmul_precision() == "medium"
        assert "BF16_BF16_F32" in str(jax.make_jaxpr(lambda a: a @ a)(np.ones((2, 2), np.float32)))
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize("cell", GATES)
def test_a_training_step_moves_on_from_where_the_last_ended(cell: str):
    task = draw(cell, SHAPE)
    for name in ("jaxrnn", "jaxrnn-cores", "torch"):
        entrant = MODULES[name].build(task, "cpu")
        _, gradients = entrant.reference(task)
        assert reference.largest_error(entrant.trained(entrant.training(entrant.params, entrant.xs)), gradients) < 1e-5
        again = entrant.trained(entrant.training(entrant.params, entrant.xs))
        # The mean of two gradients that hardly differ: 0.1 (1 + 0.9) of them, over the 0.1 of the first.
        assert reference.largest_error(jax.tree.map(lambda m: m / 1.9, again), gradients) < 1e-3


def test_all_write_what_float64_writes():
    found = generation.measure(generation.draw(5, 3, 8, 2), steps=3, check=20, seconds=0, rounds=1)
    assert set(found) == {"jaxrnn", "JAX by hand", "torch, nn.LSTM", "torch, nn.LSTMCell"}
    assert all(entry["same"] == entry["of"] == 20 for entry in found.values())
    result = {"kind": "generation", **machine.describe([]), "clock": "wall", "net": "LSTM", "steps": 3}
    assert "| 20 of 20 |" in report.markdown(result | {"entrants": found})


def test_time_over_sizes_peaks_and_compilation_are_shown(tmp_path: Path):
    points = scaling.measure("gru", Shape(3, 2, 2, 4), "hidden", (4, 5), ["jaxrnn", "torch"], seconds=0)
    assert [(p["size"], set(p["entrants"])) for p in points] == [(4, {"jaxrnn", "torch"}), (5, {"jaxrnn", "torch"})]
    common = {**machine.describe([]), "clock": "wall"}
    assert "| 5 |" in report.markdown({"kind": "scaling", **common, "text": "", "axes": {"hidden": points}})
    peak_of = peak.peak_of("plain-scan", "gru", Shape(3, 2, 2, 4))
    assert peak_of["xla_temporaries_MiB"] > 0
    row = {"cell": "gru", "shape": [3, 2, 2, 4], "entrants": {"plain-scan": peak_of, "bad": {"failed": "why"}}}
    assert "| bad | failed |" in report.markdown({"kind": "peak", **common, "results": [row]})
    result = compile_times.main(["--only", "Elman", "--out", str(tmp_path / "c.json")])
    assert len(result["import_s"]) == compile_times.PROCESSES
    assert f"{result['import_s'][0]:.2f} / " in report.markdown(result)
    assert "| Elman |" in report.markdown(result)
    every = set(compile_times.cells(2, 4))
    assert {"LSTM", "SLSTM", "LayerNormGRU"} < every


@pytest.mark.parametrize(("cell", "most"), [("elman", (5, 34, 13)), ("lstm", (5, 51, 18)), ("gru", (6, 55, 12))])
def test_no_fusion_of_a_gradient_is_lost(cell: str, most: tuple[int, int, int]):
    """Counts of the compiled program beside stored bounds: nothing is timed, so nothing is noise."""
    entrant = rivals.load("jaxrnn").build(draw(cell, Shape(16, 32, 64, 128)), "cpu")
    found = programs.counts(entrant.gradient, entrant, grid.AS_FOR_A_USER)
    assert 1 <= found["while"] <= 3, found
    for operation, bound in zip(("dot", "fusion", "copy"), most, strict=True):
        assert 1 <= found[operation] <= bound, found


@pytest.mark.parametrize(("cell", "most"), [("elman", (5, 8)), ("lstm", (10, 12)), ("gru", (8, 16))])
def test_no_step_of_a_gradient_starts_more_kernels(cell: str, most: tuple[int, int]):
    """In the loop over the steps forward, and in that on the way back."""
    entrant = rivals.load("jaxrnn").build(draw(cell, Shape(16, 32, 64, 128)), "cpu")
    found = programs.kernels_a_step(entrant.gradient, entrant, grid.AS_FOR_A_USER)
    assert len(found) == 2
    assert all(0 < kernels <= bound for kernels, bound in zip(sorted(found), most, strict=True)), found


@pytest.mark.parametrize(("cell", "most"), [("elman", 0), ("lstm", 0), ("gru", 1)])
def test_a_forward_pass_compiles_to_the_program_of_a_plain_scan(cell: str, most: int):
    shape, options = Shape(16, 288, 64, 128), grid.AS_FOR_A_USER  # with fewer rows it would have the batch last
    own, plain = (
        programs.instructions(rivals.load(name).build(draw(cell, shape), "cpu"), options)
        for name in ("jaxrnn", "plain-scan")
    )
    assert own.total() > 20
    assert programs.difference(own, plain) <= most  # GRU: h = n + z (h - n) is one operation less


@pytest.mark.parametrize(("cell", "most"), [("elman", (1, 10, 3)), ("lstm", (1, 11, 3)), ("gru", (2, 11, 2))])
def test_a_forward_pass_in_columns_fuses_as_one_in_rows(cell: str, most: tuple[int, int, int]):
    entrant = rivals.load("jaxrnn").build(draw(cell, Shape(16, 32, 256, 256)), "cpu")
    found = programs.counts(entrant.forward, entrant, grid.AS_FOR_A_USER)
    assert found["while"] == 1, found
    for operation, bound in zip(("dot", "fusion", "transpose"), most, strict=True):
        assert 1 <= found[operation] <= bound, found


@pytest.mark.parametrize("which", ["forward", "gradient"])
def test_a_profile_divides_the_whole(which: str):
    found = profile.profile("lstm", Shape(6, 16, 8, 16), which)
    assert set(found) == {"whole", *profile.KINDS}
    assert all(seconds > 0 for seconds in found.values())
    for line, kind in (
        ("f32[4]{0} dot(%a, %b)", None),
        ("(s32[]) while(%t)", None),
        ("f32[4]{0} copy(%a)", "slices and copies"),
        ("f32[4]{0} fusion(%a)", "pointwise"),
    ):
        assert profile.kind_of("multiply_add_fusion", line) == kind
    assert profile.kind_of("bitcast_dynamic-update-slice_fusion.3", "f32[4]{0} fusion(%a)") == "slices and copies"
    with pytest.raises(SystemExit):
        profile.main(["lstm:3,2,2"])


def _point(size: int, seconds: dict[str, float]) -> dict[str, object]:
    """What was measured of one size, without spread."""
    return {
        "size": size,
        "entrants": {name: dict.fromkeys(("lower_s", "median_s", "upper_s"), s) for name, s in seconds.items()},
    }


def test_figures_show_the_results_and_are_the_same_bytes_again(tmp_path: Path):
    ratios = {"jaxrnn": 1.0, "jaxrnn-cores": 0.5, "torch": 0.75, "plain-scan": 12.5}
    entrants = {name: {"forward": {"ratio": ratio, "median_s": 0.002 * ratio}} for name, ratio in ratios.items()}
    race = {"kind": "speed", "results": [{"cell": "lstm", "shape": [3, 2, 2, 4], "entrants": entrants}]}
    curve = [_point(2, {"jaxrnn": 0.001, "torch": 0.004}), _point(8, {"jaxrnn": 0.002, "torch": 0.016})]
    scaled = {"kind": "scaling", "cell": "gru", "axes": {"time": curve}}
    files = tmp_path / "race.json", tmp_path / "scaled.json"
    for file, result in zip(files, (race, scaled), strict=True):
        file.write_text(json.dumps(result))
    written = plots.main([*map(str, files), "--out", str(tmp_path / "a")])
    assert [path.name for path in written] == ["race-forward.svg", "scaled.svg"]
    again = plots.main([*map(str, files), "--out", str(tmp_path / "b")])
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in again]
    (axes,) = plots.race(race, "forward").axes
    assert [bar.get_width() for bar in axes.patches] == [1, 0.5, 0.75, plots.WIDEST]  # type: ignore[attr-defined]
    assert [text.get_text() for text in axes.texts] == ["2 ms", "0.50", "0.75", "12.50"]
    (axes,) = plots.scaling(scaled).axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[1, 2], [4, 16]]  # type: ignore[arg-type]
    with pytest.raises(SystemExit, match="none of a result of kind 'peak'"):
        plots.figures({"kind": "peak"})


def test_progress_goes_from_nothing_to_all():
    told: list[float] = []
    task, modules = draw("elman", Shape(3, 2, 2, 4)), {name: MODULES[name] for name in ("jaxrnn", "torch")}
    against_rivals.measure(
        task, modules, "cpu", passes=["forward"], seconds=0, rounds=2, tell=lambda done, _: told.append(done)
    )
    assert told == [0, 0.25, 0.5, 0.75, 1]


def test_absent_and_failing_rivals_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(rivals.RIVALS, "nobody", "nobody")
    modules, absent = against_rivals.present(["nobody"])
    assert set(modules) == {"jaxrnn"}
    assert "nobody" in absent["nobody"]

    class Failing:
        @staticmethod
        def build(task: Task, device: str) -> None:
            raise RuntimeError("no kernel\nfor this")

    row = against_rivals.measure(
        draw("elman", Shape(3, 2, 2, 4)), modules | {"bad": Failing}, "cpu", seconds=0, rounds=1
    )
    assert row["entrants"]["bad"] == {"failed": "RuntimeError: no kernel"}
    result = {"kind": "speed", "clock": "wall", **machine.describe([]), "absent": absent, "results": [row]}
    assert "Matrix products in bfloat16, where" in report.markdown(result | {"precision": "bfloat16"})
    table = report.markdown(result)
    assert "Absent: nobody" in table
    assert "failed: RuntimeError: no kernel" in table


@pytest.mark.parametrize("shape", ["1,2,3", "1,2,3,x", "1,2,3,0", "1,2,3,-4"])
def test_bad_shapes_are_refused(shape: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        against_rivals.parse([f"--shapes={shape}"])
    assert "four positive whole numbers" in capsys.readouterr().err


def test_turns_run_everything_once_a_round():
    ran: list[str] = []
    measured = turns.take_turns({k: lambda k=k: ran.append(k) for k in "abc"}, seconds=0, rounds=3)
    assert {key: len(times) for key, times in measured.items()} == {"a": 3, "b": 3, "c": 3}
    assert set(ran) == set("abc")
    assert turns.ratio([1.0, 4.0, 9.0], [1.0, 2.0, 3.0]) == 2.0
    assert turns.spread([3.0, 1.0, 2.0]) == (1.0, 1.5, 2.0, 2.5)


def test_long_sequences_take_a_tenth_of_the_temporaries_of_autodiff():
    sizes = {}
    for adjoint in ("BPTT", memory.PLAIN):
        step, arguments = memory.training_step(adjoint, 100_000, 64, 256)
        sizes[adjoint] = step.lower(*arguments).compile().memory_analysis().temp_size_in_bytes
    assert sizes["BPTT"] < 0.1 * sizes[memory.PLAIN]


def test_a_million_steps_take_less_than_they_may():
    """The benchmark's own program, compiled and not run: GRU(8, 128), batch 1."""
    for adjoint, most in {"BPTT-2-levels": 2e6, "BPTT-1MB": 1e6 + 2 * 4 * 3 * (8 + 128 + 2) * 128}.items():
        step, arguments = memory.training_step(adjoint, 1_000_000, 8, 128)
        assert step.lower(*arguments).compile().memory_analysis().temp_size_in_bytes < most


def test_memory_of_a_step_is_measured_and_shown():
    names = ("BPTT", "BPTT-2-levels", memory.PLAIN)
    adjoints = {name: memory.peak_of(name, 50, 3, 4) for name in names}
    for name, found in memory.times(names[:2], 50, 3, 4, rounds=1).items():
        assert adjoints[name]["peak_of_step_MiB"] >= adjoints[name]["before_step_MiB"] > 0
        assert (found["time_ratio"] == 1) == (name == memory.PLAIN)
        adjoints[name] |= found
    for name, size in zip(names, (1.0, 2.0, 2.0), strict=True):  # of so few steps it can be nothing
        adjoints[name]["step_MiB"] = size
    result = {
        "kind": "memory",
        "clock": "cpu",
        **machine.describe([]),
        "cell": "GRU(3, 4)",
        "steps": 50,
        "rounds": 1,
        "adjoints": adjoints,
    }
    table = report.markdown(result)
    assert "BPTT over Autodiff: 0.5000 of the peak of the step" in table
    assert "BPTT-2-levels over Autodiff" in table
    assert "processor time" in table
    assert "in turns, 1 rounds" in table
    assert "| seconds of one step |" in report.markdown(result | {"rounds": 0})


def test_what_goes_forward_in_time_is_timed_on_the_same_gradients():
    runs = online.gradients(jaxrnn.MinGRU(online.INPUT, 4), 5)
    assert list(runs) == ["BPTT", "RTRL", "SnAp1", "RTRL, stream", "SnAp1, stream"]
    expected = runs["BPTT"]()
    for name in ("RTRL", "SnAp1"):
        grid.close(runs[name](), expected, 1e-4, 1e-5)
    (_, state), losses = runs["RTRL, stream"]()
    assert losses.shape == (5,)
    assert state.outputs.shape == (1, 4)


def test_the_tables_of_what_goes_forward_in_time():
    row = online.Row(2.5, {"RTRL": (4.0, 4.0), "BPTT": (700.0, 560.2)}, {"BPTT": 0.8, "RTRL": 1.25})
    lines = online.table({("IndRNN", 64): row}, steps=300).splitlines()
    assert "| IndRNN | 64 | 2.5 | 4 to 4 |  | 700 to 560 |  |" in lines
    assert "| IndRNN | 64 | 0.8 | 1.2 |  |  |  |" in lines


def test_newton_is_measured_and_shown(capsys: pytest.CaptureFixture[str]):
    cell = jaxrnn.GRU(8, 2)
    xs = jax.random.normal(jax.random.key(0), (9, 1, 8))
    params = cell.init(jax.random.key(1))
    assert "(2 of 2 fell back)" in newton.steps_taken(cell, params, xs, jaxrnn.Newton(window=5, max_steps=1))
    assert newton.steps_taken(cell, params, xs, jaxrnn.Newton(window=9)) in "2345"
    newton.print_times(9, 1, 0)
    assert [line.split(" | ")[1] for line in capsys.readouterr().out.splitlines()] == ["forward", "training step"]


def test_what_goes_around_cells_is_measured_beside_the_plain_cell(capsys: pytest.CaptureFixture[str]):
    assert {"zoneout", "layer normalisation", "highway"} <= set(around.layers("lstm", 2, 2))
    around.main(["--shape", "2,1,2,2", "--seconds", "0", "--only", "weight dropout"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[4:]]
    assert [(row[0], row[1]) for row in rows] == [
        (f"| {kind}", name) for kind in ("lstm", "gru") for name in ("plain", "weight dropout")
    ]
    assert rows[0][3] == "1.00 |"


def _methods(part: str, *chosen: str) -> list[str]:
    return [part, "--only", *chosen, "--rounds", "1", "--passes", "forward"]


def test_methods_are_compared_with_scan(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    result = methods.main([*_methods("grid", "GRU 1024,1,8,32"), "--out", str(tmp_path)])
    table = capsys.readouterr().out
    kept = json.loads((tmp_path / "methods-grid.json").read_text())
    assert kept == result
    (row,) = kept["results"]
    assert row["shape"] == [1024, 1, 8, 32]
    found = row["passes"]["forward"]
    assert found["Scan"]["difference"] == 0
    assert 0 < found["Shooting"]["difference"] < 1e-4
    assert found["Shooting"]["residual"] < 1e-5
    assert found["Shooting"]["depth"] < 1024
    assert min(entry["median_s"] for entry in found.values()) > 0
    assert any(name.startswith("GRU 131072,32,8,1024 (") for name in kept["left_out"])
    assert "| GRU | 1024, 1, 8, 32 | Shooting |" in table
    assert "| GRU | 32 | 1 |" in table
    again = methods.merge(kept["results"], row | {"rounds": 7})
    assert [r["rounds"] for r in again] == [7]


def test_a_training_step_of_a_method_gives_the_gradients_of_scan():
    case = next(c for c in cases.cases("associative", Path())[0] if c.shape.time == 128)
    row = methods.measure(case, ["training"], seconds=0, rounds=0)
    found = row["passes"]["training"]
    assert set(found) == {"Scan", "Associative"}
    assert found["Associative"]["difference"] < 1e-5
    assert "median_s" not in found["Scan"]


def test_every_part_has_cases_that_name_known_methods():
    for part in cases.PARTS:
        found, _ = cases.cases(part, Path())
        assert found
        assert all(c.methods[0] == cases.BASE and set(c.methods) <= set(cases.METHODS) for c in found)


def test_depth_is_counted():
    found = depth.depths(64)
    assert found["Scan"]["depth"] == 64
    assert found["Newton, full"]["depth"] == found["Newton, full, one window"]["depth"] < 64
    assert 6 <= found["Associative, one prefix scan"]["depth"] <= 12
    table = report.markdown(
        {"kind": "methods", "part": "depth", **machine.describe([]), "clock": "wall", "results": depth.rows(0)}
        | {"results": [{"steps": 64, "methods": found}]}
    )
    assert "| 64 | 64 |" in table


def test_words_are_learned_and_made_up(capsys: pytest.CaptureFixture[str]) -> None:
    words.main(["--steps", "3", "--words", "200", "--endings", "EndSymbol"])
    printed = capsys.readouterr().out
    assert "200 different words" in printed
    assert re.search(r"`EndSymbol\(\)` \| yes \| \d+\.\d\d \|", printed)
    assert re.search(r"- `EndSymbol\(\)`, capital: [a-z, ]+$", printed, re.MULTILINE)
