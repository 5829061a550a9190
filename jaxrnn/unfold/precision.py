"""How exactly matrix products are computed."""

import contextlib
from typing import Any

import jax

# bfloat16 operands, float32 sums and results: what "bfloat16" alone means to JAX is for a TPU to say.
SETTINGS = {"float32": "float32", "tensorfloat32": "tensorfloat32", "bfloat16": "BF16_BF16_F32"}


def products(precision: str | None) -> contextlib.AbstractContextManager[Any]:
    """What is traced within has its products computed so; None leaves JAX's setting as it is."""
    return contextlib.nullcontext() if precision is None else jax.default_matmul_precision(SETTINGS[precision])
