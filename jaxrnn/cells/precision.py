"""How exactly matrix products are computed: JAX's setting, in force on the way back too."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import jax

Result = TypeVar("Result")


def as_here(function: Callable[..., Result]) -> Callable[..., Result]:
    """The function with the setting that is in force here, wherever it is traced."""
    setting = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]

    @wraps(function)
    def traced(*arguments: Any) -> Result:
        with jax.default_matmul_precision(setting):
            return function(*arguments)

    return traced
