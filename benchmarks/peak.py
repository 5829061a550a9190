"""Peak memory of forward and backward of every rival, each in a process of its own.

python -m benchmarks.peak --out benchmarks/results/NAME-peak.json
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, memory, report, rivals
from benchmarks.against_rivals import shape_of
from benchmarks.task import GATES, Shape, draw

SETTLE = 1.0  # seconds, in which a thread of the runtime gives back what the first call took


def peak_of(name: str, cell: str, shape: Shape) -> dict[str, float]:
    """MiB above what this process held, at the peak of a second call."""
    entrant = rivals.load(name).build(draw(cell, shape), "cpu")
    found = {}

    def run() -> None:
        entrant.wait(entrant.gradient(entrant.params, entrant.xs))

    run()
    time.sleep(SETTLE)
    before = memory.forget_peak()
    run()
    found["peak_MiB"] = memory.peak() - before
    if hasattr(entrant.gradient, "lower"):
        compiled = entrant.gradient.lower(entrant.params, entrant.xs).compile()  # pyright: ignore[reportFunctionMemberAccess]
        found["xla_temporaries_MiB"] = compiled.memory_analysis().temp_size_in_bytes / memory.MIB
    return found


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peak", description="Peak memory of every rival.")
    parser.add_argument("--cells", nargs="+", choices=list(GATES), default=["lstm"])
    parser.add_argument("--shapes", nargs="+", type=shape_of, default=[Shape(784, 128, 1, 128)], metavar="T,B,D,H")
    names = [name for name in rivals.RIVALS if name != report.CORES]
    parser.add_argument("--rivals", nargs="+", choices=names, default=names)
    parser.add_argument("--out", type=Path, help="write the result here, as JSON")
    parser.add_argument("--only", choices=names, help="measure this one, in this process, and print it")
    chosen = parser.parse_args(arguments)
    if chosen.only is not None:
        found = peak_of(chosen.only, chosen.cells[0], chosen.shapes[0])
        print(json.dumps(found))
        return found
    rows = []
    for cell in chosen.cells:
        for shape in chosen.shapes:
            entrants: dict[str, Any] = {}
            for name in dict.fromkeys([report.OWN, *chosen.rivals]):
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.peak",
                    "--only",
                    name,
                    "--cells",
                    cell,
                    "--shapes",
                    str(shape),
                ]
                # What is freed goes back to the system at once, so that a second call takes it anew.
                given = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
                run = subprocess.run(command, cwd=machine.ROOT, env=given, capture_output=True, text=True, check=False)
                lines = (run.stdout if run.returncode == 0 else run.stderr).splitlines()
                entrants[name] = (
                    json.loads(lines[-1]) if run.returncode == 0 else {"failed": lines[-1] if lines else ""}
                )
            rows.append({"cell": cell, "shape": list(shape), "entrants": entrants})
    packages = [rivals.load(name).PACKAGE for name in chosen.rivals]
    result = {"kind": "peak", **machine.describe(packages), "clock": "wall", "results": rows}
    report.write(result, chosen.out)
    print(report.markdown(result))
    return result


if __name__ == "__main__":
    main()
