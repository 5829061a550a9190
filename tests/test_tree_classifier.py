"""Trees that are labelled, and the ListOps that they are learned from."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import ChildSumTreeLSTM, NaryTreeLSTM, trees
from jaxrnn.data import listops
from jaxrnn.data.listops import LABELS, TOKENS, ListOps, flat, value
from jaxrnn.models import TreeClassifier
from jaxrnn.training import init_train_state, make_optimizer, make_train_step

COUNT = 40


def evaluate(tokens: list[str]) -> int:
    """The value of a flat expression, by a stack: independent of the trees."""
    stack: list[list[Any]] = [[]]
    for token in tokens:
        if token.startswith("["):
            stack.append([token[1:]])
        elif token == "]":
            name, *numbers = stack.pop()
            median = int(np.floor(np.median(numbers))) if numbers else 0
            stack[-1].append(
                {"MIN": min, "MAX": max, "MED": lambda _, m=median: m, "SM": lambda n: sum(n) % 10}[name](numbers)
            )
        else:
            stack[-1].append(int(token))
    return stack[0][0]


def test_values_are_those_of_the_flat_expressions() -> None:
    found = listops(300, seed=3)
    assert [v for _, v in found] == [evaluate(flat(nested)) for nested, _ in found]
    assert len({nested for nested, _ in found}) == 300
    assert {token for nested, _ in found for token in flat(nested)} == set(TOKENS)
    assert found[:100] == listops(100, seed=3)
    assert value(("SM", 7, 8)) == 5


def test_sizes_are_within_what_was_asked_for() -> None:
    sizes = [len(trees.from_nested(nested).x) for nested, _ in listops(100, seed=0, fewest_nodes=10, most_nodes=20)]
    assert min(sizes) >= 10
    assert max(sizes) <= 20


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"count": 0, "seed": 0}, "listops: count"),
        ({"count": 1, "seed": 0, "fewest_nodes": 5, "most_nodes": 4}, "listops: most_nodes"),
        ({"count": 11, "seed": 0, "fewest_nodes": 1, "most_nodes": 1}, "allow more nodes, or ask for fewer"),
    ],
)
def test_listops_that_cannot_be_drawn(keywords: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        listops(**keywords)


def labelled(found: list[ListOps]) -> tuple[list[trees.Tree], np.ndarray]:
    """Trees of numbers of labels, and their classes."""
    labels = trees.Labels(LABELS)
    drawn = [trees.from_nested(nested) for nested, _ in found]
    return [tree._replace(x=labels.encode(tree.x)) for tree in drawn], np.array([v for _, v in found])


def test_a_classifier_learns_some_trees_by_heart() -> None:
    drawn, targets = labelled(listops(COUNT, seed=0, most_nodes=12))
    (batch,) = trees.batches(drawn, COUNT)
    model = TreeClassifier(len(LABELS), 16, ChildSumTreeLSTM(16, 32), classes=10)
    optimizer = make_optimizer(2e-2, 60)
    step = jax.jit(make_train_step(model.loss, optimizer))
    state = init_train_state(model.init(jax.random.key(0)), None, jax.random.key(1), optimizer)
    metrics = {}
    for _ in range(60):
        state, metrics = step(state, (batch.trees, targets[batch.places]))
    assert float(metrics["accuracy"]) > 0.9  # of ten classes


def test_loss_is_the_mean_over_trees_one_by_one() -> None:
    drawn, targets = labelled(listops(5, seed=1, most_nodes=20))
    model = TreeClassifier(len(LABELS), 4, ChildSumTreeLSTM(4, 6), classes=10)
    params = model.init(jax.random.key(0))
    together = trees.batch(drawn)
    nats, (_, metrics) = model.loss(params, None, (together, targets))
    alone = [model.loss(params, None, (trees.batch([t]), targets[k : k + 1])) for k, t in enumerate(drawn)]
    np.testing.assert_allclose(nats, np.mean([loss for loss, _ in alone]), rtol=1e-5)
    np.testing.assert_allclose(metrics["accuracy"], np.mean([rest[1]["accuracy"] for _, rest in alone]), rtol=1e-6)


def test_what_does_not_fit() -> None:
    drawn, targets = labelled(listops(3, seed=0, most_nodes=9))
    model = TreeClassifier(len(LABELS), 4, ChildSumTreeLSTM(4, 6), classes=10)
    params, batch = model.init(jax.random.key(0)), trees.batch(drawn)
    with pytest.raises(ValueError, match="targets must be one array of shape"):
        model.loss(params, None, (batch, targets[:2]))
    with pytest.raises(ValueError, match="targets must be between 0 and 9"):
        model.loss(params, None, (batch, targets + 10))
    with pytest.raises(TypeError, match="labels must be integers"):
        model.apply(params, batch._replace(xs=jnp.asarray(batch.xs, jnp.float32)))
    with pytest.raises(ValueError, match="embedding_size = 5"):
        TreeClassifier(14, 5, NaryTreeLSTM(4, 6), classes=10)
    with pytest.raises(TypeError, match="must be a TreeCell"):
        TreeClassifier(14, 5, "cell", classes=10)  # pyright: ignore
