"""Steps that each method takes one after another: counted, not timed."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.cases import BASE, METHODS
from benchmarks.summary import certificate
from jaxrnn import GRU, MinGRU, Newton, unfold

INPUT, HIDDEN = 4, 16
STEPS = tuple(4**k for k in range(5, 10))  # 1,024 to 262,144


def rows(longest: int) -> list[dict[str, Any]]:
    """For each τ up to `longest`: counted steps of `GRU(4, 16)`, and of `MinGRU(4, 16)` for `Associative`, batch 1."""
    return [{"steps": steps, "methods": depths(steps)} for steps in STEPS if steps <= longest]


def depths(steps: int) -> dict[str, dict[str, float]]:
    """What each method reports for so many steps; where it reports nothing, its loops are counted."""
    cell = GRU(INPUT, HIDDEN)
    params = cell.init(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (steps, 1, INPUT))
    found: dict[str, dict[str, float]] = {BASE: {"depth": in_turn(cell, METHODS[BASE], steps)}}
    chosen = {name: METHODS[name] for name in ("Shooting", "Newton, full", "Newton, diagonal")}
    for name, method in (chosen | {"Newton, full, one window": Newton(window=steps)}).items():
        run = jax.jit(lambda p, x, m=method: unfold(cell, p, x, emit=None, method=m).info)
        found[name] = certificate(run(params, xs))
    found["Associative"] = {"depth": in_turn(MinGRU(INPUT, HIDDEN), METHODS["Associative"], steps)}
    found["Associative, one prefix scan"] = {"depth": compositions(steps)}
    return found


def in_turn(cell: Any, method: Any, steps: int) -> int:
    """Turns of the innermost loops of the program of one run, those side by side in one program one after another."""
    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((steps, 1, INPUT), jnp.float32)
    return turns_of(jax.make_jaxpr(lambda p, x: unfold(cell, p, x, emit=None, method=method).final)(params, xs).jaxpr)


def turns_of(jaxpr: Any) -> int:
    """Turns of the loops of a program whose loops all have a length."""
    total = 0
    for equation in jaxpr.eqns:
        inner = [getattr(p, "jaxpr", p) for p in jax.tree.leaves(list(equation.params.values())) if _is_program(p)]
        each = sum(turns_of(program) for program in inner)
        if equation.primitive is lax.while_p:
            raise ValueError("turns_of: a loop whose length only running it tells")
        total += equation.params["length"] * max(1, each) if equation.primitive is lax.scan_p else each
    return total


def _is_program(value: Any) -> bool:
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")


def compositions(steps: int) -> int:
    """Compositions of `lax.associative_scan` over so many steps, each of which waits for the one before it."""
    count = 0

    def compose(a: jax.Array, b: jax.Array) -> jax.Array:
        nonlocal count
        count += 1
        return a * b

    jax.eval_shape(lambda a: lax.associative_scan(compose, a), jax.ShapeDtypeStruct((steps,), jnp.float32))
    assert count <= 2 * math.ceil(math.log2(max(2, steps)))
    return count
