"""Products, with a bias or by blocks, for any number of batch axes."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike


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


def recurrent_product(h: jax.Array, W: jax.Array) -> jax.Array:
    """`h @ W` for h `(..., m)` and W `(m, n)`, or, block-diagonal, for h `(..., blocks·m)` and W `(blocks, m, n)`.

    The products with the blocks stand side by side: `(..., blocks·n)`.
    """
    if W.ndim == 2:
        return h @ W
    parts = h.reshape(*h.shape[:-1], *W.shape[:2])
    return jnp.einsum("...km,kmn->...kn", parts, W).reshape(*h.shape[:-1], -1)


def turned_product(d: jax.Array, W: jax.Array) -> jax.Array:
    """`d @ Wᵀ` for d `(..., n)` and W `(m, n)`, as (W dᵀ)ᵀ: a CPU's product packs its right operand, dᵀ and not W.

    The barriers keep XLA from turning the product round again, into one of a slower kind.
    """
    turned = lax.optimization_barrier(W @ lax.optimization_barrier(_rows(d).T))
    return turned.T.reshape(*d.shape[:-1], W.shape[0])


def recurrent_gradient(h: jax.Array, d: jax.Array, W: jax.Array, dtype: DTypeLike) -> jax.Array:
    """`Σ hᵀ d` over all leading axes, in the shape of W and the type `dtype`: for `recurrent_product`."""
    if W.ndim == 2:
        return jnp.matmul(h.reshape(-1, W.shape[0]).T, d.reshape(-1, W.shape[1]), preferred_element_type=dtype)
    blocks, m, n = W.shape
    parts = h.reshape(-1, blocks, m), d.reshape(-1, blocks, n)
    return jnp.einsum("rkm,rkn->kmn", *parts, preferred_element_type=dtype)


def _rows(x: jax.Array) -> jax.Array:
    """`(..., n)` as a matrix of rows."""
    return x.reshape(-1, x.shape[-1])
