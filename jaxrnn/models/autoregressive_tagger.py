"""A tagger whose classes depend on those before them: x(t) and the class before are read at each step."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from jaxrnn import losses
from jaxrnn.cells import Cell, FeedForward, Readout, ReadoutParams, Supervised, checks, symbols
from jaxrnn.cells.base import State
from jaxrnn.cells.padding import before_end
from jaxrnn.models import labelled
from jaxrnn.models.labelled import Batch
from jaxrnn.unfold import BPTT, Scan, unfold, validate

HINT = "the index of each class"
READ = "(x(t), E[y(t-1)]) of input_size + embedding_size"


class AutoregressiveTaggerParams(NamedTuple):
    """θ of an autoregressive tagger."""

    embedding: jax.Array  # (classes + 1, embedding): of each class, and last of the start
    readout: ReadoutParams  # the cell's, and V (hidden, classes), c (classes,)


@dataclass(frozen=True)
class AutoregressiveTagger:
    """A sequence to a distribution over sequences of classes of the same length, each depending on those before it.

        s(t) = f(s(t-1), (x(t), E[y(t-1)])),   p(y(t) | y(1..t-1), x(1..t)) = softmax(c + h(t) V)
        p(y | x) = Π_t p(y(t) | y(1..t-1), x(1..t))

    y(0) is the start, a row of E beside those of the classes. A `Tagger` takes the classes for independent given x;
    here they are not, and the probabilities of all sequences of a length sum to 1. A vector is read beside x(t) by a
    `conditioned` cell.

    With a cell that remembers nothing, `FeedForward`, the one recurrence is from the output. With teacher forcing
    nothing is recurrent then, and all steps are computed at once.

    Shapes: x `(time, *batch, input)`, y `(time, *batch)`, E `(classes + 1, embedding)`, V `(hidden, classes)`, c
    `(classes,)`. E starts normal with mean 0 and standard deviation 1, V uniform in ±1/√hidden, c at zero.

    Args:
        input_size: entries of x(t).
        classes: how many there are.
        embedding_size: entries of E[y(t-1)].
        cell: the network, which reads `input_size + embedding_size` numbers: x(t) first.

    Raises:
        ValueError: sizes below 1; a cell that does not read so many; x or y of other shapes; classes that are none
            (where they are known, before the lengths).
        TypeError: a cell that is none; x that is not floating-point, y that is not of integers.

    Example:
        model = AutoregressiveTagger(input_size=3, classes=5, embedding_size=8, cell=GRU(3 + 8, 64))
        params = model.init(jax.random.key(0))
        drawn = model.sample(params, jax.random.key(1), jnp.ones((20, 4, 3)))  # (20, 4)
        nats = -model.log_prob(params, jnp.ones((20, 4, 3)), drawn)  # (4,)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.4 and Fig. 10.10; recurrence from the
    output alone: Sec. 10.2.1, Fig. 10.4 and 10.6; scheduled sampling: Bengio, Vinyals, Jaitly, Shazeer (2015).
    """

    input_size: int
    classes: int
    embedding_size: int
    cell: Cell

    def __post_init__(self):
        sizes = {name: getattr(self, name) for name in ("input_size", "classes", "embedding_size")}
        checks.positive(self, **sizes)
        checks.cell(self, self.cell)
        symbols.reads("AutoregressiveTagger", self.cell, self.input_size + self.embedding_size, READ)

    @property
    def network(self) -> Readout:
        """The cell with its readout: reads (x(t), E[y(t-1)]), gives the logits of y(t)."""
        return Readout(self.cell, self.classes)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> AutoregressiveTaggerParams:
        """Draw new parameters of the floating type `dtype`."""
        key_E, key_readout = jax.random.split(key)
        E = jax.random.normal(key_E, (self.classes + 1, self.embedding_size), dtype)
        return AutoregressiveTaggerParams(E, self.network.init(key_readout, dtype))

    def log_prob(
        self,
        params: AutoregressiveTaggerParams,
        xs: Any,
        classes: Any,
        *,
        lengths: Any = None,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> jax.Array:
        """Log p(y | x), in nats: `(*batch,)`, in float32 at least.

        Args:
            params: as `init` gives them; `given(params, v)` for a conditioned cell.
            xs: inputs `(time, *batch, input)`.
            classes: y, integers `(time, *batch)`.
            lengths: integers `(*batch,)`: the steps of each sequence; None for all. Past them anything may stand.
            method: how the values are computed, as in `unfold`.
            adjoint: how gradients are computed, as in `unfold`.
        """
        xs, classes, lengths = self._checked(xs, classes, lengths)
        return -self._losses(params, xs, classes, classes, lengths, method, adjoint).sum(axis=0)

    def loss(
        self,
        params: AutoregressiveTaggerParams,
        state: None,
        batch: Batch,
        key: jax.Array | None = None,
        *,
        truth: Any = None,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> tuple[jax.Array, tuple[None, dict[str, jax.Array]]]:
        """The mean of -log p(y(t) | what was fed, x) over the steps before the lengths, in nats.

        Args:
            params: as for `log_prob`.
            state: None: every sequence begins anew.
            batch: inputs, classes `(time, *batch)`, and, where sequences are padded, lengths `(*batch,)`.
            key: for scheduled sampling.
            truth: the probability that the true class is fed and not one that is drawn, such as a schedule at this
                step; None for teacher forcing. No gradient flows through what is drawn.
            method: how the values are computed, as in `unfold`.
            adjoint: how gradients are computed, as in `unfold`.

        Returns:
            The loss, and beside it `(None, {})`: no state is carried to the next batch.

        Raises:
            ValueError: truth without a key, or that is no probability (where it is known).
        """
        xs, classes, lengths = self._checked(*labelled.parts(self, batch))
        fed = classes
        if truth is not None:
            key = labelled.sampling_key(self, truth, key)
            key, key_coins = jax.random.split(key)
            coins = jax.random.bernoulli(key_coins, truth, classes.shape)
            fed = _fed(self, lax.stop_gradient(params), key, xs, classes, coins)
        L = self._losses(params, xs, fed, classes, lengths, method, adjoint)
        return losses.reduce(L, lengths).per_step, (None, {})

    def sample(self, params: AutoregressiveTaggerParams, key: jax.Array, xs: Any, *, lengths: Any = None) -> jax.Array:
        """Draw y with the probability of `log_prob`, in one program: int32 `(time, *batch)`, 0 past the lengths.

        Args:
            params: as for `log_prob`.
            key: a random key.
            xs: inputs `(time, *batch, input)`.
            lengths: integers `(*batch,)`; None for all steps.

        Example:
            drawn = model.sample(params, jax.random.key(1), xs)
        """
        none = jnp.zeros(jnp.shape(xs)[:-1], jnp.int32)
        xs, none, lengths = self._checked(xs, none, lengths)
        drawn = _fed(self, params, key, xs, none, none.astype(bool))
        return jnp.where(before_end(len(drawn), lengths), drawn, 0)

    def _losses(
        self,
        params: AutoregressiveTaggerParams,
        xs: jax.Array,
        fed: jax.Array,
        classes: jax.Array,
        lengths: jax.Array,
        method: Any,
        adjoint: Any,
    ) -> jax.Array:
        """-log p(y(t) | what was fed, x), `(time, *batch)`, 0 past the lengths."""
        net, nats = self.network, losses.negative_log_likelihood
        start = jnp.full((1, *classes.shape[1:]), self.classes, jnp.int32)
        inputs = self._inputs(params, xs, jnp.concatenate([start, fed])[:-1])
        if isinstance(self.cell, FeedForward):  # nothing is recurrent but what is fed, and that is known
            zero = net.initial_state(params.readout, classes.shape)
            L = nats(net.output(params.readout, net.step(params.readout, zero, inputs)), classes)
            return jnp.where(before_end(len(classes), lengths), L, 0)
        choices = {"lengths": lengths, "method": method, "adjoint": adjoint}
        return unfold(Supervised(net, nats), params.readout, (inputs, classes), **choices).outputs

    def _inputs(self, params: AutoregressiveTaggerParams, xs: jax.Array, before: jax.Array) -> jax.Array:
        """(x(t), E[y(t-1)])."""
        return jnp.concatenate([xs, jnp.asarray(params.embedding)[before]], axis=-1)

    def _checked(self, xs: Any, classes: Any, lengths: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Inputs and classes with zeros past the lengths, and lengths."""
        checks.features(self, xs, self.input_size)
        classes = symbols.checked("AutoregressiveTagger", "classes", classes, self.classes, lengths, "classes", HINT)
        labelled.same_shape(self, classes, jnp.shape(xs)[:-1], "(time, *batch)")
        lengths, _ = validate.lengths_and_resets(lengths, None, len(classes), classes.shape[1:], classes)
        lengths = jnp.full(classes.shape[1:], len(classes)) if lengths is None else lengths
        valid = before_end(len(classes), lengths)
        return jnp.where(valid[..., None], jnp.asarray(xs), 0), jnp.where(valid, classes, 0).astype(jnp.int32), lengths


@partial(jax.jit, static_argnums=0)
def _fed(
    model: AutoregressiveTagger,
    params: AutoregressiveTaggerParams,
    key: jax.Array,
    xs: jax.Array,
    classes: jax.Array,
    coins: jax.Array,
) -> jax.Array:
    """What each step feeds to the next: the true class where its coin says so, and else one that is drawn."""
    net = model.network

    def step(carry: tuple[State, jax.Array], now: Any) -> tuple[tuple[State, jax.Array], jax.Array]:
        (state, before), (t, x, y, coin) = carry, now
        state = net.step(params.readout, state, model._inputs(params, x, before))
        drawn = jax.random.categorical(jax.random.fold_in(key, t), net.output(params.readout, state))
        fed = jnp.where(coin, y, drawn.astype(jnp.int32))
        return (state, fed), fed

    batch = classes.shape[1:]
    first = net.initial_state(params.readout, batch), jnp.full(batch, model.classes, jnp.int32)
    return lax.scan(step, first, (jnp.arange(len(classes)), xs, classes, coins))[1]
