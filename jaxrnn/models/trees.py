"""A classifier of trees: labels are embedded, a cell is folded over each tree, and its root is read."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike

from jaxrnn import losses
from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine
from jaxrnn.cells.base import Params
from jaxrnn.trees import Folding, TreeCell, Trees, fold


class TreeClassifierParams(NamedTuple):
    """θ of a classifier of trees."""

    embedding: jax.Array  # (vocabulary, embedding)
    cell: Params  # of the cell
    V: jax.Array  # (hidden, classes)
    c: jax.Array  # (classes,)


@dataclass(frozen=True)
class TreeClassifier:
    """A recursive network that says of what class a tree is.

        x(j) = E[label(j)],   s(j) = f(states of the children of j, x(j)),   p(class | tree) = softmax(c + h(root) V)

    Shapes: `xs` of the trees `(places,)`, integers, the label of each node; E `(vocabulary, embedding)`, V
    `(hidden, classes)`, c `(classes,)`. E starts normal with mean 0 and standard deviation 1, V uniform in ±1/√hidden,
    c at zero.

    Args:
        vocabulary_size: how many labels there are.
        embedding_size: entries of x(j).
        cell: the recursive network, which reads x(j) and whose output is one array.
        classes: how many classes there are.

    Raises:
        ValueError: sizes below 1; a cell that does not read embeddings of this size; labels or targets that are out of
            range (where they are known).
        TypeError: a cell that is not a `TreeCell`; labels or targets that are not integers.

    Example:
        model = TreeClassifier(14, 64, ChildSumTreeLSTM(64, 128), classes=10)
        params = model.init(jax.random.key(0))
        nats, (_, metrics) = model.loss(params, None, (trees, targets))  # metrics["accuracy"]

    Source: Tai, Socher, Manning, *Improved semantic representations from tree-structured long short-term memory
    networks* (2015), Sec. 4.1, read at the root alone.
    """

    vocabulary_size: int
    embedding_size: int
    cell: TreeCell
    classes: int

    def __post_init__(self):
        sizes = {name: getattr(self, name) for name in ("vocabulary_size", "embedding_size", "classes")}
        checks.positive(self, **sizes)
        if not isinstance(self.cell, TreeCell):
            raise TypeError(
                f"TreeClassifier: cell must be a TreeCell, got {self.cell!r}: pass ChildSumTreeLSTM(64, 128) or another"
            )
        self._hidden()

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> TreeClassifierParams:
        """Draw new parameters of the floating type `dtype`."""
        key_embedding, key_cell, key_V = jax.random.split(key, 3)
        hidden = self._hidden()
        return TreeClassifierParams(
            jax.random.normal(key_embedding, (self.vocabulary_size, self.embedding_size), dtype),
            self.cell.init(key_cell, dtype),
            jax.random.uniform(key_V, (hidden, self.classes), dtype, -(hidden**-0.5), hidden**-0.5),
            jnp.zeros((self.classes,), dtype),
        )

    def apply(self, params: TreeClassifierParams, trees: Trees) -> Folding:
        """Logits of the class of each tree, `roots`, and of the tree below every node, `outputs`.

        Args:
            params: as `init` gives them.
            trees: their `xs` the labels.

        Returns:
            `Folding` with roots `(trees, classes)` and outputs `(places, classes)`.
        """
        labels = _integers("labels", trees.xs, self.vocabulary_size, (jnp.shape(trees.nodes)[0],))
        xs = jnp.asarray(params.embedding)[labels]
        run = fold(self.cell, params.cell, trees._replace(xs=xs))
        roots, outputs = (affine(h, params.V, params.c) for h in (run.roots, run.outputs))
        return Folding(roots, outputs, run.states)

    def loss(
        self, params: TreeClassifierParams, state: None, batch: tuple[Trees, Any], key: jax.Array | None = None
    ) -> tuple[jax.Array, tuple[None, dict[str, jax.Array]]]:
        """Mean negative log-likelihood of the classes of a batch, in nats; as `training.make_train_step` takes it.

        Args:
            params: as `init` gives them.
            state: None; trees leave no state for the next batch.
            batch: trees and their classes, integers `(trees,)`.
            key: not used.

        Returns:
            The loss, and beside it None and `{"accuracy"}`, the part of the trees whose likeliest class is the target.
        """
        trees, targets = batch
        targets = _integers("targets", targets, self.classes, jnp.shape(trees.roots))
        logits = self.apply(params, trees).roots
        accuracy = (logits.argmax(axis=-1) == targets).mean(dtype=jnp.float32)
        return losses.negative_log_likelihood(logits, targets).mean(), (None, {"accuracy": accuracy})

    def _hidden(self) -> int:
        """Entries of the cell's output."""

        def once() -> Any:
            params = self.cell.init(jax.random.key(0))
            return self.cell.output(params, self.cell.leaf(params, jnp.zeros((1, self.embedding_size))))

        try:
            output = jax.eval_shape(once)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"TreeClassifier: cell must read embeddings of embedding_size = {self.embedding_size}: {error}"
            ) from error
        if not isinstance(output, jax.ShapeDtypeStruct) or len(output.shape) != 2:
            raise ValueError(f"TreeClassifier: the output of cell must be one array (nodes, hidden), got {output}")
        return output.shape[1]


def _integers(name: str, values: Any, count: int, shape: tuple[int, ...]) -> jax.Array:
    """Labels or targets as an array, checked; what is traced is not known."""
    if jax.tree.structure(values) != jax.tree.structure(0) or np.shape(values) != shape:
        found = jax.tree.map(np.shape, values)
        raise ValueError(f"TreeClassifier: {name} must be one array of shape {shape}, got {found}")
    given, values = values, jnp.asarray(values)
    if not jnp.issubdtype(values.dtype, jnp.integer):
        raise TypeError(f"TreeClassifier: {name} must be integers, got {values.dtype}: pass trees.Labels(...).encode")
    if not isinstance(given, Tracer) and values.size:
        least, most = np.asarray(given).min(), np.asarray(given).max()
        if least < 0 or most >= count:
            raise ValueError(f"TreeClassifier: {name} must be between 0 and {count - 1}, got {least} to {most}")
    return values
