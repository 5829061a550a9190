"""Products with a bias, for any number of batch axes."""

import jax


def add_row(array: jax.Array, row: jax.Array) -> jax.Array:
    """`array + row` for an array `(..., n)` and a row `(n,)`."""
    return array + row.reshape((1,) * (array.ndim - 1) + row.shape)


def affine(x: jax.Array, U: jax.Array, b: jax.Array) -> jax.Array:
    """`x @ U + b` for x `(..., m)`, U `(m, n)` and b `(n,)`."""
    return add_row(x @ U, b)
