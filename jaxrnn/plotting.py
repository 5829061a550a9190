"""Figures. Each function returns one of its own, without touching pyplot: show it, or `savefig` it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
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


def sensitivity(norms: Any) -> Figure:
    """‖∂s(t)/∂s(s)‖ of all pairs of times, its logarithm as a colour: 0, the middle of the colours, keeps a length.

    Args:
        norms: `(time, time)`, as `diagnostics.sensitivity` returns them.

    Example:
        sensitivity(diagnostics.sensitivity(cell, params, xs)).savefig("sensitivity.png")
    """
    norms = np.asarray(norms, np.float64)
    if norms.ndim != 2:
        raise ValueError(f"sensitivity: norms must be (time, time), of one sequence, got shape {norms.shape}")
    logarithms = np.ma.log10(np.ma.masked_less_equal(norms, 0))
    limit = min(12.0, float(np.abs(np.ma.filled(logarithms, 0)).max(initial=1.0)))
    figure = Figure(figsize=(4.5, 4), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(
        logarithms, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=(0.5, len(norms) + 0.5, len(norms) - 0.5, -0.5)
    )
    axes.set_xlabel("t")
    axes.set_ylabel("s")
    figure.colorbar(image, label="log₁₀ ‖∂s(t)/∂s(s)‖")
    return figure


def attention(weights: Any, written: Sequence[str], read: Sequence[str]) -> Figure:
    """What a decoder looked at as it wrote: a row for each symbol written, a column for each one read, dark for much.

    Args:
        weights: `(written, read)`, α of each item at each step, from 0 to 1.
        written: the names of the symbols written, in order.
        read: the names of the items, in order.

    Example:
        attention(model.attention(params, pairs)[:, 0], ["K", "AE", "T", "end"], "cat").savefig("attention.png")
    """
    weights = np.asarray(weights, np.float64)
    if weights.shape != (len(written), len(read)):
        raise ValueError(
            f"attention: weights must be (written, read) = ({len(written)}, {len(read)}), of one sequence, got shape "
            f"{weights.shape}"
        )
    figure = Figure(figsize=(1 + 0.35 * len(read), 1 + 0.35 * len(written)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(weights, cmap="Greys", vmin=0, vmax=1)
    axes.set_xticks(range(len(read)), labels=list(read))
    axes.set_yticks(range(len(written)), labels=list(written))
    axes.set_xlabel("read")
    axes.set_ylabel("written")
    return figure


def over_time(norms: Mapping[str, Any], label: str) -> Figure:
    """Norms against time, on a logarithmic axis: a line for each name.

    Args:
        norms: `(time,)` for each name, such as `diagnostics.gradient_norms` of several cells.
        label: of the axis of norms.

    Example:
        over_time({"Elman": gradient_norms(cell, params, xs, loss)}, "‖∂L/∂s(t)‖").savefig("gradients.png")
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, values in norms.items():
        values = np.asarray(values, np.float64)
        if values.ndim != 1:
            raise ValueError(f"over_time: norms must be (time,), of one sequence, got shape {values.shape} of {name!r}")
        axes.plot(np.arange(1, len(values) + 1), values, label=name)
    axes.set_yscale("log")
    axes.set_xlabel("t")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    if norms:
        axes.legend()
    return figure
