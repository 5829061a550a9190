"""Where the time of a pass goes: products, pointwise kernels, copies, from JAX's profiler.

    python -m benchmarks.profile lstm:128,32,64,128:gradient elman:784,128,1,128:forward

Pointwise kernels and copies are timed one by one. Products are what is left of the whole: some are handed to threads,
and their own times end when that is done.
"""

import argparse
import re
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks import rivals, tables
from benchmarks.against_rivals import shape_of
from benchmarks.report import CORES
from benchmarks.task import GATES, Shape, draw

CALLS = 5
PASSES = "forward", "gradient"  # one program each
TRACED: Any = {"xla_cpu_enable_xprof_traceme": True}
KINDS = "pointwise", "slices and copies"
PRODUCT = re.compile(r" dot\(|__ynn_fusion|custom-call\(")
LOOP = re.compile(r" (?:while|call|tuple)\(")
COPY = re.compile(r" (?:copy|transpose|broadcast|concatenate|dynamic-slice|dynamic-update-slice|slice)\(")
MOVES = "wrapped|bitcast|copy|transpose|broadcast|concatenate|dynamic-slice|dynamic-update-slice|slice|fusion"
MOVING = re.compile(rf"^(?:(?:{MOVES})[_.\d]*)+$")  # a fusion is named after what it fuses


def kind_of(name: str, line: str) -> str | None:
    """What an instruction of a compiled program is; None of a product, or a loop, whose kernels count themselves."""
    if PRODUCT.search(line) or LOOP.search(line):
        return None
    return "slices and copies" if COPY.search(line) or MOVING.match(name) else "pointwise"


def profile(cell: str, shape: Shape, which: str, rival: str = "jaxrnn") -> dict[str, float]:
    """Seconds a call: whole, and by kind of kernel."""
    entrant = rivals.load(rival).build(draw(cell, shape), "cpu")
    compiled = getattr(entrant, which).lower(entrant.params, entrant.xs).compile(TRACED)
    named = re.findall(r"^\s+(?:ROOT )?%([\w.-]+) = (.*)$", compiled.as_text(), re.MULTILINE)
    kinds = {name: kind_of(name, line) for name, line in named}
    entrant.wait(compiled(entrant.params, entrant.xs))
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            begin = time.perf_counter()
            for _ in range(CALLS):
                entrant.wait(compiled(entrant.params, entrant.xs))
            whole = time.perf_counter() - begin
        (file,) = Path(folder).rglob("*.xplane.pb")
        planes = jax.profiler.ProfileData.from_file(str(file)).planes
        for event in (event for plane in planes for line in plane.lines for event in line.events):
            kind = kinds.get(event.name)
            if kind:
                found[kind] += event.duration_ns
    return {"whole": whole / CALLS} | {kind: found[kind] / CALLS / 1e9 for kind in KINDS}


def _wanted(text: str) -> tuple[str, Shape, str]:
    """CELL:T,B,D,H:PASS as the command line has it."""
    parts = text.split(":")
    if len(parts) != 3 or parts[0] not in GATES or parts[2] not in PASSES:
        raise argparse.ArgumentTypeError(
            f"{text!r}: pass CELL:T,B,D,H:PASS, such as lstm:128,32,64,128:forward; passes are {', '.join(PASSES)}"
        )
    return parts[0], shape_of(parts[1]), parts[2]


def main(arguments: Sequence[str] | None = None) -> str:
    """Print a table of what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description="Where the time of a pass goes.")
    parser.add_argument("passes", nargs="+", type=_wanted, metavar="CELL:T,B,D,H:PASS")
    parser.add_argument(
        "--rivals", nargs="+", choices=[name for name in rivals.RIVALS if name not in ("torch", CORES)], default=[]
    )
    chosen = parser.parse_args(arguments)
    rows = []
    for cell, shape, which in chosen.passes:
        for name in ("jaxrnn", *chosen.rivals):
            seconds = profile(cell, shape, which, name)
            whole = seconds.pop("whole")
            parts = [whole - sum(seconds.values()), *seconds.values()]
            shares = [f"{tables.milliseconds(s)} ({100 * s / whole:.0f} %)" for s in parts]
            rows.append([cell, ", ".join(map(str, shape)), which, name, tables.milliseconds(whole), *shares])
    text = tables.table(["cell", "T, B, D, H", "pass", "", "ms", "products", *KINDS], rows)
    print(text)
    return text


if __name__ == "__main__":
    main()
