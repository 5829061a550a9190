"""What is on disk: whole or not there, and nothing else than the model has."""

import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxrnn import GRU, LSTM, Stack
from jaxrnn.models.language import LanguageModel
from jaxrnn.training import create_run, load_configuration, load_parameters, metrics, save_parameters
from jaxrnn.training.checkpoints import check_free, write

MODEL = LanguageModel(5, 2, Stack([LSTM(2, 3), GRU(3, 4)]))


@pytest.fixture(scope="module")
def params() -> Any:
    return MODEL.init(jax.random.key(0))


def like() -> Any:
    return jax.eval_shape(MODEL.init, jax.random.key(0))


def test_parameters_come_back_and_are_named_by_their_path(params, tmp_path):
    save_parameters(tmp_path / "p", params)
    found = load_parameters(tmp_path / "p", like())
    assert jax.tree.structure(found) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, found, params)
    arrays = safetensors.numpy.load_file(tmp_path / "p")
    np.testing.assert_array_equal(arrays["readout.cell.1.W"], params.readout.cell[1].W)
    assert arrays.keys() >= {"embedding", "readout.V", "readout.c", "readout.cell.0.U"}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_any_floating_type_and_shape_comes_back(tmp_path, dtype):
    tree = {"scalar": jnp.asarray(0.5, dtype), "turned": np.arange(6, dtype=dtype).reshape(2, 3).T, "none": None}
    save_parameters(tmp_path / "p", tree)
    found = load_parameters(tmp_path / "p", tree)
    jax.tree.map(np.testing.assert_array_equal, found, tree)
    assert found["turned"].dtype == dtype


def test_load_parameters_refuses_what_is_not_the_models(params, tmp_path):
    path = tmp_path / "p"
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_parameters(path, like())
    save_parameters(path, params)
    other = LanguageModel(5, 2, Stack([LSTM(2, 3), GRU(3, 6)]))
    with pytest.raises(ValueError, match=r"readout.\S+ is float32.* the model has"):
        load_parameters(path, jax.eval_shape(other.init, jax.random.key(0)))
    with pytest.raises(ValueError, match=r"missing readout.cell.U, .*not expected .*readout.cell.0.U"):
        load_parameters(path, jax.eval_shape(LanguageModel(5, 2, GRU(2, 3)).init, jax.random.key(0)))
    with pytest.raises(ValueError, match="the model has float16"):
        load_parameters(path, jax.eval_shape(lambda k: MODEL.init(k, jnp.float16), jax.random.key(0)))


def test_load_parameters_refuses_every_part_of_a_file(params, tmp_path):
    path = tmp_path / "p"
    save_parameters(path, params)
    whole = path.read_bytes()
    for n in (0, 1, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:n])
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            load_parameters(path, like())


def test_write_leaves_the_old_content_where_it_fails(tmp_path):
    write(tmp_path / "file", "old")
    broken: Any = 3.5
    with pytest.raises(TypeError):
        write(tmp_path / "file", broken)
    assert (tmp_path / "file").read_text() == "old"
    write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_names_that_are_no_utf8_can_be_written(tmp_path):
    write(tmp_path / "text", "folder caf\udce9")
    assert (tmp_path / "text").read_bytes() == b"folder caf\\udce9"


def test_a_run_folder_is_whole_from_the_first_moment(params, tmp_path):
    run = create_run(tmp_path / "a" / "run", {"é": 1}, params)
    assert sorted(p.name for p in run.iterdir()) == ["configuration.json", "parameters.safetensors"]
    assert load_configuration(run) == {"é": 1}
    assert [p.name for p in run.parent.iterdir()] == ["run"]


def test_a_run_folder_that_fails_leaves_nothing(params, tmp_path):
    with pytest.raises(TypeError):
        create_run(tmp_path / "run", {"not JSON": object()}, params)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_unasked(params, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    create_run(run, {"n": 1}, params)  # empty: free
    (run / "notes").write_text("mine")
    with pytest.raises(FileExistsError, match=r"not empty.*--overwrite"):
        create_run(run, {"n": 2}, params)
    assert load_configuration(run) == {"n": 1}
    create_run(run, {"n": 2}, params, overwrite=True)
    assert load_configuration(run) == {"n": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    assert not (run / "notes").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_overwrite_leaves_the_old_run(params, tmp_path, monkeypatch, error):
    run = create_run(tmp_path / "run", {"n": 1}, params)
    renamed, rename = [], os.rename

    def interrupted(source: Path, target: Path) -> None:
        renamed.append(target)
        if len(renamed) == 2:
            raise error
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", interrupted)
        with pytest.raises(error):
            create_run(run, {"n": 2}, params, overwrite=True)
    assert renamed[1:] == [run, run]  # stopped once, then put back
    assert load_configuration(run) == {"n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_symbolic_link_stands_for_the_folder_behind_it(params, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far")
    for n in (1, 2):  # made, then overwritten
        run = create_run(tmp_path / "link", {"n": n}, params, overwrite=True)
        assert run == (tmp_path / "far").resolve()
        assert load_configuration(run) == {"n": n}
    assert (tmp_path / "link").is_symlink()
    assert {p.name for p in tmp_path.iterdir()} == {"far", "link"}


def test_overwrite_only_removes_run_folders(params, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis").write_text("mine")
    with pytest.raises(FileExistsError, match="not a run folder"):
        create_run(tmp_path / "home", {}, params, overwrite=True)
    with pytest.raises(FileExistsError, match="not a folder"):
        check_free(tmp_path / "home" / "thesis", overwrite=True)
    assert (tmp_path / "home" / "thesis").read_text() == "mine"


def test_load_configuration_refuses(params, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such run folder"):
        load_configuration(tmp_path / "run")
    run = create_run(tmp_path / "run", {}, params)
    configuration: Path = run / "configuration.json"
    for content, named in (
        ("{", "not JSON"),
        ("[]", "must hold a JSON object"),
        ("[" * 10**5, "not JSON"),
        (b"\xff", "not JSON"),
    ):
        write(configuration, content)
        with pytest.raises(ValueError, match=named):
            load_configuration(run)
    for name in ("configuration.json", "parameters.safetensors"):
        (run / name).unlink()
        with pytest.raises(FileNotFoundError, match=f"it has no {name}"):
            load_configuration(run)
        write(run / name, json.dumps({}))


def test_metrics_survive_a_line_cut_short(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics.append(path, {"step": 1})
    metrics.append(path, {"step": 2})
    whole = path.read_text()
    path.write_text(whole + '{"step": 3')
    assert metrics.read(path) == [{"step": 1}, {"step": 2}]
    path.write_text("{\n" + whole)
    with pytest.raises(ValueError, match="line 1 is not JSON"):
        metrics.read(path)


def test_metrics_that_are_not_finite_are_null_in_json(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics.append(path, {"step": 1, "training_loss": float("nan"), "validation_loss": float("inf")})
    assert json.loads(path.read_text()) == {"step": 1, "training_loss": None, "validation_loss": None}
    (line,) = metrics.read(path)
    assert line["step"] == 1
    assert np.isnan(line["training_loss"])
