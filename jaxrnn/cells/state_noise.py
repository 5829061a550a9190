"""Noise that is added to the state."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.cells import checks
from jaxrnn.cells.base import State
from jaxrnn.cells.perturbation import Perturbation, apply_to_floats, check_drawn, hash_of, like_state


@dataclass(frozen=True)
class StateNoise(Perturbation):
    """Gaussian noise on every new state.

        training:    s(t) = f(s(t-1), x(t)) + ε(t),     ε(t) ~ N(0, scale²)
        evaluation:  s(t) = f(s(t-1), x(t))

    Shapes: the noise is a tree like the state. Of a complex number, scale² is E|ε|², half of it in each part. Integers
    in a state are left alone.

    Args:
        scale: the noise's standard deviation, at least 0: one number, or a tree of numbers like the state.

    Raises:
        ValueError: a scale below 0; scales that are no tree like the state.
        TypeError: a scale that is not a number.

    Example:
        cell = perturbed(GRU(8, 64), StateNoise(0.1))

    Source: Jim, Giles, Horne, *An analysis of noise in recurrent neural networks* (1996).
    """

    scale: Any

    def __post_init__(self):
        for value in jax.tree.leaves(self.scale):
            checks.number(self, "scale", value, least=0)
        # Numbers of NumPy would widen a state, and cannot be compared with trees.
        object.__setattr__(self, "scale", jax.tree.map(float, self.scale))

    def __hash__(self) -> int:
        return hash_of(self.scale)

    def draw(self, key: jax.Array, shapes: State) -> Any:
        scales = jax.tree.leaves(like_state(self, "scale", self.scale, shapes))
        leaves, structure = jax.tree.flatten(shapes)
        keys = jax.random.split(key, len(leaves))

        def noise(key: jax.Array, scale: float, s: jax.ShapeDtypeStruct) -> jax.Array:
            if not jnp.issubdtype(s.dtype, jnp.inexact):
                return jnp.zeros(s.shape, s.dtype)
            return scale * jax.random.normal(key, s.shape, s.dtype)

        return jax.tree.unflatten(structure, [noise(*item) for item in zip(keys, scales, leaves, strict=True)])

    def apply(self, before: State, new: State, drawn: Any) -> State:
        if drawn is None:
            return new
        check_drawn(self, drawn, new, boolean=False)
        return apply_to_floats(lambda old, value, noise: value + noise, before, new, drawn)
