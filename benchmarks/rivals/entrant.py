"""What a rival brings to the race."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import reference
from benchmarks.rivals import adam
from benchmarks.task import Weights


@dataclass(frozen=True)
class Entrant:
    """A rival ready to run one task, with the task's weights and inputs in its own layout."""

    params: Any
    xs: Any
    forward: Callable[[Any, Any], Any]  # (params, xs) -> outputs
    gradient: Callable[[Any, Any], Any]  # (params, xs) -> ∂ Σ outputs² / ∂ params
    training: Callable[[Any, Any], Any]  # one more step of Adam, from where the last ended
    wait: Callable[[Any], Any]  # returns once a result is there
    outputs: Callable[[Any], np.ndarray]  # what `forward` gave, as (time, batch, hidden)
    weights: Callable[[Any], Weights]  # what `gradient` gave, in jaxrnn's layout
    trained: Callable[[Any], Weights]  # the gradient of the first step, from what `training` gave
    reference: reference.Reference  # the function that it computes, in float64
    note: str  # what is worth knowing of how it is run


def jax_entrant(
    apply: Callable[[Any, Any], Any],
    params: Any,
    xs: np.ndarray,
    weights: Callable[[Any], Weights],
    note: str,
    *,
    batch_first: bool = False,
    computes: reference.Reference = reference.own,
) -> Entrant:
    """An entrant whose `apply(params, xs)` gives the outputs of all steps: jitted, and differentiated by JAX."""

    def loss(params: Any, xs: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(apply(params, xs)))

    def outputs(result: jax.Array) -> np.ndarray:
        return np.swapaxes(np.asarray(result), 0, 1) if batch_first else np.asarray(result)

    params = jax.tree.map(jnp.asarray, params)
    return Entrant(
        params=params,
        xs=jnp.asarray(np.swapaxes(xs, 0, 1) if batch_first else xs),
        forward=jax.jit(apply),
        gradient=jax.jit(jax.grad(loss)),
        training=adam.steps(loss, params),
        wait=jax.block_until_ready,
        outputs=outputs,
        weights=lambda result: weights(jax.tree.map(np.asarray, result)),
        trained=lambda result: weights(jax.tree.map(np.asarray, adam.first_gradient(result))),
        reference=computes,
        note=note,
    )


def split(array: np.ndarray, gates: int) -> list[np.ndarray]:
    """The gates of an array, side by side on its last axis."""
    return np.split(array, gates, axis=-1)


def join(*gates: np.ndarray) -> np.ndarray:
    """Gates side by side on the last axis."""
    return np.concatenate(gates, axis=-1)
