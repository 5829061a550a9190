"""Products with a bias, for any number of batch axes."""

import jax


def as_row(row: jax.Array, axes: int) -> jax.Array:
    """A row `(n,)` as an array of `axes` axes, that broadcasts over all but the last."""
    return row.reshape((1,) * (axes - 1) + row.shape)


def add_row(array: jax.Array, row: jax.Array) -> jax.Array:
    """`array + row` for an array `(..., n)` and a row `(n,)`."""
    return array + as_row(row, array.ndim)


def times_row(array: jax.Array, row: jax.Array) -> jax.Array:
    """`array * row`, element by element, for an array `(..., n)` and a row `(n,)`."""
    return array * as_row(row, array.ndim)


def product(x: jax.Array, U: jax.Array) -> jax.Array:
    """`x @ U` for x `(..., m)` and U `(m, n)`."""
    # Rows of one matrix: XLA's CPU compiler copies its operands for the gradient of a product with more axes.
    return (_rows(x) @ U).reshape(*x.shape[:-1], U.shape[-1])


def affine(x: jax.Array, U: jax.Array, b: jax.Array) -> jax.Array:
    """`x @ U + b` for x `(..., m)`, U `(m, n)` and b `(n,)`."""
    return add_row(_rows(x) @ U, b).reshape(*x.shape[:-1], U.shape[-1])


def _rows(x: jax.Array) -> jax.Array:
    """`(..., n)` as a matrix of rows."""
    return x.reshape(-1, x.shape[-1])
