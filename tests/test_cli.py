"""The command, as a person uses and misuses it."""

import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxrnn import __version__
from jaxrnn.cli import main
from jaxrnn.cli.arguments import DEFAULTS, make_parser
from jaxrnn.data import Alphabet, split
from jaxrnn.runs import load_run
from jaxrnn.training import load_configuration
from jaxrnn.training.checkpoints import write

TEXT = "I went to India in 2019.\nIn 2019, I went to India.\n" * 12
TINY = ["--hidden", "8", "--embedding", "4", "--batch", "4", "--seq-len", "16", "--quiet"]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(text: Path) -> Path:
    """A run folder that no test changes."""
    folder = text.parent / "run"
    main(["train", "--text", str(text), "--steps", "20", "--out", str(folder), *TINY])
    return folder


def refused(capsys: pytest.CaptureFixture[str], *argv: Any) -> str:
    """The one line with which the command refuses."""
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in argv])
    shown = capsys.readouterr()
    assert stopped.value.code == 2
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "error: " in shown.err
    return shown.err


def test_train_leaves_a_whole_run_folder(run):
    names = {"configuration.json", "curves.png", "metrics.jsonl", "parameters.safetensors"}
    assert {p.name for p in run.iterdir()} == names | {"sample.txt", "summary.json", "summary.txt"}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [m["step"] for m in lines] == list(range(2, 21, 2))
    summary = json.loads((run / "summary.json").read_text())
    best = min(m["validation_loss"] for m in lines)
    np.testing.assert_allclose(summary["validation bits per character"], best / np.log(2))
    assert {"training bits per character", "characters a second", "seconds of compilation"} < summary.keys()
    table = (run / "summary.txt").read_text()
    assert all(name in table for name in summary)
    assert len((run / "sample.txt").read_text()) == 1001
    assert set((run / "sample.txt").read_text()) <= set(TEXT)
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert load_configuration(run)["model"]["hidden"] == 8


def test_evaluate_gives_the_validation_bits_of_the_summary(run, tmp_path, capsys):
    (tmp_path / "held_out").write_text(split(TEXT)[1])
    main(["evaluate", str(run), "--text", str(tmp_path / "held_out")])
    found = re.search(r"bits per character +(\S+)", capsys.readouterr().out)
    assert found
    summary = json.loads((run / "summary.json").read_text())
    assert float(found[1]) == round(summary["validation bits per character"], 3)


def test_generate_repeats_the_prompt_and_one_seed_gives_one_text(run, capsys):
    texts = []
    for seed in (1, 1, 2):
        main(["generate", str(run), "--prompt", "India", "--length", "30", "--seed", str(seed)])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    assert texts[0].startswith("India")
    assert len(texts[0]) == len("India") + 30 + 1


def test_generate_takes_its_choices(run, capsys):
    texts = []
    for choices in (["--temperature", "0"], ["--top-k", "1"], ["--top-p", "1e-6"]):
        main(["generate", str(run), "--prompt", "India", "--length", "30", *choices])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] == texts[2]


def test_more_than_all_characters_may_come(run, capsys):
    main(["generate", str(run), "--prompt", "India", "--length", "30", "--top-k", "99999999999"])
    assert len(capsys.readouterr().out) == len("India") + 30 + 1


