"""A distribution over sequences of symbols, of any length."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxrnn import losses
from jaxrnn.cells import Cell, Readout, ReadoutParams, Supervised, checks, symbols
from jaxrnn.cells.base import State
from jaxrnn.models.endings import Ending
from jaxrnn.unfold import BPTT, Scan, unfold, validate

TARGET = jax.ShapeDtypeStruct((2,), jnp.int32)  # of a step: what comes, and how many symbols are left


class SequenceModelParams(NamedTuple):
    """θ of a model of sequences."""

    embedding: jax.Array  # (vocabulary + 1, embedding): of each symbol, and last of the start
    readout: ReadoutParams  # the recurrent cell's, and V (hidden, outputs), c (outputs,)
    ending: Any  # the ending's


class Sequences(NamedTuple):
    """Sequences that were drawn."""

    tokens: jax.Array  # (steps, *batch), int32: symbols, then zeros
    lengths: jax.Array  # (*batch,), int32
    ended: jax.Array  # (*batch,), booleans: False where the sequence goes on after `steps` symbols


@dataclass(frozen=True)
class SequenceModel:
    """A recurrent network as a distribution over sequences y(1..τ) of any length, the empty one included.

        x(t) = E[y(t-1)],   s(t) = f(s(t-1), x(t)),   p(y(t) or the end | y(1..t-1)) by the ending, of o(t) = c + h(t) V

    y(0) is the start, a row of E beside those of the symbols. As a directed graphical model, each symbol depends on all
    before it, through s(t), and the probabilities of all sequences sum to 1 (less what never ends).

    A vector that the sequence depends on is one that the cell reads (Fig. 10.9): make the cell with `conditioned`,
    `ConditionedInitialState` or both, and pass `given(params, v)` for `params` to any function below.

    Args:
        vocabulary_size: how many symbols there are.
        embedding_size: entries of x(t).
        cell: the recurrent network, which reads x(t).
        ending: `EndSymbol()`, `BernoulliStop()` or `PredictedLength(longest)`.

    Raises:
        ValueError: sizes below 1, a cell that does not read embeddings of this size; tokens that are not symbols (where
            they are known).
        TypeError: a cell that is not a `Cell`, an ending that is none; tokens that are not integers.

    Example:
        model = SequenceModel(27, 16, conditioned(GRU(16 + 3, 64), 3), EndSymbol())
        params = given(model.init(jax.random.key(0)), jnp.array([0.0, 1.0, 0.0]))
        names = model.sample(params, jax.random.key(1), steps=20, batch_shape=(5,))
        nats = model.log_prob(params, names.tokens, lengths=names.lengths)  # (5,)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.3 and 10.2.4.
    """

    vocabulary_size: int
    embedding_size: int
    cell: Cell
    ending: Ending

    def __post_init__(self):
        checks.positive(self, vocabulary_size=self.vocabulary_size, embedding_size=self.embedding_size)
        if not isinstance(self.cell, Cell):
            raise TypeError(f"SequenceModel: cell must be a Cell, got {self.cell!r}: pass one such as GRU(16, 64)")
        if not isinstance(self.ending, Ending):
            raise TypeError(f"SequenceModel: ending must be one, got {self.ending!r}: pass one such as EndSymbol()")
        symbols.reads("SequenceModel", self.cell, self.embedding_size)

    @property
    def network(self) -> Readout:
        """The cell with its readout: reads embeddings, gives o(t)."""
        return Readout(self.cell, self.ending.output_size(self.vocabulary_size))

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> SequenceModelParams:
        """Draw new parameters of the floating type `dtype`; E starts normal with standard deviation 1."""
        key_E, key_readout, key_ending = jax.random.split(key, 3)
        E = jax.random.normal(key_E, (self.vocabulary_size + 1, self.embedding_size), dtype)
        ending = self.ending.init(key_ending, self.embedding_size, dtype)
        return SequenceModelParams(E, self.network.init(key_readout, dtype), ending)

    def log_prob(
        self,
        params: SequenceModelParams,
        tokens: Any,
        *,
        lengths: Any = None,
        prefix: Any = None,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> jax.Array:
        """The log-probability, in nats, of whole sequences: of their symbols, and of ending after them.

        Args:
            params: as `init` gives them; `given(params, v)` for a conditioned cell.
            tokens: integers `(time, *batch)`; time may be 0, for empty sequences.
            lengths: integers `(*batch,)`: only so many of the tokens belong to the sequence; None for all.
            prefix: integers `(n, *batch)`: then it is that of tokens to come after it, given that the sequence begins
                with it.
            method: how the values are computed, as in `unfold`.
            adjoint: how gradients are computed, as in `unfold`.

        Returns:
            `(*batch,)`, in float32 at least.

        Example:
            model.log_prob(params, jnp.array([3, 1, 4]))  # ()
        """
        prefix, tokens = self._checked(prefix, tokens, lengths)
        lengths, _ = validate.lengths_and_resets(lengths, None, len(tokens), tokens.shape[1:], tokens)
        lengths = jnp.full(tokens.shape[1:], len(tokens)) if lengths is None else lengths
        return _log_prob(self, method, adjoint, params, prefix, tokens, lengths)

    def loss(
        self, params: SequenceModelParams, state: None, batch: tuple[Any, Any], key: jax.Array | None = None
    ) -> tuple[jax.Array, tuple[None, dict[str, jax.Array]]]:
        """The mean of -log p over the sequences, in nats.

        Args:
            params: as for `log_prob`.
            state: None: every sequence begins anew.
            batch: tokens `(time, *batch)`, and lengths `(*batch,)` or None.
            key: not used.

        Returns:
            The loss, and beside it None and `{"nats_per_symbol"}`, in which the end counts as a symbol. Of no
            sequences both are 0.
        """
        tokens, lengths = batch
        nats = -self.log_prob(params, tokens, lengths=lengths)
        written = nats.size * len(tokens) if lengths is None else jnp.asarray(lengths).sum()
        total, sequences = nats.sum(), max(nats.size, 1)
        return total / sequences, (None, {"nats_per_symbol": total / (written + sequences)})

    def sample(
        self,
        params: SequenceModelParams,
        key: jax.Array,
        *,
        steps: int,
        batch_shape: tuple[int, ...] = (),
        prefix: Any = None,
    ) -> Sequences:
        """Draw sequences, each with the probability of `log_prob`, in one compiled program.

        Args:
            params: as for `log_prob`.
            key: a random key.
            steps: the most symbols that are drawn; what would go on is cut there, and not `ended`.
            batch_shape: how many, where there is no prefix.
            prefix: integers `(n, *batch)`, what the sequences begin with; it is not repeated.

        Returns:
            `Sequences(tokens, lengths, ended)`.

        Example:
            tokens, lengths, ended = model.sample(params, jax.random.key(0), steps=20, batch_shape=(5,))
        """
        steps = checks.whole_number("SequenceModel.sample: steps", steps, 1)
        if prefix is None:
            prefix = jnp.zeros((0, *batch_shape), jnp.int32)
        elif batch_shape:
            raise ValueError(f"SequenceModel: batch_shape = {batch_shape} beside a prefix, which has one: leave it out")
        prefix = symbols.checked("SequenceModel", "prefix", prefix, self.vocabulary_size, None).astype(jnp.int32)
        return _drawn(self, steps, params, key, prefix)

    def _checked(self, prefix: Any, tokens: Any, lengths: Any) -> tuple[jax.Array, jax.Array]:
        """Prefix and tokens, int32 `(n, *batch)` and `(time, *batch)`."""
        if not isinstance(tokens, str) and not np.size(tokens):
            tokens = jnp.zeros(np.shape(tokens), jnp.int32)  # an empty list is one of floating-point numbers
        tokens = symbols.checked("SequenceModel", "tokens", tokens, self.vocabulary_size, lengths).astype(jnp.int32)
        if prefix is None:
            return tokens[:0], tokens
        prefix = symbols.checked("SequenceModel", "prefix", prefix, self.vocabulary_size, None).astype(jnp.int32)
        if prefix.shape[1:] != tokens.shape[1:]:
            raise ValueError(
                f"SequenceModel: prefix and tokens must be (n, *batch) and (time, *batch) of one batch, got shapes "
                f"{prefix.shape} and {tokens.shape}"
            )
        return prefix, tokens

    def _losses(
        self,
        params: SequenceModelParams,
        tokens: jax.Array,
        lengths: jax.Array,
        ends: int,
        method: Any = Scan(),  # noqa: B008
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> jax.Array:
        """-log p of each symbol, and, with `ends` = 1, of the end: `(time + ends, *batch)`, 0 past it."""
        time = jnp.arange(len(tokens) + 1).reshape(-1, *(1 for _ in lengths.shape))
        left = lengths[None] - time
        start = jnp.full((1, *lengths.shape), self.vocabulary_size, jnp.int32)
        known = jnp.where(left[:-1] > 0, tokens, 0)
        inputs, targets = jnp.concatenate([start, known]), jnp.concatenate([known, start])
        targets = jnp.stack([jnp.where(left > 0, targets, self.vocabulary_size), left], axis=-1)
        count = len(tokens) + ends
        xs = self.ending.inputs(params.ending, jnp.asarray(params.embedding)[inputs], left)

        def loss(o: jax.Array, y: jax.Array) -> jax.Array:
            return losses.negative_log_likelihood(self.ending.logits(o, y[..., 1]), y[..., 0])

        run = unfold(
            Supervised(self.network, loss, TARGET),
            params.readout,
            (xs[:count], targets[:count].astype(jnp.int32)),
            lengths=jnp.minimum(lengths + ends, count),
            method=method,
            adjoint=adjoint,
        )
        return run.outputs

    def _length_log_probs(
        self,
        params: SequenceModelParams,
        prefix: jax.Array,
        method: Any = Scan(),  # noqa: B008
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> jax.Array | None:
        """Log p(τ | the sequence begins with the prefix), `(*batch, longest + 1)`; None if τ is not predicted."""
        net, batch, n = self.network, prefix.shape[1:], len(prefix)
        start = jnp.full(batch, self.vocabulary_size, jnp.int32)
        x = self.ending.inputs(params.ending, jnp.asarray(params.embedding)[start], None)
        first = net.step(params.readout, net.initial_state(params.readout, batch), x)
        logits = self.ending.length_logits(net.output(params.readout, first))
        if logits is None:
            return None
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        if n >= logits.shape[-1]:
            raise ValueError(
                f"SequenceModel: with {self.ending} no sequence begins with a prefix of {n} symbols: pass fewer"
            )
        if n:
            # Bayes: p(τ) p(prefix | τ), for each τ that is not shorter than the prefix.
            def fit(tau: jax.Array) -> jax.Array:
                return -self._losses(params, prefix, jnp.full(batch, tau), 0, method, adjoint).sum(0)

            fits = jax.vmap(fit, out_axes=-1)(jnp.arange(n, logits.shape[-1]))
            logits = jnp.concatenate([jnp.full((*batch, n), -jnp.inf), logits[..., n:] + fits], axis=-1)
        return jax.nn.log_softmax(logits, axis=-1)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _log_prob(
    model: SequenceModel,
    method: Any,
    adjoint: Any,
    params: SequenceModelParams,
    prefix: jax.Array,
    tokens: jax.Array,
    lengths: jax.Array,
) -> jax.Array:
    whole = len(prefix) + lengths
    L = model._losses(params, jnp.concatenate([prefix, tokens]), whole, 1, method, adjoint)
    total = -L[len(prefix) :].sum(0)
    ends = model._length_log_probs(params, prefix, method, adjoint)
    if ends is None:
        return total
    longest = ends.shape[-1] - 1
    length = jnp.take_along_axis(ends, jnp.minimum(whole, longest)[..., None], axis=-1)[..., 0]
    return jnp.where(whole > longest, -jnp.inf, total + length)


@partial(jax.jit, static_argnums=(0, 1))
def _drawn(
    model: SequenceModel, steps: int, params: SequenceModelParams, key: jax.Array, prefix: jax.Array
) -> Sequences:
    net, ending, batch = model.network, model.ending, prefix.shape[1:]
    key_length, key = jax.random.split(key)
    ends = model._length_log_probs(params, prefix)
    left = jnp.zeros(batch, jnp.int32)
    if ends is not None:
        left = jax.random.categorical(key_length, ends).astype(jnp.int32)

    def advance(state: State, before: jax.Array, left: jax.Array) -> State:
        return net.step(
            params.readout, state, ending.inputs(params.ending, jnp.asarray(params.embedding)[before], left)
        )

    def read(carry: Any, token: jax.Array) -> tuple[Any, None]:
        state, before, left = carry
        return (advance(state, before, left), token, left - 1), None

    def write(carry: Any, t: jax.Array) -> tuple[Any, tuple[jax.Array, jax.Array]]:
        state, before, left, ended = carry
        state = advance(state, before, left)
        logits = ending.logits(net.output(params.readout, state), left)
        drawn = jax.random.categorical(jax.random.fold_in(key, t), logits).astype(jnp.int32)
        ended = ended | (drawn == model.vocabulary_size)
        token = jnp.where(ended, 0, drawn)
        return (state, token, left - 1, ended), (token, ended)

    start = jnp.full(batch, model.vocabulary_size, jnp.int32)
    carry, _ = jax.lax.scan(read, (net.initial_state(params.readout, batch), start, left), prefix)
    # One step more, which tells whether the sequence ends there.
    _, (tokens, ended) = jax.lax.scan(write, (*carry, jnp.zeros(batch, bool)), jnp.arange(steps + 1))
    return Sequences(tokens[:steps], (~ended[:steps]).sum(0, dtype=jnp.int32), ended[steps])
