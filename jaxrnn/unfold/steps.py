"""One step of a cell as the methods take it: what is computed ahead for many steps, and what in each."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine
from jaxrnn.cells.base import Additive, Cell, Driven, Gated, Inputs, State
from jaxrnn.unfold import sizes, structure
from jaxrnn.unfold.method import Step
from jaxrnn.unfold.problem import Flags, Operands, Problem, begin, where


class Steps(NamedTuple):
    """The steps of a window."""

    step: Step  # (state, (item, flags)) -> (new state, recurrent products if they are asked for)
    items: Any  # of each step, time first: inputs, or drives
    driven: bool  # whether the items are drives


def steps_of(problem: Problem, operands: Operands, xs: Inputs, products: bool, copies: int = 1) -> Steps:
    """The steps of a window, of which `copies` are taken at once."""
    items, cell = problem.select(xs), problem.cell
    driven = isinstance(cell, Driven) and sizes.drive_a_block(operands, copies)
    if isinstance(cell, Driven) and driven:
        items = cell.drive(operands.params, items)
    advance = _advance(cell, operands, driven, products, copies)

    def step(state: State, now: tuple[Any, Flags]) -> tuple[State, Any]:
        item, flag = now
        new, a = advance(begin(state, operands.state, flag), item)
        return (new if flag.valid is None else where(flag.valid, new, state)), a

    return Steps(step, items, driven)


def _advance(
    cell: Cell, operands: Operands, driven: bool, products: bool, copies: int
) -> Callable[[State, Any], tuple[State, Any]]:
    """`(state, item) -> (new state, products)`, the item being a drive where it was computed for the whole block."""
    params = operands.params
    if isinstance(cell, Additive):
        U, W, b = cell.weights(params)
        joins = not driven and structure.inherited(cell) and sizes.join_products(operands, U.shape[0], copies)
        joined = jnp.concatenate([U, W]) if joins else None

        def additive(state: State, item: Any) -> tuple[State, Any]:
            if joined is None:
                z = (item if driven else cell.drive(params, item)) + cell.recur(params, state)
            else:
                checks.features(cell, item, U.shape[0])
                z = affine(jnp.concatenate([item, cell.hidden(params, state)], axis=-1), joined, b)
            return cell.gate(params, state, z), z if products else None

        return additive
    if isinstance(cell, Gated) and products:

        def gated(state: State, item: Any) -> tuple[State, Any]:
            a = cell.recur(params, state)
            return cell.activate(params, state, item if driven else cell.drive(params, item), a), a

        return gated
    step = cell.advance if isinstance(cell, Driven) and driven else cell.step
    return lambda state, item: (step(params, state, item), None)