def test_characters_that_the_output_cannot_hold(run, monkeypatch):
    model, alphabet, params = load_run(run)
    alphabet = Alphabet(alphabet.symbols.replace("I", "é"))
    monkeypatch.setattr("jaxrnn.cli.use.load_run", lambda folder: (model, alphabet, params))
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii"))
    main(["generate", str(run), "--prompt", "éndia", "--length", "30"])
    assert output.getvalue().startswith(b"?ndia")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], *([name, "--help"] for name in ("train", "generate", "evaluate")), ["generate", "RUN"]],
)
def test_output_that_nobody_reads(arguments, run, monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as unread, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", unread)
        with pytest.raises(SystemExit) as stopped:
            main([str(run) if a == "RUN" else a for a in arguments])
    assert stopped.value.code == 128 + 13
    assert capsys.readouterr().err == ""


def test_output_that_has_no_room(monkeypatch, capsys):
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", Full())
        with pytest.raises(SystemExit) as stopped:
            main(["--version"])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "jaxrnn: failed: no space left on device\n"


def test_output_that_is_closed(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", None)
        with pytest.raises(SystemExit) as stopped:
            main(["--version"])
    assert stopped.value.code == 0


def test_devices_that_are_not_there(run, monkeypatch, capsys):
    def fail() -> None:
        raise RuntimeError("Unknown backend: 'abacus'\n")

    monkeypatch.setattr("jax.devices", fail)
    assert "JAX finds no device: Unknown backend: 'abacus'" in refused(capsys, "generate", run)


def test_a_folder_that_cannot_be_written_to(text, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    error = refused(capsys, "train", "--text", text, "--out", tmp_path / "run", *TINY)
    assert f"since {tmp_path} cannot be written to" in error


@pytest.mark.parametrize("error", [MemoryError(), OSError("the disk\nis full")])
def test_what_fails_on_the_way_is_one_line(error, text, tmp_path, monkeypatch, capsys):
    def fail(*args: Any, **keywords: Any) -> None:
        raise error

    monkeypatch.setattr("jaxrnn.cli.train.compile_evaluation", fail)
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--text", str(text), "--out", str(tmp_path / "run"), *TINY])
    assert stopped.value.code == 1
    shown = capsys.readouterr().err
    assert shown.startswith("jaxrnn train: failed: ")
    assert shown.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "COMMAND"),
        (["paint"], "paint"),
        (["train", "--flag", "5"], "--flag 5 (see jaxrnn train --help)"),
        (["train", "--cell", "conv"], "conv"),
        *((["train", f"--{name}", "0"], f"--{name}") for name in ("hidden", "layers", "embedding", "steps", "batch")),
        *((["train", f"--{name}", "-3"], "-3") for name in ("hidden", "seq-len", "eval-every", "seed")),
        (["train", "--hidden", "many"], "many"),
        *(
            (["train", f"--{name}", "9" * 20], f"--{name}")
            for name in ("steps", "hidden", "layers", "batch", "seq-len")
        ),
        (["train", "--learning-rate", "1e300"], "at most 1e+38"),
        (["train", "--learning-rate", "nan"], "nan"),
        (["train", "--learning-rate", "-0.1"], "-0.1"),
        (["train", "--dropout", "1"], "--dropout"),
        (["train", "--held-out", "1"], "--held-out"),
        (["generate"], "RUN"),
        (["generate", "run", "--length", "0"], "--length"),
        (["generate", "run", "--length", "99999999999"], "--length"),
        (["generate", "run", "--temperature", "-1"], "--temperature"),
        (["generate", "run", "--temperature", "1e300"], "--temperature"),
        (["generate", "run", "--top-k", "0"], "--top-k"),
        (["generate", "run", "--top-p", "1.5"], "--top-p"),
        (["evaluate", "run"], "--text"),
    ],
)
def test_arguments_that_make_no_sense(arguments, named, capsys):
    assert named in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "no file"),
        (b"", "empty"),
        (b"To be \xff or not", "UTF-8"),
        (b"too short", "too short"),
    ],
)
def test_texts_that_cannot_be_used(content, named, tmp_path, capsys):
    path = tmp_path / "text"
    if content is not None:
        path.write_bytes(content)
    assert named in refused(capsys, "train", "--text", path, "--out", tmp_path / "run", *TINY)
    assert not (tmp_path / "run").exists()


def test_a_held_out_part_that_is_too_short(text, tmp_path, capsys):
    error = refused(capsys, "train", "--text", text, "--out", tmp_path / "run", "--held-out", "0.0016", *TINY)
    assert "--held-out 0.0016 leaves 1 character" in error
    assert not (tmp_path / "run").exists()


def test_choices_that_only_the_model_can_refuse(text, tmp_path, capsys):
    error = refused(capsys, "train", "--text", text, "--out", tmp_path / "run", "--dropout", "0.5", *TINY)
    assert "dropout" in error
    assert not (tmp_path / "run").exists()


