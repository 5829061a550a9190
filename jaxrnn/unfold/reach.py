"""What each entry of a program's inputs reaches of its outputs: read off the jaxpr, so it holds for any numbers."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jax.extend.core import Literal

from jaxrnn.unfold.adjoints.inexact import has_gradient

# The labels that an entry reaches, by the least and by the negative of the greatest: an array (2, *shape). What reaches
# two or more is not told apart further; what reaches none has NOTHING twice. Two of them are joined by the minimum.
Reach = np.ndarray
NOTHING = np.iinfo(np.int32).max

_NAMES = """
abs acos acosh add add_any and asin asinh atan atan2 atanh cbrt ceil clamp complex conj convert_element_type copy copy_p
cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt imag integer_pow is_finite le lgamma log log1p
logistic lt max min mul ne neg nextafter not or pcast pow real reduce_precision rem round rsqrt select_n sign sin sinh
sqrt square stop_gradient sub tan tanh xor
"""
_ELEMENTWISE = frozenset(_NAMES.split())
_REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "argmax", "argmin")
_CALLS = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "checkpoint", "remat")


def labelled(labels: np.ndarray) -> Reach:
    """Of outputs that carry labels of 0 or more: each reaches its own."""
    return np.stack([labels, -labels]).astype(np.int32)


def nothing(shape: Sequence[int]) -> Reach:
    """Of entries that reach no output."""
    return np.full((2, *shape), NOTHING, np.int32)


def reaches_none(reach: Reach) -> np.ndarray:
    """Whether each entry reaches no label."""
    return reach[0] == NOTHING


def reaches_many(reach: Reach) -> np.ndarray:
    """Whether each entry may reach more than one label."""
    return (reach[0] != NOTHING) & (reach[0] != -reach[1])


def reach(jaxpr: Any, outputs: Sequence[Reach], derivatives: bool) -> list[Reach]:
    """What each entry of each input reaches, from what the outputs are labelled with.

    With `derivatives`, what reaches something without a derivative (through integers, or where the gradient is stopped)
    does not count. An operation that is not known passes everything of its outputs to everything of its inputs: too
    much may be reached, never too little.
    """
    found: dict[Any, Reach] = {}

    def join(variable: Any, reached: Reach | None) -> None:
        if reached is None or isinstance(variable, Literal):
            return
        if not derivatives or has_gradient(variable.aval):
            before = found.get(variable)
            found[variable] = reached if before is None else np.minimum(before, reached)

    for variable, reached in zip(jaxpr.outvars, outputs, strict=True):
        join(variable, reached)
    for equation in reversed(jaxpr.eqns):
        given = [found.pop(v, None) for v in equation.outvars]
        if any(g is not None for g in given):
            shapes = [v.aval.shape for v in equation.outvars]
            whole = [nothing(s) if g is None else g for s, g in zip(shapes, given, strict=True)]
            for variable, reached in zip(equation.invars, _back(equation, whole, derivatives), strict=False):
                join(variable, reached)
    return [found.get(v, nothing(v.aval.shape)) for v in jaxpr.invars]


def _back(equation: Any, outs: list[Reach], derivatives: bool) -> list[Reach]:
    """From what the outputs of one operation reach to what its inputs do."""
    name, parameters, out = equation.primitive.name, equation.params, outs[0]
    shapes = [v.aval.shape for v in equation.invars]
    if name == "stop_gradient" and derivatives:
        return [nothing(shapes[0])]
    if name in _ELEMENTWISE:
        return [_stretched(out, shape, range(out.ndim - 1) if shape else ()) for shape in shapes]
    if name == "broadcast_in_dim":
        return [_stretched(out, shapes[0], parameters["broadcast_dimensions"])]
    if name in ("reshape", "squeeze", "expand_dims"):
        return [out.reshape(2, *shapes[0])]
    if name == "transpose":
        return [out.transpose(0, *(1 + np.argsort(parameters["permutation"])))]
    if name == "rev":
        return [np.flip(out, tuple(1 + k for k in parameters["dimensions"]))]
    if name == "slice":
        whole, strides = nothing(shapes[0]), parameters["strides"] or (1,) * len(shapes[0])
        cuts = zip(parameters["start_indices"], parameters["limit_indices"], strides, strict=True)
        whole[(slice(None), *(slice(*cut) for cut in cuts))] = out
        return [whole]
    if name == "concatenate":
        axis = parameters["dimension"]
        return np.split(out, np.cumsum([shape[axis] for shape in shapes])[:-1], axis=1 + axis)
    if name == "stack":
        return list(np.moveaxis(out, 1 + parameters["axis"], 0))
    if name == "unstack":
        return [np.stack(outs, axis=1 + parameters["axis"])]
    if name == "tile":
        pairs = [n for pair in zip(parameters["reps"], shapes[0], strict=True) for n in pair]
        return [_least(out.reshape(2, *pairs), list(range(0, len(pairs), 2))).reshape(2, *shapes[0])]
    if name == "split":
        return [np.concatenate(outs, axis=1 + parameters["axis"])]
    if name in _REDUCTIONS:
        return [np.broadcast_to(np.expand_dims(out, [1 + k for k in parameters["axes"]]), (2, *shapes[0]))]
    if name == "dot_general":
        return _product(parameters["dimension_numbers"], out, *shapes)
    inner = parameters.get("jaxpr", parameters.get("call_jaxpr"))
    if name in _CALLS and inner is not None:
        return reach(getattr(inner, "jaxpr", inner), outs, derivatives)
    return [_all(outs, shape) for shape in shapes]


def _stretched(out: Reach, shape: tuple[int, ...], axes: Iterable[int]) -> Reach:
    """Back to a shape that was stretched: its axes are these of the output, and those of one entry are wide there."""
    wide = {axis for axis, n in zip(axes, shape, strict=True) if n != 1}
    return _least(out, [k for k in range(out.ndim - 1) if k not in wide]).reshape(2, *shape)


def _product(numbers: Any, out: Reach, left: tuple[int, ...], right: tuple[int, ...]) -> list[Reach]:
    """Back through a product, whose axes are those of the batch, then the free ones of either side."""
    contracted, together = numbers
    free = [[k for k in range(len(s)) if k not in (*c, *b)] for s, c, b in zip((left, right), *numbers, strict=True)]
    batch, middle = len(together[0]), len(together[0]) + len(free[0])
    others = range(middle, middle + len(free[1])), range(batch, middle)
    found = []
    for shape, c, b, f, other in zip((left, right), contracted, together, free, others, strict=True):
        mine = _least(out, list(other)).reshape(2, *(shape[k] for k in (*b, *f)), *(1 for _ in c))
        order = np.argsort((*b, *f, *c))
        found.append(np.broadcast_to(mine.transpose(0, *(1 + order)), (2, *shape)))
    return found


def _least(reached: Reach, axes: list[int]) -> Reach:
    """Joined over axes, which are left with one entry."""
    return reached.min(axis=tuple(1 + k for k in axes), keepdims=True, initial=NOTHING)


def _all(outs: list[Reach], shape: tuple[int, ...]) -> Reach:
    """Everything that any entry of the outputs reaches, for every entry of a shape."""
    least = np.min([out.reshape(2, math.prod(out.shape[1:])).min(axis=1, initial=NOTHING) for out in outs], axis=0)
    return np.broadcast_to(least.reshape(2, *(1 for _ in shape)), (2, *shape)).astype(np.int32)
