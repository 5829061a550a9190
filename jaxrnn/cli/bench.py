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
    race = importlib.import_module("benchmarks.against_rivals")
    single = ("rounds", "seconds", "precision", "out")
    arguments = [f"--{name}={getattr(options, name)}" for name in single if getattr(options, name)]
    for shape in options.shape or ():
        try:
            race.shape_of(shape)
        except argparse.ArgumentTypeError as error:
            raise BadInputError(f"argument --shape: {error}") from None
    for name, given in {"cells": options.kind, "shapes": options.shape}.items():
        arguments += [f"--{name}", *given] if given else []
    for name, known in {"rivals": race.rivals.RIVALS, "passes": race.PASSES}.items():
        given = [part.strip() for part in (getattr(options, name) or "").split(",") if part.strip()]
        for part in given:
            if part not in known:
                raise BadInputError(f"argument --{name}: {part!r} is none of {', '.join(known)}")
        arguments += [f"--{name}", *given] if given else []
    race.main(arguments)
