"""What a decoder looks back at, a memory of items, and how it weighs them."""

import abc
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine, product
from jaxrnn.cells.initializers import uniform
from jaxrnn.cells.padding import before_end


class Memory(NamedTuple):
    """The items that are attended to: made once a sequence, and read in every step.

    The batch axes are those of the queries, or none, where all queries look at the same items.
    """

    keys: jax.Array  # (source, *batch, attention), what queries are compared with
    values: jax.Array  # (source, *batch, value), what is read
    mask: jax.Array | None  # (source, *batch), booleans: True where there is an item; None: everywhere
    source: Any = None  # leaves (source, *batch, ...): what else belongs to the items, such as symbols to copy


class Attention(abc.ABC):
    """How a query weighs the items of a memory: α = softmax(score(query, key)), over the items that there are.

    `value_size` is the number of entries of an item. The context is Σ_i α_i v_i.
    """

    value_size: int

    @abc.abstractmethod
    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Any:
        """Draw new parameters of the floating type `dtype`."""

    @abc.abstractmethod
    def keys(self, params: Any, values: jax.Array) -> jax.Array:
        """What queries are compared with, `(..., attention)`, from items `(..., value)`: once for all steps."""

    @abc.abstractmethod
    def scores(self, params: Any, keys: jax.Array, query: jax.Array) -> jax.Array:
        """The score of every item, `(*batch, source)`, for a query `(*batch, query)`."""

    def memory(self, params: Any, values: Any, lengths: Any = None, *, source: Any = None) -> Memory:
        """The memory of items `(source, *batch, value)`, of which each sequence has the first `lengths`.

        What stands past the lengths, NaN included, reaches nothing.

        Args:
            params: as `init` gives them.
            values: the items, such as the outputs of an encoder.
            lengths: integers `(*batch,)`; None where all items are there. A sequence of none gives the context 0.
            source: what else belongs to the items, leaves `(source, *batch, ...)`, for a decoder that copies them.

        Raises:
            ValueError: items of another size; lengths of another shape than the batch.
            TypeError: items that are not floating-point, lengths that are not integers.
        """
        values, name = jnp.asarray(values), type(self).__name__
        if not jnp.issubdtype(values.dtype, jnp.floating):
            raise TypeError(f"{name}: values must be of a floating type, got {values.dtype}: pass an encoder's outputs")
        if values.ndim < 2 or values.shape[-1] != self.value_size:
            raise ValueError(
                f"{name}: values must be (source, *batch, value_size = {self.value_size}), got shape {values.shape}"
            )
        mask = None
        if lengths is not None:
            lengths = jnp.asarray(lengths)
            if not jnp.issubdtype(lengths.dtype, jnp.integer):
                raise TypeError(f"{name}: lengths must be integers, got {lengths.dtype}")
            if lengths.shape != values.shape[1:-1]:
                raise ValueError(
                    f"{name}: lengths must have the batch axes of values, {values.shape[1:-1]}, got {lengths.shape}"
                )
            mask = before_end(len(values), lengths)
            values = jnp.where(mask[..., None], values, 0)
        return Memory(self.keys(params, values), values, mask, source)

    def weights(self, params: Any, memory: Memory, query: jax.Array) -> jax.Array:
        """α `(*batch, source)`, for a query `(*batch, query)`: it sums to 1, or is 0 where there is no item."""
        _matches(self, memory, query)
        scores = self.scores(params, memory.keys, query)
        mask = memory.mask
        if mask is None:
            return jax.nn.softmax(scores, axis=-1)
        mask = jnp.moveaxis(mask, 0, -1)
        mask = jnp.broadcast_to(mask.reshape((1,) * (scores.ndim - mask.ndim) + mask.shape), scores.shape)
        scores = jnp.where(mask, scores, -jnp.inf)
        top = jax.lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True, initial=jnp.finfo(scores.dtype).min))
        e = jnp.where(mask, jnp.exp(scores - top), 0)
        total = e.sum(axis=-1, keepdims=True)
        return e / jnp.where(total == 0, 1, total)

    def read(self, params: Any, memory: Memory | None, query: jax.Array) -> jax.Array:
        """The context `(*batch, value)`: Σ_i α_i v_i; 0 without a memory."""
        if memory is None:
            return jnp.zeros((*query.shape[:-1], self.value_size), query.dtype)
        return jnp.einsum("...s,s...v->...v", self.weights(params, memory, query), memory.values)


