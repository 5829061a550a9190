"""Exposure bias: a recurrence from the output, trained on the truth or on its own outputs, that runs on its own.

python -m benchmarks.exposure > benchmarks/results/exposure.md

The net predicts the next of the 12 coefficients of a recording from the speaker and the coefficients before it. It is
started from the truth and run on its own outputs; the error grows with the number of steps ahead.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import Jordan, JordanParams, JordanState
from jaxrnn.data import Recordings, japanese_vowels, pad
from jaxrnn.models import OutputRecurrent
from jaxrnn.training import (
    ExponentialDecay,
    InverseSigmoidDecay,
    LinearDecay,
    init_train_state,
    make_optimizer,
    make_train_step,
)

SPEAKERS, FEATURES = 9, 12
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
Truth = Callable[[Any], Any] | None


def prepared(part: Recordings, mean: np.ndarray, scale: np.ndarray) -> Arrays:
    """The speaker at every step, one of nine, the coefficients, and the lengths."""
    ys, lengths = pad([(s - mean) / scale for s in part.sequences])
    return np.broadcast_to(np.eye(SPEAKERS, dtype=np.float32)[part.speakers], (*ys.shape[:2], SPEAKERS)), ys, lengths


def train(model: OutputRecurrent, data: Arrays, truth: Truth, steps: int, batch: int, seed: int) -> tuple[Any, float]:
    """The parameters after so many steps of Adam, and the seconds that they took, compilation apart."""

    def loss(params: Any, step: Any, batch: Any, key: Any) -> Any:
        step = jnp.zeros((), jnp.int32) if step is None else step
        value, (_, metrics) = model.loss(params, None, batch, key, truth=None if truth is None else truth(step))
        return value, (step + 1, metrics)

    optimizer = make_optimizer(4e-3, steps)
    params = model.init(jax.random.key(seed))
    state = init_train_state(params, jnp.zeros((), jnp.int32), jax.random.key(seed + 1), optimizer)
    step, chance, (xs, ys, lengths) = jax.jit(make_train_step(loss, optimizer)), np.random.default_rng(seed), data

    def drawn() -> Arrays:
        rows = chance.choice(len(lengths), batch, replace=False)
        return xs[:, rows], ys[:, rows], lengths[rows]

    jax.block_until_ready(step(state, drawn()))
    began = time.perf_counter()
    for _ in range(steps):
        state, _ = step(state, drawn())
    return jax.block_until_ready(state.params), time.perf_counter() - began


def errors(model: OutputRecurrent, params: JordanParams, data: Arrays, ahead: int) -> np.ndarray:
    """The mean squared error of an entry, 1 to `ahead` steps after the last true output, over all such starts."""
    xs, ys, lengths = data
    starts = len(ys) - ahead
    state, found = JordanState(jnp.asarray(ys[:starts])), []
    for k in range(1, ahead + 1):
        state = model.cell.step(params, state, jnp.asarray(xs[k : starts + k]))
        there = (np.arange(starts) + k)[:, None] < lengths
        found.append((((state.o - ys[k : starts + k]) ** 2).mean(axis=-1))[there].mean())
    return np.array(found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exposure", description=__doc__)
    parser.add_argument("--hidden", type=int, default=64, help="(default: 64)")
    parser.add_argument("--steps", type=int, default=2000, help="of training (default: 2000)")
    parser.add_argument("--batch", type=int, default=30, help="(default: 30)")
    parser.add_argument("--seeds", type=int, default=3, help="(default: 3)")
    chosen = parser.parse_args(arguments)
    training, test = japanese_vowels()
    stacked = np.concatenate(training.sequences)
    scales = stacked.mean(axis=0), stacked.std(axis=0)
    data, unseen = prepared(training, *scales), prepared(test, *scales)
    model = OutputRecurrent(Jordan(SPEAKERS, chosen.hidden, FEATURES))
    ways: dict[str, Truth] = {
        "the truth, in parallel": None,
        "the truth, step by step": lambda step: jnp.ones(()),
        "linear schedule": LinearDecay(slope=1 / chosen.steps),
        "exponential schedule": ExponentialDecay(0.01 ** (1 / chosen.steps)),
        "inverse sigmoid schedule": InverseSigmoidDecay(chosen.steps / 10),
        "its own outputs": lambda step: jnp.zeros(()),
    }
    columns = (1, 2, 4, 6)
    print(
        f"Mean squared error of a standardised coefficient on the {len(test.speakers)} test recordings, k steps after "
        f"the last true output; means of {chosen.seeds} seeds; {chosen.steps} steps of training.\n\n| trained on | "
        + " | ".join(f"k = {k}" for k in columns)
        + " | seconds of training |\n"
        + "| --- " * (len(columns) + 2)
        + "|"
    )
    for name, truth in ways.items():
        runs = [train(model, data, truth, chosen.steps, chosen.batch, seed) for seed in range(chosen.seeds)]
        mean = np.mean([errors(model, params, unseen, max(columns)) for params, _ in runs], axis=0)
        figures = " | ".join(f"{mean[k - 1]:.4f}" for k in columns)
        print(f"| {name} | {figures} | {np.median([seconds for _, seconds in runs]):.1f} |", flush=True)


if __name__ == "__main__":
    main()