def test_train_overwrites_only_when_asked(text, run, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    before = (copy / "parameters.safetensors").read_bytes()
    assert "not empty" in refused(capsys, "train", "--text", text, "--out", copy, *TINY)
    (tmp_path / "file").touch()
    assert "not a folder" in refused(capsys, "train", "--text", text, "--out", tmp_path / "file", *TINY)
    assert "is not a folder" in refused(capsys, "train", "--text", text, "--out", tmp_path / "file" / "run", *TINY)
    assert (copy / "parameters.safetensors").read_bytes() == before


def test_a_name_that_is_too_long(text, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("jaxrnn.cli.train.compile_evaluation", lambda *args: (None, 0.0))
    error = refused(capsys, "train", "--text", text, "--out", tmp_path / ("x" * 300), *TINY)
    assert error.endswith("xxx: cannot be made: File name too long\n")


def test_a_prompt_of_a_model_without_line_breaks(run, monkeypatch, capsys):
    model, alphabet, params = load_run(run)
    alphabet = Alphabet(alphabet.symbols.replace("\n", "é"))
    monkeypatch.setattr("jaxrnn.cli.use.load_run", lambda folder: (model, alphabet, params))
    main(["generate", str(run), "--length", "30"])
    assert capsys.readouterr().out.startswith(alphabet.symbols[0])


def test_prompts_that_the_model_cannot_read(run, capsys):
    assert "'é'" in refused(capsys, "generate", run, "--prompt", "café")
    assert "empty" in refused(capsys, "generate", run, "--prompt", "")


def test_texts_that_cannot_be_evaluated(run, tmp_path, capsys):
    assert "no file" in refused(capsys, "evaluate", run, "--text", tmp_path / "text")
    (tmp_path / "text").write_text("Ω")
    assert "'Ω'" in refused(capsys, "evaluate", run, "--text", tmp_path / "text")
    (tmp_path / "text").write_text("I")
    assert "too short" in refused(capsys, "evaluate", run, "--text", tmp_path / "text")


def test_run_folders_that_are_not_whole(run, tmp_path, capsys):
    def copy() -> Path:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        return Path(shutil.copytree(run, tmp_path / "run"))

    assert "no such run folder" in refused(capsys, "generate", tmp_path / "nothing")
    for name in ("configuration.json", "parameters.safetensors"):
        (copy() / name).unlink()
        assert f"it has no {name}" in refused(capsys, "generate", tmp_path / "run")
    write(copy() / "configuration.json", "{")
    assert "not JSON" in refused(capsys, "generate", tmp_path / "run")
    write(copy() / "parameters.safetensors", (run / "parameters.safetensors").read_bytes()[:-1])
    assert "not a whole safetensors file" in refused(capsys, "generate", tmp_path / "run")

    configuration = json.loads((run / "configuration.json").read_text())
    changes = [
        ({"hidden": 9}, "the model has"),
        ({"layers": 2}, "other arrays than the model has"),
        ({"hidden": -1}, "from 1 to"),
        ({"hidden": 10**30}, "from 1 to"),
        ({"layers": 10**9}, "from 1 to"),
        ({"layers": 0}, "configuration.json"),
        ({"cell": "conv"}, "must be one of elman, lstm, gru, got 'conv'"),
        ({"hidden": "8"}, "whole number"),
        (None, "configuration.json"),
    ]
    for change, named in changes:
        model = None if change is None else configuration["model"] | change
        write(copy() / "configuration.json", json.dumps(configuration | {"model": model}))
        assert named in refused(capsys, "evaluate", tmp_path / "run", "--text", __file__)
    del configuration["alphabet"]
    write(copy() / "configuration.json", json.dumps(configuration))
    assert "alphabet" in refused(capsys, "generate", tmp_path / "run")


def test_diverging_is_said_and_leaves_a_run_to_use(text, tmp_path, capsys):
    arguments = ["--text", str(text), "--out", str(tmp_path / "run"), "--learning-rate", "1e38", "--steps", "20"]
    with pytest.raises(SystemExit) as stopped:
        main(["train", *arguments, *TINY])
    assert stopped.value.code == 1
    assert "smaller --learning-rate" in capsys.readouterr().err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["validation bits per character"] is None or math.isfinite(summary["validation bits per character"])
    main(["generate", str(tmp_path / "run"), "--length", "5"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_training_leaves_a_run_to_use(number, text, tmp_path, capsys):
    folder = tmp_path / "run"
    arguments = ["train", "--text", str(text), "--out", str(folder), "--steps", "1000000", "--eval-every", "5", *TINY]
    process = subprocess.Popen([sys.executable, "-m", "jaxrnn", *arguments], stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 240
        while not (folder / "metrics.jsonl").exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(number)
        error = process.communicate(timeout=240)[1]
    finally:
        process.kill()
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert "interrupted after" in error
        assert (folder / "summary.txt").exists()
    assert "Traceback" not in error
    main(["generate", str(folder), "--prompt", "India", "--length", "10"])
    assert capsys.readouterr().out.startswith("India")


def test_version_and_help(capsys):
    for arguments, expected in (
        (["--version"], [f"jaxrnn {__version__}"]),
        (["--help"], ["train", "generate", "evaluate"]),
        (["train", "--help"], [f"--{name.replace('_', '-')}" for name in DEFAULTS]),
        (["generate", "--help"], ["--prompt", "--top-p"]),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
        shown = capsys.readouterr().out
        assert all(part in shown for part in expected)


def test_defaults_are_those_of_the_table():
    options = vars(make_parser().parse_args(["train"]))
    assert DEFAULTS.items() <= options.items()


def test_python_m_jaxrnn_is_the_command():
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    shown = subprocess.run(
        [sys.executable, "-m", "jaxrnn", "--version"], capture_output=True, text=True, env=environment, check=True
    )
    assert shown.stdout == f"jaxrnn {__version__}\n"


def test_bench_measures_in_a_clone_and_says_so_elsewhere(tmp_path, monkeypatch, capsys):
    given = ["bench", "--kind", "elman", "--shape", "3,2,2,4", "--rivals", "plain-scan", "--passes", "forward"]
    with jax.numpy_rank_promotion("allow"):
        main([*given, "--rounds", "1"])
    assert "| elman | 3, 2, 2, 4 | 1 |" in capsys.readouterr().out
    assert "'tensorflow' is none of jaxrnn, " in refused(capsys, "bench", "--rivals", "torch,tensorflow")
    assert "'sideways' is none of forward, " in refused(capsys, "bench", "--passes", "sideways")
    assert "four positive whole numbers T,B,D,H" in refused(capsys, "bench", "--shape", "3,2,2")
    monkeypatch.chdir(tmp_path)
    assert "run this at the root of a clone" in refused(capsys, *given)
