"""Symbols as vectors."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks, symbols
from jaxrnn.cells.base import Inputs
from jaxrnn.layers.base import Layer, Pass
from jaxrnn.unfold import Unfolding


class EmbeddingParams(NamedTuple):
    """θ of an embedding."""

    E: jax.Array  # (vocabulary, embedding)


@dataclass(frozen=True)
class Embedding(Layer):
    """A vector for each symbol: y(t) = E[x(t)]. It stands below the layers that read vectors, and has no state.

    Shapes: x `(time, *batch)`, integers; E `(vocabulary, embedding)`; y `(time, *batch, embedding)`. E starts normal
    with mean 0 and standard deviation 1 (PyTorch's).

    Args:
        vocabulary_size: how many symbols there are.
        embedding_size: entries of y(t).

    Raises:
        ValueError: a size below 1; an input that is no symbol (where it is known, before the lengths); parameters of
            another shape.
        TypeError: an input that is not of integers.

    Example:
        net = Sequential([Embedding(65, 16), Bidirectional(GRU(16, 32), GRU(16, 32))])
        run = net.apply(net.init(jax.random.key(0)), tokens, lengths=lengths)

    Source: Bengio et al., *A neural probabilistic language model* (2003).
    """

    vocabulary_size: int
    embedding_size: int

    def __post_init__(self):
        checks.positive(self, vocabulary_size=self.vocabulary_size, embedding_size=self.embedding_size)

    @property
    def output_size(self) -> int:
        """Entries of y(t)."""
        return self.embedding_size

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> EmbeddingParams:
        return EmbeddingParams(jax.random.normal(key, (self.vocabulary_size, self.embedding_size), dtype))

    def initial_state(self, params: EmbeddingParams, batch_shape: tuple[int, ...] = ()) -> None:
        return None

    def run(self, params: EmbeddingParams, state: None, xs: Inputs, key: jax.Array | None, over: Pass) -> Unfolding:
        if not hasattr(xs, "dtype"):
            raise TypeError(f"Embedding: the input must be one array (time, *batch), got {type(xs).__name__}")
        x = symbols.checked("Embedding", "x", xs, self.vocabulary_size, over.lengths)
        E = jnp.asarray(params.E)
        if E.shape != (self.vocabulary_size, self.embedding_size):
            raise ValueError(
                f"Embedding: E must be (vocabulary_size, embedding_size) = "
                f"{(self.vocabulary_size, self.embedding_size)}, got shape {E.shape}: pass layer.init(key)"
            )
        return Unfolding(over.masked(E[x]), None, None)
