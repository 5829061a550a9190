"""How the probability of feeding the truth falls while training goes on: the schedules of scheduled sampling."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.cells import checks


@dataclass(frozen=True)
class LinearDecay:
    """ε(i) = max(floor, start - slope · i), at most 1.

    Args:
        start: ε at step 0.
        slope: by which it falls a step.
        floor: what it does not fall below.

    Raises:
        ValueError: start or floor outside [0, 1], a negative slope.

    Example:
        LinearDecay(slope=1 / 1000)(500)  # 0.5

    Source: Bengio et al., *Scheduled sampling for sequence prediction with recurrent neural networks* (2015), Sec. 2.4.
    """

    start: float = 1.0
    slope: float = 1e-3
    floor: float = 0.0

    def __post_init__(self):
        checks.number(self, "start", self.start, least=0, most=1)
        checks.number(self, "slope", self.slope, least=0)
        checks.number(self, "floor", self.floor, least=0, most=1)

    def __call__(self, step: Any) -> jax.Array:
        """ε at a step, a number or an array: pure, so that it can stand in a compiled step of training."""
        return jnp.maximum(self.floor, self.start - self.slope * jnp.asarray(step, jnp.float32))


@dataclass(frozen=True)
class ExponentialDecay:
    """ε(i) = k^i.

    Args:
        k: below 1.

    Raises:
        ValueError: k outside (0, 1).

    Example:
        ExponentialDecay(0.999)(1000)  # 0.37

    Source: Bengio et al., *Scheduled sampling for sequence prediction with recurrent neural networks* (2015), Sec. 2.4.
    """

    k: float

    def __post_init__(self):
        checks.number(self, "k", self.k, above=0, below=1)

    def __call__(self, step: Any) -> jax.Array:
        """ε at a step, a number or an array."""
        return jnp.power(jnp.float32(self.k), jnp.asarray(step, jnp.float32))


@dataclass(frozen=True)
class InverseSigmoidDecay:
    """ε(i) = k / (k + exp(i / k)).

    Args:
        k: at least 1; ε is one half at step k log k.

    Raises:
        ValueError: k below 1.

    Example:
        InverseSigmoidDecay(100)(100 * math.log(100))  # 0.5

    Source: Bengio et al., *Scheduled sampling for sequence prediction with recurrent neural networks* (2015), Sec. 2.4.
    """

    k: float

    def __post_init__(self):
        checks.number(self, "k", self.k, least=1)

    def __call__(self, step: Any) -> jax.Array:
        """ε at a step, a number or an array."""
        return jax.nn.sigmoid(jnp.log(jnp.float32(self.k)) - jnp.asarray(step, jnp.float32) / self.k)
