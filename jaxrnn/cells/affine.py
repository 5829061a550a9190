"""Products with a bias, for any number of batch axes."""

import jax


def add_row(array: jax.Array, row: jax.Array) -> jax.Array:
    """`array + row` for an array `(..., n)` and a row `(n,)`."""
    return array + row.reshape((1,) * (array.ndim - 1) + row.shape)


def affine(x: jax.Array, U: jax.Array, b: jax.Array) -> jax.Array:
    """`x @ U + b` for x `(..., m)`, U `(m, n)` and b `(n,)`."""
    # Rows of one matrix: XLA's CPU compiler copies its operands for the gradient of a product with more axes.
    rows = x.reshape(-1, x.shape[-1])
    return add_row(rows @ U, b).reshape(*x.shape[:-1], U.shape[-1])
