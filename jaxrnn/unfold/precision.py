"""How exactly matrix products are computed: JAX's setting, in force on the way back too."""

import contextlib
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import jax

Result = TypeVar("Result")

# bfloat16 operands, float32 sums and results: what "bfloat16" alone means to JAX is for a TPU to say.
SETTINGS = {"float32": "float32", "tensorfloat32": "tensorfloat32", "bfloat16": "BF16_BF16_F32"}


def products(precision: str | None) -> contextlib.AbstractContextManager[Any]:
    """What is traced within has its products computed so; None leaves JAX's setting as it is."""
    return contextlib.nullcontext() if precision is None else jax.default_matmul_precision(SETTINGS[precision])


def as_here(function: Callable[..., Result]) -> Callable[..., Result]:
    """The function with the setting that is in force here, wherever it is traced."""
    setting = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]

    @wraps(function)
    def traced(*arguments: Any) -> Result:
        with jax.default_matmul_precision(setting):
            return function(*arguments)

    return traced
