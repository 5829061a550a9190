"""Input that cannot be used, told apart from what fails on the way."""

from collections.abc import Callable
from typing import Any

import jax

REFUSALS = (
    ValueError,
    TypeError,
    OSError,
    OverflowError,
    RecursionError,
    NotImplementedError,
    MemoryError,
    jax.errors.JaxRuntimeError,  # not enough memory, mostly
)


class BadInputError(Exception):
    """What was given cannot be used; the message says why."""


def checked(make: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """Call a function that checks what the user gave; what it refuses is bad input."""
    try:
        return make(*args, **keywords)
    except REFUSALS as error:
        raise BadInputError(str(error) or type(error).__name__) from error
