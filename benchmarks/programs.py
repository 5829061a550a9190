"""How much the compiled forward passes of jaxrnn and its rivals differ: a comparison that no noise disturbs.

python -m benchmarks.programs
"""

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import jax

from benchmarks import rivals
from benchmarks.rivals.entrant import Entrant
from benchmarks.task import GATES, SHAPES, Shape, draw

RIVALS = ("plain-scan", "flax-linen", "flax-nnx", "haiku")
# Names, where an instruction comes from, and the order of operands do not change what is computed.
_IRRELEVANT = r"%[\w.-]+|, metadata=\{[^}]*\}|(?<=parameter)\(\d+\)"
_BOOKKEEPING = re.compile(r"\)? (tuple|get-tuple-element|parameter|while)")

_FREE = ("tuple", "get-tuple-element", "parameter", "constant", "bitcast")


def instructions(entrant: Entrant, options: dict[str, Any] | None = None) -> Counter[str]:
    """The instructions of the compiled forward pass: operation, types, layouts; how many of each."""
    compiled = entrant.forward.lower(entrant.params, entrant.xs).compile(options)  # pyright: ignore[reportFunctionMemberAccess]
    found: Counter[str] = Counter()
    for line in compiled.as_text().splitlines():
        matched = re.match(r"\s+(?:ROOT )?%[\w.-]+ = (.*)", line)
        if matched and not _BOOKKEEPING.search(matched[1]):
            found[re.sub(_IRRELEVANT, "", matched[1])] += 1
    return found


def counts(function: Any, entrant: Entrant, options: dict[str, Any] | None = None) -> Counter[str]:
    """How many fusions, loops, copies and so on the compiled program of a pass has, by operation."""
    text = function.lower(entrant.params, entrant.xs).compile(options).as_text()
    return Counter(re.findall(r"^\s+(?:ROOT )?%[\w.-]+ = .*?[\])}] ([a-z-]+)\(", text, re.MULTILINE))


def kernels_a_step(function: Any, entrant: Entrant, options: dict[str, Any] | None = None) -> list[int]:
    """What each innermost loop of the compiled program of a pass starts in every turn: fusions, products, copies."""
    text = function.lower(entrant.params, entrant.xs).compile(options).as_text()
    bodies = set(re.findall(r"body=%([\w.-]+)", text))
    found = []
    for name, body in re.findall(r"^%([\w.-]+) \(.*?\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        operations = re.findall(r"^\s+(?:ROOT )?%[\w.-]+ = .*?[\])}] ([a-z-]+)\(", body, re.MULTILINE)
        if name in bodies and "while" not in operations:
            found.append(sum(operation not in _FREE for operation in operations))
    return found


def difference(a: Counter[str], b: Counter[str]) -> int:
    """How many instructions one program has and the other has not."""
    return ((a - b) + (b - a)).total()


def differences(cell: str, shape: Shape, options: dict[str, Any] | None = None) -> tuple[int, dict[str, int]]:
    """Instructions of jaxrnn's forward pass, and for each rival how many differ."""
    task = draw(cell, shape)
    own = instructions(rivals.load("jaxrnn").build(task, "cpu"), options)
    others = {name: instructions(rivals.load(name).build(task, "cpu"), options) for name in RIVALS}
    return own.total(), {name: difference(own, other) for name, other in others.items()}


def main(arguments: Sequence[str] | None = None) -> str:
    """Print a table of all cells and shapes."""
    argparse.ArgumentParser(prog="python -m benchmarks.programs", description=__doc__).parse_args(arguments)
    rows = [
        "Instructions that the compiled forward pass has and a rival's has not, or the other way round; 0 is the same "
        f"program. CPU, jax {jax.__version__}.",
        "",
        "| cell | T, B, D, H | instructions | " + " | ".join(RIVALS) + " |",
        "| --- " * (3 + len(RIVALS)) + "|",
    ]
    for cell in GATES:
        for shape in SHAPES:
            own, others = differences(cell, shape)
            sizes = ", ".join(map(str, shape))
            rows.append(f"| {cell} | {sizes} | {own} | " + " | ".join(map(str, others.values())) + " |")
    table = "\n".join(rows)
    print(table)
    return table


if __name__ == "__main__":
    main()
