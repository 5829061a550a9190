"""Syntax trees: the first word of a function's name, told from the kinds of nodes of its body.

python -m benchmarks.syntax > benchmarks/results/syntax.md

The functions are those of Python's standard library. A network sees the tree of a body with the kind of each node, such
as Return or Compare, and no name, number, or string; the parts are split by file. Beside a Tree-LSTM folded over the
trees stand the most frequent word and a logistic regression on how often each kind of node comes. Nothing was chosen on
the test part; `--tested validation` is there to choose by.
"""

import argparse
import platform
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import ChildSumTreeLSTM, losses, trees
from jaxrnn.data import first_word, python_functions
from jaxrnn.models import TreeClassifier
from jaxrnn.training import init_train_state, make_optimizer, make_train_step

PARTS = ("training", "validation", "test")
ENDS = (0.7, 0.8)  # shares of the files
UNKNOWN = "?"  # a kind of node that training has not


class Part(NamedTuple):
    """Some of the functions."""

    trees: list[trees.Tree]  # x the numbers of the kinds
    words: np.ndarray  # (functions,), int32


class Functions(NamedTuple):
    """What is learned from, and what is asked."""

    training: Part
    other: Part
    words: list[str]  # the most frequent first
    kinds: trees.Labels


def functions(count: int, most_nodes: int, seed: int, tested: str) -> Functions:
    """Functions of at most so many nodes whose names begin with one of the most frequent words, split by file."""
    found = [(f.file, first_word(f.name), trees.from_ast(f.body)) for f in python_functions()]
    found = [each for each in found if len(each[2].x) <= most_nodes]
    words = [word for word, _ in Counter(word for _, word, _ in found).most_common(count)]
    found = [each for each in found if each[1] in words]
    files = sorted({file for file, _, _ in found})
    order = np.random.default_rng(seed).permutation(len(files))
    cuts = [round(end * len(files)) for end in ENDS]
    part_of = {files[k]: name for name, part in zip(PARTS, np.split(order, cuts), strict=True) for k in part}
    kinds = trees.Labels.of((tree.x for file, _, tree in found if part_of[file] == "training"), unknown=UNKNOWN)

    def part(name: str) -> Part:
        some = [(word, tree) for file, word, tree in found if part_of[file] == name]
        encoded = [tree._replace(x=kinds.encode(tree.x)) for _, tree in some]
        return Part(encoded, np.array([words.index(word) for word, _ in some], np.int32))

    return Functions(part("training"), part(tested), words, kinds)


def counted(data: Functions, steps: int = 1000) -> tuple[float, int]:
    """What a logistic regression on log(1 + how often each kind comes) gets right, and its parameters."""

    def counts(part: Part) -> np.ndarray:
        rows = [np.bincount(tree.x, minlength=len(data.kinds)) for tree in part.trees]
        return np.log1p(rows).astype(np.float32)

    def loss(params: Any, state: None, batch: Any, key: Any) -> Any:
        V, c = params
        return losses.negative_log_likelihood(batch[0] @ V + c, batch[1]).mean(), (None, {})

    params = jnp.zeros((len(data.kinds), len(data.words))), jnp.zeros((1, len(data.words)))
    optimizer = make_optimizer(3e-2, steps, weight_decay=1e-2)
    state = init_train_state(params, None, jax.random.key(0), optimizer)
    step, batch = jax.jit(make_train_step(loss, optimizer)), (counts(data.training), data.training.words)
    for _ in range(steps):
        state, _ = step(state, batch)
    V, c = state.params
    return float(((counts(data.other) @ V + c).argmax(-1) == data.other.words).mean()), V.size + c.size


def folded(
    data: Functions, hidden: int, batch: int, epochs: int, rate: float, decay: float, seed: int
) -> tuple[float, int]:
    """What a Tree-LSTM gets right, and its parameters."""
    training, other = data.training, data.other
    model = TreeClassifier(len(data.kinds), hidden, ChildSumTreeLSTM(hidden, hidden), len(data.words))
    cut = [(some, training.words[places]) for some, places in trees.batches(training.trees, batch, seed=seed)]
    cut = [(some, words) for some, words in cut if len(words) == batch]
    optimizer = make_optimizer(rate, epochs * len(cut), weight_decay=decay)
    step = jax.jit(make_train_step(model.loss, optimizer), donate_argnums=0)
    key_init, key = jax.random.split(jax.random.key(seed))
    state = init_train_state(model.init(key_init), None, key, optimizer)
    for epoch in range(epochs):
        for k in np.random.default_rng([seed, epoch]).permutation(len(cut)):
            state, _ = step(state, cut[k])
    find = jax.jit(lambda params, some: model.apply(params, some).roots.argmax(-1))
    right = [
        np.asarray(find(state.params, some)) == other.words[places]
        for some, places in trees.batches(other.trees, min(batch, len(other.trees)))
    ]
    return float(np.concatenate(right).mean()), sum(a.size for a in jax.tree.leaves(state.params))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.syntax", description=__doc__)
    parser.add_argument("--words", type=int, default=12, help="that are told apart (default: 12)")
    parser.add_argument("--most-nodes", type=int, default=150, help="of a body (default: 150)")
    parser.add_argument("--hidden", type=int, default=64, help="(default: 64)")
    parser.add_argument("--batch", type=int, default=64, help="(default: 64)")
    parser.add_argument("--epochs", type=int, default=12, help="(default: 12)")
    parser.add_argument("--rate", type=float, default=4e-3, help="of Adam, decayed by a cosine (default: 4e-3)")
    parser.add_argument("--decay", type=float, default=0.1, help="of the weights (default: 0.1)")
    parser.add_argument("--seeds", type=int, default=3, help="networks (default: 3)")
    parser.add_argument("--tested", choices=PARTS[1:], default="test")
    chosen = parser.parse_args(arguments)
    data = functions(chosen.words, chosen.most_nodes, 0, chosen.tested)
    most = int(np.bincount(data.training.words).argmax())
    majority = float((data.other.words == most).mean())
    print(
        f"# Syntax trees\n\nPython {platform.python_version()}: the first word of a function's name, one of "
        f"{', '.join(data.words)}, from the syntax tree of its body; {len(data.training.words):,} functions of at most "
        f"{chosen.most_nodes} nodes to train on, {len(data.other.words):,} of other files ({chosen.tested}).\n\n"
        "| | parameters | right, % | seconds |\n| --- | ---: | ---: | ---: |\n"
        f"| always {data.words[most]} | 0 | {100 * majority:.1f} | 0 |"
    )
    began = time.perf_counter()
    right, parameters = counted(data)
    seconds = time.perf_counter() - began
    print(
        f"| logistic regression on counts of nodes | {parameters:,} | {100 * right:.1f} | {seconds:.0f} |", flush=True
    )
    for seed in range(chosen.seeds):
        began = time.perf_counter()
        setting = chosen.hidden, chosen.batch, chosen.epochs, chosen.rate, chosen.decay
        right, parameters = folded(data, *setting, seed)
        seconds = time.perf_counter() - began
        name = f"child-sum Tree-LSTM, {chosen.hidden} units, seed {seed}"
        print(f"| {name} | {parameters:,} | {100 * right:.1f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
