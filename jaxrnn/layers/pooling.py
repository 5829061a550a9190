"""One vector of a whole sequence: the last output, the mean, the maximum, or a mean that is learned."""

import abc
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine
from jaxrnn.cells.base import Params
from jaxrnn.cells.initializers import uniform
from jaxrnn.layers.base import Layer
from jaxrnn.layers.ends import last_output
from jaxrnn.unfold import Unfolding


class LayerRun(NamedTuple):
    """A layer, and what it made of a batch of sequences, time first: what a pooling reads."""

    layer: Layer  # what was run
    params: Params  # its parameters
    run: Unfolding  # outputs (time, *batch, n), zero past the lengths; final
    lengths: jax.Array | None  # (*batch,), integers

    @property
    def valid(self) -> jax.Array:
        """Booleans `(time, *batch, 1)`: the step is before its sequence's end."""
        outputs = self.run.outputs
        time = jnp.arange(len(outputs)).reshape(-1, *(1,) * (outputs.ndim - 1))
        lengths = jnp.full((1,) * outputs.ndim, len(outputs)) if self.lengths is None else self.lengths[None, ..., None]
        return jnp.broadcast_to(time < lengths, (*outputs.shape[:-1], 1))

    @property
    def steps(self) -> jax.Array:
        """Steps of each sequence, at least 1: `(*batch, 1)`, or `()`."""
        return jnp.maximum(len(self.run.outputs) if self.lengths is None else self.lengths[..., None], 1)


class Pooling(abc.ABC):
    """How the outputs of a layer become one vector a sequence. What stands past the lengths reaches nothing."""

    @abc.abstractmethod
    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw new parameters of the floating type `dtype`; None where there are none."""

    @abc.abstractmethod
    def pool(self, params: Params, ran: LayerRun) -> jax.Array:
        """The vector of each sequence, `(*batch, n)`, of outputs `(time, *batch, n)`."""


@dataclass(frozen=True)
class LastPooling(Pooling):
    """The output after the last step: p = y(τ), with τ the true length.

    Of two directions it is what each of them ends with, `merge(f(τ), b(1))`. It is read of the final state: a sequence
    of length 0 gives what is read of s(0).

    Raises:
        TypeError: within `Bidirectional`, a layer without a state to read.

    Example:
        Classifier(LSTM(12, 64), 9, LastPooling())

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Fig. 10.5.
    """

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> None:
        return None

    def pool(self, params: None, ran: LayerRun) -> jax.Array:
        return last_output(*ran)


@dataclass(frozen=True)
class MeanPooling(Pooling):
    """The mean over the steps of each sequence: p = Σ_t y(t) / τ; 0 for a sequence of length 0.

    Example:
        Classifier(Bidirectional(GRU(12, 64), GRU(12, 64)), 9, MeanPooling())

    Source: Collobert et al., *Natural language processing (almost) from scratch* (2011), for pooling over time.
    """

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> None:
        return None

    def pool(self, params: None, ran: LayerRun) -> jax.Array:
        y = ran.run.outputs
        total = y.astype(jnp.promote_types(y.dtype, jnp.float32)).sum(axis=0)
        return (total / ran.steps.astype(total.dtype)).astype(y.dtype)


@dataclass(frozen=True)
class MaxPooling(Pooling):
    """The largest of each entry over the steps of each sequence: p_k = max_t y_k(t); 0 for a sequence of length 0.

    Example:
        Classifier(Bidirectional(GRU(12, 64), GRU(12, 64)), 9, MaxPooling())

    Source: Collobert et al., *Natural language processing (almost) from scratch* (2011), Sec. 3.2.2.
    """

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> None:
        return None

    def pool(self, params: None, ran: LayerRun) -> jax.Array:
        least = jnp.finfo(ran.run.outputs.dtype).min
        top = jnp.where(ran.valid, ran.run.outputs, least).max(axis=0, initial=least)
        return jnp.where(ran.valid.any(axis=0), top, 0)


class AttentionPoolingParams(NamedTuple):
    """θ of attention over time."""

    W: jax.Array  # (input, attention)
    b: jax.Array  # (attention,)
    v: jax.Array  # (attention,)


@dataclass(frozen=True)
class AttentionPooling(Pooling):
    """A weighted mean over the steps of each sequence, whose weights are learned; 0 for a sequence of length 0.

        α = softmax over t of tanh(y(t) W + b) · v,   p = Σ_t α(t) y(t)

    Shapes: W `(input, attention)`, b and v `(attention,)`. W and v start uniform in ±1/√attention, b at zero.

    Args:
        input_size: entries of y(t).
        attention_size: units of the small network that weighs a step.

    Raises:
        ValueError: a size below 1; outputs of another size.

    Example:
        Classifier(Bidirectional(GRU(12, 64), GRU(12, 64)), 9, AttentionPooling(128, 32))

    Source: Yang et al., *Hierarchical attention networks for document classification* (2016), Eq. 5 to 7.
    """

    input_size: int
    attention_size: int

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, attention_size=self.attention_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> AttentionPoolingParams:
        n = self.attention_size
        W, v = uniform(key, n**-0.5, (self.input_size, n), (n,), dtype=dtype)
        return AttentionPoolingParams(W, jnp.zeros((n,), dtype), v)

    def pool(self, params: AttentionPoolingParams, ran: LayerRun) -> jax.Array:
        y = ran.run.outputs
        return (self.weights(params, ran)[..., None] * y).sum(axis=0)

    def weights(self, params: AttentionPoolingParams, ran: LayerRun) -> jax.Array:
        """α `(time, *batch)`: it sums to 1 over time, or is 0 for a sequence of length 0."""
        y, valid = ran.run.outputs, ran.valid[..., 0]
        checks.features(self, y, self.input_size)
        scores = jnp.tanh(affine(y, params.W, params.b)) @ params.v
        top = jnp.max(scores, axis=0, keepdims=True, where=valid, initial=jnp.finfo(scores.dtype).min)
        e = jnp.where(valid, jnp.exp(jnp.where(valid, scores - jax.lax.stop_gradient(top), 0)), 0)
        total = e.sum(axis=0, keepdims=True)
        return e / jnp.where(total == 0, 1, total)


def as_pooling(owner: object, pooling: Any) -> Pooling:
    """The pooling; raise for what is none."""
    if not isinstance(pooling, Pooling):
        raise TypeError(f"{type(owner).__name__}: pooling must be an instance such as MeanPooling(), got {pooling!r}")
    return pooling
