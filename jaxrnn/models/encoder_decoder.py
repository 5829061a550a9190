"""A sequence to a sequence: an encoder reads the one, a decoder that attends to it writes the other."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn import decoding, losses
from jaxrnn.cells import (
    AttendAfter,
    AttendBefore,
    Readout,
    ReadoutParams,
    Supervised,
    SupervisedState,
    attend_to,
    checks,
    symbols,
)
from jaxrnn.cells.affine import affine
from jaxrnn.cells.base import Cell, Outputs, Params, State
from jaxrnn.layers.base import Layer
from jaxrnn.layers.dropout import dropout
from jaxrnn.layers.recurrent import as_layer
from jaxrnn.models.reader import TokenReader
from jaxrnn.unfold import BPTT, Scan, Unfolding, unfold, validate


class Pairs(NamedTuple):
    """Sources and their targets, side by side. Past the lengths may stand anything."""

    source: Any  # (source, *batch), integers
    source_lengths: Any  # (*batch,), integers, at least 0; None where all steps count
    target: Any  # (target, *batch), integers; each ends with the end symbol, or is a prefix of targets
    target_lengths: Any  # (*batch,), integers, the end symbol counted, 0: no target; None where all steps count


class DecoderParams(NamedTuple):
    """θ of a decoder, and what it attends to."""

    embedding: jax.Array  # (target_size, embedding)
    readout: ReadoutParams  # the cell's, and V (hidden, target_size), c (target_size,)


class EncoderDecoderParams(NamedTuple):
    """θ of an encoder-decoder."""

    embedding: jax.Array  # (source_size, embedding)
    encoder: Params  # the layer's
    V: jax.Array  # (value, state), from what was read to the decoder's first state
    c: jax.Array  # (state,)
    decoder: DecoderParams


class Encoded(NamedTuple):
    """A source that was read: what the decoder goes on with."""

    params: DecoderParams  # the decoder's, with the memory of the source
    state: State  # the decoder's first state


@dataclass(frozen=True)
class EncoderDecoder:
    """A network that reads a whole sequence, then writes another of another length, and looks back as it writes.

        v(1..S) = encoder(E_s[source]),   s(0) = tanh(c + mean_i(v(i)) V)
        s(t) = f(s(t-1), E_t[y(t-1)]; v),   p(y(t) | y(1..t-1), source) = softmax(c_o + o(t) V_o)

    f and o are the decoder's, a cell that attends to v. y(0) is the end symbol, and the end symbol ends the target: so
    the sequence of a target's symbols and the end symbol has a probability, and these sum to 1 over all targets. A
    source of length 0 is the mean 0, and nothing to attend to.

    In training (a key is given) each entry of what encoder and decoder read and of v is zero with probability
    `dropout`, and else divided by 1 - dropout.

    A copy mechanism is a cell around `network`: it reads α by `attention.weights`, and the source symbols from
    `params.readout.cell.memory.source`.

    Args:
        source_size: how many symbols sources have.
        target_size: how many symbols targets have, the end symbol among them.
        embedding_size: entries of an embedding, of either side.
        encoder: a layer, or a cell, that reads embeddings; its outputs are what is attended to.
        decoder: `AttendAfter(cell, attention)` or `AttendBefore(cell, attention)`.
        end: the end symbol.
        dropout: probability; only where `key` is given.

    Raises:
        ValueError: sizes below 1 or that do not fit one another, an end that is no symbol, dropout outside [0, 1);
            symbols outside the vocabulary, lengths beyond the steps (where they are known).
        TypeError: a decoder that does not attend; symbols that are not integers.

    Example:
        encoder = Bidirectional(GRU(64, 128), GRU(64, 128))
        decoder = AttendAfter(GRU(64, 256), MultiplicativeAttention(query_size=256, value_size=256))
        model = EncoderDecoder(28, 41, 64, encoder, decoder)
        params = model.init(jax.random.key(0))
        nats, _ = model.loss(params, None, Pairs(source, source_lengths, target, target_lengths))
        best = model.beam_search(params, source, lengths=source_lengths, width=4, steps=30)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Fig. 10.12; Bahdanau et al. (2015); Luong et al.
    (2015); s(0) from the mean: Sennrich et al., *Nematus* (2017).
    """

    source_size: int
    target_size: int
    embedding_size: int
    encoder: Layer | Cell
    decoder: AttendAfter | AttendBefore
    end: int = 0
    dropout: float = 0.0

    def __post_init__(self):
        sizes = {"source_size": self.source_size, "target_size": self.target_size}
        checks.positive(self, **sizes, embedding_size=self.embedding_size)
        as_layer(self, self.encoder)
        if not isinstance(self.decoder, AttendAfter | AttendBefore):
            raise TypeError(
                f"EncoderDecoder: decoder must attend, got {self.decoder!r}: pass AttendAfter(cell, attention) or "
                "AttendBefore(cell, attention)"
            )
        checks.at_least(self, 0, end=self.end)
        if self.end >= self.target_size:
            raise ValueError(
                f"EncoderDecoder: end must be below target_size = {self.target_size}, got {self.end}: it is one of the "
                "target's symbols"
            )
        checks.number(self, "dropout", self.dropout, least=0, below=1)
        self._check_sizes()

    @property
    def network(self) -> Readout:
        """The decoder with its readout: reads embeddings, gives logits."""
        return Readout(self.decoder, self.target_size)

    @property
    def reader(self) -> TokenReader:
        """The decoder as a cell that reads symbols and gives logits, for `decoding`; its θ are `encode(...).params`."""
        return TokenReader(self.network)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> EncoderDecoderParams:
        """Draw new parameters of the floating type `dtype`; embeddings are normal, mean 0 and standard deviation 1."""
        key_s, key_t, key_encoder, key_decoder, key_V = jax.random.split(key, 5)
        values = self.decoder.attention.value_size
        size = sum(self._state_sizes())
        return EncoderDecoderParams(
            jax.random.normal(key_s, (self.source_size, self.embedding_size), dtype),
            self._encoder.init(key_encoder, dtype),
            jax.random.uniform(key_V, (values, size), dtype, -(values**-0.5), values**-0.5),
            jnp.zeros((size,), dtype),
            DecoderParams(
                jax.random.normal(key_t, (self.target_size, self.embedding_size), dtype),
                self.network.init(key_decoder, dtype),
            ),
        )

    def encode(
        self,
        params: EncoderDecoderParams,
        source: Any,
        *,
        lengths: Any = None,
        key: jax.Array | None = None,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> Encoded:
        """Read sources; what the decoder goes on with, once for all that is then written.

        Args:
            params: as `init` gives them.
            source: integers `(source, *batch)`.
            lengths: integers `(*batch,)`, of the sources; None for all steps.
            key: for dropout; None for none.
            method: how the values are computed, as in `unfold`.
            adjoint: how gradients are computed, as in `unfold`.

        Example:
            decoder, state = model.encode(params, source, lengths=lengths)
            start = jnp.full((1, *target.shape[1:]), model.end)
            decoding.log_prob(model.reader, decoder, target, prompt=start, state=state)
        """
        source = self._symbols("source", source, lengths)
        keys = (None, None, None) if key is None else jax.random.split(key, 3)
        xs = self._drop(keys[0], jnp.asarray(params.embedding)[source])
        run = self._encoder.apply(params.encoder, xs, lengths=lengths, key=keys[1], method=method, adjoint=adjoint)
        values = run.outputs
        count = len(source) if lengths is None else jnp.maximum(jnp.asarray(lengths), 1)[..., None]
        mean = values.sum(axis=0) / jnp.asarray(max(count, 1) if isinstance(count, int) else count, values.dtype)
        state = self._first_state(params, jnp.tanh(affine(mean, params.V, params.c)))
        readout = params.decoder.readout
        values = self._drop(keys[2], values)
        cell = attend_to(self.decoder, readout.cell, values, lengths, source=source)
        return Encoded(params.decoder._replace(readout=readout._replace(cell=cell)), state)

    def apply(
        self,
        params: EncoderDecoderParams,
        pairs: Pairs,
        key: jax.Array | None = None,
        *,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> Unfolding:
        """Logits of each target symbol, given those before it: outputs `(target, *batch, target_size)`.

        Args:
            params: as `init` gives them.
            pairs: sources and targets.
            key: for dropout; None for none.
            method: how the values are computed, as in `unfold`.
            adjoint: how gradients are computed, as in `unfold`.
        """
        decoder, state, xs, _, common = self._forced(params, pairs, key, method, adjoint)
        return unfold(self.network, decoder.readout, xs, state=state, **common)

    def losses(
        self,
        params: EncoderDecoderParams,
        pairs: Pairs,
        key: jax.Array | None = None,
        *,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> Unfolding:
        """The loss of each target symbol, `L(t) = -log p(y(t) | y(1..t-1), source)` in nats: `(target, *batch)`.

        It is 0 past the lengths. The arguments are those of `apply`. Logits live for a block of time, never for all.

        Example:
            -model.losses(params, pairs).outputs.sum(axis=0)  # (*batch,), log p(target | source)
        """
        decoder, state, xs, target, common = self._forced(params, pairs, key, method, adjoint)
        supervised = Supervised(self.network, losses.negative_log_likelihood)
        first = SupervisedState(state, jnp.zeros(target.shape[1:], supervised.target.dtype))
        return unfold(supervised, decoder.readout, (xs, target), state=first, **common)

    def loss(
        self,
        params: EncoderDecoderParams,
        state: None,
        batch: Pairs,
        key: jax.Array | None = None,
        *,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> tuple[jax.Array, tuple[None, dict[str, jax.Array]]]:
        """The mean over the batch of -log p(target | source), in nats, under teacher forcing.

        Args:
            params: as `init` gives them.
            state: None: nothing is carried from batch to batch.
            batch: sources and targets.
            key: for dropout; None for none.
            method: how the values are computed, as in `unfold`.
            adjoint: how gradients are computed, as in `unfold`.

        Returns:
            The loss, and beside it `(None, {"nats_per_symbol"})`: the loss of a symbol, its mean over all of them.
        """
        run = self.losses(params, batch, key, method=method, adjoint=adjoint)
        reduced = losses.reduce(run.outputs, batch.target_lengths)
        return reduced.per_sequence, (None, {"nats_per_symbol": reduced.per_step})

    def attention(self, params: EncoderDecoderParams, pairs: Pairs) -> jax.Array:
        """Where the decoder looks as each target symbol is written: α `(target, *batch, source)`.

        Example:
            plotting.attention(model.attention(params, pairs)[:, 0], target, source)
        """
        decoder, state, xs, _, common = self._forced(params, pairs, None, Scan(), BPTT())
        cell = decoder.readout.cell
        h = unfold(self.decoder, cell, xs, state=state, emit=_inner_output, **common).outputs
        if isinstance(self.decoder, AttendBefore):  # it looked before the step
            h = jnp.concatenate([_inner_output(self.decoder, cell, state)[None], h[:-1]])
        return jax.vmap(lambda h: self.decoder.attention.weights(cell.attention, cell.memory, h))(h)

    def beam_search(
        self,
        params: EncoderDecoderParams,
        source: Any,
        *,
        lengths: Any = None,
        width: int,
        steps: int,
        n_best: int | None = None,
        length_penalty: float = 0.0,
        allowed: Any = None,
    ) -> decoding.Beams:
        """The likeliest targets of each source that a beam finds: see `decoding.beam_search`.

        Args:
            params: as `init` gives them.
            source: integers `(source, *batch)`.
            lengths: integers `(*batch,)`, of the sources; None for all steps.
            width: candidates that are kept; 1 is greedy.
            steps: the most symbols of a target, the end symbol counted.
            n_best: how many targets of each source come back; default: as many as are kept.
            length_penalty: α of the normalisation by length.
            allowed: which symbols may come.
        """
        decoder, state = _encode(self, params, source, lengths)
        start = jnp.full((1, *jnp.shape(source)[1:]), self.end, jnp.int32)
        return decoding.beam_search(
            self.reader,
            decoder,
            prompt=start,
            end=self.end,
            width=width,
            steps=steps,
            state=state,
            n_best=n_best,
            length_penalty=length_penalty,
            allowed=allowed,
        )

    def _symbols(self, name: str, given: Any, lengths: Any) -> jax.Array:
        size = f"{name}_size"
        return symbols.checked("EncoderDecoder", name, given, getattr(self, size), lengths, size, "numbers of symbols")

    @property
    def _encoder(self) -> Layer:
        return as_layer(self, self.encoder)

    def _drop(self, key: jax.Array | None, x: jax.Array) -> jax.Array:
        return x if key is None or not self.dropout else dropout(key, x, self.dropout)

    def _forced(
        self, params: EncoderDecoderParams, pairs: Pairs, key: jax.Array | None, method: Any, adjoint: Any
    ) -> tuple[DecoderParams, State, jax.Array, jax.Array, dict[str, Any]]:
        """The decoder's parameters, first state and inputs, the targets, and the choices of `unfold`."""
        if not isinstance(pairs, Pairs):
            raise TypeError(
                f"EncoderDecoder: expected Pairs(source, source_lengths, target, target_lengths), got "
                f"{type(pairs).__name__}"
            )
        source, source_lengths, target, lengths = pairs
        target = self._symbols("target", target, lengths)
        if jnp.shape(source)[1:] != target.shape[1:]:
            raise ValueError(
                f"EncoderDecoder: source (source, *batch) and target (target, *batch) must have one batch, got shapes "
                f"{jnp.shape(source)} and {target.shape}"
            )
        keys = (None, None) if key is None else jax.random.split(key)
        choices = {"method": method, "adjoint": adjoint}
        decoder, state = self.encode(params, source, lengths=source_lengths, key=keys[0], **choices)
        start = jnp.full_like(target[:1], self.end)
        xs = self._drop(keys[1], jnp.asarray(decoder.embedding)[jnp.concatenate([start, target[:-1]])])
        return decoder, state, xs, target, {"lengths": lengths, **choices}

    def _first_state(self, params: EncoderDecoderParams, row: jax.Array) -> State:
        """The decoder's state whose floating-point arrays are parts of the row `(*batch, state)`."""
        cell = params.decoder.readout.cell
        state = self.decoder.initial_state(cell, row.shape[:-1])
        inner = state.cell if isinstance(self.decoder, AttendBefore) else state
        leaves, structure = jax.tree.flatten(inner)
        parts, at = [], 0
        for leaf in leaves:
            size = leaf.shape[-1]
            parts.append(row[..., at : at + size])
            at += size
        inner = jax.tree.unflatten(structure, parts)
        return state._replace(cell=inner) if isinstance(self.decoder, AttendBefore) else inner

    def _state_sizes(self) -> list[int]:
        """The sizes of the arrays of the inner cell's state."""
        inner = self.decoder.inner
        leaves = jax.tree.leaves(jax.eval_shape(lambda: inner.initial_state(inner.init(jax.random.key(0)))))
        if any(len(leaf.shape) != 1 or not jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves):
            raise TypeError(
                f"EncoderDecoder: the state of the decoder's cell must be arrays (*batch, n) of a floating type, got "
                f"{self.decoder.inner}"
            )
        return [leaf.shape[0] for leaf in leaves]

    def _check_sizes(self) -> None:
        """Raise unless encoder and decoder read embeddings, and the decoder attends to the encoder's outputs."""
        self._state_sizes()

        def once() -> Outputs:
            params = self.init(jax.random.key(0))
            return self.losses(params, Pairs(jnp.zeros((1, 1), int), None, jnp.zeros((1, 1), int), None)).outputs

        try:
            jax.eval_shape(once)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"EncoderDecoder: encoder and decoder must read embeddings of embedding_size = {self.embedding_size}, "
                f"and the decoder attend to what the encoder gives: {error}"
            ) from error


def _inner_output(cell: Any, params: Any, state: Any) -> Outputs:
    """The hidden state of the cell within one that attends: its query."""
    inner = state.cell if isinstance(cell, AttendBefore) else state
    return cell.inner.output(params.cell, inner)


def _encode(model: EncoderDecoder, params: EncoderDecoderParams, source: Any, lengths: Any) -> Encoded:
    """`encode`, compiled."""
    source = model._symbols("source", source, lengths)
    lengths, _ = validate.lengths_and_resets(lengths, None, len(source), source.shape[1:], source)
    return _encode_compiled(model, params, source, lengths)


def _encode_checked(model: EncoderDecoder, params: EncoderDecoderParams, source: Any, lengths: Any) -> Encoded:
    return model.encode(params, source, lengths=lengths)


_encode_compiled = jax.jit(_encode_checked, static_argnums=0)
