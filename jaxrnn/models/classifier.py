"""A classifier: what a whole sequence is."""

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
from jaxrnn.layers import Layer
from jaxrnn.layers.dropout import dropout
from jaxrnn.layers.ends import output_size
from jaxrnn.layers.pooling import LastPooling, LayerRun, Pooling, as_pooling
from jaxrnn.layers.recurrent import as_layer
from jaxrnn.models import labelled
from jaxrnn.models.labelled import Batch
from jaxrnn.unfold import BPTT, Scan, Unfolding


class ClassifierParams(NamedTuple):
    """θ of a classifier."""

    layer: Params  # of the layer
    pooling: Params  # of the pooling; None where it has none
    V: jax.Array  # (hidden, classes)
    c: jax.Array  # (classes,)


@dataclass(frozen=True)
class Classifier:
    """One output at the end: a recurrent network that says what a whole sequence is.

        y = layer(x),   p = pooling(y(1), ..., y(τ)),   o = c + p V,   p(class | x) = softmax(o)

    τ is the true length of each sequence: what stands in the padding reaches nothing. Of a sequence of length 0,
    `LastPooling` reads s(0), and the others give p = 0.

    Shapes: x as the layer reads it, such as `(time, *batch, features)`, or tokens `(time, *batch)` for a layer that
    begins with an `Embedding`; p `(*batch, hidden)`; V `(hidden, classes)`, which starts uniform in ±1/√hidden; c
    `(classes,)`, zero; o `(*batch, classes)`.

    Args:
        layer: any layer, or a cell, which is then `Recurrent(cell)`.
        classes: how many there are.
        pooling: what is read of the outputs: `LastPooling()`, the state at the end; `MeanPooling()`; `MaxPooling()`;
            `AttentionPooling(...)`.
        dropout: each entry of p is zero with this probability, and else divided by 1 - dropout; only where `key` is
            given.

    Raises:
        ValueError: `classes` below 1; dropout outside [0, 1); classes that are none (where they are known), or of
            another shape than the batch; what the layer refuses.
        TypeError: what is neither a layer nor a cell; what is no pooling; classes that are not integers.

    Example:
        model = Classifier(Bidirectional(GRU(12, 64), GRU(12, 64)), classes=9, pooling=MeanPooling(), dropout=0.5)
        params = model.init(jax.random.key(0))
        nats, (_, metrics) = model.loss(params, None, (xs, labels, lengths), jax.random.key(1))

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Fig. 10.5.
    """

    layer: Layer | Cell
    classes: int
    pooling: Pooling = LastPooling()  # noqa: RUF009  frozen, without state
    dropout: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "layer", as_layer(self, self.layer))
        checks.positive(self, classes=self.classes)
        as_pooling(self, self.pooling)
        checks.number(self, "dropout", self.dropout, least=0, below=1)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> ClassifierParams:
        """Draw new parameters of the floating type `dtype`."""
        key_layer, key_pooling, key_V = jax.random.split(key, 3)
        layer = self.layer.init(key_layer, dtype)
        hidden = output_size("Classifier", self.layer, layer)
        (V,) = uniform(key_V, hidden**-0.5, (hidden, self.classes), dtype=dtype)
        return ClassifierParams(layer, self.pooling.init(key_pooling, dtype), V, jnp.zeros((self.classes,), dtype))

    def apply(
        self,
        params: ClassifierParams,
        state: State,
        xs: Inputs,
        *,
        lengths: Any = None,
        key: jax.Array | None = None,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> Unfolding:
        """The logits of each sequence: outputs `(*batch, classes)`.

        Args:
            params: as `init` gives them.
            state: of the layer, before the first step; None for its initial state.
            xs: what the layer reads, time first.
            lengths: integers `(*batch,)`, see `unfold`, also for `method` and `adjoint`.
            key: for what is random in training; None for none.
            method: how the values are computed.
            adjoint: how gradients are computed.

        Returns:
            `Unfolding`; `final` is the state of the layer.
        """
        keys = (None, None) if key is None else jax.random.split(key)
        layer = as_layer(self, self.layer)
        choices = {"lengths": lengths, "key": keys[0], "method": method, "adjoint": adjoint}
        run = layer.apply(params.layer, xs, state=state, **choices)
        lengths = None if lengths is None else jnp.asarray(lengths)
        pooled = self.pooling.pool(params.pooling, LayerRun(layer, params.layer, run, lengths))
        if keys[1] is not None and self.dropout:
            pooled = dropout(keys[1], pooled, self.dropout)
        return run._replace(outputs=affine(pooled, params.V, params.c))

    def losses(
        self,
        params: ClassifierParams,
        state: State,
        batch: Batch,
        key: jax.Array | None = None,
        *,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> Unfolding:
        """The loss of each sequence, `L = -log p(class | x)` in nats: outputs `(*batch,)`.

        Args:
            params: as `init` gives them.
            state: of the layer, before the first step; None for its initial state.
            batch: inputs, classes `(*batch,)`, and, where sequences are padded, lengths `(*batch,)`.
            key: for what is random in training; None for none.
            method: how the values are computed, as in `unfold`.
            adjoint: how gradients are computed, as in `unfold`.
        """
        run, L, _ = self._losses(params, state, batch, key, method=method, adjoint=adjoint)
        return run._replace(outputs=L)

    def loss(
        self,
        params: ClassifierParams,
        state: State,
        batch: Batch,
        key: jax.Array | None = None,
        *,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> tuple[jax.Array, tuple[None, dict[str, jax.Array]]]:
        """The mean of `losses` over the batch, in nats; the arguments are those of `losses`.

        Returns:
            The loss, and beside it `(None, {"accuracy"})`: no state is carried to the next batch, and the accuracy is
            the share of sequences whose class is the likeliest. Of an empty batch both are 0.
        """
        _, L, right = self._losses(params, state, batch, key, method=method, adjoint=adjoint)
        n = max(L.size, 1)
        return L.sum() / n, (None, {"accuracy": right.sum() / n})

    def _losses(
        self, params: ClassifierParams, state: State, batch: Batch, key: jax.Array | None, **choices: Any
    ) -> tuple[Unfolding, jax.Array, jax.Array]:
        """The run, the loss of each sequence, and 1 for each whose class is the likeliest."""
        xs, classes, lengths = labelled.parts(self, batch)
        # As one step of time, for a batch without axes has one class.
        hint = "the index of each class"
        classes = symbols.checked(
            "Classifier", "classes", labelled.as_time(classes), self.classes, None, "classes", hint
        )[0]
        run = self.apply(params, state, xs, lengths=lengths, key=key, **choices)
        labelled.same_shape(self, classes, run.outputs.shape[:-1], "(*batch,)")
        L = losses.negative_log_likelihood(run.outputs, classes)
        return run, L, (jnp.argmax(run.outputs, axis=-1) == classes).astype(L.dtype)
