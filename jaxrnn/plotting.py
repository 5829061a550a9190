"""Figures. Each function returns one of its own, without touching pyplot: show it, or `savefig` it."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure


def curves(metrics: Sequence[dict[str, Any]]) -> Figure:
    """Training and validation loss in bits (nats / log 2) a character, against steps.

    Args:
        metrics: lines as in `Fit.metrics` or in "metrics.jsonl".

    Example:
        curves(result.metrics).savefig("curves.png")
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name in ("training", "validation"):
        points = [(m["step"], m[f"{name}_loss"] / math.log(2)) for m in metrics if f"{name}_loss" in m]
        if points:
            axes.plot(*zip(*points, strict=True), marker=".", label=name)
            axes.legend()
    axes.set_xlabel("steps")
    axes.set_ylabel("bits per character")
    axes.grid(alpha=0.3)
    return figure
