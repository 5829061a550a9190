"""A tagger: what each step of a sequence is."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn import losses
from jaxrnn.cells import Cell, checks, symbols
from jaxrnn.cells.affine import affine
from jaxrnn.cells.base import Inputs, Params, State
from jaxrnn.cells.initializers import uniform
from jaxrnn.cells.padding import before_end
from jaxrnn.layers import Layer
from jaxrnn.layers.ends import output_size
from jaxrnn.layers.recurrent import as_layer
from jaxrnn.models import labelled
from jaxrnn.models.labelled import Batch
from jaxrnn.unfold import BPTT, Scan, Unfolding
from jaxrnn.unfold.problem import where


class TaggerParams(NamedTuple):
    """θ of a tagger."""

    layer: Params  # of the layer
    V: jax.Array  # (hidden, classes)
    c: jax.Array  # (classes,)


@dataclass(frozen=True)
class Tagger:
    """One output a step: a recurrent network that says what each step of a sequence is.

        y = layer(x),   o(t) = c + y(t) V,   p(class(t) | x) = softmax(o(t))

    Shapes: x as the layer reads it, such as `(time, *batch, features)`, or tokens `(time, *batch)` for a layer that
    begins with an `Embedding`; V `(hidden, classes)`, which starts uniform in ±1/√hidden; c `(classes,)`, zero.

    Args:
        layer: any layer, or a cell, which is then `Recurrent(cell)`. With `Bidirectional`, o(t) depends on all of x.
        classes: how many there are.

    Raises:
        ValueError: `classes` below 1; classes that are none (where they are known, before the lengths), or of another
            shape than the batch; what the layer refuses.
        TypeError: what is neither a layer nor a cell; classes that are not integers.

    Example:
        model = Tagger(Bidirectional(LSTM(8, 32), LSTM(8, 32)), classes=5)
        params = model.init(jax.random.key(0))
        nats, (_, metrics) = model.loss(params, None, (xs, ys, lengths))

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Fig. 10.3 and Eq. 10.8 to 10.11.
    """

    layer: Layer | Cell
    classes: int

    def __post_init__(self):
        object.__setattr__(self, "layer", as_layer(self, self.layer))
        checks.positive(self, classes=self.classes)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> TaggerParams:
        """Draw new parameters of the floating type `dtype`."""
        key_layer, key_V = jax.random.split(key)
        layer = self.layer.init(key_layer, dtype)
        hidden = output_size("Tagger", self.layer, layer)
        (V,) = uniform(key_V, hidden**-0.5, (hidden, self.classes), dtype=dtype)
        return TaggerParams(layer, V, jnp.zeros((self.classes,), dtype))

    def apply(
        self,
        params: TaggerParams,
        state: State,
        xs: Inputs,
        *,
        lengths: Any = None,
        resets: Any = None,
        key: jax.Array | None = None,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> Unfolding:
        """The logits of each step: outputs `(time, *batch, classes)`, zero past the lengths.

        Args:
            params: as `init` gives them.
            state: of the layer, before the first step; None for its initial state.
            xs: what the layer reads, time first.
            lengths: integers `(*batch,)`, see `unfold`, also for `resets`, `method` and `adjoint`.
            resets: booleans `(time, *batch)`.
            key: for what is random in training; None for none.
            method: how the values are computed.
            adjoint: how gradients are computed.

        Returns:
            `Unfolding`; `final` is the state of the layer.
        """
        choices = {"lengths": lengths, "resets": resets, "key": key, "method": method, "adjoint": adjoint}
        run = as_layer(self, self.layer).apply(params.layer, xs, state=state, **choices)
        o = affine(run.outputs, params.V, params.c)
        if lengths is not None:
            o = where(before_end(len(o), lengths), o, jnp.zeros_like(o))
        return run._replace(outputs=o)

    def losses(
        self,
        params: TaggerParams,
        state: State,
        batch: Batch,
        key: jax.Array | None = None,
        *,
        resets: Any = None,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> Unfolding:
        """The loss of each step, `L(t) = -log p(class(t) | x)` in nats: outputs `(time, *batch)`, 0 past the lengths.

        Args:
            params: as `init` gives them.
            state: of the layer, before the first step; None for its initial state.
            batch: inputs, classes `(time, *batch)`, and, where sequences are padded, lengths `(*batch,)`; past them,
                classes may be anything.
            key: for what is random in training; None for none.
            resets: see `unfold`, also for `method` and `adjoint`.
            method: how the values are computed.
            adjoint: how gradients are computed.
        """
        run, L, _ = self._losses(params, state, batch, key, resets=resets, method=method, adjoint=adjoint)
        return run._replace(outputs=L)

    def loss(
        self,
        params: TaggerParams,
        state: State,
        batch: Batch,
        key: jax.Array | None = None,
        *,
        resets: Any = None,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> tuple[jax.Array, tuple[None, dict[str, jax.Array]]]:
        """The mean of `losses` over the steps before the lengths, in nats; the arguments are those of `losses`.

        Returns:
            The loss, and beside it `(None, {"accuracy"})`: no state is carried to the next batch, and the accuracy is
            the share of these steps whose class is the likeliest.
        """
        _, L, right = self._losses(params, state, batch, key, resets=resets, method=method, adjoint=adjoint)
        _, _, lengths = labelled.parts(self, batch)
        return losses.reduce(L, lengths).per_step, (None, {"accuracy": losses.reduce(right, lengths).per_step})

    def _losses(
        self, params: TaggerParams, state: State, batch: Batch, key: jax.Array | None, **choices: Any
    ) -> tuple[Unfolding, jax.Array, jax.Array]:
        """The run, the loss of each step, and 1 for each step whose class is the likeliest."""
        xs, classes, lengths = labelled.parts(self, batch)
        hint = "the index of each class"
        classes = symbols.checked("Tagger", "classes", classes, self.classes, lengths, "classes", hint)
        run = self.apply(params, state, xs, lengths=lengths, key=key, **choices)
        labelled.same_shape(self, classes, run.outputs.shape[:-1], "(time, *batch)")
        L = losses.negative_log_likelihood(run.outputs, classes)
        right = (jnp.argmax(run.outputs, axis=-1) == classes).astype(L.dtype)
        if lengths is not None:
            L, right = jax.tree.map(lambda a: jnp.where(before_end(len(L), lengths), a, 0), (L, right))
        return run, L, right
