"""Drawing symbols from logits."""

import math
import numbers
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxrnn.cells import checks

MOST = 2**31 - 1  # what an int32 holds: as good as no limit to top_k, and the most steps


def restrict(logits: jax.Array, *, temperature: Any = 1.0, top_k: Any = None, top_p: Any = None) -> jax.Array:
    """The logits of the distribution that is sampled: sharpened, then cut to its likeliest symbols.

        p = softmax(logits / temperature), then zero outside the top_k likeliest symbols, then zero outside the smallest
        set of likeliest symbols whose probability (among those left) reaches top_p

    The likeliest symbol's logit is 0, and what is cut is -inf. At temperature 0 only the likeliest symbol is left: the
    first of them, where several are.

    Args:
        logits: `(..., vocabulary)`, of a floating type.
        temperature: 0 for the likeliest symbol alone, 1 for the distribution as it is.
        top_k: how many symbols are left; None, or more than there are, leaves all.
        top_p: the probability that must be left (nucleus sampling); at least one symbol is; None or 1 leaves all.

    Raises:
        ValueError: temperature negative or not finite, top_k below 1, top_p outside (0, 1] (where they are known).
        TypeError: logits that are not floating-point, choices that are not one number each, top_k that is not whole.

    Example:
        restrict(jnp.log(jnp.array([0.5, 0.3, 0.2])), top_k=2)  # the last is -inf

    Source: Holtzman et al., *The curious case of neural text degeneration* (2020), for top_p; Fan et al. (2018), for
    top_k.
    """
    logits = jnp.asarray(logits)
    if not jnp.issubdtype(logits.dtype, jnp.floating) or logits.ndim < 1:
        raise TypeError(f"restrict: logits must be floating-point (..., vocabulary), got {jax.typeof(logits)}")
    _check(temperature, top_k, top_p)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    limits = jnp.finfo(logits.dtype)
    temperature = jnp.asarray(_at_most(float(limits.max), temperature), logits.dtype)
    warm = temperature >= limits.tiny  # what is smaller may be flushed to 0
    likeliest = _places(logits) == jnp.argmax(logits, axis=-1, keepdims=True)
    keep = likeliest | warm
    top = jnp.max(logits, axis=-1, keepdims=True)
    logits = logits - jnp.where(jnp.isfinite(top), top, 0)  # so that no division can overflow upwards
    logits = logits / jnp.where(warm, temperature, 1)
    if top_k is not None or top_p is not None:
        keep = keep & _likeliest(logits, top_k, top_p)
    return jnp.where(keep, logits, -jnp.inf)


def _likeliest(logits: jax.Array, top_k: Any, top_p: Any) -> jax.Array:
    """Which symbols top_k and top_p leave."""
    order = jnp.argsort(logits, axis=-1, descending=True, stable=True)
    ranked = jnp.take_along_axis(logits, order, axis=-1)
    keep = jnp.ones(ranked.shape, bool) if top_k is None else _places(ranked) < _at_most(MOST, top_k)
    if top_p is not None:
        p = jax.nn.softmax(jnp.where(keep, ranked, -jnp.inf), axis=-1)
        likelier = jnp.cumsum(p, axis=-1) - p
        keep = keep & ((likelier < top_p) | (jnp.asarray(top_p) >= 1))
        keep = keep.at[..., 0].set(True)  # whatever the rounding
    return jnp.take_along_axis(keep, jnp.argsort(order, axis=-1), axis=-1)


def _places(logits: jax.Array) -> jax.Array:
    """The place of every entry on the last axis."""
    return jax.lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)


def sample(
    logits: jax.Array, key: jax.Array, *, temperature: Any = 1.0, top_k: Any = None, top_p: Any = None
) -> jax.Array:
    """One symbol from each distribution: logits `(..., vocabulary)` to int32 `(...)`; the keywords are `restrict`'s.

    Example:
        sample(jnp.zeros((4, 27)), jax.random.key(0), top_p=0.9)  # (4,)
    """
    restricted = restrict(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    return jax.random.categorical(key, restricted).astype(jnp.int32)


def choices(temperature: Any, top_k: Any, top_p: Any) -> dict[str, Any]:
    """The keywords of `restrict`, checked, with one type each, so that 1 and 1.0 are one program."""
    _check(temperature, top_k, top_p)
    return {
        "temperature": jnp.asarray(_at_most(float(jnp.finfo(jnp.float32).max), temperature), jnp.float32),
        "top_k": None if top_k is None else jnp.asarray(_at_most(MOST, top_k), jnp.int32),
        "top_p": None if top_p is None else jnp.asarray(top_p, jnp.float32),
    }


def _known(value: Any) -> bool:
    return value is not None and not isinstance(value, Tracer)


def _at_most(most: Any, value: Any) -> Any:
    """The value, or `most` where it is known to be larger: its type could not hold it."""
    return most if _known(value) and value > most else value


def _check(temperature: Any, top_k: Any, top_p: Any) -> None:
    """Raise for a choice that is known and makes no sense."""
    if temperature is None:
        raise TypeError("temperature must be a number, got None: pass 1.0 for the distribution as it is")
    for name, value in {"temperature": temperature, "top_k": top_k, "top_p": top_p}.items():
        scalar = isinstance(value, numbers.Real) or getattr(value, "shape", None) == ()
        if value is not None and not scalar:
            raise TypeError(f"{name} must be one number, got {value!r}")
    if _known(temperature) and not (math.isfinite(temperature) and temperature >= 0):
        raise ValueError(f"temperature must be a finite number of at least 0, got {temperature}: 0 is greedy, 1 plain")
    if _known(top_k):
        checks.whole_number("top_k", top_k, 1)
    if _known(top_p) and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, got {top_p}: pass None for no limit")
