"""Metrics as JSON lines: one object a line, written as it happens."""

import json
import math
import os
from pathlib import Path
from typing import Any


def finite(metrics: dict[str, Any]) -> dict[str, Any]:
    """The metrics with None for every number that is not finite, for which JSON has no name."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in metrics.items()}


def append(path: str | os.PathLike, metrics: dict[str, Any]) -> None:
    """Add one line to the file and hand it to the system at once: a kill loses at most the line being written.

    A number that is not finite is written as null.
    """
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(finite(metrics), allow_nan=False) + "\n")


def read(path: str | os.PathLike) -> list[dict[str, Any]]:
    """The lines of a metrics file, in order; null is NaN. A last line that a kill cut short is left out.

    Raises:
        ValueError: a line before the last that is not JSON.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(json.loads(line, object_hook=_with_nan))
        except json.JSONDecodeError as error:
            if number == len(lines) and not line.endswith("\n"):
                break
            raise ValueError(f"{path}: line {number} is not JSON: {error.msg}") from None
    return found


def _with_nan(metrics: dict[str, Any]) -> dict[str, Any]:
    return {k: math.nan if v is None else v for k, v in metrics.items()}
