"""What may import what (the contracts are in pyproject.toml), and what `import jaxrnn` brings with it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFIGURATION = str(ROOT / "pyproject.toml")


SMALL = {  # a package that keeps the contracts
    "__init__.py": "",
    "cells/__init__.py": "",
    "cells/base.py": "",
    "unfold/__init__.py": "",
    "unfold/api.py": "import jaxrnn.cells.base",
    "losses.py": "",
    "models/__init__.py": "import jaxrnn.losses, jaxrnn.unfold.api",
    "training/__init__.py": "",
    "plotting.py": "import matplotlib",
    "data/__init__.py": "",
    "cli.py": "import jaxrnn.models, jaxrnn.training, jaxrnn.plotting",
}
WRONG = {  # modules that break them
    "cells/extra.py": "import jaxrnn.unfold.api",  # up
    "unfold/extra.py": "from jaxrnn import losses",
    "losses.py": "from jaxrnn.cells.base import Cell",
    "models/__init__.py": "import jaxrnn.training",  # sideways
    "training/__init__.py": "def late():\n    import jaxrnn.data",  # delayed imports count
    "data/__init__.py": "import torch",
    "models/extra.py": "import matplotlib",
}


def linted(folder: Path, modules: dict[str, str]) -> str:
    """What import-linter says, in a process of its own: in this one it would keep pytest's captured streams."""
    for name, text in modules.items():
        module = folder / "jaxrnn" / name
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(text)
    check = f"from importlinter import cli; cli.lint_imports({CONFIGURATION!r}, no_cache=True)"
    done = subprocess.run([sys.executable, "-c", check], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_the_import_contracts_hold():
    assert ", 0 broken." in linted(ROOT, {})


def test_a_small_package_keeps_the_contracts(tmp_path):
    assert ", 0 broken." in linted(tmp_path, SMALL)


@pytest.mark.parametrize("path", WRONG)
def test_a_wrong_import_breaks_a_contract(path, tmp_path):
    assert ", 1 broken." in linted(tmp_path, SMALL | {path: WRONG[path]})


def test_a_module_without_a_place_is_an_error(tmp_path):
    assert "jaxrnn.somewhere" in linted(tmp_path, SMALL | {"somewhere.py": ""})


def test_import_jaxrnn_brings_no_other_framework():
    code = "import sys, jaxrnn; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"jax", "jaxrnn"} <= loaded
    unwanted = {"equinox", "flax", "haiku", "keras", "matplotlib", "onnx", "tensorflow", "torch"}
    assert not loaded & unwanted
