"""Speed and accuracy of `jaxrnn.unfold` beside its rivals: one process, in turns.

    python -m benchmarks.against_rivals --out benchmarks/results/NAME.json

What the file holds of other cells, shapes and passes stays in it, so a result can be measured piece by piece.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import machine, reference, report, rivals, turns
from benchmarks.task import GATES, SHAPES, Shape, Task, draw, operations
from jaxrnn import training

PASSES = ("forward", "gradient", "training")
OWN = "jaxrnn"
A_COMPILATION = 5e9  # operations of a forward pass for which three rounds take as long as all first calls, about
BAR = "{l_bar}{bar}| {n:.1f}/{total} [{elapsed}<{remaining}{postfix}]"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.against_rivals", description="Speed and accuracy of jaxrnn beside its rivals."
    )
    parser.add_argument("--cells", nargs="+", choices=list(GATES), default=list(GATES))
    parser.add_argument("--shapes", nargs="+", type=shape_of, default=list(SHAPES), metavar="T,B,D,H")
    parser.add_argument("--rivals", nargs="+", choices=list(rivals.RIVALS), default=list(rivals.RIVALS))
    parser.add_argument("--passes", nargs="+", choices=PASSES, default=list(PASSES))
    parser.add_argument("--rounds", type=int, help="rounds for each cell and shape; default: what --seconds allows")
    parser.add_argument(
        "--seconds",
        type=float,
        default=1200,
        help="time for all of it, first calls (compilation) included; at least 3 rounds of each shape are made",
    )
    parser.add_argument("--device", choices=["cpu", "gpu"], help="default: what JAX finds")
    parser.add_argument(
        "--clock",
        choices=list(turns.CLOCKS),
        default="wall",
        help="cpu: seconds of work of all threads, to compare on a machine that others use too",
    )
    parser.add_argument(
        "--precision", choices=list(machine.PRECISIONS), help="of every entrant's matrix products, where the device can"
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights, inputs and orders")
    parser.add_argument("--out", type=Path, help="put what is measured into this file, after each cell and shape")
    return parser.parse_args(arguments)


def shape_of(text: str) -> Shape:
    """T,B,D,H as the command line has it."""
    sizes = text.split(",")
    if len(sizes) != 4 or not all(size.isdigit() and int(size) > 0 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r}: pass four positive whole numbers T,B,D,H, such as 128,32,64,128")
    return Shape(*map(int, sizes))


def present(names: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The modules of the rivals that are installed, and why the others are absent."""
    modules, absent = {}, {}
    for name in dict.fromkeys([OWN, *names]):
        try:
            modules[name] = rivals.load(name)
        except ImportError as error:
            absent[name] = str(error)
    return modules, absent


def measure(
    task: Task,
    modules: dict[str, Any],
    device: str,
    *,
    passes: Sequence[str] = PASSES,
    seconds: float,
    rounds: int | None = None,
    seed: int = 0,
    clock: str = "wall",
    tell: Callable[[float, str], None] = lambda done, text: None,
) -> dict[str, Any]:
    """One cell and shape, in about so many seconds: accuracy, then time in turns, of every rival and of plain products.

    `tell` is told what part of it is done, and what comes now.
    """
    began = time.perf_counter()
    runs: dict[Hashable, Callable[[], Any]] = {}
    entrants: dict[str, Any] = {}
    answers: dict[Any, reference.Answer] = {}
    for number, (name, module) in enumerate(modules.items()):
        tell(0.5 * number / len(modules), f"first calls of {name}")
        try:
            entrants[name], started = _start(task, module, device, passes, answers)
        except Exception as error:  # a rival that fails is named in the result, the others go on
            if name == OWN:
                raise
            entrants[name] = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
            continue
        runs |= {(name, which): run for which, run in started.items()}
    answers.clear()
    work, products = machine.matrix_products(device)
    runs |= {("matrix product", name): run for name, run in products.items()}

    tell(0.5, "calls in a turn")
    measured = turns.take_turns(
        runs,
        seconds=seconds - (time.perf_counter() - began),
        rounds=rounds,
        fewest=3,
        seed=seed,
        clock=turns.CLOCKS[clock],
        progress=lambda done, of: tell(0.5 + 0.5 * done / of, f"round {done}/{of}"),
    )
    rates = {name: work / turns.spread(measured["matrix product", name]).median / 1e9 for name in products}
    peak = max(rates.values())
    for (name, which), times in ((key, t) for key, t in measured.items() if isinstance(key, tuple)):
        if name == "matrix product":
            continue
        times_of_own = measured[OWN, which]
        amount = operations(task.cell, task.shape) * (1 if which == "forward" else 3)
        entry = entrants[name][which]
        entry |= {f"{part}_s": value for part, value in turns.spread(times)._asdict().items()}
        entry["rounds"] = len(times)
        entry["ratio"] = turns.ratio(times, times_of_own)
        entry["of_peak"] = amount / entry["median_s"] / (peak * 1e9)
    return {
        "cell": task.cell,
        "shape": list(task.shape),
        "seconds": time.perf_counter() - began,
        "matrix_product_GFLOPs": rates,
        "entrants": entrants,
    }


