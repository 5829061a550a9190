"""A network whose only recurrence is from its output: teacher forcing in parallel, scheduled sampling, free running."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from jaxrnn import losses
from jaxrnn.cells import Jordan, JordanParams, JordanState, checks
from jaxrnn.cells.padding import before_end
from jaxrnn.models import labelled
from jaxrnn.models.labelled import Batch
from jaxrnn.unfold import Unfolding, unfold


@dataclass(frozen=True)
class OutputRecurrent:
    """A network that reads nothing of the past but its output, or what should have been its output.

        h(t) = φ(b + f(t-1) W + x(t) U),   o(t) = c + h(t) V,   L(t) = |o(t) - y(t)|²

    f(t-1) is what is fed back. Free running, `apply`, it is o(t-1). With teacher forcing, `forced`, it is the true
    y(t-1), which is known beforehand: then nothing is recurrent, and all steps are three products, in parallel over
    time. With scheduled sampling it is y(t-1) with a probability that falls while training goes on, and else o(t-1).

    Trained by teacher forcing alone, the network never meets its own mistakes until it runs freely (exposure bias).
    Where outputs are symbols, `AutoregressiveTagger` over `FeedForward` does the same.

    Shapes: x `(time, *batch, input)`, y and o `(time, *batch, output)`.

    Args:
        cell: a `Jordan` net; parameters and state are the cell's.

    Raises:
        TypeError: a cell of another kind; y that is not floating-point.
        ValueError: y of another shape than the outputs; lengths of another shape than the batch.

    Example:
        model = OutputRecurrent(Jordan(input_size=9, hidden_size=64, output_size=12))
        params = model.init(jax.random.key(0))
        loss, _ = model.loss(params, None, (xs, ys, lengths), key, truth=InverseSigmoidDecay(100)(step))

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.1, Fig. 10.4 and 10.6; scheduled sampling:
    Bengio, Vinyals, Jaitly, Shazeer (2015).
    """

    cell: Jordan

    def __post_init__(self):
        if not isinstance(self.cell, Jordan):
            raise TypeError(
                f"OutputRecurrent: cell must be a Jordan net, whose recurrence is from its output, got {self.cell!r}: "
                "pass such as Jordan(input_size=9, hidden_size=64, output_size=12)"
            )

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> JordanParams:
        """Draw new parameters of the floating type `dtype`."""
        return self.cell.init(key, dtype)

    def initial_state(self, params: JordanParams, batch_shape: tuple[int, ...] = ()) -> JordanState:
        """o(0) = 0."""
        return self.cell.initial_state(params, batch_shape)

    def apply(self, params: JordanParams, state: JordanState | None, xs: jax.Array, **choices: Any) -> Unfolding:
        """Free running: o(t) of o(t-1). A sequence goes on from y by `JordanState(y)`.

        Args:
            params: as `init` gives them.
            state: o(0); None for zeros.
            xs: inputs `(time, *batch, input)`.
            choices: of `unfold`.
        """
        return unfold(self.cell, params, xs, state=state, **choices)

    def forced(self, params: JordanParams, state: JordanState | None, xs: Any, fed: Any) -> jax.Array:
        """Teacher forcing: o `(time, *batch, output)`, each of what was fed at the step before, all steps at once.

        Args:
            params: as `init` gives them.
            state: what is fed to the first step; None for zeros.
            xs: inputs `(time, *batch, input)`.
            fed: f `(time, *batch, output)`, such as the true outputs; the last of them is not read.
        """
        xs, fed = jnp.asarray(xs), self._outputs("fed", xs, fed)
        state = self.initial_state(params, fed.shape[1:-1]) if state is None else state
        before = jnp.concatenate([jnp.broadcast_to(state.o, fed.shape[1:])[None], fed])[:-1]
        return self.cell.step(params, JordanState(before), xs).o

    def sampled(
        self, params: JordanParams, state: JordanState | None, xs: Any, ys: Any, key: jax.Array, truth: Any
    ) -> jax.Array:
        """What scheduled sampling feeds: f(t) is y(t) with probability `truth`, and else o(t), of each sequence.

        One step after another, in one compiled loop. No gradient flows through what is drawn.
        """
        xs, ys = jnp.asarray(xs), self._outputs("y", xs, ys)
        state = self.initial_state(params, ys.shape[1:-1]) if state is None else state
        coins = jax.random.bernoulli(key, truth, (*ys.shape[:-1], 1))
        params = lax.stop_gradient(params)

        def step(f: jax.Array, now: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
            x, y, coin = now
            f = jnp.where(coin, y, self.cell.step(params, JordanState(f), x).o)
            return f, f

        first = jnp.broadcast_to(state.o, ys.shape[1:]).astype(ys.dtype)
        return lax.stop_gradient(lax.scan(step, first, (xs, ys, coins))[1])

    def loss(
        self,
        params: JordanParams,
        state: JordanState | None,
        batch: Batch,
        key: jax.Array | None = None,
        *,
        truth: Any = None,
    ) -> tuple[jax.Array, tuple[None, dict[str, jax.Array]]]:
        """The mean of L(t) over the steps before the lengths, on what is fed.

        Args:
            params: as `init` gives them.
            state: what is fed to the first step; None for zeros.
            batch: inputs, true outputs `(time, *batch, output)`, and, where sequences are padded, lengths.
            key: for scheduled sampling.
            truth: the probability that the true output is fed, such as a schedule at this step; None for teacher
                forcing, which runs in parallel over time.

        Returns:
            The loss, and beside it `(None, {})`: no state is carried to the next batch.

        Raises:
            ValueError: truth without a key, or that is no probability (where it is known).
        """
        xs, ys, lengths = labelled.parts(self, batch)
        ys = self._outputs("y", xs, ys)
        if lengths is not None:  # before any product, so that what stands in the padding reaches no gradient
            valid = before_end(len(ys), lengths)[..., None]
            xs, ys = jnp.where(valid, xs, 0), jnp.where(valid, ys, 0)
        fed = ys
        if truth is not None:
            key = labelled.sampling_key(self, truth, key)
            fed = self.sampled(params, state, xs, ys, key, truth)
        L = ((self.forced(params, state, xs, fed) - ys) ** 2).sum(axis=-1)
        return losses.reduce(L, lengths).per_step, (None, {})

    def _outputs(self, name: str, xs: Any, ys: Any) -> jax.Array:
        """True or fed outputs, checked."""
        checks.features(self.cell, xs, self.cell.input_size)
        ys, shape = jnp.asarray(ys), (*jnp.shape(xs)[:-1], self.cell.output_size)
        if not jnp.issubdtype(ys.dtype, jnp.floating):
            raise TypeError(f"OutputRecurrent: {name} must be of a floating type, got {ys.dtype}")
        if ys.shape != shape or ys.ndim < 2:
            raise ValueError(f"OutputRecurrent: {name} must be (time, *batch, output) = {shape}, got shape {ys.shape}")
        return ys
