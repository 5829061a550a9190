"""Memory and time of gradients that go forward in time, beside backpropagation: RTRL, SnAp-1, and a stream.

python -m benchmarks.online > benchmarks/results/online.md
"""

import argparse
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import turns
from jaxrnn import BPTT, GRU, LRU, RTRL, Autodiff, IndRNN, MinGRU, Online, SnAp1, unfold

INPUT = 8
SHORT, LONG = 1_000, 100_000  # τ, of which temporaries are counted
ROWS = (
    *((cell, hidden) for cell in (IndRNN, LRU, MinGRU) for hidden in (64, 256)),
    *((GRU, hidden) for hidden in (16, 64, 256)),
)
DENSE = 64  # the largest GRU whose whole influence is carried: n·|θ| numbers


class Row(NamedTuple):
    """One cell: KiB of its parameters and of temporaries, and μs for each step of time."""

    params: float
    temporaries: dict[str, tuple[float, float]]  # for SHORT and LONG sequences
    times: dict[str, float]


def adjoints(cell: Any) -> dict[str, Any]:
    """What is compared."""
    found = {"BPTT": BPTT(), "Autodiff": Autodiff(), "RTRL": RTRL(), "SnAp1": SnAp1()}
    if isinstance(cell, GRU) and cell.hidden_size > DENSE:
        del found["RTRL"]
    return found


def temporaries(cell: Any, adjoint: Any, steps: int) -> float:
    """KiB that XLA sets aside for the gradient of a loss on the final state, batch 1."""

    def loss(params: Any, xs: jax.Array) -> jax.Array:
        final = unfold(cell, params, xs, emit=None, adjoint=adjoint).final
        return jnp.abs(jax.tree.leaves(final)[0]).sum()

    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((steps, 1, INPUT), jnp.float32)
    analysis = jax.jit(jax.grad(loss)).lower(params, xs).compile().memory_analysis()
    assert analysis is not None
    return analysis.temp_size_in_bytes / 1024


def gradients(cell: Any, steps: int) -> dict[Hashable, Callable[[], Any]]:
    """Jitted gradients of Σ |y(t)|² with respect to the parameters, by each adjoint, and step by step of a stream."""
    params = cell.init(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (steps, 1, INPUT))

    def whole(adjoint: Any) -> Callable[[], Any]:
        gradient = jax.jit(jax.grad(lambda p, xs: jnp.sum(unfold(cell, p, xs, adjoint=adjoint).outputs ** 2)))
        return lambda: jax.block_until_ready(gradient(params, xs))

    def streamed(adjoint: Any) -> Callable[[], Any]:
        learner = Online(cell, lambda o, _: jnp.sum(o**2), adjoint)

        @jax.jit
        def descend(params: Any, xs: jax.Array) -> Any:
            def step(carry: Any, x: jax.Array) -> Any:
                params, state = carry
                state, grads = learner.learn_step(params, state, x)
                return (jax.tree.map(lambda p, g: p - 1e-4 * g, params, grads), state), state.loss

            return jax.lax.scan(step, (params, learner.initial_state(params, xs[0])), xs)

        return lambda: jax.block_until_ready(descend(params, xs))

    chosen = adjoints(cell)
    del chosen["Autodiff"]
    runs: dict[Hashable, Callable[[], Any]] = {name: whole(adjoint) for name, adjoint in chosen.items()}
    del chosen["BPTT"]
    return runs | {f"{name}, stream": streamed(adjoint) for name, adjoint in chosen.items()}


def measure(cell: Any, steps: int, rounds: int) -> Row:
    """One row; times are medians over rounds in turns."""
    size = sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(cell.init, jax.random.key(0)))) * 4 / 1024
    kept = {n: (temporaries(cell, a, SHORT), temporaries(cell, a, LONG)) for n, a in adjoints(cell).items()}
    runs = gradients(cell, steps)
    for run in runs.values():
        run()  # compiles
    seconds = turns.take_turns(runs, seconds=0, rounds=rounds)
    return Row(size, kept, {str(name): 1e6 * float(np.median(seconds[name])) / steps for name in runs})


def table(rows: dict[tuple[str, int], Row], steps: int) -> str:
    """Both tables, in Markdown."""

    def lines(head: list[str], show: Callable[[Row, str], str], names: Sequence[str]) -> list[str]:
        found = [
            "| cell | hidden | " + " | ".join([*head, *names]) + " |",
            "| --- " * (2 + len(head) + len(names)) + "|",
        ]
        for (cell, hidden), row in rows.items():
            first = [f"{row.params:,.1f}"] if head else []
            found.append(" | ".join([f"| {cell}", str(hidden), *first, *(show(row, n) for n in names)]) + " |")
        return found

    def memory(row: Row, name: str) -> str:
        return " to ".join(f"{kib:,.0f}" for kib in row.temporaries[name]) if name in row.temporaries else ""

    def time(row: Row, name: str) -> str:
        return f"{row.times[name]:.1f}" if name in row.times else ""

    names = ["RTRL", "SnAp1", "BPTT", "Autodiff"]
    return "\n".join(
        [
            f"KiB of temporaries of the gradient of a loss on the final state, τ = {SHORT:,} to τ = {LONG:,}; {INPUT} "
            f"inputs, batch 1, float32, {jax.default_backend()}, jax {jax.__version__}.",
            "",
            *lines(["parameters"], memory, names),
            "",
            f"μs for each step of time of the gradient of Σ |y(t)|², τ = {steps:,}; a stream also changes the weights.",
            "",
            *lines([], time, ["BPTT", "RTRL", "RTRL, stream", "SnAp1", "SnAp1, stream"]),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> str:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.online", description=__doc__)
    parser.add_argument("--steps", type=int, default=300, help="τ of the times")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="+", help="which rows, from 0; default: all")
    options = parser.parse_args(arguments)
    chosen = ROWS if options.rows is None else [ROWS[k] for k in options.rows]
    rows = {(make.__name__, n): measure(make(INPUT, n), options.steps, options.rounds) for make, n in chosen}
    text = table(rows, options.steps)
    print(text)
    return text


if __name__ == "__main__":
    main()
