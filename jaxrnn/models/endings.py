"""How a sequence ends: three ways to make a network over symbols a distribution over sequences of any length."""

import abc
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks


class Ending(abc.ABC):
    """How a `SequenceModel` ends its sequences.

    At every step the network's outputs o(t) become the logits of one of vocabulary_size + 1 things: a symbol, or, last
    of all, the end.
    """

    @abc.abstractmethod
    def output_size(self, vocabulary_size: int) -> int:
        """Entries of o(t)."""

    @abc.abstractmethod
    def init(self, key: jax.Array, embedding_size: int, dtype: DTypeLike = jnp.float32) -> Any:
        """Draw its own parameters; None where it has none."""

    @abc.abstractmethod
    def inputs(self, params: Any, xs: jax.Array, left: jax.Array | None) -> jax.Array:
        """What the network reads: xs `(..., embedding)`, and how many symbols are left `(...)`, where that is known."""

    @abc.abstractmethod
    def logits(self, o: jax.Array, left: jax.Array) -> jax.Array:
        """Logits `(..., vocabulary + 1)` of o(t) `(..., outputs)` when `left` `(...)` symbols are still to come."""

    @abc.abstractmethod
    def length_logits(self, o: jax.Array) -> jax.Array | None:
        """Logits of the number of symbols, from 0, of the first output `(..., outputs)`; None: it is not predicted."""


@dataclass(frozen=True)
class EndSymbol(Ending):
    """The end is one more symbol: p(end | y(1..t)) is a part of the softmax.

    Example:
        model = SequenceModel(27, 16, GRU(16, 64), EndSymbol())

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.3; Schwenk, *Continuous space translation
    models for phrase-based statistical machine translation* (2012).
    """

    def output_size(self, vocabulary_size: int) -> int:
        return vocabulary_size + 1

    def init(self, key: jax.Array, embedding_size: int, dtype: DTypeLike = jnp.float32) -> None:
        return None

    def inputs(self, params: None, xs: jax.Array, left: jax.Array | None) -> jax.Array:
        return xs

    def logits(self, o: jax.Array, left: jax.Array) -> jax.Array:
        return o

    def length_logits(self, o: jax.Array) -> None:
        return None


@dataclass(frozen=True)
class BernoulliStop(Ending):
    """Before every symbol it is drawn whether to stop: p(end | y(1..t)) = σ(z), where z is one more output.

        p(y(t+1) | y(1..t)) = (1 - σ(z)) softmax(o)

    Example:
        model = SequenceModel(27, 16, GRU(16, 64), BernoulliStop())

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.3: an extra Bernoulli output, to
    continue or to halt.
    """

    def output_size(self, vocabulary_size: int) -> int:
        return vocabulary_size + 1

    def init(self, key: jax.Array, embedding_size: int, dtype: DTypeLike = jnp.float32) -> None:
        return None

    def inputs(self, params: None, xs: jax.Array, left: jax.Array | None) -> jax.Array:
        return xs

    def logits(self, o: jax.Array, left: jax.Array) -> jax.Array:
        z = o[..., -1:]
        symbols = jax.nn.log_softmax(o[..., :-1], axis=-1) + jax.nn.log_sigmoid(-z)
        return jnp.concatenate([symbols, jax.nn.log_sigmoid(z)], axis=-1)

    def length_logits(self, o: jax.Array) -> None:
        return None


class PredictedLengthParams(NamedTuple):
    """θ of a predicted length."""

    R: jax.Array  # (longest + 1, embedding): what is added to x(t), by how many symbols are left


@dataclass(frozen=True)
class PredictedLength(Ending):
    """The number of symbols is drawn first: p(y(1..τ)) = p(τ) Π_t p(y(t) | y(1..t-1), τ - t).

    The network reads the start alone and tells p(τ) by outputs of its own; then it reads at every step how many symbols
    are left, as a row of R `(longest + 1, embedding)` that is added to x(t). R starts normal with mean 0 and standard
    deviation 1.

    Args:
        longest: the most symbols of a sequence; a longer one has probability 0.

    Raises:
        ValueError: longest below 1.

    Example:
        model = SequenceModel(27, 16, GRU(16, 64), PredictedLength(longest=20))

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.3 and Eq. 10.34; Goodfellow et al.,
    *Multi-digit number recognition from Street View imagery* (2014).
    """

    longest: int

    def __post_init__(self):
        checks.positive(self, longest=self.longest)

    def output_size(self, vocabulary_size: int) -> int:
        return vocabulary_size + self.longest + 1

    def init(self, key: jax.Array, embedding_size: int, dtype: DTypeLike = jnp.float32) -> PredictedLengthParams:
        return PredictedLengthParams(jax.random.normal(key, (self.longest + 1, embedding_size), dtype))

    def inputs(self, params: PredictedLengthParams, xs: jax.Array, left: jax.Array | None) -> jax.Array:
        return xs if left is None else xs + jnp.asarray(params.R)[jnp.clip(left, 0, self.longest)]

    def logits(self, o: jax.Array, left: jax.Array) -> jax.Array:
        more = (left > 0)[..., None]
        symbols = jnp.where(more, o[..., : -self.longest - 1], -jnp.inf)
        return jnp.concatenate([symbols, jnp.where(more, -jnp.inf, jnp.zeros_like(o[..., :1]))], axis=-1)

    def length_logits(self, o: jax.Array) -> jax.Array:
        return o[..., -self.longest - 1 :]
