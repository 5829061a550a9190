"""`jaxrnn bench`: the benchmarks of the clone that it is run in."""

import argparse
import importlib
import sys
from pathlib import Path

from jaxrnn.cli.bad_input import BadInputError


def run_bench(options: argparse.Namespace) -> None:
    """Measure speed beside other libraries, and print the tables."""
    if not Path("benchmarks", "against_rivals.py").is_file():
        raise BadInputError(
            f"there are no benchmarks in {Path.cwd()}, and none in the installed package: run this at the root of a "
            "clone of the repository, after pip install -e '.[bench]'"
        )
    sys.path.insert(0, str(Path.cwd()))
    arguments = [
        f"--{name}={getattr(options, name)}" for name in ("rounds", "seconds", "out") if getattr(options, name)
    ]
    for name, given in {"cells": options.kind, "shapes": options.shape}.items():
        arguments += [f"--{name}", *given] if given else []
    for name in ("rivals", "passes"):
        given = getattr(options, name)
        arguments += [f"--{name}", *given.split(",")] if given else []
    importlib.import_module("benchmarks.against_rivals").main(arguments)
