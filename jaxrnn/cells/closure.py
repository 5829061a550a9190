"""Functions that close over arrays, made into functions of those arrays."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun


def close(function: Callable[..., Any], *examples: Any) -> tuple[Callable[..., Any], list[Any]]:
    """`converted` and `captured` with `converted(captured, *args) == function(*args)` for args like the examples.

    A custom derivative must see every array that it depends on; `jax.closure_convert` leaves integers behind.
    """
    jaxpr, shapes = jax.make_jaxpr(function, return_shape=True)(*examples)
    structure = jax.tree.structure(shapes)

    def converted(captured: list[Any], *args: Any) -> Any:
        leaves = jaxpr_as_fun(ClosedJaxpr(jaxpr.jaxpr, captured))(*jax.tree.leaves(args))
        return jax.tree.unflatten(structure, leaves)

    return converted, list(map(jnp.asarray, jaxpr.consts))  # some are numbers


def holds_functions(value: Any) -> bool:
    """Whether a cell, or one within it, has a function among its choices."""
    if isinstance(value, tuple):
        return any(holds_functions(v) for v in value)
    if dataclasses.is_dataclass(value):
        return any(holds_functions(getattr(value, field.name)) for field in dataclasses.fields(value))
    return callable(value)
