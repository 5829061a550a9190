"""What backpropagation keeps, and how it cuts time, so as to need no more than a number of bytes."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import Jaxpr, Literal

from jaxrnn.cells import checks
from jaxrnn.cells.base import Gated, Linear
from jaxrnn.unfold import sizes
from jaxrnn.unfold.problem import Keep, Operands, Problem

UNITS = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}
OVER_TRACED = 1.3  # XLA needs 0.6 to 1.3 times what a count by tracing finds (docs/design-notes.md)


def parse(memory: Any) -> int:
    """Bytes of "512MB", "1.5 GiB" or a whole number."""
    if not isinstance(memory, str):
        return checks.whole_number("BPTT: memory, in bytes or as '512MB',", memory, 1)
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([A-Za-z]+)\s*", memory)
    if found is None or found[2] not in UNITS:
        raise ValueError(
            f"BPTT: memory must be a number and one of the units {', '.join(UNITS)}, got {memory!r}: pass such as "
            "memory='512MB', or a whole number of bytes"
        )
    return checks.whole_number("BPTT: memory", int(float(found[1]) * UNITS[found[2]]), 1)


def keep(problem: Problem, operands: Operands, memory: int, trace: Callable[[int], Jaxpr]) -> Keep:
    """What recomputes least of what needs at most `memory` bytes.

    In this order: states and recurrent products of every step; every state; blocks of one level, of two, and so on, the
    blocks as near to τ^(1 / (levels + 1)) steps as will fit. `trace` gives the program of stepping back through a block
    of so many steps.

    Raises:
        ValueError: less than the least of all of these.
    """
    shapes = problem.step_shapes(operands)
    state, products = sizes.tree_bytes(shapes[0]), sizes.tree_bytes(shapes[1])
    steps, a_step = problem.steps, _bytes_a_step(trace, problem.steps)
    least = math.inf
    for choice in _choices(problem, operands):
        if choice.every == 1:
            block = sizes.block_of_kept(problem, operands)
            kept = steps * (state + (products if choice.products else 0))
        else:
            spans = (choice.every, *choice.within)
            block = min(choice.block, steps)
            kept = state * sum(-(-outer // inner) for outer, inner in zip((steps, *spans), spans, strict=False))
        need = kept + block * a_step
        if need <= memory:
            return choice
        least = min(least, need)
    raise ValueError(
        f"BPTT: memory = {memory} bytes is less than backpropagation through {steps} steps of {problem.cell} can do "
        f"with: pass memory={math.ceil(least)} or more"
    )


def _choices(problem: Problem, operands: Operands) -> Iterator[Keep]:
    """All that may be kept, by how much is recomputed."""
    if isinstance(problem.cell, Gated):
        yield Keep(1, True)
    if isinstance(problem.cell, Gated | Linear):
        yield Keep(1, False)
    for levels in range(1, max(2, problem.steps.bit_length())):
        for block in range(sizes.even_block(problem.steps, levels), 1, -1):
            yield sizes.nested(problem.steps, block, levels)


def _bytes_a_step(trace: Callable[[int], Jaxpr], steps: int) -> float:
    """What each step of a block that is recomputed, and stepped back through, adds to what is needed at once."""
    few, many = -(-steps // 2), steps
    if few == many:
        return OVER_TRACED * _alive(trace(1))
    return OVER_TRACED * (_alive(trace(many)) - _alive(trace(few))) / (many - few)


def _alive(jaxpr: Jaxpr) -> int:
    """Bytes that a program holds at once beside what it was given, each array from where it is made to its last use."""
    uses = {v: i for i, equation in enumerate(jaxpr.eqns) for v in equation.invars if not isinstance(v, Literal)}
    uses |= {v: len(jaxpr.eqns) for v in jaxpr.outvars if not isinstance(v, Literal)}
    held: dict[Any, int] = {}
    most = 0
    for i, equation in enumerate(jaxpr.eqns):
        made = {v: sizes.tree_bytes(v.aval) for v in equation.outvars}
        programs = [p.jaxpr for p in jax.tree.leaves(list(equation.params.values())) if hasattr(p, "jaxpr")]
        most = max(most, sum(held.values()) + max([sum(made.values()), *map(_alive, programs)]))
        held = {v: size for v, size in (held | made).items() if uses.get(v, -1) > i}
    return most
