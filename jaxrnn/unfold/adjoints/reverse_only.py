"""An identity that reverse mode passes through and forward mode may not."""

from typing import Any

import jax
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

ONCE = (
    "unfold by a method that goes on until a residual is small has no second derivative: pass method=Scan() to unfold"
)
FORWARD_MODE = (
    "unfold with a blocked adjoint has no forward-mode derivative (jax.jvp, jax.linearize, jax.jacfwd): "
    "pass adjoint=Autodiff() to unfold"
)

_tangent = Primitive("unfold_tangent")


def _refuse(*_: Any, **__: Any) -> Any:
    raise TypeError(FORWARD_MODE)


# Linear: reverse mode only ever transposes it, which is the identity; forward mode has to evaluate it.
_tangent.def_impl(_refuse)
_tangent.def_abstract_eval(lambda x: x)
mlir.register_lowering(_tangent, _refuse)
ad.deflinear2(_tangent, lambda cotangent, _: [cotangent])
batching.defvectorized(_tangent)


@jax.custom_jvp
def _guard(array: jax.Array) -> jax.Array:
    return array


def _guard_jvp(primals: Any, tangents: Any) -> Any:
    (array,), (tangent,) = primals, tangents
    if isinstance(tangent, SymbolicZero):  # not differentiated at all
        return array, tangent
    return array, _tangent.bind(tangent)


_guard.defjvp(_guard_jvp, symbolic_zeros=True)


def reverse_only(arrays: list[jax.Array]) -> list[jax.Array]:
    """The same arrays; differentiating them in forward mode raises a TypeError that says what to do instead."""
    return [_guard(array) for array in arrays]


@jax.custom_jvp
def _first_derivative(array: jax.Array) -> jax.Array:
    return array


def _no_second(primals: Any, tangents: Any) -> Any:
    (array,), (tangent,) = primals, tangents
    if isinstance(tangent, SymbolicZero):
        return array, tangent
    raise TypeError(ONCE)


_first_derivative.defjvp(_no_second, symbolic_zeros=True)


def once(arrays: list[jax.Array]) -> list[jax.Array]:
    """The same arrays; differentiating what is made of them raises a TypeError that says what to do instead."""
    return [_first_derivative(array) for array in arrays]
