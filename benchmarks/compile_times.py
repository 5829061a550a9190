"""Seconds to trace and to compile a training step of every cell that comes with the package.

python -m benchmarks.compile_times --out benchmarks/results/NAME-compile.json
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxrnn
from benchmarks import machine, report

STEPS, BATCH, INPUT, HIDDEN = 128, 32, 64, 128
LIMIT = 3.0  # seconds
PROCESSES = 3  # in which the import is timed
IMPORTS = "import time, jax; begin = time.perf_counter(); import jaxrnn; print(time.perf_counter() - begin)"


def cells(inputs: int = INPUT, hidden: int = HIDDEN) -> dict[str, jaxrnn.Cell]:
    """One of each."""
    plain = (
        "Elman",
        "LSTM",
        "GRU",
        "LeakyElman",
        "IndRNN",
        "LRU",
        "MinGRU",
        "MinLSTM",
        "MGU",
        "TiedGRU",
    )
    more = ("OriginalGRU", "CoupledLSTM", "PeepholeLSTM", "LayerNormLSTM", "LayerNormGRU")
    found: dict[str, jaxrnn.Cell] = {name: getattr(jaxrnn, name)(inputs, hidden) for name in (*plain, *more)}
    return found | {
        "Jordan": jaxrnn.Jordan(inputs, hidden, hidden),
        "ProjectedLSTM": jaxrnn.ProjectedLSTM(inputs, hidden, max(1, hidden // 2)),
        "SLSTM": jaxrnn.SLSTM(inputs, hidden, heads=4),
        "Stack of two LSTM": jaxrnn.Stack([jaxrnn.LSTM(inputs, hidden), jaxrnn.LSTM(hidden, hidden)]),
        "Readout of GRU": jaxrnn.Readout(jaxrnn.GRU(inputs, hidden), inputs),
    }


def seconds(cell: jaxrnn.Cell, steps: int, batch: int, inputs: int) -> tuple[float, float]:
    """To trace, and to compile."""
    optimizer = optax.adam(1e-3)

    def step(params: Any, adam: Any, xs: jax.Array) -> Any:
        def loss(params: Any) -> jax.Array:
            outputs = jaxrnn.unfold(cell, params, xs).outputs
            return sum(jnp.mean(jnp.square(jnp.abs(leaf))) for leaf in jax.tree.leaves(outputs))  # pyright: ignore[reportReturnType]

        updates, adam = optimizer.update(jax.grad(loss)(params), adam, params)
        return optax.apply_updates(params, updates), adam

    params = jax.eval_shape(cell.init, jax.random.key(0))
    given = params, jax.eval_shape(optimizer.init, params), jax.ShapeDtypeStruct((steps, batch, inputs), jnp.float32)
    begin = time.perf_counter()
    lowered = jax.jit(step, donate_argnums=(0, 1)).lower(*given)
    traced = time.perf_counter()
    lowered.compile()
    return traced - begin, time.perf_counter() - traced


def import_seconds() -> list[float]:
    """What `import jaxrnn` takes after `import jax`, in processes of their own, shortest first."""
    command = [sys.executable, "-c", IMPORTS]
    given: Any = {"cwd": machine.ROOT, "capture_output": True, "text": True, "check": True}
    return sorted(float(subprocess.run(command, **given).stdout) for _ in range(PROCESSES))


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile_times", description="Seconds to compile.")
    parser.add_argument("--only", nargs="+", choices=list(cells()), help="cells; default: all")
    parser.add_argument("--out", type=Path, help="write the result here, as JSON")
    chosen = parser.parse_args(arguments)
    all_cells = cells()
    seconds(jaxrnn.Elman(1, 1), 4, 1, 1)  # what is compiled once in a process is no cell's
    rows = []
    for name in chosen.only or all_cells:
        trace_s, compile_s = seconds(all_cells[name], STEPS, BATCH, INPUT)
        rows.append({"cell": name, "trace_s": trace_s, "compile_s": compile_s})
    result = {
        "kind": "compile",
        **machine.describe(["jaxrnn"]),
        "clock": "wall",
        "sizes": f"{STEPS} steps, batch {BATCH}, {INPUT} inputs, {HIDDEN} units",
        "import_s": import_seconds(),
        "results": rows,
    }
    report.write(result, chosen.out)
    print(report.markdown(result))
    return result


if __name__ == "__main__":
    main()
