"""Figures from results: bars by rival for the race, curves for what was measured over T, B and H.

python -m benchmarks.plots benchmarks/results/NAME.json benchmarks/results/NAME-scaling.json --out docs/figures
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import tables
from benchmarks.report import CORES, OWN, PASSES

# Okabe and Ito's colours, which all kinds of colour vision tell apart.
BLUE, SKY, VERMILION, GREY, DARK = "#0072B2", "#56B4E9", "#D55E00", "#BBBBBB", "#444444"
WIDEST = 3.0  # times jaxrnn's: longer bars end here, with their figure
AXES = {"time": "steps, T", "batch": "sequences, B", "hidden": "units, H"}
# The same bytes from the same result: no date, no random names; text stays text.
STYLE: Any = {
    "svg.hashsalt": "jaxrnn",
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.linewidth": 0.6,
}


def race(result: dict[str, Any], which: str) -> Figure:
    """Times of one pass over jaxrnn's: a panel for each shape and cell, a bar for each entrant."""
    rows = [row for row in result["results"] if which in row["entrants"][OWN]]
    shapes = list(dict.fromkeys(tuple(row["shape"]) for row in rows))
    cells = [cell for cell in ("elman", "lstm", "gru") if any(row["cell"] == cell for row in rows)]
    raced = dict.fromkeys(name for row in rows for name, entry in row["entrants"].items() if which in entry)
    names = [OWN, *([CORES] if CORES in raced else []), *(name for name in raced if name not in (OWN, CORES))]
    size = 1 + 2.2 * len(cells), 0.5 + len(shapes) * (0.35 + 0.14 * len(names))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(shapes), len(cells), squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    for row in rows:
        down, across = shapes.index(tuple(row["shape"])), cells.index(row["cell"])
        axes = panels[down, across]
        axes.axis("on")
        _bars(axes, row, which, names)
        axes.set_yticks(*(((), ()) if across else (range(len(names)), names)))
        axes.set_xticks(range(4) if down == len(shapes) - 1 else ())
    title = f"{PASSES[which]}: time over jaxrnn's on one device (beside its own bar, milliseconds); orange is faster"
    figure.supxlabel(title, fontsize=8)
    return figure


def _bars(axes: Axes, row: dict[str, Any], which: str, names: Sequence[str]) -> None:
    axes.set_title(f"{row['cell']}  {', '.join(map(str, row['shape']))}", fontsize=8, loc="left", pad=2)
    for place, name in enumerate(names):
        entry = row["entrants"].get(name, {}).get(which)
        if entry is None:
            continue
        ratio = entry["ratio"]
        own = {OWN: BLUE, CORES: SKY}.get(name)
        colour = own or (VERMILION if round(ratio, 2) < 1 else GREY)
        axes.barh(place, min(ratio, WIDEST), color=colour, height=0.75, clip_on=False)
        text = f"{float(tables.milliseconds(entry['median_s'])):g} ms" if name == OWN else f"{ratio:.2f}"
        inside = ratio > WIDEST - 0.5
        axes.annotate(
            text,
            (min(ratio, WIDEST), place),
            (-3 if inside else 3, 0),
            textcoords="offset points",
            ha="right" if inside else "left",
            va="center_baseline",
            fontsize=6.5,
            color="black" if inside else DARK,
        )
    axes.axvline(1, color=BLUE, linewidth=0.6, zorder=0, clip_on=False)
    axes.set(xlim=(0, WIDEST), ylim=(len(names) - 0.4, -0.6))
    axes.tick_params(length=0, labelsize=7)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def scaling(result: dict[str, Any]) -> Figure:
    """Milliseconds over T, B and H: a panel for each, a line for each entrant, and its quartiles."""
    varied = result["axes"]
    figure = Figure(figsize=(8.4, 3), layout="constrained")
    colours = dict.fromkeys(name for points in varied.values() for p in points for name in p["entrants"])
    others = iter((VERMILION, "#009E73", "#CC79A7", DARK, "#E69F00", SKY))
    colours = {name: BLUE if name == OWN else next(others, GREY) for name in colours}
    for axes, (axis, points) in zip(figure.subplots(1, len(varied), squeeze=False).flat, varied.items(), strict=True):
        sizes, ends = [p["size"] for p in points], {}
        for name in points[0]["entrants"]:
            lower, median, upper = (
                1e3 * np.array([p["entrants"][name][f"{part}_s"] for p in points])
                for part in ("lower", "median", "upper")
            )
            own = name == OWN
            axes.plot(sizes, median, color=colours[name], lw=2.2 if own else 1.1, marker="o", ms=4 if own else 2.5)
            axes.fill_between(sizes, lower, upper, color=colours[name], alpha=0.15, linewidth=0)
            ends[name] = median[-1]
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.set_xlabel(AXES[axis])
        if axis == next(iter(varied)):
            axes.set_ylabel(f"{result['cell']}, forward and backward, ms")
        axes.minorticks_off()
        axes.grid(alpha=0.25, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        _label_ends(axes, ends, colours, sizes[-1])
    return figure


def _label_ends(axes: Axes, ends: dict[str, float], colours: dict[str, str], x: float) -> None:
    """Names at the ends of the lines, in their order, a line of text apart at least."""
    low, high = np.log(axes.get_ylim())
    apart, place = 0.065 * (high - low), -np.inf
    for name, end in sorted(ends.items(), key=lambda item: item[1]):
        place = max(np.log(end), place + apart)
        axes.annotate(
            name,
            (x, np.exp(place)),
            (5, 0),
            textcoords="offset points",
            va="center",
            color=colours[name],
            fontweight="bold" if name == OWN else "normal",
            annotation_clip=False,
        )


def figures(result: dict[str, Any]) -> dict[str, Figure]:
    """The figures of a result, by what their files' names end in."""
    if result["kind"] == "speed":
        passes = [which for which in PASSES if any(which in row["entrants"][OWN] for row in result["results"])]
        return {which: race(result, which) for which in passes}
    if result["kind"] == "scaling":
        return {"": scaling(result)}
    raise SystemExit(f"there are figures of the race and of scaling, none of a result of kind {result['kind']!r}")


def main(arguments: Sequence[str] | None = None) -> list[Path]:
    """Write the figures of the files named; what they are called."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plots", description="Figures from results.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures, NAME-PASS.svg")
    parser.add_argument("--format", choices=["svg", "png"], default="svg")
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    written = []
    with matplotlib.rc_context(STYLE):
        for file in chosen.files:
            for part, figure in figures(json.loads(file.read_text())).items():
                path = chosen.out / f"{'-'.join(filter(None, (file.stem, part)))}.{chosen.format}"
                about = {"Date": None} if chosen.format == "svg" else {}
                figure.savefig(path, dpi=150, metadata=about, facecolor="white")
                written.append(path)
                print(path)
    return written


if __name__ == "__main__":
    main()
