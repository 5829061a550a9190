"""Backpropagation through time, a block at a time."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from jaxrnn.cells import checks
from jaxrnn.cells.base import Gated, Linear
from jaxrnn.unfold import sizes
from jaxrnn.unfold.adjoints.gated import GatedPullback
from jaxrnn.unfold.adjoints.generic import GenericPullback
from jaxrnn.unfold.adjoints.inexact import add, inexact, split, zeros
from jaxrnn.unfold.adjoints.linear import LinearPullback
from jaxrnn.unfold.adjoints.reverse_only import reverse_only
from jaxrnn.unfold.adjoints.stepwise import StepwisePullback
from jaxrnn.unfold.forward import forward
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.problem import (
    Block,
    Keep,
    Kept,
    Operands,
    Problem,
    Trajectory,
    over_blocks,
    put_block,
    take_block,
    where,
)
from jaxrnn.unfold.scan import Scan

Pullback = GatedPullback | GenericPullback | LinearPullback | StepwisePullback


@dataclass(frozen=True)
class BPTT:
    """Backpropagation through time that keeps few states: a block is recomputed, then stepped back through.

        λ(t) = ∂L/∂s(t) + (∂f/∂s(t))ᵀ λ(t+1),     ∂L/∂θ = Σ_t (∂f/∂θ)ᵀ λ(t)

    What is kept of the forward pass is the state before every block of `block` steps: memory O(τ / block + block).
    `block=1` keeps every state (for a cell that is `Gated`, nothing is then computed twice one step after another). The
    gradient of a recurrent matrix is one matrix product a block.

    Args:
        block: steps in a block; None chooses from the sizes: for a `Gated` or `Linear` cell every state, and recurrent
            products, where these are small or not large beside the outputs; else about √τ steps a block.

    Raises:
        ValueError: `block` below 1.
        TypeError: forward-mode differentiation (`jax.jvp`, `jax.jacfwd`): pass `adjoint=Autodiff()`.

    Example:
        jax.grad(lambda p: loss(unfold(cell, p, xs, adjoint=BPTT(block=64)).final))(params)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.2; blocks: Chen et al., *Training deep nets
    with sublinear memory cost* (2016).
    """

    block: int | None = None

    def __post_init__(self):
        if self.block is not None:
            checks.positive(self, block=self.block)

    def run(self, problem: Problem, operands: Operands, method: Method) -> Trajectory:
        """Values by the method, gradients by blocks."""
        if problem.steps == 0:
            return forward(method, problem, operands)
        given, others, merge = split(operands)
        keep = sizes.keep(problem, operands, self.block)

        @jax.custom_vjp
        def values(given: list[Any], others: list[Any]) -> Trajectory:
            return forward(method, problem, merge(given, others))

        def values_and_kept(given: list[Any], others: list[Any]) -> Any:
            wanted = merge([p.perturbed for p in given], [False] * len(others))
            given = [p.value for p in given]
            trajectory = forward(method, problem, merge(given, [p.value for p in others]), keep)
            # Residuals are trees of arrays: whether the gradient of xs is wanted is told by their structure.
            xs_wanted = () if any(jax.tree.leaves(wanted.xs)) else None
            return trajectory._replace(kept=None), (given, [p.value for p in others], trajectory.kept, xs_wanted)

        def backward(saved: Any, cotangents: Trajectory) -> Any:
            given, others, kept, xs_wanted = saved
            operands = merge(given, others)
            gradients = _backward(problem, operands, method, keep, kept, cotangents, xs_wanted is not None)
            return gradients, [None] * len(others)

        values.defvjp(values_and_kept, backward, symbolic_zeros=True)
        return values(reverse_only(given), others)


def _backward(
    problem: Problem,
    operands: Operands,
    method: Method,
    keep: Keep,
    kept: Kept,
    cotangents: Trajectory,
    xs_wanted: bool,
) -> list[Any]:
    """Cotangents of the operands, from the states that were kept and the cotangents of what was returned."""
    if all(isinstance(c, SymbolicZero) for c in jax.tree.leaves(cotangents.outputs)):
        problem, cotangents = replace(problem, read=None), cotangents._replace(outputs=None)
    pullback = _pullback(problem, operands, method)
    of_outputs, of_final = inexact(_arrays(cotangents.outputs)), inexact(_arrays(cotangents.final))
    block = keep.every
    if block == 1 and isinstance(pullback, GatedPullback):
        block = sizes.backward_block(problem, operands)
    if block == 1 and isinstance(pullback, LinearPullback):
        block = sizes.prefix_block(problem, operands)

    def body(carry: Any, number: Any, start: Any, size: int) -> Any:
        sums, lam, of_xs = carry
        flags = problem.flags(operands, start, size)
        xs = problem.inputs(operands, start, size, flags.valid)
        if keep.every > 1:
            first, after = jax.tree.map(lambda k: k[number], kept.states), None
        else:
            previous = start + size if problem.reverse else start - 1
            outside = previous == (problem.steps if problem.reverse else -1)
            one = jax.tree.map(lambda k: lax.dynamic_index_in_dim(k, previous, keepdims=False), kept.states)
            first = where(jnp.asarray(outside), operands.state, one)
            after = take_block(kept.states, start, size)
        block = Block(first, after, take_block(kept.products, start, size), xs, flags)
        sums, lam, of_block = pullback.block(sums, lam, block, take_block(of_outputs, start, size))
        if not xs_wanted:
            return sums, lam, of_xs
        if flags.valid is not None:
            of_block = where(flags.valid, of_block, [jnp.zeros_like(x) for x in of_block])
        return sums, lam, put_block(of_xs, of_block, start)

    carry = pullback.start(), of_final, zeros(operands.xs) if xs_wanted else []
    sums, lam, of_xs = over_blocks(
        body, carry, steps=problem.steps, block=min(block, problem.steps), backward=not problem.reverse
    )
    of_params, of_emit, of_initial = pullback.finish(sums)
    shared = [*of_params, *of_emit, *add(lam, of_initial)]
    given = inexact(operands)
    shared = [g.astype(x.dtype) for g, x in zip(shared, given, strict=False)]
    return shared + (of_xs if xs_wanted else [None] * len(inexact(operands.xs)))


def _pullback(problem: Problem, operands: Operands, method: Method) -> Pullback:
    """What steps back through a block, by the structure that the cell admits."""
    if isinstance(problem.cell, Gated):
        return GatedPullback(problem, operands, method)
    if isinstance(problem.cell, Linear):
        return LinearPullback(problem, operands, method)
    return (GenericPullback if isinstance(method, Scan) else StepwisePullback)(problem, operands, method)


def _arrays(cotangents: Any) -> Any:
    """Cotangents with zeros in place of those that JAX knows to be zero."""

    def array(c: Any) -> Any:
        return jnp.zeros(c.shape, c.dtype) if isinstance(c, SymbolicZero) else c  # pyright: ignore[reportArgumentType]

    return jax.tree.map(array, cotangents)
