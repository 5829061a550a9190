"""What the tables of all results have in common."""

from collections.abc import Sequence
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under a head, in Markdown."""
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def head(result: dict[str, Any]) -> str:
    """What a result was measured on, and with."""
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    clock = " Seconds are processor time of all threads, not wall-clock time." if result.get("clock") == "cpu" else ""
    products = f" Matrix products in {result['precision']}, where the device can." if result.get("precision") else ""
    changed = " with uncommitted changes" if result["uncommitted_changes"] else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_GiB']} GiB; JAX on {machine['devices']} x "
        f"{machine['device']}. {versions}. Commit {result['commit'][:12]}{changed}. Load of the machine before: "
        f"{result['load_average_before']:.1f}. `{result['command']}`.{clock}{products}"
    )


def milliseconds(seconds: float) -> str:
    """Three digits."""
    return f"{1e3 * seconds:.3g}"


def quartiles(entry: dict[str, Any]) -> str:
    """Milliseconds: median (first to third quartile)."""
    median, lower, upper = (milliseconds(entry[f"{part}_s"]) for part in ("median", "lower", "upper"))
    return f"{median} ({lower} to {upper})"
