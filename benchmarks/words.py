"""Words that a network makes up, given a vector that says of what kind: ways to end, with the vector and without.

python -m benchmarks.words > benchmarks/results/words.md
"""

import argparse
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrnn import GRU, conditioned, given, training
from jaxrnn.data import pad, shakespeare
from jaxrnn.models import BernoulliStop, Ending, EndSymbol, PredictedLength, SequenceModel

LETTERS = "abcdefghijklmnopqrstuvwxyz"
KINDS = ("ordinary", "capital")
ENDINGS: dict[str, Callable[[int], Ending]] = {  # of the longest word
    "EndSymbol": lambda longest: EndSymbol(),
    "BernoulliStop": lambda longest: BernoulliStop(),
    "PredictedLength": PredictedLength,
}


class Words(NamedTuple):
    """Words as numbers."""

    tokens: np.ndarray  # (letters, words)
    lengths: np.ndarray  # (words,)
    kinds: np.ndarray  # (words,): of KINDS


def words(text: str) -> Words:
    """The different words of a text, in small letters, and whether the text always writes them with a capital."""
    found: dict[str, bool] = {}
    for word in re.findall("[A-Za-z]+", text):
        found[word.lower()] = found.get(word.lower(), True) and word[0].isupper()
    tokens, lengths = pad([np.array([LETTERS.index(letter) for letter in word]) for word in found])
    return Words(tokens, lengths, np.array(list(found.values()), int))


def take(whole: Words, places: np.ndarray) -> Words:
    """The words at some places."""
    return Words(whole.tokens[:, places], whole.lengths[places], whole.kinds[places])


def pairs_of_letters(train: Words, test: Words) -> float:
    """Nats a word when each letter, or the end, depends on the letter before it alone; one is added to each count."""

    def pairs(some: Words) -> list[tuple[int, int]]:
        ended = [[26, *some.tokens[:n, k], 26] for k, n in enumerate(some.lengths)]
        return [pair for word in ended for pair in itertools.pairwise(word)]

    counts = np.ones((27, 27))
    np.add.at(counts, tuple(np.array(pairs(train)).T), 1)
    log_p = np.log(counts / counts.sum(-1, keepdims=True))
    return -float(sum(log_p[pair] for pair in pairs(test))) / len(test.lengths)


def train_and_test(ending: Any, vector: bool, train: Words, test: Words, steps: int) -> tuple[float, list[str]]:
    """Nats a word on the test words, and some words that are drawn of each kind."""
    cell = conditioned(GRU(16 + len(KINDS), 128), len(KINDS))
    model, optimizer = SequenceModel(26, 16, cell, ending), optax.adam(optax.cosine_decay_schedule(3e-3, steps))

    def of_kind(params: Any, kinds: Any) -> Any:
        return given(params, jax.nn.one_hot(kinds, len(KINDS))) if vector else params

    def loss(params: Any, state: None, batch: Words, key: Any) -> Any:
        return model.loss(of_kind(params, batch.kinds), state, batch[:2], key)

    step = jax.jit(training.make_train_step(loss, optimizer))
    state = training.init_train_state(model.init(jax.random.key(0)), None, jax.random.key(1), optimizer)
    chance = np.random.default_rng(0)
    for _ in range(steps):
        state, _ = step(state, take(train, chance.integers(len(train.lengths), size=128)))
    nats = float(jax.jit(loss)(state.params, None, test, None)[0])
    kinds = jnp.repeat(jnp.arange(len(KINDS)), 6)
    drawn = model.sample(of_kind(state.params, kinds), jax.random.key(2), steps=20, batch_shape=kinds.shape)
    made = ["".join(LETTERS[k] for k in drawn.tokens[:n, row]) for row, n in enumerate(drawn.lengths)]
    return nats, [", ".join(made[6 * k : 6 * k + 6]) for k in range(len(KINDS))]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table, and words."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.words", description=__doc__)
    parser.add_argument("--steps", type=int, default=1500, help="of training, 128 words each (default: 1500)")
    parser.add_argument("--words", type=int, help="how many of them are used (default: all)")
    parser.add_argument("--endings", nargs="*", choices=ENDINGS, default=list(ENDINGS), help="default: all three")
    chosen = parser.parse_args(arguments)
    whole = words(shakespeare())
    order = np.random.default_rng(0).permutation(len(whole.lengths))[: chosen.words]
    test, train = (take(whole, places) for places in np.split(order, [len(order) // 10]))
    print(
        f"{len(order):,} different words, {int(whole.kinds[order].sum()):,} always with a capital; a tenth held out.\n"
    )
    print("| ends by | vector | nats a word, held out |\n" + "| --- " * 3 + "|")
    print(f"| pairs of letters | no | {pairs_of_letters(train, test):.2f} |")
    shown = []
    for ending in (ENDINGS[name](int(whole.lengths.max())) for name in chosen.endings):
        for vector in (False, True):
            nats, made = train_and_test(ending, vector, train, test, chosen.steps)
            print(f"| `{ending}` | {'yes' if vector else 'no'} | {nats:.2f} |", flush=True)
            if vector:
                shown += [f"- `{ending}`, {kind}: {text}" for kind, text in zip(KINDS, made, strict=True)]
    print("\nDrawn, given the kind:\n\n" + "\n".join(shown))


if __name__ == "__main__":
    main()
