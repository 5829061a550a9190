"""Checks that a cell makes of its sizes and of what it is given, before any arithmetic."""

import math
import numbers
import operator
from typing import Any

import jax
import jax.numpy as jnp
from jax import core


def whole_number(name: str, value: Any, least: int) -> int:
    """The value as an int; raise unless it is a whole number of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    return number


def at_least(owner: object, least: int, **sizes: int) -> None:
    """Raise unless every named size is a whole number of at least `least`; the owner's fields of these become ints.

    So a size that is an integer of NumPy goes wherever an int does: other libraries ask for one.
    """
    for field, size in sizes.items():
        whole = whole_number(f"{type(owner).__name__}: {field}", size, least)
        if getattr(owner, field) is size:  # not one of several sizes in a tuple
            object.__setattr__(owner, field, whole)


def positive(owner: object, **sizes: int) -> None:
    """`at_least` 1."""
    at_least(owner, 1, **sizes)


def number(
    owner: object,
    name: str,
    value: Any,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
) -> None:
    """Raise unless the value is a number within its limits. The owner has the value, or is a function's name."""
    owner = owner if isinstance(owner, str) else type(owner).__name__
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{owner}: {name} must be a number, got {value!r}")
    if not (least <= float(value) <= most and above < float(value) < below):
        limits = {"at least": least, "above": above, "below": below, "at most": most}
        text = " and ".join(f"{word} {limit:g}" for word, limit in limits.items() if math.isfinite(limit))
        raise ValueError(f"{owner}: {name} must be {text}, got {value!r}")


def features(owner: object, x: Any, size: int) -> None:
    """Raise unless x is a floating-point array whose last axis has `size` entries."""
    name = type(owner).__name__
    if not hasattr(x, "dtype") or not hasattr(x, "shape"):
        raise TypeError(f"{name}: x must be one array (..., {size}), got {type(x).__name__}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"{name}: x must be of a floating type, got {x.dtype}: pass x.astype(jnp.float32), or for symbols "
            "jax.nn.one_hot(x, input_size) or rows of an embedding"
        )
    if x.ndim < 1 or x.shape[-1] != size:
        raise ValueError(f"{name}: the last axis of x must be input_size = {size}, got shape {tuple(x.shape)}")


def cell(owner: object, inner: Any) -> None:
    """Raise unless what is to be a cell looks like one: an instance with the four functions of a cell."""
    if isinstance(inner, type) or not all(hasattr(inner, name) for name in ("init", "initial_state", "step", "output")):
        name = type(owner).__name__
        raise TypeError(
            f"{name}: expected a cell, got {inner!r}: pass an instance such as GRU(input_size, hidden_size)"
        )


def gated(owner: object, inner: Any, kind: type) -> None:
    """Raise unless a cell is of the kind `Gated`."""
    cell(owner, inner)
    if not isinstance(inner, kind):
        raise TypeError(
            f"{type(owner).__name__}: inner must be Gated, such as LSTM(input_size, hidden_size), got {inner}: "
            "put a readout or a stack around this one"
        )


def learnable(owner: object, inner: Any, state: Any) -> None:
    """Raise unless a state is of real floating-point numbers, so that it can be trained."""
    types = sorted({str(leaf.dtype) for leaf in jax.tree.leaves(state)})
    if not all(jnp.issubdtype(kind, jnp.floating) for kind in types):
        raise TypeError(
            f"{type(owner).__name__}: a state that is learned must be of real floating-point numbers, got {types} of "
            f"{inner}: leave its start as it is"
        )


def recurrent_matrix(name: str, params: Any) -> Any:
    """W of a NamedTuple of parameters; raise where there is none."""
    W = getattr(params, "W", None) if hasattr(params, "_replace") else None
    if W is None:
        raise TypeError(
            f"{name}: params must be the parameters of one cell, with a field W, such as those of LSTM(...).init(key), "
            f"got {type(params).__name__}: pass the part that belongs to the cell, such as params.cell"
        )
    return W


def shapes(tree: Any) -> str:
    """A tree's shapes and types, for messages."""
    return str(jax.tree.map(lambda a: core.ShapedArray(jnp.shape(a), jnp.result_type(a)), tree))


def parameters(owner: str, cell: Any, params: Any) -> None:
    """Raise unless the parameters are like those that the cell makes, where it makes any."""
    try:
        expected = jax.eval_shape(lambda: cell.init(jax.random.key(0)))
    except (ValueError, NotImplementedError, jax.errors.JAXTypeError):  # the caller makes them
        return
    # Where the cell draws None, the caller may put something later, such as a mask; the cell checks it.
    leaves, structure = jax.tree.flatten(expected, is_leaf=lambda leaf: leaf is None)
    try:
        given = structure.flatten_up_to(params)
    except ValueError:
        given = []
    same = len(given) == len(leaves) and all(
        b is None or (hasattr(a, "shape") and a.shape == b.shape) for a, b in zip(given, leaves, strict=True)
    )
    if not same:
        raise ValueError(
            f"{owner}: params must be like cell.init(key) of {cell}: expected {shapes(expected)}, got {shapes(params)}"
        )
