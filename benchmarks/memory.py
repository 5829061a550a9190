"""Peak memory and time of one training step over a long sequence: BPTT against Autodiff.

    python -m benchmarks.memory --out benchmarks/results/NAME-memory.json

Each adjoint runs in a fresh process, since a peak belongs to a process. The times are of both in one process, in turns.
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

ADJOINTS = ("BPTT", "Autodiff")
MIB = float(1 << 20)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description="Peak memory and time of BPTT against Autodiff."
    )
    parser.add_argument("--steps", type=int, default=100_000, help="τ")
    parser.add_argument("--input", type=int, default=64, help="entries of x(t)")
    parser.add_argument("--hidden", type=int, default=256, help="entries of h(t)")
    parser.add_argument("--rounds", type=int, default=5, help="of the timing")
    parser.add_argument(
        "--clock", choices=list(turns.CLOCKS), default="wall", help="cpu: seconds of work of all threads"
    )
    parser.add_argument("--device", choices=["cpu", "gpu"], help="default: what JAX finds")
    parser.add_argument("--out", type=Path, help="write the result here, as JSON")
    parser.add_argument("--only", choices=ADJOINTS, help="measure the peak of this one, in this process, and print it")
    return parser.parse_args(arguments)


def training_step(adjoint: str, steps: int, inputs: int, hidden: int) -> tuple[Any, tuple[Any, Any]]:
    """θ - 0.001 ∂L/∂θ with L = Σ h(τ)² for a GRU at batch 1, jitted, and its arguments (params, xs)."""
    import jax
    import jax.numpy as jnp

    import jaxrnn

    chosen = {"BPTT": jaxrnn.BPTT, "Autodiff": jaxrnn.Autodiff}[adjoint]()
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
    before = _forget_peak()
    begin = time.perf_counter()
    compiled = function.lower(params, xs).compile()
    compile_s = time.perf_counter() - begin
    compiling = _peak()
    between = _forget_peak()
    jax.block_until_ready(compiled(params, xs))
    running = _peak()
    found = {
        "before_compile_MiB": before,
        "peak_of_compile_MiB": compiling,
        "before_step_MiB": between,
        "peak_of_step_MiB": running,
        "step_MiB": running - between,
        "compile_and_step_MiB": max(compiling, running) - before,
        "ru_maxrss_MiB": _highest(),
        "xla_temporaries_MiB": compiled.memory_analysis().temp_size_in_bytes / MIB,
        "compile_s": compile_s,
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


def _forget_peak() -> float:
    """Set the mark of the peak back to what this process holds now, and return that; where that cannot be, the mark."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _highest()
    return _status("VmRSS")


def _peak() -> float:
    return _status("VmHWM") if Path("/proc/self/status").exists() else _highest()


def times(steps: int, inputs: int, hidden: int, rounds: int, clock: str = "wall") -> tuple[dict[str, Any], float]:
    """Seconds of a step of each adjoint, in turns, and the ratio of BPTT's to Autodiff's."""
    import jax

    runs, firsts = {}, {}
    for adjoint in ADJOINTS:
        function, arguments = training_step(adjoint, steps, inputs, hidden)

        def run(function: Callable[..., Any] = function, arguments: Any = arguments) -> Any:
            return jax.block_until_ready(function(*arguments))

        firsts[adjoint] = turns.timed(run)
        runs[adjoint] = run
    measured = turns.take_turns(runs, seconds=0, rounds=rounds, clock=turns.CLOCKS[clock])
    spreads = {
        adjoint: {f"{part}_s": value for part, value in turns.spread(measured[adjoint])._asdict().items()}
        | {"first_call_s": firsts[adjoint]}
        for adjoint in ADJOINTS
    }
    return spreads, turns.ratio(measured["BPTT"], measured["Autodiff"])


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
    for adjoint in ADJOINTS:
        command = [sys.executable, "-m", "benchmarks.memory", "--only", adjoint, "--device", device]
        command += ["--steps", str(chosen.steps), "--input", str(chosen.input), "--hidden", str(chosen.hidden)]
        run = subprocess.run(command, cwd=machine.ROOT, env=os.environ, stdout=subprocess.PIPE, text=True, check=True)
        adjoints[adjoint] = json.loads(run.stdout.splitlines()[-1])
    spreads, ratio = times(*sizes, chosen.rounds, chosen.clock)
    for adjoint in ADJOINTS:
        adjoints[adjoint] |= spreads[adjoint]
    plain, blocked = adjoints["Autodiff"], adjoints["BPTT"]
    result = {
        "kind": "memory",
        **described,
        "device": device,
        "clock": chosen.clock,
        "cell": f"GRU({chosen.input}, {chosen.hidden})",
        "steps": chosen.steps,
        "rounds": chosen.rounds,
        "adjoints": adjoints,
        "ratios": {
            "step": blocked["step_MiB"] / plain["step_MiB"],
            "xla_temporaries": blocked["xla_temporaries_MiB"] / plain["xla_temporaries_MiB"],
            "time": ratio,
        },
        "load_average_after": os.getloadavg()[0],
    }
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(json.dumps(result, indent=1) + "\n")
    print(report.markdown(result))
    return result


if __name__ == "__main__":
    main()