class AdditiveAttentionParams(NamedTuple):
    """θ of additive attention."""

    W: jax.Array  # (query, attention)
    U: jax.Array  # (value, attention)
    b: jax.Array  # (attention,)
    v: jax.Array  # (attention,)


@dataclass(frozen=True)
class AdditiveAttention(Attention):
    """The score is a small network of query and item.

        score(q, x) = tanh(q W + x U + b) · v,   keys x U + b

    Shapes: q `(*batch, query)`, x `(source, *batch, value)`, W `(query, attention)`, U `(value, attention)`, b and v
    `(attention,)`. All start uniform in ±1/√attention, b at zero.

    Args:
        query_size: entries of a query, such as the decoder's hidden size.
        value_size: entries of an item, such as those of the encoder's output.
        attention_size: units of the small network.

    Raises:
        ValueError: a size below 1.

    Example:
        attention = AdditiveAttention(query_size=64, value_size=128, attention_size=32)
        memory = attention.memory(params, encoder_outputs, lengths)
        attention.weights(params, memory, query)  # (*batch, source)

    Source: Bahdanau, Cho, Bengio, *Neural machine translation by jointly learning to align and translate* (2015),
    Sec. 3.1 and A.1.2.
    """

    query_size: int
    value_size: int
    attention_size: int

    def __post_init__(self):
        sizes = {"query_size": self.query_size, "value_size": self.value_size}
        checks.positive(self, **sizes, attention_size=self.attention_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> AdditiveAttentionParams:
        n = self.attention_size
        W, U, v = uniform(key, n**-0.5, (self.query_size, n), (self.value_size, n), (n,), dtype=dtype)
        return AdditiveAttentionParams(W, U, jnp.zeros((n,), dtype), v)

    def keys(self, params: AdditiveAttentionParams, values: jax.Array) -> jax.Array:
        return affine(values, params.U, params.b)

    def scores(self, params: AdditiveAttentionParams, keys: jax.Array, query: jax.Array) -> jax.Array:
        q = product(query, params.W)
        keys = keys.reshape(len(keys), *(1,) * (q.ndim + 1 - keys.ndim), *keys.shape[1:])
        return jnp.einsum("s...a,a->...s", jnp.tanh(q[None] + keys), params.v)


class MultiplicativeAttentionParams(NamedTuple):
    """θ of multiplicative attention."""

    U: jax.Array  # (value, query)


@dataclass(frozen=True)
class MultiplicativeAttention(Attention):
    """The score is a product of query and item: one matrix product for all steps of a decoder.

        score(q, x) = q · (x U),   keys x U

    Shapes: q `(*batch, query)`, x `(source, *batch, value)`, U `(value, query)`, which starts uniform in ±1/√value.

    Args:
        query_size: entries of a query, such as the decoder's hidden size.
        value_size: entries of an item, such as those of the encoder's output.

    Raises:
        ValueError: a size below 1.

    Example:
        attention = MultiplicativeAttention(query_size=64, value_size=128)
        memory = attention.memory(params, encoder_outputs, lengths)
        attention.weights(params, memory, query)  # (*batch, source)

    Source: Luong, Pham, Manning, *Effective approaches to attention-based neural machine translation* (2015), Eq. 8,
    "general".
    """

    query_size: int
    value_size: int

    def __post_init__(self):
        checks.positive(self, query_size=self.query_size, value_size=self.value_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> MultiplicativeAttentionParams:
        shape = self.value_size, self.query_size
        return MultiplicativeAttentionParams(*uniform(key, self.value_size**-0.5, shape, dtype=dtype))

    def keys(self, params: MultiplicativeAttentionParams, values: jax.Array) -> jax.Array:
        return product(values, params.U)

    def scores(self, params: MultiplicativeAttentionParams, keys: jax.Array, query: jax.Array) -> jax.Array:
        return jnp.einsum("...q,s...q->...s", query, keys)


def _matches(attention: Attention, memory: Memory, query: jax.Array) -> None:
    """Raise unless the batch axes of the memory are those of the query, or none."""
    given, batch = memory.values.shape[1:-1], query.shape[:-1]
    if given and given != batch:
        raise ValueError(
            f"{type(attention).__name__}: the memory has batch axes {given}, but the query has {batch}: pass "
            "encoder outputs of the same batch"
        )
