"""A language model: what symbol comes next, given all before it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn import decoding, losses
from jaxrnn.cells import Cell, Readout, ReadoutParams, Stack, Supervised, SupervisedState, checks, symbols
from jaxrnn.cells.base import State
from jaxrnn.decoding.generation import checked_prompt
from jaxrnn.decoding.probability import after_prompt, checked_tokens, following
from jaxrnn.layers.dropout import dropout
from jaxrnn.models.reader import TokenReader
from jaxrnn.unfold import BPTT, Scan, Unfolding, unfold


class LanguageModelParams(NamedTuple):
    """θ of a language model."""

    embedding: jax.Array  # (vocabulary, embedding)
    readout: ReadoutParams  # the recurrent cell's, and V (hidden, vocabulary), c (vocabulary,)


@dataclass(frozen=True)
class LanguageModel:
    """A recurrent network that says what symbol comes next, given all before it.

        x(t) = E[token(t)],   s(t) = f(s(t-1), x(t)),   p(token(t+1) | token(1..t)) = softmax(c + h(t) V)

    Shapes: tokens `(time, *batch)`, integers; E `(vocabulary, embedding)`, V `(hidden, vocabulary)`, c `(vocabulary,)`.
    E starts normal with mean 0 and standard deviation 1 (PyTorch's), V and c as in `Readout`.

    In training, dropout stands between the layers of a `Stack`: each entry of a layer's output is zero with probability
    `dropout`, anew in every step, and else divided by `1 - dropout`; the recurrence itself is left alone.

    Args:
        vocabulary_size: how many symbols there are.
        embedding_size: entries of x(t).
        cell: the recurrent network, which reads x(t).
        dropout: probability; only where `key` is given.

    Raises:
        ValueError: sizes below 1, dropout outside [0, 1) or without layers to stand between, a cell that does not read
            embeddings of this size; tokens that are not symbols (where they are known).
        TypeError: a cell that is not a `Cell`; tokens that are not integers.

    Example:
        model = LanguageModel(65, 64, Stack([GRU(64, 256), GRU(256, 256)]))
        params = model.init(jax.random.key(0))
        nats, (state, metrics) = model.loss(params, None, (tokens[:-1], tokens[1:]))

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.3; Mikolov et al., *Recurrent neural
    network based language model* (2010); dropout: Zaremba et al., *Recurrent neural network regularization* (2014).
    """

    vocabulary_size: int
    embedding_size: int
    cell: Cell
    dropout: float = 0.0

    def __post_init__(self):
        checks.positive(self, vocabulary_size=self.vocabulary_size, embedding_size=self.embedding_size)
        if not isinstance(self.cell, Cell):
            raise TypeError(f"LanguageModel: cell must be a Cell, got {self.cell!r}: pass one such as GRU(64, 256)")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"LanguageModel: dropout must be at least 0 and below 1, got {self.dropout}")
        if self.dropout and not (isinstance(self.cell, Stack) and len(self.cell.cells) > 1):
            raise ValueError(
                f"LanguageModel: dropout = {self.dropout} stands between layers, and this cell has only one: pass "
                "dropout=0, or a Stack of several cells"
            )
        symbols.reads("LanguageModel", self.cell, self.embedding_size)

    @property
    def network(self) -> Readout:
        """The cell with its readout: reads embeddings, gives logits."""
        return Readout(self.cell, self.vocabulary_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> LanguageModelParams:
        """Draw new parameters of the floating type `dtype`."""
        key_embedding, key_readout = jax.random.split(key)
        embedding = jax.random.normal(key_embedding, (self.vocabulary_size, self.embedding_size), dtype)
        return LanguageModelParams(embedding, self.network.init(key_readout, dtype))

    def initial_state(self, params: LanguageModelParams, batch_shape: tuple[int, ...] = ()) -> State:
        """The state of the recurrent cell before the first token."""
        return self.cell.initial_state(params.readout.cell, batch_shape)

    def apply(
        self,
        params: LanguageModelParams,
        state: State,
        tokens: Any,
        *,
        lengths: Any = None,
        resets: Any = None,
        key: jax.Array | None = None,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> Unfolding:
        """Logits of the token after each token: outputs `(time, *batch, vocabulary)`.

        Args:
            params: as `init` gives them.
            state: of the recurrent cell, before the first token; None for `initial_state`.
            tokens: integers `(time, *batch)`.
            lengths: see `unfold`, also for `resets`, `method` and `adjoint`.
            resets: booleans `(time, *batch)`.
            key: for dropout; None for none.
            method: how the values are computed.
            adjoint: how gradients are computed.

        Returns:
            `Unfolding`; `final` is the state of the recurrent cell.
        """
        tokens = symbols.checked("LanguageModel", "tokens", tokens, self.vocabulary_size, lengths)
        common = {"lengths": lengths, "resets": resets, "method": method, "adjoint": adjoint}
        xs = jnp.asarray(params.embedding)[tokens]
        lower, top, top_params, top_state, xs = self._below(params, state, xs, key, common)
        run = unfold(Readout(top, self.vocabulary_size), top_params, xs, state=top_state, **common)
        return run._replace(final=_whole(lower, run.final))

    def losses(
        self,
        params: LanguageModelParams,
        state: State,
        batch: tuple[Any, Any],
        key: jax.Array | None = None,
        *,
        lengths: Any = None,
        resets: Any = None,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> Unfolding:
        """The loss of each step, `L(t) = -log p(target(t))` in nats: outputs `(time, *batch)`, 0 past the lengths.

        Logits live for a block of time, never for all of it.

        Args:
            params: as `init` gives them.
            state: of the recurrent cell, before the first token; None for `initial_state`.
            batch: inputs and targets, integers `(time, *batch)` each; targets[t] is what comes after inputs[t].
            key: for dropout; None for none.
            lengths: see `unfold`, also for `resets`, `method` and `adjoint`.
            resets: booleans `(time, *batch)`.
            method: how the values are computed.
            adjoint: how gradients are computed.

        Returns:
            `Unfolding`; `final` is the state of the recurrent cell.

        Example:
            L = model.losses(params, None, (tokens[:-1], tokens[1:])).outputs  # (time, *batch)
        """
        inputs, targets = batch
        inputs = symbols.checked("LanguageModel", "inputs", inputs, self.vocabulary_size, lengths)
        targets = symbols.checked("LanguageModel", "targets", targets, self.vocabulary_size, lengths)
        if inputs.shape != targets.shape:
            raise ValueError(
                f"LanguageModel: inputs and targets must have one shape (time, *batch), got {inputs.shape} and "
                f"{targets.shape}"
            )
        common = {"lengths": lengths, "resets": resets, "method": method, "adjoint": adjoint}
        xs = jnp.asarray(params.embedding)[inputs]
        lower, top, top_params, top_state, xs = self._below(params, state, xs, key, common)
        supervised = Supervised(Readout(top, self.vocabulary_size), losses.negative_log_likelihood)
        if top_state is not None:
            top_state = SupervisedState(top_state, jnp.zeros(inputs.shape[1:], supervised.target.dtype))
        run = unfold(supervised, top_params, (xs, targets), state=top_state, **common)
        return run._replace(final=_whole(lower, run.final.cell))

    def loss(
        self,
        params: LanguageModelParams,
        state: State,
        batch: tuple[Any, Any],
        key: jax.Array | None = None,
        *,
        lengths: Any = None,
        resets: Any = None,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> tuple[jax.Array, tuple[State, dict[str, jax.Array]]]:
        """The mean of `losses` over the steps before the lengths, in nats; the arguments are those of `losses`.

        Returns:
            The loss, and beside it the state of the recurrent cell at the end and `{"bits_per_character"}`, the loss
            divided by log 2.
        """
        choices = {"lengths": lengths, "resets": resets, "method": method, "adjoint": adjoint}
        run = self.losses(params, state, batch, key, **choices)
        nats = losses.reduce(run.outputs, lengths).per_step
        return nats, (run.final, {"bits_per_character": nats / math.log(2)})

    def bits_per_character(
        self,
        params: LanguageModelParams,
        state: State,
        batch: tuple[Any, Any],
        *,
        lengths: Any = None,
        resets: Any = None,
        method: Any = Scan(),  # noqa: B008  frozen, without state
    ) -> tuple[jax.Array, State]:
        """Mean negative log-likelihood of a step in bits (nats / log 2), without dropout, and the state at the end."""
        _, (state, metrics) = self.loss(params, state, batch, lengths=lengths, resets=resets, method=method)
        return metrics["bits_per_character"], state

    def generate(
        self,
        params: LanguageModelParams,
        key: jax.Array,
        *,
        prompt: Any,
        steps: int,
        temperature: Any = 1.0,
        top_k: Any = None,
        top_p: Any = None,
        allowed: Any = None,
    ) -> jax.Array:
        """Tokens that the model writes after a prompt: int32 `(steps, *batch)`, the prompt not repeated.

        One compiled program; one key gives one text, and fewer steps give the beginning of it. Another shape of the
        prompt or number of steps compiles anew, other values do not.

        Args:
            params: as `init` gives them.
            key: a random key.
            prompt: integers `(n, *batch)`, n at least 1.
            steps: how many tokens are written.
            temperature: 0 for the likeliest token each time, 1 for the distribution as it is.
            top_k: only the k likeliest tokens may come.
            top_p: only the likeliest tokens that together have this probability may come.
            allowed: which tokens may come: booleans `(vocabulary,)` or `(*batch, vocabulary)`, or a pure function of
                the step and the tokens before it, as in `decoding.generate`.

        Example:
            alphabet.decode(model.generate(params, jax.random.key(0), prompt=alphabet.encode("ROMEO:"), steps=500))
        """
        prompt = symbols.checked("LanguageModel", "prompt", prompt, self.vocabulary_size, None)
        choices = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "allowed": allowed}
        return decoding.generate(TokenReader(self.network), params, key, prompt=prompt, steps=steps, **choices)

    def log_prob(
        self,
        params: LanguageModelParams,
        tokens: Any,
        *,
        prompt: Any,
        lengths: Any = None,
        state: State = None,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> jax.Array:
        """The log-probability, in nats, that tokens come after a prompt: `(*batch,)`.

            log p(x(1..τ) | prompt) = Σ_t log p(x(t) | prompt, x(1..t-1))

        Over all sequences of one length, the probabilities sum to 1.

        Args:
            params: as `init` gives them.
            tokens: integers `(τ, *batch)`, what comes; τ may be 0.
            prompt: integers `(n, *batch)`, what is read first, n at least 1.
            lengths: integers `(*batch,)`: only so many of the tokens count; None for all.
            state: of the recurrent cell, before the prompt; None for `initial_state`.
            method: how the values are computed, as in `unfold`.
            adjoint: how gradients are computed, as in `unfold`.

        Example:
            model.log_prob(params, alphabet.encode("thou"), prompt=alphabet.encode("What wouldst "))
        """
        prompt = checked_prompt(
            "LanguageModel", symbols.checked("LanguageModel", "prompt", prompt, self.vocabulary_size, None)
        )
        tokens = checked_tokens("LanguageModel", tokens, prompt)
        tokens = symbols.checked("LanguageModel", "tokens", tokens, self.vocabulary_size, lengths)
        inputs, targets, lengths = following(prompt, tokens, lengths)
        run = self.losses(params, state, (inputs, targets), lengths=lengths, method=method, adjoint=adjoint)
        return after_prompt(run.outputs, prompt)

    def sample(self, params: LanguageModelParams, key: jax.Array, *, prompt: Any, steps: int) -> jax.Array:
        """A draw from the model: int32 `(steps, *batch)`, whose probability is that of `log_prob`.

        It is `generate` without anything that sharpens or cuts the distribution.
        """
        return self.generate(params, key, prompt=prompt, steps=steps)

    def stream(
        self,
        params: LanguageModelParams,
        key: jax.Array,
        *,
        prompt: Any,
        steps: int | None = None,
        temperature: Any = 1.0,
        top_k: Any = None,
        top_p: Any = None,
        allowed: Any = None,
    ) -> Iterator[jax.Array]:
        """The tokens of `generate`, each as soon as it is drawn: an iterator of int32 `(*batch,)`.

        Args:
            params: as `init` gives them.
            key: a random key; one key gives one text, that of `generate`.
            prompt: integers `(n, *batch)`, n at least 1.
            steps: how many tokens are written; None for a text without end.
            temperature: see `generate`, also for the next two.
            top_k: only the k likeliest tokens may come.
            top_p: only the likeliest tokens that together have this probability may come.
            allowed: see `generate`.

        Example:
            for token in model.stream(params, jax.random.key(0), prompt=alphabet.encode("ROMEO:"), steps=200):
                print(alphabet.decode([int(token)]), end="", flush=True)
        """
        prompt = symbols.checked("LanguageModel", "prompt", prompt, self.vocabulary_size, None)
        choices = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "allowed": allowed}
        return decoding.stream(TokenReader(self.network), params, key, prompt=prompt, steps=steps, **choices)

    def _below(
        self, params: LanguageModelParams, state: State, xs: jax.Array, key: jax.Array | None, common: dict[str, Any]
    ) -> tuple[tuple[State, ...] | None, Cell, ReadoutParams, State, jax.Array]:
        """Run what must run before the cell with the readout on it: the layers below the top, if dropout is between.

        Returns their states at the end (None where no layer was run), and the cell that is left to run, its parameters
        with the readout's, its state and its input.
        """
        if key is None or not self.dropout:
            return None, self.cell, params.readout, state, xs
        assert isinstance(self.cell, Stack)
        *lower, top = zip(
            self.cell.cells,
            params.readout.cell,
            [None] * len(self.cell.cells) if state is None else state,
            jax.random.split(key, len(self.cell.cells)),
            strict=True,
        )
        finals = []
        for layer, layer_params, layer_state, layer_key in lower:
            run = unfold(layer, layer_params, xs, state=layer_state, **common)
            xs = dropout(layer_key, run.outputs, self.dropout)
            finals.append(run.final)
        return tuple(finals), top[0], params.readout._replace(cell=top[1]), top[2], xs


def _whole(lower: tuple[State, ...] | None, top: State) -> State:
    """The state of the whole recurrent cell."""
    return top if lower is None else (*lower, top)
