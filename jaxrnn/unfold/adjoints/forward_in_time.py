"""Gradients carried forward in time: the way back of `unfold` takes the steps in the order in which they came."""

from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxrnn.cells.base import Cell, State
from jaxrnn.cells.precision import as_here
from jaxrnn.unfold import validate
from jaxrnn.unfold.adjoints import parts
from jaxrnn.unfold.adjoints.bptt import BPTT
from jaxrnn.unfold.adjoints.example import Arguments
from jaxrnn.unfold.adjoints.inexact import accumulators, add, has_gradient, instantiated, split, vjp
from jaxrnn.unfold.adjoints.influence import Influence
from jaxrnn.unfold.adjoints.reverse_only import reverse_only
from jaxrnn.unfold.forward import forward
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.problem import Flags, Operands, Problem, Trajectory, over_blocks, take_block
from jaxrnn.unfold.scan import Scan
from jaxrnn.unfold.sharding import varying


class Carried(Protocol):
    """An adjoint that carries the influence of parameters on the state forward in time."""

    def influence(
        self, cell: Cell, arguments: Arguments, batch: tuple[int, ...], chosen: list[bool], initial: bool
    ) -> Influence:
        """That of the chosen arrays of the parameters, and of s(0) where `initial` says so."""
        ...


def run(adjoint: Carried, problem: Problem, operands: Operands, method: Method) -> Trajectory:
    """Values by the method, gradients by the influence on the states."""
    if not isinstance(method, Scan):
        raise TypeError(
            f"{adjoint} takes one step of time after another, got method={method!r}: pass method=Scan(), or "
            "adjoint=BPTT()"
        )
    if problem.steps == 0:
        return forward(method, problem, operands)
    given, others, merge = split(operands)

    @jax.custom_vjp
    def values(given: list[Any], others: list[Any]) -> Trajectory:
        return forward(method, problem, merge(given, others))

    def values_and_operands(given: list[Any], others: list[Any]) -> Any:
        # Residuals are trees of arrays: whether a gradient is wanted is told by their structure.
        wanted = [() if p.perturbed else None for p in given]
        plain = [p.value for p in given], [p.value for p in others]
        return forward(method, problem, merge(*plain)), (*plain, wanted)

    def backward(saved: Any, cotangents: Trajectory) -> Any:
        given, others, wanted = saved
        marks = merge([w is not None for w in wanted], [False] * len(others))
        return _backward(adjoint, problem, merge(given, others), method, cotangents, marks), [None] * len(others)

    values.defvjp(values_and_operands, as_here(backward), symbolic_zeros=True)
    return values(reverse_only(given), others)


def _backward(
    adjoint: Carried, problem: Problem, operands: Operands, method: Scan, cotangents: Trajectory, wanted: Operands
) -> list[Any]:
    """Cotangents of the operands, by one pass through the steps."""
    arrays = instantiated(cotangents.outputs), instantiated(cotangents.final), operands
    of_outputs, of_final, operands = varying(arrays)
    of_xs: list[Any] = [None for x in jax.tree.leaves(operands.xs) if has_gradient(x)]
    if any(jax.tree.leaves(wanted.xs)):

        def of_inputs(xs: Any) -> Any:
            found = BPTT().run(problem, operands._replace(xs=xs), method)
            return found.outputs, found.final

        (of_xs,) = vjp(of_inputs, operands.xs)[1]([*of_outputs, *of_final])
    if all(isinstance(c, SymbolicZero) for c in jax.tree.leaves(cotangents.outputs)):
        problem, of_outputs = replace(problem, read=None), []
    emit = parts.narrow_emit(problem, operands)
    batch = validate.batch_shape(problem.cell, problem.select(operands.xs), operands.lengths, operands.resets)
    arguments = partial(_arguments, problem, operands, batch)
    chosen = [
        w for w, p in zip(*map(jax.tree.leaves, (wanted.params, operands.params)), strict=True) if has_gradient(p)
    ]
    initial = any(jax.tree.leaves(wanted.state))
    influence = adjoint.influence(problem.cell, arguments(operands.state, 0), batch, chosen, initial)

    def body(carry: Any, number: Any, t: Any, size: int) -> Any:
        of_theta, of_emit, state, kept = carry
        state, kept = influence.advance(kept, arguments(state, t))
        if emit is not None:
            flags = problem.flags(operands, t, size)
            xs = problem.inputs(operands, t, size, flags.valid)
            after = jax.tree.map(lambda s: s[None], state)
            found, of_after, _ = parts.through_outputs(emit, after, xs, flags, take_block(of_outputs, t, size))
            of_emit = add(of_emit, found)
            of_theta = add(of_theta, influence.pull(kept, [g[0] for g in of_after]))
        return of_theta, of_emit, state, kept

    of_emit = accumulators(emit.arrays if emit is not None else [])
    carry = accumulators(influence.theta), of_emit, operands.state, influence.start()
    of_theta, of_emit, _, kept = over_blocks(body, carry, steps=problem.steps, block=1, backward=problem.reverse)
    of_theta = add(of_theta, influence.pull(kept, of_final))
    of_params, of_initial = influence.split(of_theta)
    of_state = of_initial if initial else [None for s in jax.tree.leaves(operands.state) if has_gradient(s)]
    return [*of_params, *parts.of_emit_params(emit, of_emit, operands), *of_state, *of_xs]


def _arguments(
    problem: Problem, operands: Operands, batch: tuple[int, ...], state: State, t: jax.Array | int
) -> Arguments:
    """What the step at time t is a function of."""
    flags = problem.flags(operands, t, 1)
    xs = problem.inputs(operands, t, 1, flags.valid)

    def flag(marks: jax.Array | None) -> jax.Array | None:
        if marks is None:
            return None
        return jnp.broadcast_to(marks.reshape(marks.shape[1:] + (1,) * (1 + len(batch) - marks.ndim)), batch)

    x = problem.select(jax.tree.map(lambda a: a[0], xs))
    return Arguments(
        operands.params, operands.state, state, x, Flags(flags.time[0], flag(flags.valid), flag(flags.reset), None)
    )
