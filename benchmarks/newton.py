"""How many steps Newton's method takes, and its time beside that of one step after another.

python -m benchmarks.newton --run RUN   (a run folder of `jaxrnn train`, for a net that is trained)
"""

import argparse
from collections.abc import Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.turns import ratio, spread, take_turns
from jaxrnn import GRU, LSTM, Newton, Scan, unfold
from jaxrnn.data import shakespeare
from jaxrnn.runs import load_run

WINDOWS = 64, 256, 1024


def steps_taken(cell: Any, params: Any, xs: jax.Array, method: Newton) -> str:
    """The most steps that a window took, and how many windows fell back."""
    info = jax.jit(lambda params, xs: unfold(cell, params, xs, method=method).info)(params, xs)
    windows = -(-xs.shape[0] // (method.window or xs.shape[0]))
    return f"{int(info.sweeps)}" + (f" ({int(info.fell_back)} of {windows} fell back)" if info.fell_back else "")


def print_steps(title: str, cell: Any, params: Any, xs: jax.Array) -> None:
    """One line for each Jacobian: a column for each window."""
    for jacobian in ("full", "diagonal", "block") if isinstance(cell, LSTM) else ("full", "diagonal"):
        found = (steps_taken(cell, params, xs, Newton(window=window, jacobian=jacobian)) for window in WINDOWS)
        print("|", " | ".join([title, jacobian, *found]), "|", flush=True)


def print_times(steps: int, hidden: int, seconds: float) -> None:
    """Milliseconds of a forward pass and of a training step, batch 1, in turns."""
    cell = GRU(8, hidden)
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (steps, 1, 8))
    methods = {"Scan": Scan(), "full": Newton(), "diagonal": Newton(jacobian="diagonal")}

    def entrant(method: Any, training: bool) -> Any:
        def loss(params: Any) -> Any:
            return (unfold(cell, params, xs, method=method).outputs ** 2).mean()

        run = jax.jit(jax.grad(loss) if training else loss)
        jax.block_until_ready(run(params))
        return lambda: jax.block_until_ready(run(params))

    for training in (False, True):
        runs: dict[Hashable, Any] = {name: entrant(method, training) for name, method in methods.items()}
        measured = take_turns(runs, seconds=seconds)
        medians = [f"{1e3 * spread(measured[name]).median:.1f}" for name in methods]
        ratios = [f"{ratio(measured[name], measured['Scan']):.2f}" for name in list(methods)[1:]]
        what = "training step" if training else "forward"
        print("|", " | ".join([str(hidden), what, *medians, *ratios]), "|", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.newton", description=__doc__)
    parser.add_argument("--run", help="a run folder of `jaxrnn train`")
    parser.add_argument("--steps", type=int, default=2048, help="steps of time (default: 2048)")
    parser.add_argument("--hidden", type=int, nargs="*", default=[1, 4, 16, 64], help="sizes to time")
    parser.add_argument("--seconds", type=float, default=3, help="for each line of times (default: 3)")
    chosen = parser.parse_args(arguments)
    print("| net | Jacobian |", " | ".join(f"windows of {w}" for w in WINDOWS), "|\n" + "| --- " * 5 + "|")
    noise = jax.random.normal(jax.random.key(1), (chosen.steps, 1, 8))
    for name, cell in (("GRU(8, 64), untrained, noise", GRU(8, 64)), ("LSTM(8, 64), untrained, noise", LSTM(8, 64))):
        print_steps(name, cell, cell.init(jax.random.key(0)), noise)
    if chosen.run:
        model, alphabet, params = load_run(chosen.run)
        text = jnp.asarray(alphabet.encode(shakespeare()[-chosen.steps :]))[:, None]
        fresh = model.init(jax.random.key(0))
        print_steps("untrained, text", model.cell, fresh.readout.cell, fresh.embedding[text])
        print_steps("trained, text", model.cell, params.readout.cell, params.embedding[text])
    head = "hidden", "", "Scan, ms", "full, ms", "diagonal, ms", "full / Scan", "diagonal / Scan"
    print("\n|", " | ".join(head), "|\n" + "| --- " * len(head) + "|")
    for hidden in chosen.hidden:
        print_times(chosen.steps, hidden, chosen.seconds)


if __name__ == "__main__":
    main()
