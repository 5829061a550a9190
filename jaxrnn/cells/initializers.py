"""How parameters start."""

import jax
from jax.typing import DTypeLike


def uniform(key: jax.Array, bound: float, *shapes: tuple[int, ...], dtype: DTypeLike) -> list[jax.Array]:
    """One array of each shape, all uniform in ±bound."""
    keys = jax.random.split(key, len(shapes))
    return [jax.random.uniform(k, shape, dtype, -bound, bound) for k, shape in zip(keys, shapes, strict=True)]


def uniform_by_hidden(
    key: jax.Array, input_size: int, hidden_size: int, *, gates: int, dtype: DTypeLike
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """U `(input, gates·hidden)`, W `(hidden, gates·hidden)` and b `(gates·hidden,)`, all uniform in ±1/√hidden."""
    shapes = (input_size, gates * hidden_size), (hidden_size, gates * hidden_size), (gates * hidden_size,)
    U, W, b = uniform(key, hidden_size**-0.5, *shapes, dtype=dtype)
    return U, W, b
