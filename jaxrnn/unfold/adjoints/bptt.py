"""Backpropagation through time, a block at a time."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Jaxpr

from jaxrnn.cells import checks
from jaxrnn.cells.base import Gated, Linear, State
from jaxrnn.cells.precision import as_here
from jaxrnn.unfold import budget, sizes
from jaxrnn.unfold.adjoints import parts
from jaxrnn.unfold.adjoints.gated import GatedPullback
from jaxrnn.unfold.adjoints.generic import GenericPullback
from jaxrnn.unfold.adjoints.inexact import add, inexact, instantiated, split, zeros
from jaxrnn.unfold.adjoints.linear import LinearPullback
from jaxrnn.unfold.adjoints.reverse_only import once, reverse_only
from jaxrnn.unfold.adjoints.side_by_side import SideBySidePullback
from jaxrnn.unfold.adjoints.stepwise import StepwisePullback
from jaxrnn.unfold.forward import forward
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.problem import (
    Block,
    Keep,
    Kept,
    Operands,
    Problem,
    Segment,
    Trajectory,
    empty,
    over_blocks,
    put_block,
    take_block,
    where,
)
from jaxrnn.unfold.scan import Scan
from jaxrnn.unfold.sharding import varying
from jaxrnn.unfold.shooting import Shooting

Pullback = GatedPullback | GenericPullback | LinearPullback | SideBySidePullback | StepwisePullback


@dataclass(frozen=True)
class BPTT:
    """Backpropagation through time that keeps few states: a block is recomputed, then stepped back through.

        λ(t) = ∂L/∂s(t) + (∂f/∂s(t))ᵀ λ(t+1),     ∂L/∂θ = Σ_t (∂f/∂θ)ᵀ λ(t)

    What is kept of the forward pass is the state before every block of `block` steps: memory O(τ / block + block), and
    one more forward pass of computation. `block=1` keeps every state (for a cell that is `Gated`, nothing is then
    computed twice one step after another). The gradient of a recurrent matrix is one matrix product a block.

    With `levels` = L and k = `block`, the state is kept every k^L steps. Each of these spans is run again on its way
    back, keeping the state every k^(L-1) steps, and so on down to the blocks. That takes L more forward passes, each
    about a third of a training step, and

        ⌈τ / k^L⌉ + (L - 1) k  states, and what one block of k steps needs,

    which for k = τ^(1/(L+1)), the block chosen where none is given, is O(τ^(1/(L+1))).

    With `memory`, whatever recomputes least is chosen of what needs at most so many bytes: states and recurrent
    products of every step; every state (both for a `Gated` or `Linear` cell); blocks at one level, at two, and so on.
    Counted is what is kept, and the block that is recomputed and stepped back through, as found by tracing it. What
    lives anyway is not: parameters, xs, outputs and the gradients of these. The sizes are those that are seen when the
    program is traced: of one example under `jax.vmap`, and of each layer of a `Stack` by itself.

    Args:
        block: steps in a block; None chooses from the sizes: for a `Gated` or `Linear` cell every state, and recurrent
            products, where these are small or not large beside the outputs; else about √τ steps a block.
        levels: how often blocks are cut into blocks; with more than one, no more than these states is ever kept.
        memory: bytes, as a whole number or such as "512MB" or "1.5 GiB"; it chooses block and levels.

    Raises:
        ValueError: `block`, `levels` or `memory` below 1; `levels` above 1 with blocks of one step; `memory` that is no
            size, or that comes with `block` or `levels`; when the program is traced, `memory` below the least that the
            problem can do with, which the message tells.
        TypeError: a choice that is no whole number; forward-mode differentiation (`jax.jvp`, `jax.jacfwd`): pass
            `adjoint=Autodiff()`.

    Example:
        jax.grad(lambda p: loss(unfold(cell, p, xs, adjoint=BPTT(block=64)).final))(params)

        jax.grad(lambda p: loss(unfold(cell, p, xs, adjoint=BPTT(memory="100MB")).final))(params)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.2; blocks, also nested: Chen et al.,
    *Training deep nets with sublinear memory cost* (2016).
    """

    block: int | None = None
    levels: int = 1
    memory: str | int | None = None

    def __post_init__(self):
        if self.block is not None:
            checks.positive(self, block=self.block)
        checks.positive(self, levels=self.levels)
        if self.levels > 1 and self.block == 1:
            raise ValueError(
                f"BPTT: block = 1 keeps every state, and leaves nothing to levels = {self.levels}: pass block=2 or "
                "more, or leave block out"
            )
        if self.memory is not None:
            budget.parse(self.memory)
            if self.block is not None or self.levels != 1:
                raise ValueError(
                    f"BPTT: memory = {self.memory!r} chooses block and levels, got block = {self.block} and levels = "
                    f"{self.levels} too: pass either memory, or block and levels"
                )

    def run(self, problem: Problem, operands: Operands, method: Method) -> Trajectory:
        """Values by the method, gradients by blocks."""
        if problem.steps == 0:
            return forward(method, problem, operands)
        if method.axis is not None and (self.block, self.levels, self.memory) != (None, 1, None):
            raise ValueError(
                f"BPTT: blocks of time one after another, but {type(method).__name__} divides time over the mesh axis "
                f"{method.axis!r}: pass BPTT(), or a method without an axis"
            )
        given, others, merge = split(operands)
        if self.memory is None:
            keep = sizes.keep(problem, operands, self.block, self.levels)
        else:
            trace = partial(_program, problem, operands, method)
            keep = budget.keep(problem, operands, budget.parse(self.memory), trace)
        if (self.block, self.memory) == (None, None) and keep.every > 1 and (method.certifies or method.axis):
            window = method.at_once(problem, operands) or problem.steps
            # The states of one window are in memory at once in any case, here or on the way back.
            keep = Keep(1 if window >= problem.steps and method.axis is None else window, False)

        @jax.custom_vjp
        def values(given: list[Any], others: list[Any]) -> Trajectory:
            return forward(method, problem, merge(given, others))

        def values_and_kept(given: list[Any], others: list[Any]) -> Any:
            wanted = merge([p.perturbed for p in given], [False] * len(others))
            given = [p.value for p in given]
            given = once(given) if method.certifies else given
            trajectory = forward(method, problem, merge(given, [p.value for p in others]), keep)
            # Residuals are trees of arrays: whether the gradient of xs is wanted is told by their structure.
            xs_wanted = () if any(jax.tree.leaves(wanted.xs)) else None
            return trajectory._replace(kept=None), (given, [p.value for p in others], trajectory.kept, xs_wanted)

        def backward(saved: Any, cotangents: Trajectory) -> Any:
            given, others, kept, xs_wanted = saved
            operands = merge(given, others)
            gradients = _backward(problem, operands, method, keep, kept, cotangents, xs_wanted is not None)
            return gradients, [None] * len(others)

        values.defvjp(values_and_kept, as_here(backward), symbolic_zeros=True)
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
    of_outputs, of_final = instantiated(cotangents.outputs), instantiated(cotangents.final)
    (of_outputs, of_final), _ = varying(((of_outputs, of_final), operands))  # zeros vary over no axis yet
    widest = keep.every
    if keep.every == 1:
        many = method.at_once(problem, operands) or problem.steps
        widest = many if method.certifies or method.axis else sizes.block_of_kept(problem, operands)

    def step_back(carry: Any, first: State, start: Any, size: int) -> Any:
        """Through one block."""
        sums, lam, of_xs = carry
        flags = problem.flags(operands, start, size)
        xs = problem.inputs(operands, start, size, flags.valid)
        after = take_block(kept.states, start, size) if keep.every == 1 else None
        block = Block(first, after, take_block(kept.products, start, size), xs, flags)
        sums, lam, of_block = pullback.block(sums, lam, block, take_block(of_outputs, start, size))
        if not xs_wanted:
            return sums, lam, of_xs
        if flags.valid is not None:
            of_block = where(flags.valid, of_block, [jnp.zeros_like(x) for x in of_block])
        return sums, lam, put_block(of_xs, of_block, start)

    def through(carry: Any, starts: State | None, start: Any, steps: int, spans: tuple[int, ...]) -> Any:
        """Through `steps` steps, from the states before every `spans[0]` of them; None where all states were kept."""

        def body(carry: Any, number: Any, offset: Any, size: int) -> Any:
            begin = start + offset
            if starts is None:  # every state was kept
                first = parts.state_before(operands.state, kept.states, begin, size, problem.reverse)
            else:
                first = jax.tree.map(lambda k: k[number], starts)
            inner = sizes.spans_within(spans[1:], size)
            if not inner:
                return step_back(carry, first, begin, size)
            states = _starts(problem, operands, method, Segment(first, begin, size), inner)
            return through(carry, states, begin, size, inner)

        return over_blocks(body, carry, steps=steps, block=min(spans[0], steps), backward=not problem.reverse)

    carry = pullback.start(), of_final, zeros(operands.xs) if xs_wanted else []
    sums, lam, of_xs = through(
        carry, None if keep.every == 1 else kept.states, 0, problem.steps, (widest, *keep.within)
    )
    of_params, of_emit, of_initial = pullback.finish(sums)
    shared = [*of_params, *of_emit, *add(lam, of_initial)]
    given = inexact(operands)
    shared = [g.astype(x.dtype) for g, x in zip(shared, given, strict=False)]
    return shared + (of_xs if xs_wanted else [None] * len(inexact(operands.xs)))


def _program(problem: Problem, operands: Operands, method: Method, steps: int) -> Jaxpr:
    """The program of stepping back through a block of `steps` steps, which is computed again."""
    _, _, outputs = problem.step_shapes(operands)

    def block(operands: Operands) -> Any:
        pullback = _pullback(problem, operands, method)
        flags = problem.flags(operands, 0, steps)
        xs = problem.inputs(operands, 0, steps, flags.valid)
        carry: Any = pullback.start(), zeros(operands.state), inexact(empty(outputs, steps))
        (sums, lam, of_outputs), _ = varying((carry, operands))
        return pullback.block(sums, lam, Block(operands.state, None, None, xs, flags), of_outputs)

    return jax.make_jaxpr(block)(operands).jaxpr


def _starts(problem: Problem, operands: Operands, method: Method, segment: Segment, spans: tuple[int, ...]) -> State:
    """A segment run again: the states before every `spans[0]` steps of it."""
    keep = Keep(spans[0], False, spans[1:])
    again = forward(method, problem, operands, keep, segment)
    assert again.kept is not None
    return again.kept.states


def _pullback(problem: Problem, operands: Operands, method: Method) -> Pullback:
    """What steps back through a block, by the structure that the cell admits."""
    if isinstance(problem.cell, Gated) and isinstance(method, Shooting) and method.axis is None:
        return SideBySidePullback(problem, operands, method)
    if isinstance(problem.cell, Gated):
        return GatedPullback(problem, operands, method)
    if isinstance(problem.cell, Linear):
        return LinearPullback(problem, operands, method)
    return (GenericPullback if isinstance(method, Scan) else StepwisePullback)(problem, operands, method)
