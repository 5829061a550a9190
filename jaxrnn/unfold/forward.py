"""The forward pass of a method: window after window, with what is to be kept of it."""

from dataclasses import replace
from typing import Any

import jax

from jaxrnn.unfold import sizes
from jaxrnn.unfold.certificate import nothing_found
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.problem import Keep, Kept, Operands, Problem, Segment, Trajectory, empty, over_blocks, put_block


def forward(
    method: Method, problem: Problem, operands: Operands, keep: Keep | None = None, segment: Segment | None = None
) -> Trajectory:
    """Values, and what is to be kept of them for the way back; of a segment only that."""
    if segment is not None:
        problem = replace(problem, read=None)
    state, products, outputs = problem.step_shapes(operands)
    first, begin, steps = (operands.state, 0, problem.steps) if segment is None else segment
    starts = keep is not None and keep.every > 1  # only the state that each `every` steps start from is kept
    if keep is not None and starts:
        block = keep.block
    else:
        emitted = None if method.certifies or method.axis else sizes.emit_block(problem, operands)
        limits = steps, method.at_once(problem, operands), emitted
        block = min(limit for limit in limits if limit is not None)
    block = max(1, min(block, steps))
    every = max(1, min(keep.every, steps)) if keep is not None and starts else block
    kept = None
    if keep is not None:
        rows = -(-steps // every) if starts else steps
        kept = Kept(empty(state, rows), empty(products, steps) if keep.products else None)

    def run(carry: Any, start: Any, size: int) -> Any:
        state, outputs, kept, info = carry
        flags = problem.flags(operands, start, size)
        xs = problem.inputs(operands, start, size, flags.valid)
        found = method.states(problem, operands, state, xs, flags, keep is not None and keep.products)
        outputs = put_block(outputs, problem.emit(operands.emit_params, found.states, xs, flags), start)
        if kept is not None and not starts:
            kept = Kept(put_block(kept.states, found.states, start), put_block(kept.products, found.extras, start))
        if info is not None and found.certificate is not None:
            info = info.then(found.certificate)
        return found.last, outputs, kept, info

    def body(carry: Any, number: Any, start: Any, size: int) -> Any:
        state, outputs, kept, info = carry
        if kept is not None and starts:
            kept = kept._replace(states=put_block(kept.states, jax.tree.map(lambda s: s[None], state), number))
        return over_blocks(
            lambda carry, _, offset, size: run(carry, begin + start + offset, size),
            (state, outputs, kept, info),
            steps=size,
            block=block,
            backward=problem.reverse,
        )

    info = nothing_found(operands.state) if method.certifies else None
    carry = first, empty(outputs, steps), kept, info
    final, outputs, kept, info = over_blocks(body, carry, steps=steps, block=every, backward=problem.reverse)
    return Trajectory(outputs, final, kept, info)
