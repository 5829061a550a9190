"""A matrix product that a CPU's cores share.

XLA's CPU compiler leaves products to a library that divides one among cores only where its operands and result exceed a
core's cache. What it makes of a convolution of width one is another product, which cores share from about 1.5 million
multiplications on.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from jaxrnn.unfold import sizes


def product(A: jax.Array, B: jax.Array) -> jax.Array:
    """`A @ B` for two matrices, shared by the cores where that pays; these `jax.linear_transpose` does not take."""
    # JAX's setting may name what a convolution has not: an algorithm, such as that of bfloat16.
    if jax.config.values["jax_default_matmul_precision"] is None and sizes.sharing_pays(A, B):
        return shared_product(A, B)
    return A @ B


def rows_product(d: jax.Array, W: jax.Array) -> jax.Array:
    """`d @ W` for rows d `(..., m)`, shared by the cores where that pays."""
    return product(d.reshape(-1, d.shape[-1]), W).reshape(*d.shape[:-1], W.shape[1])


@jax.custom_jvp
def shared_product(A: jax.Array, B: jax.Array) -> jax.Array:
    """`A @ B`, as a convolution of width one; its derivatives are plain products."""
    return _convolved(A, B)


shared_product.defjvps(lambda dA, _, A, B: dA @ B, lambda dB, _, A, B: A @ dB)


@custom_vmap
def _convolved(A: jax.Array, B: jax.Array) -> jax.Array:
    axes = ("NWC", "WIO", "NWC")
    return lax.conv_general_dilated(A[:, None], B[None], (1,), "VALID", dimension_numbers=axes)[:, 0]


@_convolved.def_vmap
def _(size: int, batched: list[bool], A: jax.Array, B: jax.Array) -> tuple[jax.Array, bool]:
    # Many matrices would be a convolution in groups, which is slow.
    axes = [0 if mapped else None for mapped in batched]
    return jax.vmap(jnp.matmul, in_axes=axes, axis_size=size)(A, B), True
