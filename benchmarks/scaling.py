"""Time of forward and backward over T, B and H, one of them varied at a time, in turns with PyTorch and a plain scan.

python -m benchmarks.scaling --out benchmarks/results/NAME-scaling.json
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import machine, report, rivals, turns
from benchmarks.task import Shape, draw

BASE = Shape(256, 16, 64, 128)
SIZES = {"time": (64, 256, 1024, 4096), "batch": (1, 4, 16, 64, 256), "hidden": (32, 64, 128, 256, 512)}
RIVALS = ("jaxrnn", "plain-scan", "torch")


def measure(cell: str, base: Shape, axis: str, sizes: Sequence[int], names: Sequence[str], seconds: float) -> list[Any]:
    """Of each size: medians of each entrant."""
    points = []
    for size in tqdm(sizes, desc=axis, disable=None):
        task = draw(cell, base._replace(**{axis: size}))
        runs: dict[Any, Any] = {}
        for name in names:
            entrant = rivals.load(name).build(task, "cpu")
            runs[name] = lambda e=entrant: e.wait(e.gradient(e.params, e.xs))
            runs[name]()
        measured = turns.take_turns(runs, seconds=seconds, fewest=3)
        entrants = {
            name: {f"{part}_s": value for part, value in turns.spread(measured[name])._asdict().items()}
            for name in runs
        }
        points.append({"size": size, "entrants": entrants})
    return points


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description="Time over T, B and H.")
    parser.add_argument("--cell", choices=["elman", "lstm", "gru"], default="lstm")
    parser.add_argument("--axes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--rivals", nargs="+", choices=list(rivals.RIVALS), default=list(RIVALS))
    parser.add_argument("--sizes", nargs="+", type=int, help="instead of those of each axis")
    parser.add_argument(
        "--seconds", type=float, default=3, help="time for the rounds of each size (at least 3 are made)"
    )
    parser.add_argument("--out", type=Path, help="write the result here, as JSON")
    chosen = parser.parse_args(arguments)
    names = dict.fromkeys([report.OWN, *chosen.rivals])
    described = machine.describe(["jaxrnn", "torch"])
    axes = {
        axis: measure(chosen.cell, BASE, axis, chosen.sizes or SIZES[axis], list(names), chosen.seconds)
        for axis in chosen.axes
    }
    result = {
        "kind": "scaling",
        **described,
        "clock": "wall",
        "cell": chosen.cell,
        "text": f"Milliseconds of forward and backward of {chosen.cell}, medians; what is not varied is as in "
        f"T, B, D, H = {BASE}.",
        "axes": axes,
    }
    report.write(result, chosen.out)
    print(report.markdown(result))
    return result


if __name__ == "__main__":
    main()
