"""Tables from results.

python -m benchmarks.report benchmarks/results/NAME.json > benchmarks/results/NAME.md
"""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report_methods, tables

OWN = "jaxrnn"
NOT_JAX = ("torch",)


def markdown(result: dict[str, Any]) -> str:
    """The tables of one result."""
    return {"speed": _speed, "memory": _memory, "methods": report_methods.markdown}[result["kind"]](result)


def fastest(entrants: dict[str, Any], which: str, leave: Sequence[str] = ()) -> tuple[str, float] | None:
    """The fastest rival, and its time over jaxrnn's: below 1 where it is faster."""
    ratios = {
        name: entry[which]["ratio"]
        for name, entry in entrants.items()
        if name != OWN and name not in leave and "failed" not in entry
    }
    return min(ratios.items(), key=lambda item: item[1]) if ratios else None


def _speed(result: dict[str, Any]) -> str:
    rows = result["results"]
    names = list(dict.fromkeys(name for row in rows for name in row["entrants"] if name != OWN))
    parts = [tables.head(result)]
    parts += [f"Absent: {name} ({why})." for name, why in result["absent"].items()]
    for which, title in (("forward", "Forward"), ("gradient", "Forward and backward")):
        parts += [
            f"### {title}\n\njaxrnn: milliseconds, median (first to third quartile). Rivals: their time over jaxrnn's, "
            "median over the rounds; above 1, jaxrnn is faster.",
            _times(rows, names, which),
            *_verdicts(rows, which),
        ]
    parts += [
        "### Share of the machine's matrix-product rate, forward / forward and backward\n\nOperations of the matrix "
        "products alone, over time, over the faster of JAX's and PyTorch's product of square matrices in the same run.",
        _each(rows, [OWN, *names], lambda e, w: f"{100 * e[w]['of_peak']:.0f} %"),
        "### Largest error of outputs / of gradients, against float64\n\nLargest difference over largest entry.",
        _each(rows, [OWN, *names], lambda e, w: f"{e[w]['error']:.0e}"),
        "### Seconds of the first call (tracing, compilation, one run), forward / forward and backward",
        _each(rows, [OWN, *names], lambda e, w: f"{e[w]['first_call_s']:.2f}"),
        "### How each is run",
        _notes(rows, [OWN, *names]),
    ]
    return "\n\n".join(parts)


def _label(row: dict[str, Any]) -> list[str]:
    return [row["cell"], ", ".join(map(str, row["shape"]))]


def _times(rows: list[dict[str, Any]], names: list[str], which: str) -> str:
    lines = []
    for row in rows:
        own = row["entrants"][OWN][which]
        cells = [tables.quartiles(own)]
        for name in names:
            entry = row["entrants"].get(name, {"failed": "absent"})
            cells.append("failed" if "failed" in entry else f"{entry[which]['ratio']:.2f}")
        lines.append([*_label(row), str(row["rounds"]), *cells])
    return tables.table(["cell", "T, B, D, H", "rounds", OWN, *names], lines)


def _verdicts(rows: list[dict[str, Any]], which: str) -> list[str]:
    """Against the fastest JAX rival and against the fastest of all: the mean, and where jaxrnn is slower."""
    texts = []
    for title, leave in (("the fastest JAX rival", NOT_JAX), ("the fastest rival of all", ())):
        found = [(row, fastest(row["entrants"], which, leave)) for row in rows]
        ratios = [(row, *best) for row, best in found if best is not None]
        if not ratios:
            continue
        mean = math.exp(sum(math.log(value) for *_, value in ratios) / len(ratios))
        slower = [
            f"{row['cell']} {tuple(row['shape'])} ({name}: {value:.2f})" for row, name, value in ratios if value < 1
        ]
        texts.append(
            f"Against {title}: {mean:.2f} times as fast in geometric mean; slower in {len(slower)} of {len(ratios)}"
            + (": " + "; ".join(slower) if slower else "")
            + "."
        )
    return texts


def _each(rows: list[dict[str, Any]], names: list[str], show: Callable[[dict[str, Any], str], str]) -> str:
    lines = []
    for row in rows:
        cells = []
        for name in names:
            entry = row["entrants"].get(name, {"failed": "absent"})
            cells.append("failed" if "failed" in entry else f"{show(entry, 'forward')} / {show(entry, 'gradient')}")
        lines.append([*_label(row), *cells])
    return tables.table(["cell", "T, B, D, H", *names], lines)


def _notes(rows: list[dict[str, Any]], names: list[str]) -> str:
    lines = []
    for name in names:
        notes = dict.fromkeys(
            row["entrants"][name].get("note") or f"failed: {row['entrants'][name]['failed']}"
            for row in rows
            if name in row["entrants"]
        )
        lines.append(f"- {name}: " + " / ".join(notes))
    return "\n".join(lines)


def _memory(result: dict[str, Any]) -> str:
    adjoints, rounds = result["adjoints"], result["rounds"]
    plain = adjoints["Autodiff"]
    rows, lines = [], []
    for name, entry in adjoints.items():
        if rounds:
            seconds = f"{entry['median_s']:.2f} ({entry['lower_s']:.2f} to {entry['upper_s']:.2f})"
            first = entry["first_call_s"]
        else:
            seconds, first = f"{entry['step_s']:.2f}", entry["compile_s"] + entry["step_s"]
        sizes = [entry[part] for part in ("step_MiB", "compile_and_step_MiB", "xla_temporaries_MiB")]
        rows.append([name, *(f"{size:.1f}" for size in sizes), seconds, f"{first:.1f}"])
        if entry is not plain:
            of_peak, of_temporaries = (entry[part] / plain[part] for part in ("step_MiB", "xla_temporaries_MiB"))
            time = entry["time_ratio"] if rounds else entry["step_s"] / plain["step_s"]
            lines.append(
                f"{name} over Autodiff: {of_peak:.4f} of the peak of the step, {of_temporaries:.4f} of XLA's "
                f"temporaries, {time:.2f} times the time."
            )
    head = [
        "adjoint",
        "peak of the step, MiB",
        "peak of compilation and step, MiB",
        "XLA's temporaries, MiB",
        "seconds a step, median (quartiles)" if rounds else "seconds of one step",
        "seconds of the first call",
    ]
    timed = f"of all in one process, in turns, {rounds} rounds" if rounds else "of one step, in its own process"
    return "\n\n".join(
        [
            tables.head(result),
            f"One training step of {result['cell']}, {result['steps']} steps, batch 1, `emit=None`, loss on the final "
            f"state. Peaks are resident memory above what the process held before, each adjoint in its own process; "
            f"times are {timed}.",
            tables.table(head, rows),
            "\n".join(lines),
        ]
    )


def main() -> None:
    """Print the tables of the files named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    for file in parser.parse_args().files:
        print(f"## {file.stem}\n\n{markdown(json.loads(file.read_text()))}\n")


if __name__ == "__main__":
    main()
