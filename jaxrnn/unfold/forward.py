"""The forward pass of a method: window after window, with what is to be kept of it."""

from typing import Any

import jax

from jaxrnn.unfold import sizes
from jaxrnn.unfold.certificate import nothing_found
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.problem import Keep, Kept, Operands, Problem, Trajectory, empty, over_blocks, put_block


def forward(method: Method, problem: Problem, operands: Operands, keep: Keep | None = None) -> Trajectory:
    """Values, and what is to be kept of them for the way back."""
    state, products, outputs = problem.step_shapes(operands)
    starts = keep is not None and keep.every > 1  # only the state that each block starts from is kept
    if keep is not None and starts:
        block = keep.every
    else:
        limits = problem.steps, method.at_once(problem, operands), sizes.emit_block(problem, operands)
        block = min(limit for limit in limits if limit is not None)
    block = max(1, min(block, problem.steps))
    kept = None
    if keep is not None:
        rows = -(-problem.steps // block) if starts else problem.steps
        kept = Kept(empty(state, rows), empty(products, problem.steps) if keep.products else None)

    def body(carry: Any, number: Any, start: Any, size: int) -> Any:
        state, outputs, kept, info = carry
        flags = problem.flags(operands, start, size)
        xs = problem.inputs(operands, start, size, flags.valid)
        first = jax.tree.map(lambda s: s[None], state)
        found = method.states(problem, operands, state, xs, flags, keep is not None and keep.products)
        outputs = put_block(outputs, problem.emit(operands.emit_params, found.states, xs, flags), start)
        if kept is not None:
            kept_states = put_block(kept.states, *((first, number) if starts else (found.states, start)))
            kept = Kept(kept_states, put_block(kept.products, found.extras, start))
        if info is not None and found.certificate is not None:
            info = info.then(found.certificate)
        return found.last, outputs, kept, info

    info = nothing_found(operands.state) if method.certifies else None
    carry = operands.state, empty(outputs, problem.steps), kept, info
    final, outputs, kept, info = over_blocks(body, carry, steps=problem.steps, block=block, backward=problem.reverse)
    return Trajectory(outputs, final, kept, info)
