"""Steps of Adam, one after another, for any entrant that runs on JAX."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

RATE = 1e-6  # so small that a thousand steps leave the task what it was
FIRST = 0.9  # of the running means of gradients; those of their squares have 0.999


def steps(loss: Callable[[Any, Any], jax.Array], params: Any) -> Callable[[Any, Any], Any]:
    """`train(params, xs)`: one more step on `loss(params, xs)` from where the last ended, with donated buffers.

    It begins with a copy of `params`, and takes no notice of what it is given for them later. What it returns is the
    new parameters and Adam's state, which the next call reuses the memory of.
    """
    optimizer = optax.adam(RATE, FIRST)
    here: list[Any] = []

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Any, adam: Any, xs: Any) -> tuple[Any, Any]:
        updates, adam = optimizer.update(jax.grad(loss)(params, xs), adam, params)
        return optax.apply_updates(params, updates), adam

    def train(_: Any, xs: Any) -> tuple[Any, Any]:
        if not here:
            here[:] = jax.tree.map(jnp.copy, params), optimizer.init(params)
        here[:] = step(*here, xs)
        return here[0], here[1]

    return train


def first_gradient(result: tuple[Any, Any]) -> Any:
    """The gradient of the first step, read off Adam's running mean of gradients, which began at 0."""
    return jax.tree.map(lambda m: m / (1 - FIRST), result[1][0].mu)
