"""Complex arrays as pairs of real ones, for derivatives that are kept entry by entry."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def parts(arrays: list[Any]) -> list[jax.Array]:
    """The real arrays that a list holds: a complex one is its real part and its imaginary part."""
    return [part for a in arrays for part in ((jnp.real(a), jnp.imag(a)) if jnp.iscomplexobj(a) else (a,))]


def whole(real: list[jax.Array], like: list[Any]) -> list[jax.Array]:
    """What `parts` was given, of the types of `like`."""
    left = iter(real)
    return [lax.complex(next(left), next(left)) if jnp.iscomplexobj(a) else next(left) for a in like]


def parts_of_cotangents(cotangents: list[Any]) -> list[jax.Array]:
    """∂L/∂ of each part; JAX's cotangent of z = x + i y is ∂L/∂x - i ∂L/∂y."""
    return parts([jnp.conj(c) if jnp.iscomplexobj(c) else c for c in cotangents])


def whole_cotangents(real: list[jax.Array], like: list[Any]) -> list[jax.Array]:
    """JAX's cotangents, from ∂L/∂ of each part."""
    return [jnp.conj(c) if jnp.iscomplexobj(c) else c for c in whole(real, like)]
