"""Dropout between layers."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Inputs
from jaxrnn.cells.masks import drop, keep
from jaxrnn.layers.base import Layer, Pass, one_array
from jaxrnn.unfold import Unfolding


@dataclass(frozen=True)
class Dropout(Layer):
    """Each entry is zero with probability `rate`, anew in every step, and else divided by 1 - rate.

        y(t) = m(t) ⊙ x(t) / (1 - rate),   m(t) ~ Bernoulli(1 - rate)

    Only where `apply` is given a key; else y = x. It stands between layers and leaves the recurrence alone. It has
    neither parameters nor state: both are None.

    Args:
        rate: probability, at least 0 and below 1.

    Raises:
        ValueError: a rate outside [0, 1).
        TypeError: a rate that is not a number; an input that is not one array of floating-point numbers.

    Example:
        net = Sequential([LSTM(8, 32), Dropout(0.5), LSTM(32, 32)])
        net.apply(params, xs, key=jax.random.key(1))  # training
        net.apply(params, xs)  # evaluation

    Source: Zaremba et al., *Recurrent neural network regularization* (2014).
    """

    rate: float

    def __post_init__(self):
        checks.number(self, "rate", self.rate, least=0, below=1)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> None:
        return None

    def initial_state(self, params: None, batch_shape: tuple[int, ...] = ()) -> None:
        return None

    def run(self, params: None, state: None, xs: Inputs, key: jax.Array | None, over: Pass) -> Unfolding:
        x = one_array(self, xs)
        if key is not None and self.rate:
            x = dropout(key, x, self.rate)
        return Unfolding(over.masked(x), None, None)


def dropout(key: jax.Array, x: jax.Array, rate: float) -> jax.Array:
    """Each entry is zero with probability `rate`, and else divided by 1 - rate: the mean is preserved."""
    return drop(x, keep(key, x.shape, rate), rate)
