"""What goes around a cell in training, beside the plain cell: dropout, zoneout, noise, layer normalisation.

python -m benchmarks.around > benchmarks/results/around.md
"""

import argparse
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax

from benchmarks.turns import ratio, spread, take_turns
from jaxrnn import (
    GRU,
    LSTM,
    Highway,
    Layer,
    LayerNormGRU,
    LayerNormLSTM,
    LearnedInitialState,
    Recurrent,
    Residual,
    StateNoise,
    Zoneout,
)


def layers(kind: str, features: int, hidden: int) -> dict[str, Layer]:
    """The plain cell first."""
    cell = {"lstm": LSTM, "gru": GRU}[kind](features, hidden)
    normalised = {"lstm": LayerNormLSTM, "gru": LayerNormGRU}[kind](features, hidden)
    found: dict[str, Layer] = {
        "plain": Recurrent(cell),
        "layer normalisation": Recurrent(normalised),
        "input dropout": Recurrent(cell, input_dropout=0.2),
        "state dropout": Recurrent(cell, state_dropout=0.2),
        "weight dropout": Recurrent(cell, weight_dropout=0.2),
        "zoneout": Recurrent(cell, perturbation=Zoneout(0.1)),
        "state noise": Recurrent(cell, perturbation=StateNoise(0.1)),
        "learned s(0)": Recurrent(LearnedInitialState(cell)),
    }
    if features == hidden:
        found |= {"residual": Residual(cell), "highway": Highway(cell, features)}
    return found


def gradients(layer: Layer, xs: jax.Array) -> Callable[[], Any]:
    """The jitted gradient of Σ h² with respect to the parameters, everything that is random drawn anew."""
    params = layer.init(jax.random.key(0))

    def loss(params: Any, key: jax.Array) -> jax.Array:
        return (layer.apply(params, xs, key=key).outputs ** 2).sum()

    run, key = jax.jit(jax.grad(loss)), jax.random.key(2)
    jax.block_until_ready(run(params, key))
    return lambda: jax.block_until_ready(run(params, key))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.around", description=__doc__)
    parser.add_argument("--shape", default="128,32,64,128", help="T,B,D,H (default: 128,32,64,128)")
    parser.add_argument("--seconds", type=float, default=15, help="for each kind of cell (default: 15)")
    parser.add_argument("--only", nargs="*", help="what to measure beside the plain cell (default: everything)")
    chosen = parser.parse_args(arguments)
    steps, batch, features, hidden = map(int, chosen.shape.split(","))
    xs = jax.random.normal(jax.random.key(1), (steps, batch, features))
    print(f"{chosen.shape} (T,B,D,H), forward and backward, milliseconds: medians, and ratios within a round.\n")
    print("| cell | with | ms | times plain |\n" + "| --- " * 4 + "|")
    for kind in ("lstm", "gru"):
        runs: dict[Hashable, Callable[[], Any]] = {
            name: gradients(layer, xs)
            for name, layer in layers(kind, features, hidden).items()
            if chosen.only is None or name in ("plain", *chosen.only)
        }
        measured = take_turns(runs, seconds=chosen.seconds)
        for name, seconds in measured.items():
            times = ratio(seconds, measured["plain"])
            print(f"| {kind} | {name} | {1e3 * spread(seconds).median:.1f} | {times:.2f} |", flush=True)


if __name__ == "__main__":
    main()
