"""Tables of what is not the race over cells and shapes: generation, peak memory, scaling, compilation."""

from typing import Any

from benchmarks import tables


def generation(result: dict[str, Any]) -> str:
    """Symbols a second of every entrant."""
    rows = [
        [
            name,
            f"{1 / entry['median_s']:,.0f}",
            f"{1e6 * entry['median_s']:.0f} ({1e6 * entry['lower_s']:.0f} to {1e6 * entry['upper_s']:.0f})",
            f"{entry['ratio']:.2f}",
            f"{entry['same']} of {entry['of']}",
            f"{entry['first_call_s']:.1f}",
        ]
        for name, entry in result["entrants"].items()
    ]
    head = [
        "",
        "symbols a second",
        "μs a symbol, median (quartiles)",
        "time over jaxrnn's",
        "as float64",
        "first call, s",
    ]
    return "\n\n".join(
        [
            tables.head(result),
            f"{result['net']}, batch 1, {result['steps']} symbols a turn, drawn from softmax(logits). As float64: how "
            "many of the first symbols are the same where the likeliest is always taken.",
            tables.table(head, rows),
        ]
    )


def peak(result: dict[str, Any]) -> str:
    """Peak memory of the gradient of every entrant."""
    rows = []
    for row in result["results"]:
        for name, entry in row["entrants"].items():
            if "failed" in entry:
                rows.append([row["cell"], ", ".join(map(str, row["shape"])), name, "failed", ""])
                continue
            xla = f"{entry['xla_temporaries_MiB']:.1f}" if "xla_temporaries_MiB" in entry else ""
            rows.append([row["cell"], ", ".join(map(str, row["shape"])), name, f"{entry['peak_MiB']:.1f}", xla])
    text = (
        "Forward and backward, each in a process of its own: resident memory at the peak of a second call above what "
        "the process held before it, and XLA's own count of temporaries."
    )
    head = ["cell", "T, B, D, H", "", "peak, MiB", "XLA's temporaries, MiB"]
    return "\n\n".join([tables.head(result), text, tables.table(head, rows)])


def scaling(result: dict[str, Any]) -> str:
    """Times over T, B and H."""
    parts = [tables.head(result), result["text"]]
    for axis, points in result["axes"].items():
        names = list(points[0]["entrants"])
        rows = [
            [str(p["size"]), *(tables.milliseconds(p["entrants"][name]["median_s"]) for name in names)] for p in points
        ]
        parts.append(tables.table([axis, *names], rows))
    return "\n\n".join(parts)


def compilation(result: dict[str, Any]) -> str:
    """Seconds to compile a training step of each cell."""
    rows = [[row["cell"], f"{row['trace_s']:.2f}", f"{row['compile_s']:.2f}"] for row in result["results"]]
    text = (
        "A training step, Adam on the mean of the squares of all outputs, of each cell that comes with the package: "
        f"{result['sizes']}. Seconds of one core that others may use too."
    )
    imports = [f"{s:.2f}" for s in result.get("import_s", [])]
    after = f"`import jaxrnn` takes {' / '.join(imports)} s after `import jax` ({len(imports)} processes)."
    table = tables.table(["cell", "to trace", "to compile"], rows)
    return "\n\n".join([tables.head(result), text, table, *([after] if imports else [])])
