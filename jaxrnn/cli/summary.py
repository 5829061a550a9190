"""What a run came to, as rows of a name and a value."""

import math
from pathlib import Path
from typing import Any

from jaxrnn.training import Fit


def summarize(result: Fit, compile_seconds: float, seconds: float, folder: Path) -> dict[str, Any]:
    """What a run came to."""
    best = min(result.metrics, key=lambda line: (not line["validation_loss"] < math.inf, line["validation_loss"]))
    return {
        "training bits per character": best["training_loss"] / math.log(2),
        "validation bits per character": best["validation_loss"] / math.log(2),
        "best at step": best["step"],
        "steps": result.steps,
        "characters a second": result.characters_per_second,
        "seconds of compilation": compile_seconds,
        "seconds in all": seconds,
        "run folder": str(folder),
    }


def as_table(rows: dict[str, Any]) -> str:
    """Rows of a name and a value."""

    def text(name: str, value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.3f}" if "bits" in name else f"{value:,.1f}"
        return str(value)

    width = max(map(len, rows))
    return "".join(f"{name:<{width}}  {text(name, value)}\n" for name, value in rows.items())
