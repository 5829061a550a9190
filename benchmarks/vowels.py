"""JapaneseVowels: which of nine men speaks. Choices are made by cross-validation within the training recordings.

python -m benchmarks.vowels > benchmarks/results/vowels.md
"""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxrnn import GRU, LSTM, AttentionPooling, Bidirectional, LastPooling, MaxPooling, MeanPooling, Recurrent
from jaxrnn.data import Recordings, japanese_vowels, pad
from jaxrnn.models import Classifier
from jaxrnn.training import init_train_state, make_optimizer, make_train_step

FEATURES, SPEAKERS = 12, 9


def models(hidden: int) -> dict[str, Classifier]:
    """What is chosen from."""
    gru, lstm = GRU(FEATURES, hidden), LSTM(FEATURES, hidden)
    dropped = Recurrent(gru, input_dropout=0.2)
    return {
        "GRU, last": Classifier(gru, SPEAKERS, dropout=0.5),
        "GRU, mean": Classifier(gru, SPEAKERS, MeanPooling(), dropout=0.5),
        "GRU both ways, last": Classifier(Bidirectional(gru, gru), SPEAKERS, LastPooling(), dropout=0.5),
        "GRU both ways, mean": Classifier(Bidirectional(gru, gru), SPEAKERS, MeanPooling(), dropout=0.5),
        "GRU both ways, mean, input dropout": Classifier(
            Bidirectional(dropped, dropped), SPEAKERS, MeanPooling(), dropout=0.5
        ),
        "GRU both ways, max": Classifier(Bidirectional(gru, gru), SPEAKERS, MaxPooling(), dropout=0.5),
        "GRU both ways, attention": Classifier(
            Bidirectional(gru, gru), SPEAKERS, AttentionPooling(2 * hidden, 32), dropout=0.5
        ),
        "LSTM both ways, mean": Classifier(Bidirectional(lstm, lstm), SPEAKERS, MeanPooling(), dropout=0.5),
    }


class Trainer:
    """Trains a model on recordings, every batch of one shape, so that a model is compiled once."""

    def __init__(self, model: Classifier, epochs: int, batch: int, rate: float):
        self._model, self._epochs, self._batch, self._rate = model, epochs, batch, rate
        self._steps: dict[int, Callable[..., Any]] = {}
        self._predict = jax.jit(lambda p, xs, n: model.apply(p, None, xs, lengths=n).outputs.argmax(axis=-1))

    def accuracy(self, training: Recordings, test: Recordings, seed: int) -> float:
        """The share of the test recordings that a network trained on the others gets right."""
        stacked = np.concatenate(training.sequences)
        mean, scale = stacked.mean(axis=0), stacked.std(axis=0)
        longest = max(map(len, [*training.sequences, *test.sequences]))

        def prepared(part: Recordings) -> tuple[np.ndarray, np.ndarray]:
            return pad([(s - mean) / scale for s in part.sequences], multiple=longest)

        (xs, lengths), chance = prepared(training), np.random.default_rng(seed)
        count = len(lengths) // self._batch
        optimizer = make_optimizer(self._rate, count * self._epochs)
        if count not in self._steps:
            self._steps[count] = jax.jit(make_train_step(self._model.loss, optimizer))
        key_init, key = jax.random.split(jax.random.key(seed))
        state = init_train_state(self._model.init(key_init), None, key, optimizer)
        for _ in range(self._epochs):
            order = chance.permutation(len(lengths))[: count * self._batch].reshape(count, self._batch)
            for rows in order:
                state, _ = self._steps[count](state, (xs[:, rows], training.speakers[rows], lengths[rows]))
        found = self._predict(state.params, *prepared(test))
        return float(np.mean(np.asarray(found) == test.speakers))


def folds(recordings: Recordings, number: int) -> list[tuple[Recordings, Recordings]]:
    """The training recordings in parts that have as many of each speaker; each part is held out once."""
    place = np.zeros(len(recordings.speakers), int)
    for speaker in range(SPEAKERS):
        own = np.flatnonzero(recordings.speakers == speaker)
        place[np.random.default_rng(speaker).permutation(own)] = np.arange(len(own)) % number

    def take(chosen: np.ndarray) -> Recordings:
        rows = np.flatnonzero(chosen)
        return Recordings([recordings.sequences[k] for k in rows], recordings.speakers[rows])

    return [(take(place != k), take(place == k)) for k in range(number)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vowels", description=__doc__)
    parser.add_argument("--hidden", type=int, default=64, help="of each direction (default: 64)")
    parser.add_argument("--epochs", type=int, default=60, help="(default: 60)")
    parser.add_argument("--batch", type=int, default=15, help="(default: 15)")
    parser.add_argument("--rate", type=float, default=4e-3, help="largest learning rate (default: 0.004)")
    parser.add_argument("--folds", type=int, default=3, help="of the training recordings (default: 3)")
    parser.add_argument("--seeds", type=int, default=3, help="networks that are tested (default: 3)")
    parser.add_argument("--only", nargs="*", help="models to choose from (default: all)")
    chosen = parser.parse_args(arguments)
    training, test = japanese_vowels()
    trainers = {
        name: Trainer(model, chosen.epochs, chosen.batch, chosen.rate)
        for name, model in models(chosen.hidden).items()
        if chosen.only is None or name in chosen.only
    }
    held_out: dict[str, float] = {}
    print(
        f"{chosen.folds}-fold cross-validation within the {len(training.speakers)} training recordings, width "
        f"{chosen.hidden}, {chosen.epochs} epochs.\n\n| model | held-out accuracy |\n| --- | --- |"
    )
    for name, trainer in trainers.items():
        parts = folds(training, chosen.folds)
        found = [trainer.accuracy(rest, part, seed=100 + k) for k, (rest, part) in enumerate(parts)]
        held_out[name] = float(np.mean(found))
        print(f"| {name} | {held_out[name]:.4f} |", flush=True)
    best = max(held_out, key=lambda name: held_out[name])
    found = [trainers[best].accuracy(training, test, seed) for seed in range(chosen.seeds)]
    each = ", ".join(f"{accuracy:.4f}" for accuracy in found)
    print(
        f"\nThe best of these, {best}, trained on all of them and tested once a seed on the {len(test.speakers)} test "
        f"recordings: {each}; mean **{np.mean(found):.4f}**."
    )


if __name__ == "__main__":
    main()
