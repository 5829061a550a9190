"""Tables from results.

python -m benchmarks.report benchmarks/results/NAME.json > benchmarks/results/NAME.md
"""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report_methods, report_more, tables

OWN = "jaxrnn"
CORES = "jaxrnn-cores"  # the same on a device for each core: no rival
NOT_JAX = ("torch",)
PASSES = {
    "forward": "Forward",
    "gradient": "Forward and backward",
    "training": "Training step",
}


def markdown(result: dict[str, Any]) -> str:
    """The tables of one result."""
    kinds = {
        "speed": _speed,
        "memory": _memory,
        "methods": report_methods.markdown,
        "generation": report_more.generation,
        "peak": report_more.peak,
        "scaling": report_more.scaling,
        "compile": report_more.compilation,
    }
    return kinds[result["kind"]](result)


def write(result: dict[str, Any], out: Path | None) -> None:
    """A result as a file, if one was asked for; its folder is made."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n")


def fastest(
    entrants: dict[str, Any], which: str, leave: Sequence[str] = (), base: str = OWN
) -> tuple[str, float] | None:
    """The fastest rival, and its time over that of `base`: below 1 where it is faster."""
    if which not in entrants.get(base, {}):
        return None
    ratios = {
        name: entry[which]["ratio"] / entrants[base][which]["ratio"]
        for name, entry in entrants.items()
        if name not in (OWN, CORES, *leave) and which in entry
    }
    return min(ratios.items(), key=lambda item: item[1]) if ratios else None


def _speed(result: dict[str, Any]) -> str:
    rows = result["results"]
    names = list(dict.fromkeys(name for row in rows for name in row["entrants"] if name != OWN))
    parts = [tables.head(result)]
    parts += [f"Absent: {name} ({why})." for name, why in result["absent"].items()]
    names = [name for name in names if any(set(PASSES) & set(row["entrants"].get(name, {})) for row in rows)] or names
    commits = sorted({row.get("commit", result["commit"])[:12] for row in rows})
    parts += [f"Rows were measured at commit {', '.join(commits)}."] if commits != [result["commit"][:12]] else []
    for which, title in PASSES.items():
        if not any(which in row["entrants"][OWN] for row in rows):
            continue
        parts += [
            f"### {title}\n\njaxrnn: milliseconds, median (first to third quartile). Others: their time over jaxrnn's, "
            "median over the rounds; above 1, jaxrnn is faster.",
            _times(rows, names, which),
            *_verdicts(rows, which),
        ]
    parts += [
        f"### Share of the machine's matrix-product rate, {_passes(rows)}\n\nOperations of the matrix products alone, "
        "over time, over the faster of JAX's and PyTorch's product of square matrices in the same run: " + _rates(rows),
        _each(rows, [OWN, *names], lambda entry: f"{100 * entry['of_peak']:.0f} %"),
        f"### Largest error, {_passes(rows)}\n\nLargest difference over largest entry, against float64: of outputs, of "
        "gradients, and of the gradients that Adam was given.",
        _each(rows, [OWN, *names], lambda entry: f"{entry['error']:.0e}"),
        f"### Seconds of the first call (tracing, compilation, one run), {_passes(rows)}",
        _each(rows, [OWN, *names], lambda entry: f"{entry['first_call_s']:.2f}"),
        "### How each is run",
        _notes(rows, [OWN, *names]),
    ]
    return "\n\n".join(parts)


def _label(row: dict[str, Any]) -> list[str]:
    return [row["cell"], ", ".join(map(str, row["shape"]))]


def _times(rows: list[dict[str, Any]], names: list[str], which: str) -> str:
    lines = []
    for row in rows:
        own = row["entrants"][OWN].get(which)
        if own is None:
            continue
        cells = [tables.quartiles(own)]
        for name in names:
            entry = row["entrants"].get(name, {})
            cells.append(f"{entry[which]['ratio']:.2f}" if which in entry else "failed" if "failed" in entry else "")
        lines.append([*_label(row), str(own.get("rounds", row.get("rounds"))), *cells])
    return tables.table(["cell", "T, B, D, H", "rounds", OWN, *names], lines)


def _verdicts(rows: list[dict[str, Any]], which: str) -> list[str]:
    """Against the fastest JAX rival and against the fastest of all: the mean, and where jaxrnn is slower."""
    texts = []
    kinds = (
        ("Against the fastest JAX rival", NOT_JAX, OWN),
        ("Against the fastest rival of all", (), OWN),
        (f"{CORES} against the fastest rival of all", (), CORES),
    )
    for title, leave, base in kinds:
        found = [(row, fastest(row["entrants"], which, leave, base)) for row in rows]
        ratios = [(row, *best) for row, best in found if best is not None]
        if not ratios:
            continue
        mean = math.exp(sum(math.log(value) for *_, value in ratios) / len(ratios))
        slower = [
            f"{row['cell']} {tuple(row['shape'])} ({name}: {value:.2f})" for row, name, value in ratios if value < 1
        ]
        texts.append(
            f"{title}: {mean:.2f} times as fast in geometric mean; slower in {len(slower)} of {len(ratios)}"
            + (": " + "; ".join(slower) if slower else "")
            + "."
        )
    return texts


def _passes(rows: list[dict[str, Any]]) -> str:
    titles = {"forward": "forward", "gradient": "forward and backward", "training": "training step"}
    return " / ".join(title for which, title in titles.items() if any(which in row["entrants"][OWN] for row in rows))


def _rates(rows: list[dict[str, Any]]) -> str:
    rates = [max(row["matrix_product_GFLOPs"].values()) for row in rows]
    return f"{min(rates):.0f} to {max(rates):.0f} GFLOP/s."


def _each(rows: list[dict[str, Any]], names: list[str], show: Callable[[dict[str, Any]], str]) -> str:
    lines = []
    for row in rows:
        cells = []
        for name in names:
            entry = row["entrants"].get(name, {})
            shown = [show(entry[which]) for which in PASSES if which in entry]
            cells.append(" / ".join(shown) or ("failed" if "failed" in entry else ""))
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
