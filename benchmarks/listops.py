"""ListOps: a Tree-LSTM folded over each expression, beside an LSTM that reads it as a flat string.

python -m benchmarks.listops > benchmarks/results/listops.md

Expressions have at most 100 nodes. The trees are binary: an operator takes one argument after another, and a bracket
ends it, so that a node is (left, right) as in the paper's trees. Both networks see the same expressions, each once an
epoch, and the accuracy is of the last parameters: nothing is chosen on the test expressions.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrnn import LSTM, NaryTreeLSTM, Sequential, trees
from jaxrnn.data import buckets
from jaxrnn.data.listops import LABELS, TOKENS, ListOps, flat, listops
from jaxrnn.layers import Embedding
from jaxrnn.models import Classifier, TreeClassifier
from jaxrnn.training import init_train_state, make_optimizer, make_train_step

JOIN, CLOSE = "(", "]"
CLASSES = 10


class Task(NamedTuple):
    """A network, and the batches of each part."""

    model: Any
    training: Callable[[int], list[Any]]  # the batches of an epoch
    test: list[Any]


def binary(nested: Any) -> Any:
    """`(operator, a, b)` as `(JOIN, (JOIN, (JOIN, operator, a), b), CLOSE)`, and so for its arguments."""
    if not isinstance(nested, tuple):
        return nested
    node = nested[0]
    for argument in nested[1:]:
        node = (JOIN, node, binary(argument))
    return (JOIN, node, CLOSE)


def over_trees(found: list[ListOps], held_out: int, hidden: int, batch: int) -> Task:
    """A binary Tree-LSTM, read at the root."""
    labels = trees.Labels((*LABELS, JOIN, CLOSE))
    drawn = [trees.from_nested(binary(nested)) for nested, _ in found]
    drawn = [tree._replace(x=labels.encode(tree.x)) for tree in drawn]
    values = np.array([value for _, value in found], np.int32)
    many = trees.batches(drawn[held_out:], batch, seed=0)
    training = [(b.trees, values[held_out:][b.places]) for b in many if len(b.places) == batch]
    test = [(b.trees, values[:held_out][b.places]) for b in trees.batches(drawn[:held_out], min(500, held_out))]

    def epoch(number: int) -> list[Any]:
        return [training[k] for k in np.random.default_rng(number).permutation(len(training))]

    return Task(TreeClassifier(len(labels), hidden, NaryTreeLSTM(hidden, hidden), CLASSES), epoch, test)


def over_text(found: list[ListOps], held_out: int, hidden: int, batch: int) -> Task:
    """An LSTM from left to right, read at the end."""
    number = {token: k for k, token in enumerate(TOKENS)}
    text = [np.array([number[token] for token in flat(nested)], np.int32) for nested, _ in found]
    values = np.array([value for _, value in found], np.int32)

    def cut(part: list[np.ndarray], values: np.ndarray, size: int, seed: int | None) -> Iterator[Any]:
        for tokens, lengths, places in buckets(part, size, seed=seed, multiple=16):
            yield (tokens, values[places], lengths), len(places)

    def epoch(number: int) -> list[Any]:
        return [b for b, size in cut(text[held_out:], values[held_out:], batch, number) if size == batch]

    model = Classifier(Sequential([Embedding(len(TOKENS), hidden), LSTM(hidden, hidden)]), CLASSES)
    return Task(model, epoch, [b for b, _ in cut(text[:held_out], values[:held_out], min(500, held_out), None)])


def train(task: Task, epochs: int, rate: float) -> tuple[float, int, float]:
    """The share of the test expressions that is right in the end, the number of parameters, and seconds."""
    loss = task.model.loss
    optimizer = make_optimizer(rate, epochs * len(task.training(0)))
    params = task.model.init(jax.random.key(0))
    state = init_train_state(params, None, jax.random.key(1), optimizer)
    step = jax.jit(make_train_step(loss, optimizer), donate_argnums=0)
    judge = jax.jit(lambda params, batch: loss(params, None, batch)[1][1]["accuracy"])
    began = time.perf_counter()
    for number in range(epochs):
        for batch in task.training(number):
            state, _ = step(state, batch)
    sizes = [len(batch[1]) for batch in task.test]
    right = float(np.average([judge(state.params, batch) for batch in task.test], weights=sizes))
    return right, sum(a.size for a in jax.tree.leaves(params)), time.perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.listops", description=__doc__)
    parser.add_argument("--count", type=int, default=90_000, help="expressions to train on (default: 90,000)")
    parser.add_argument("--held-out", type=int, default=2000, help="expressions to test on (default: 2,000)")
    parser.add_argument("--hidden", type=int, default=64, help="of the Tree-LSTM (default: 64)")
    parser.add_argument("--text-hidden", type=int, default=128, help="of the LSTM (default: 128)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=12, help="(default: 12)")
    parser.add_argument("--rate", type=float, default=4e-3, help="of Adam, decayed by a cosine (default: 4e-3)")
    parser.add_argument("--only", choices=["trees", "text"])
    chosen = parser.parse_args(arguments)
    found = listops(chosen.held_out + chosen.count, seed=0)
    print(
        f"# ListOps\n\n{chosen.count:,} expressions of 3 to 100 nodes, {chosen.held_out:,} others to test on; "
        f"epochs: {chosen.epochs}, batches of {chosen.batch}, one seed.\n"
    )
    print("| network | parameters | test expressions right, % | seconds |\n| --- | ---: | ---: | ---: |", flush=True)
    for name, make, hidden in (("trees", over_trees, chosen.hidden), ("text", over_text, chosen.text_hidden)):
        if chosen.only not in (None, name):
            continue
        task = make(found, chosen.held_out, hidden, chosen.batch)
        label = {"trees": "binary Tree-LSTM, folded", "text": "LSTM, from left to right"}[name]
        right, parameters, seconds = train(task, chosen.epochs, chosen.rate)
        print(f"| {label}, {hidden} units | {parameters:,} | {100 * right:.1f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
