"""Methods beside `Scan`: time, accuracy, sweeps and depth, in one process, in turns.

python -m benchmarks.methods grid --out benchmarks/results
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import jax
import optax
from tqdm import tqdm

from benchmarks import depth, machine, report, turns
from benchmarks.cases import BASE, METHODS, PARTS, Case, Work, cases
from benchmarks.summary import certificate, difference

PASSES = ("forward", "training")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods", description=__doc__)
    parser.add_argument("part", choices=[*PARTS, "depth"])
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="cases whose name and shape has one")
    parser.add_argument("--passes", nargs="+", choices=PASSES, default=list(PASSES))
    parser.add_argument("--seconds", type=float, default=4, help="for the rounds of a case (at least 3 are made)")
    parser.add_argument("--rounds", type=int, help="of each case; 0: compile and compare, but time nothing")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which no further case is begun")
    parser.add_argument("--longest", type=int, default=max(depth.STEPS), help="steps of `depth`")
    parser.add_argument("--clock", choices=list(turns.CLOCKS), default="wall", help="cpu: work of all threads")
    parser.add_argument("--out", type=Path, help="folder for methods-PART.json; cases that stand there are kept")
    parser.add_argument(
        "--trained", type=Path, default=Path(tempfile.gettempdir()) / "jaxrnn-trained", help="folder of trained nets"
    )
    return parser.parse_args(arguments)


def programs(work: Work, method: Any) -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """A forward pass, and a training step: loss, gradient, and update by Adam; each with its arguments."""
    optimizer = optax.adam(1e-3)

    def forward(params: Any, data: Any) -> Any:
        return work.forward(params, data, method)

    def step(params: Any, state: Any, data: Any) -> Any:
        (loss, info), grads = jax.value_and_grad(work.loss, has_aux=True)(params, data, method)
        updates, state = optimizer.update(grads, state)
        return (loss, grads), info, optax.apply_updates(params, updates), state

    return {
        "forward": (forward, (work.params, work.data)),
        "training": (step, (work.params, optimizer.init(work.params), work.data)),
    }


def measure(
    case: Case,
    passes: Sequence[str] = PASSES,
    *,
    seconds: float,
    rounds: int | None = None,
    clock: str = "wall",
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """One case: what each method takes to compile, how far it is from `Scan`, and the time of each in turns."""
    work = case.build()
    found: dict[str, dict[str, Any]] = {which: {} for which in passes}
    runs: dict[Hashable, Callable[[], Any]] = {}
    for which in passes:
        expected = None
        for name in case.methods:
            tell(f"compiles {name}, {which}")
            program, given = programs(work, METHODS[name])[which]
            begin = time.perf_counter()
            compiled = jax.jit(program).lower(*given).compile()
            taken = time.perf_counter() - begin
            values, info, *_ = jax.block_until_ready(compiled(*given))
            expected = values if expected is None else expected
            entry = {"compile_s": taken, "difference": difference(values, expected), **certificate(info)}
            found[which][name] = entry
            runs[which, name] = lambda run=compiled, given=given: jax.block_until_ready(run(*given))

    done = 0
    if rounds != 0:
        measured = turns.take_turns(
            runs,
            seconds=seconds,
            rounds=rounds,
            fewest=3,
            clock=turns.CLOCKS[clock],
            progress=lambda done, of: tell(f"round {done}/{of}"),
        )
        for (which, name), times in ((key, t) for key, t in measured.items() if isinstance(key, tuple)):
            entry = found[which][name]
            entry |= {f"{part}_s": value for part, value in turns.spread(times)._asdict().items()}
            entry["faster"] = turns.ratio(measured[which, BASE], times)
            done = len(times)
    return {"label": case.label, "shape": list(case.shape), "note": work.note, "rounds": done, "passes": found}


def merge(rows: list[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows with a new one in place of that of the same case.

    Where JAX has a folder of compiled programs, what it took to compile is what it took the first time.
    """
    old = next((row for row in rows if (row["label"], row["shape"]) == (new["label"], new["shape"])), None)
    if old is None:
        return [*rows, new]
    if jax.config.jax_compilation_cache_dir:  # pyright: ignore[reportAttributeAccessIssue]
        for which, methods in new["passes"].items():
            for name, entry in methods.items():
                before = old["passes"].get(which, {}).get(name, entry)
                entry["compile_s"] = max(entry["compile_s"], before["compile_s"])
    return [new if row is old else row for row in rows]


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run what the command line asks for."""
    chosen = parse(arguments)
    path = chosen.out / f"methods-{chosen.part}.json" if chosen.out else None
    result = {
        "kind": "methods",
        "part": chosen.part,
        **machine.describe(["optax"]),
        "clock": chosen.clock,
        "left_out": [],
        "results": json.loads(path.read_text())["results"] if path and path.exists() else [],
    }

    def write() -> None:
        report.write(result, path)

    if chosen.part == "depth":
        result["results"] = depth.rows(chosen.longest)
    else:
        _measure_all(chosen, result, write)
    result["load_average_after"] = os.getloadavg()[0]
    write()
    print(report.markdown(result))
    return result


def _measure_all(chosen: argparse.Namespace, result: dict[str, Any], write: Callable[[], None]) -> None:
    found, result["left_out"] = cases(chosen.part, chosen.trained)
    found = [case for case in found if any(text in f"{case.label} {case.shape}" for text in chosen.only)]
    began = time.perf_counter()
    bar = tqdm(found, unit="case", disable=None)
    for number, case in enumerate(bar):
        if time.perf_counter() - began > chosen.limit:
            known = [(row["label"], row["shape"]) for row in result["results"]]
            missing = [f"{c.label} {c.shape}" for c in found[number:] if (c.label, list(c.shape)) not in known]
            result["left_out"] += [f"{name} (beyond {chosen.limit:g} seconds in all)" for name in missing]
            print(f"--limit {chosen.limit:g}: not measured now: {', '.join(missing)}")
            break
        label = f"{case.label} {case.shape}"
        row = measure(
            case,
            chosen.passes,
            seconds=chosen.seconds,
            rounds=chosen.rounds,
            clock=chosen.clock,
            tell=lambda text, label=label: bar.set_postfix_str(f"{label}: {text}"),
        )
        row["commit"] = result["commit"]
        result["results"] = merge(result["results"], row)
        write()


if __name__ == "__main__":
    main()
