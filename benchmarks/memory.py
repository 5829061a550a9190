"""Peak memory and time of one training step over a long sequence: BPTT, of one level or more, against Autodiff.

    python -m benchmarks.memory --out benchmarks/results/NAME-memory.json

Each adjoint runs in a fresh process, since a peak belongs to a process. The times are of all in one process, in turns.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, report, turns

PLAIN = "Autodiff"
# What is compared with it, by the choices of BPTT.
ADJOINTS: dict[str, dict[str, Any]] = {
    "BPTT": {},
    "BPTT-2-levels": {"levels": 2},
    "BPTT-3-levels": {"levels": 3},
    "BPTT-300MB": {"memory": "300MB"},
    "BPTT-1MB": {"memory": "1MB"},
}
MIB = float(1 << 20)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description=f"Peak memory and time of BPTT against {PLAIN}."
    )
    parser.add_argument("--steps", type=int, default=100_000, help="τ")
    parser.add_argument("--input", type=int, default=64, help="entries of x(t)")
    parser.add_argument("--hidden", type=int, default=256, help="entries of h(t)")
    parser.add_argument("--adjoints", nargs="+", choices=ADJOINTS, default=["BPTT"], help=f"beside {PLAIN}")
    parser.add_argument("--rounds", type=int, default=5, help="of the timing; 0: only the one step of each process")
    parser.add_argument(
        "--clock", choices=list(turns.CLOCKS), default="wall", help="cpu: seconds of work of all threads"
    )
    parser.add_argument("--device", choices=["cpu", "gpu"], help="default: what JAX finds")
    parser.add_argument("--out", type=Path, help="write the result here, as JSON")
    parser.add_argument(
        "--only", choices=[*ADJOINTS, PLAIN], help="measure the peak of this one, in this process, and print it"
    )
    return parser.parse_args(arguments)


def training_step(adjoint: str, steps: int, inputs: int, hidden: int) -> tuple[Any, tuple[Any, Any]]:
    """θ - 0.001 ∂L/∂θ with L = Σ h(τ)² for a GRU at batch 1, jitted, and its arguments (params, xs)."""
    import jax
    import jax.numpy as jnp

    import jaxrnn

    chosen = jaxrnn.Autodiff() if adjoint == PLAIN else jaxrnn.BPTT(**ADJOINTS[adjoint])
    cell = jaxrnn.GRU(inputs, hidden)

    def loss(params: Any, xs: jax.Array) -> jax.Array:
        run = jaxrnn.unfold(cell, params, xs, emit=None, adjoint=chosen)
        return jnp.sum(jnp.square(run.final.h))

    def step(params: Any, xs: jax.Array) -> tuple[Any, jax.Array]:
        value, gradient = jax.value_and_grad(loss)(params, xs)
        return jax.tree.map(lambda p, g: p - 1e-3 * g, params, gradient), value

    xs = jnp.asarray(np.random.default_rng(0).standard_normal((steps, 1, inputs)).astype(np.float32))
    return jax.jit(step), jax.block_until_ready((cell.init(jax.random.key(0)), xs))


def peak_of(adjoint: str, steps: int, inputs: int, hidden: int) -> dict[str, Any]:
    """Resident memory of this process before and at the peak of compiling and running one step, in MiB."""
    import jax

    function, (params, xs) = training_step(adjoint, steps, inputs, hidden)
    before = forget_peak()
    begin = time.perf_counter()
    compiled = function.lower(params, xs).compile()
    compile_s = time.perf_counter() - begin
    compiling = peak()
    between = forget_peak()
    begin = time.perf_counter()
    jax.block_until_ready(compiled(params, xs))
    step_s = time.perf_counter() - begin
    running = peak()
    found = {
        "before_compile_MiB": before,
        "peak_of_compile_MiB": compiling,
        "before_step_MiB": between,
        "peak_of_step_MiB": running,
        "step_MiB": running - between,
        "compile_and_step_MiB": max(compiling, running) - before,
        "ru_maxrss_MiB": _highest(),
        "xla_temporaries_MiB": compiled.memory_analysis().temp_size_in_bytes / MIB,
        "inputs_MiB": xs.nbytes / MIB,
        "compile_s": compile_s,
        "step_s": step_s,
    }
    on_device = jax.devices()[0].memory_stats()
    if on_device is not None:
        found["device_peak_MiB"] = on_device["peak_bytes_in_use"] / MIB
    return found


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) / 1024


def _highest() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MIB if sys.platform == "darwin" else 1024)


def forget_peak() -> float:
    """Set the mark of the peak back to what this process holds now, and return that; where that cannot be, the mark."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _highest()
    return _status("VmRSS")


def peak() -> float:
    """MiB resident at the peak since the mark was set back."""
    return _status("VmHWM") if Path("/proc/self/status").exists() else _highest()


def times(
    adjoints: Sequence[str], steps: int, inputs: int, hidden: int, rounds: int, clock: str = "wall"
) -> dict[str, dict[str, float]]:
    """Seconds of a step of each adjoint, in turns, and the ratio to plain JAX's."""
    import jax

    runs, firsts = {}, {}
    for adjoint in (*adjoints, PLAIN):
        function, arguments = training_step(adjoint, steps, inputs, hidden)

        def run(function: Callable[..., Any] = function, arguments: Any = arguments) -> Any:
            return jax.block_until_ready(function(*arguments))

        firsts[adjoint] = turns.timed(run)
        runs[adjoint] = run
    measured = turns.take_turns(runs, seconds=0, rounds=rounds, clock=turns.CLOCKS[clock])
    return {
        adjoint: {f"{part}_s": value for part, value in turns.spread(measured[adjoint])._asdict().items()}
        | {"first_call_s": firsts[adjoint], "time_ratio": turns.ratio(measured[adjoint], measured[PLAIN])}
        for adjoint in runs
    }


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run what the command line asks for."""
    chosen = parse(arguments)
    device = machine.choose_device(chosen.device)
    sizes = (chosen.steps, chosen.input, chosen.hidden)
    if chosen.only is not None:
        found = peak_of(chosen.only, *sizes)
        print(json.dumps(found))
        return found
    described = machine.describe(["jaxrnn"])
    adjoints = {}
    for adjoint in (*chosen.adjoints, PLAIN):
        command = [sys.executable, "-m", "benchmarks.memory", "--only", adjoint, "--device", device]
        command += ["--steps", str(chosen.steps), "--input", str(chosen.input), "--hidden", str(chosen.hidden)]
        run = subprocess.run(command, cwd=machine.ROOT, env=os.environ, stdout=subprocess.PIPE, text=True, check=True)
        adjoints[adjoint] = json.loads(run.stdout.splitlines()[-1])
    if chosen.rounds:
        for adjoint, found in times(chosen.adjoints, *sizes, chosen.rounds, chosen.clock).items():
            adjoints[adjoint] |= found
    result = {
        "kind": "memory",
        **described,
        "device": device,
        "clock": chosen.clock,
        "cell": f"GRU({chosen.input}, {chosen.hidden})",
        "steps": chosen.steps,
        "rounds": chosen.rounds,
        "adjoints": adjoints,
        "load_average_after": os.getloadavg()[0],
    }
    report.write(result, chosen.out)
    print(report.markdown(result))
    return result


if __name__ == "__main__":
    main()
