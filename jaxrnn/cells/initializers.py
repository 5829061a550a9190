"""How parameters start."""

import jax
from jax.typing import DTypeLike


def uniform_by_hidden(
    key: jax.Array, input_size: int, hidden_size: int, *, gates: int, dtype: DTypeLike
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """U `(input, gates·hidden)`, W `(hidden, gates·hidden)` and b `(gates·hidden,)`, all uniform in ±1/√hidden."""
    bound = hidden_size**-0.5
    shapes = (input_size, gates * hidden_size), (hidden_size, gates * hidden_size), (gates * hidden_size,)
    keys = jax.random.split(key, len(shapes))
    U, W, b = (jax.random.uniform(k, shape, dtype, -bound, bound) for k, shape in zip(keys, shapes, strict=True))
    return U, W, b
