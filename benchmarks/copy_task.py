"""The copy task, trained at lengths up to `--longest`, and asked at those, at twice and at four times the length.

python -m benchmarks.copy_task > benchmarks/results/copy_task.md
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrnn import LSTM, NTM, FastWeights, FeedForward, Readout, unfold
from jaxrnn.data import copy_task
from jaxrnn.data.copying import CopyTask
from jaxrnn.training import init_train_state, make_optimizer, make_train_step

BITS, BATCH = 8, 16
TESTED = 128  # sequences of each length
AT_ONCE = 100  # steps of one program


class Setting(NamedTuple):
    """One model and how it is trained."""

    cell: Any
    learning_rate: float
    clip: float
    steps: int


def settings(slots: int, width: int, hidden: int) -> dict[str, Setting]:
    """What is compared. What learns more slowly takes more steps, and the LSTM alone has more units, too."""
    controlled = BITS + 1 + width
    return {
        "NTM, LSTM controller": Setting(NTM(LSTM(controlled, hidden), slots, width), 5e-3, 1.0, 4000),
        "NTM, feed-forward controller": Setting(NTM(FeedForward(controlled, hidden), slots, width), 5e-3, 1.0, 4000),
        "FastWeights, LSTM controller": Setting(FastWeights(LSTM(controlled, hidden), 64, width), 5e-3, 1.0, 10000),
        "LSTM": Setting(LSTM(BITS + 1, 256), 3e-3, 1.0, 10000),
    }


def make_loss(net: Readout) -> Callable[..., Any]:
    """Nats a bit of the answers."""

    def loss(params: Any, state: None, batch: CopyTask, key: Any) -> Any:
        nats = optax.sigmoid_binary_cross_entropy(unfold(net, params, batch.xs).outputs, batch.ys).mean(-1)
        return jnp.where(batch.mask, nats, 0).sum() / batch.mask.sum(), (None, {})

    return loss


@partial(jax.jit, static_argnums=(0, 3))
def errors(net: Readout, params: Any, key: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
    """Shares of the bits, and of the sequences with any such bit, that are wrong."""
    task = copy_task(key, TESTED, length, shortest=length, bits=BITS)
    wrong = (unfold(net, params, task.xs).outputs > 0) != (task.ys > 0.5)
    wrong = wrong & task.mask[..., None]
    return wrong.sum() / (task.mask.sum() * BITS), wrong.any((0, 2)).mean()


def train(setting: Setting, longest: int, steps: int, seed: int) -> tuple[Readout, Any, float]:
    """The net, its parameters and the loss of its last 100 steps, in nats a bit."""
    net = Readout(setting.cell, BITS)
    optimizer = make_optimizer(setting.learning_rate, steps, clip=setting.clip)
    step = make_train_step(make_loss(net), optimizer)

    @jax.jit
    def many(train_state: Any, key: jax.Array) -> Any:
        def one(train_state: Any, key: jax.Array) -> Any:
            return step(train_state, copy_task(key, BATCH, longest, bits=BITS))

        return jax.lax.scan(one, train_state, jax.random.split(key, AT_ONCE))

    key, key_params = jax.random.split(jax.random.key(seed))
    train_state, metrics = init_train_state(net.init(key_params), None, key, optimizer), {"loss": jnp.array([jnp.nan])}
    for part in range(steps // AT_ONCE):
        train_state, metrics = many(train_state, jax.random.fold_in(key, part))
    return net, train_state.params, float(metrics["loss"].mean())


def row(name: str, setting: Setting, longest: int, steps: int, seed: int) -> str:
    """A line of the table."""
    began = time.process_time()
    net, params, last = train(setting, longest, steps, seed)
    seconds = time.process_time() - began
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    cells = [name, str(seed), f"{size:,}", f"{steps:,}", f"{seconds:.0f}", f"{last:.5f}"]
    for times in (1, 2, 4):
        bits, sequences = errors(net, params, jax.random.key(10_000 + times), times * longest)
        cells.append(f"{float(bits):.2%}, {float(sequences):.1%}")
    return "| " + " | ".join(cells) + " |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.copy_task", description=__doc__)
    parser.add_argument("--longest", type=int, default=10, help="vectors, at most, in training (default: 10)")
    parser.add_argument("--steps", type=int, help="of training (default: of each model its own)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--memory", default="32,12", help="slots, width (default: 32,12)")
    parser.add_argument("--hidden", type=int, default=64, help="units of a controller (default: 64)")
    parser.add_argument("--only", nargs="*", help="models, by how their names begin (default: all)")
    chosen = parser.parse_args(arguments)
    slots, width = map(int, chosen.memory.split(","))
    n = chosen.longest
    print(
        f"Vectors of {BITS} bits; in training 1 to {n} of them, {BATCH} sequences a step. Wrong bits, and sequences "
        f"with a wrong bit, of {TESTED} sequences of each length; seconds of processor time of the training, "
        f"compilation included; nats a bit, mean of the last {AT_ONCE} steps. {jax.default_backend()}, jax "
        f"{jax.__version__}, float32.\n"
    )
    heads = ["model", "seed", "parameters", "steps", "seconds", "nats", *(f"{k * n} vectors" for k in (1, 2, 4))]
    print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    for name, setting in settings(slots, width, chosen.hidden).items():
        if chosen.only is None or any(name.startswith(part) for part in chosen.only):
            for seed in chosen.seeds:
                print(row(name, setting, n, chosen.steps or setting.steps, seed), flush=True)


if __name__ == "__main__":
    main()
