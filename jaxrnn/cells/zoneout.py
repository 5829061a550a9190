"""Zoneout: parts of the state stay as they were."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.cells import checks
from jaxrnn.cells.base import State
from jaxrnn.cells.perturbation import Perturbation, apply_to_floats, check_drawn, hash_of, like_state


@dataclass(frozen=True)
class Zoneout(Perturbation):
    """Each entry of the state keeps its value of the step before with the probability `rate`.

        training:    s(t) = mask(t) ⊙ s(t-1) + (1 - mask(t)) ⊙ f(s(t-1), x(t))     mask(t) is 1 with probability rate
        evaluation:  s(t) = rate · s(t-1) + (1 - rate) · f(s(t-1), x(t))           its expectation

    Shapes: the masks are booleans, a tree like the state. Integers in a state are never kept.

    Args:
        rate: from 0 to below 1: one number, or a tree of numbers like the state, such as `LSTMState(h=0.05, c=0.5)`,
            or a dict for a state that is one.

    Raises:
        ValueError: a rate out of range; rates that are no tree like the state.
        TypeError: a rate that is not a number.

    Example:
        cell = perturbed(LSTM(8, 64), Zoneout(LSTMState(h=0.05, c=0.5)))

    Source: Krueger et al., *Zoneout: regularizing RNNs by randomly preserving hidden activations* (2017).
    """

    rate: Any

    def __post_init__(self):
        for value in jax.tree.leaves(self.rate):
            checks.number(self, "rate", value, least=0, below=1)
        # Numbers of NumPy would widen a state, and cannot be compared with trees.
        object.__setattr__(self, "rate", jax.tree.map(float, self.rate))

    def __hash__(self) -> int:
        return hash_of(self.rate)

    def draw(self, key: jax.Array, shapes: State) -> Any:
        rates = jax.tree.leaves(like_state(self, "rate", self.rate, shapes))
        leaves, structure = jax.tree.flatten(shapes)
        keys = jax.random.split(key, len(leaves))
        masks = [jax.random.bernoulli(k, r, s.shape) for k, r, s in zip(keys, rates, leaves, strict=True)]
        return jax.tree.unflatten(structure, masks)

    def apply(self, before: State, new: State, drawn: Any) -> State:
        if drawn is None:
            rates = like_state(self, "rate", self.rate, new)
            return apply_to_floats(lambda old, value, rate: value + rate * (old - value), before, new, rates)
        check_drawn(self, drawn, new, boolean=True)
        return apply_to_floats(lambda old, value, mask: jnp.where(mask, old, value), before, new, drawn)
