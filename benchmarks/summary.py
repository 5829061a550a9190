"""What a method reports, and how far it is from another, as numbers that JSON holds."""

from typing import Any

import jax
import numpy as np

from jaxrnn import Certificate


def certificate(info: Any) -> dict[str, float]:
    """Of all layers: the most sweeps, the largest residual, windows that fell back, steps in turn; none of `Scan`."""
    found = jax.tree.leaves(info, is_leaf=lambda node: isinstance(node, Certificate))
    if not found:
        return {}
    return {
        "sweeps": int(max(c.sweeps for c in found)),
        "residual": float(np.max([c.residual for c in found])),
        "fell_back": int(sum(c.fell_back for c in found)),
        "depth": int(sum(c.depth for c in found)),
    }


def difference(found: Any, expected: Any) -> float:
    """The largest difference in terms of the largest entry, of the array where it is largest."""
    worst = 0.0
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        gap, size = np.abs(a - b).max(initial=0), np.abs(b).max(initial=0)
        worst = max(worst, float(gap / size) if size else float(gap))
    return worst
