"""Tables of the methods beside `Scan`."""

from typing import Any

from benchmarks import tables

BASE = "Scan"


def markdown(result: dict[str, Any]) -> str:
    """The tables of one part."""
    rows = result["results"]
    if result["part"] == "depth":
        return f"{tables.head(result)}\n\n{_depth(rows)}"
    parts = [tables.head(result)]
    commits = sorted({row["commit"][:12] for row in rows if row["commit"] != result["commit"]})
    if commits:
        parts.append(f"Some rows are of commit {', '.join(commits)}.")
    if result["part"] == "grid":
        parts += [_overview(rows, which) for which in ("forward", "training")]
    for which, title in (("forward", "Forward"), ("training", "Training step: loss, gradient, Adam")):
        parts += [f"### {title}\n\n{_explain(which)}", _times(rows, which)]
    if result["left_out"]:
        parts.append(f"Left out, for time or memory: {'; '.join(result['left_out'])}.")
    return "\n\n".join(parts)


def _explain(which: str) -> str:
    what = "outputs" if which == "forward" else "loss and gradients"
    return (
        "Milliseconds: median (quartiles). Faster: Scan's time over the method's, median over the rounds. Difference: "
        f"largest of {what} from Scan's, over the largest entry. Sweeps, residual, windows that fell back, and depth "
        "(steps one after another) are those reported of the forward pass."
    )


def _times(rows: list[dict[str, Any]], which: str) -> str:
    lines = []
    for row in rows:
        for name, entry in row["passes"].get(which, {}).items():
            time, faster = "", ""
            if "median_s" in entry:
                time, faster = tables.quartiles(entry), "" if name == BASE else f"{entry['faster']:.2f}"
            label = row["label"] + (f" ({row['note']})" if row["note"] else "")
            certified = "residual" in entry
            lines.append(
                [
                    label,
                    ", ".join(map(str, row["shape"])),
                    name,
                    time,
                    faster,
                    "" if name == BASE else f"{entry['difference']:.0e}",
                    str(entry.get("sweeps", "")),
                    f"{entry['residual']:.0e}" if certified else "",
                    *(f"{entry[part]:,}" if certified else "" for part in ("fell_back", "depth")),
                    f"{entry['compile_s']:.1f}",
                ]
            )
    head = ["cell", "T, B, D, H", "method", "ms", "faster", "difference", "sweeps", "residual", "fell back", "depth"]
    return tables.table([*head, "seconds to compile"], lines)


def _overview(rows: list[dict[str, Any]], which: str) -> str:
    """Scan's time over Shooting's, by sizes."""
    timed = [row for row in rows if "faster" in row["passes"].get(which, {}).get("Shooting", {})]
    steps = sorted({row["shape"][0] for row in timed})
    names = sorted({(row["label"], row["shape"][3], row["shape"][1]) for row in timed})
    found = {(row["label"], row["shape"][3], row["shape"][1], row["shape"][0]): row for row in timed}
    lines = []
    for name in names:
        cells = []
        for length in steps:
            row = found.get((*name, length))
            entry = row["passes"][which]["Shooting"] if row else None
            cells.append(f"{entry['faster']:.2f} ({entry['sweeps']})" if entry else "")
        lines.append([name[0], str(name[1]), str(name[2]), *cells])
    title = f"### Scan's time over Shooting's, {which} (sweeps)"
    return f"{title}\n\n" + tables.table(["cell", "H", "B", *(f"T = {length:,}" for length in steps)], lines)


def _depth(rows: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row["methods"]))
    lines = []
    for row in rows:
        cells = []
        for name in names:
            entry = row["methods"].get(name, {})
            note = f" ({entry['sweeps']})" if "sweeps" in entry else ""
            note += f", {entry['fell_back']} fell back" if entry.get("fell_back") else ""
            cells.append(f"{entry['depth']:,}{note}" if entry else "")
        lines.append([f"{row['steps']:,}", *cells])
    return (
        "### Steps one after another (sweeps, or Newton steps)\n\nCounted in the program or reported by it, of "
        "GRU(4, 16), and of MinGRU(4, 16) for Associative; batch 1.\n\n" + tables.table(["τ", *names], lines)
    )