def _start(
    task: Task, module: Any, device: str, passes: Sequence[str], answers: dict[Any, reference.Answer]
) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """First calls of a rival, with what compilation takes and how exact the result is."""
    entrant = module.build(task, device)
    if entrant.reference not in answers:
        answers[entrant.reference] = entrant.reference(task)
    expected = answers[entrant.reference]
    found: dict[str, Any] = {"note": entrant.note, "computes": entrant.reference.__name__}
    runs = {}
    for which in passes:
        function = getattr(entrant, which)

        def run(function: Callable[..., Any] = function) -> Any:
            return entrant.wait(function(entrant.params, entrant.xs))

        begin = time.perf_counter()
        result = run()
        first = time.perf_counter() - begin
        if which == "forward":
            error = reference.error(entrant.outputs(result), expected[0])
        else:
            read = entrant.weights if which == "gradient" else entrant.trained
            error = reference.largest_error(read(result), expected[1])
        found[which] = {"first_call_s": first, "error": error}
        runs[which] = run
    return found, runs


def merge(results: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    """The results with a row put in: passes and rivals that it has not stay as they were measured before."""
    found, places = list(results), {(old["cell"], *old["shape"]): k for k, old in enumerate(results)}
    place = places.get((row["cell"], *row["shape"]))
    if place is None:
        return sorted([*found, row], key=lambda r: operations(r["cell"], Shape(*r["shape"])))
    old = found[place]
    entrants = old["entrants"] | {name: old["entrants"].get(name, {}) | new for name, new in row["entrants"].items()}
    found[place] = old | row | {"entrants": entrants, "seconds": old["seconds"] + row["seconds"]}
    return found


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run what the command line asks for."""
    chosen = parse(arguments)
    if "jaxrnn-cores" in chosen.rivals and chosen.device != "gpu":
        training.use_all_cores()
    device = machine.choose_device(chosen.device)
    modules, absent = present(chosen.rivals)
    result = {
        "kind": "speed",
        **machine.describe([module.PACKAGE for module in modules.values()]),
        "device": device,
        "clock": chosen.clock,
        "precision": chosen.precision,
        "absent": absent,
        "results": _kept(chosen.out, chosen.precision),
    }
    began = time.perf_counter()
    combinations = sorted(
        ((cell, shape) for cell in chosen.cells for shape in chosen.shapes), key=lambda c: operations(*c)
    )
    left, needs = chosen.seconds, [1 + operations(*c) / A_COMPILATION for c in combinations]
    bar = tqdm(total=len(combinations), unit="cell and shape", bar_format=BAR, disable=None)
    for number, (cell, shape) in enumerate(combinations):

        def tell(done: float, text: str, number: int = number, label: str = f"{cell} {shape}") -> None:
            bar.n = number + done
            bar.set_postfix_str(f"{label}: {text}")

        with machine.products_in(chosen.precision):
            measured = measure(
                draw(cell, shape, chosen.seed),
                modules,
                device,
                passes=chosen.passes,
                seconds=left * needs[number] / sum(needs[number:]),
                rounds=chosen.rounds,
                seed=chosen.seed,
                clock=chosen.clock,
                tell=tell,
            )
        left = max(0.0, left - measured["seconds"])
        measured |= {part: result[part] for part in ("commit", "uncommitted_changes")}
        result["results"] = merge(result["results"], measured)
        result["wall_s"] = time.perf_counter() - began
        result["load_average_after"] = os.getloadavg()[0]
        report.write(result, chosen.out)
    bar.close()
    print(report.markdown(result))
    return result


def _kept(out: Path | None, precision: str | None) -> list[dict[str, Any]]:
    """What the file of results holds already."""
    if out is None or not out.exists():
        return []
    kept = json.loads(out.read_text())
    if kept.get("kind") != "speed":
        raise SystemExit(f"{out} holds a result of another kind ({kept.get('kind')}): name another file")
    if kept.get("precision") != precision:
        raise SystemExit(f"{out} was measured with --precision {kept.get('precision')}: name another file")
    return kept["results"]


if __name__ == "__main__":
    main()
