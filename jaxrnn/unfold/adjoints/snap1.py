"""Sparse one-step approximation of real-time recurrent learning."""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrnn.cells.base import Cell, Gated, Inputs, Params, State
from jaxrnn.unfold.adjoints import forward_in_time
from jaxrnn.unfold.adjoints.example import Arguments, OneExample
from jaxrnn.unfold.adjoints.influence import Influence, Traces
from jaxrnn.unfold.adjoints.units import Units, units
from jaxrnn.unfold.method import Method
from jaxrnn.unfold.problem import Operands, Problem, Trajectory
from jaxrnn.unfold.reach import labelled, reach, reaches_none


@dataclass(frozen=True)
class SnAp1:
    """SnAp-1: `RTRL` that keeps of the influence only what a parameter reaches within one step. An approximation.

        S(t) = M ⊙ (∂f/∂s(t-1) S(t-1) + ∂f/∂θ),     ∂L/∂θ ≈ Σ_t ∂L(t)/∂s(t) S(t)

    M is 1 where ∂f/∂θ has an entry whatever the numbers are (read off the step's jaxpr), 0 elsewhere. In a gated cell a
    weight reaches the unit of its gate alone, so that S takes O(|θ|) memory for each example; what a unit does to the
    others, and so to later losses, is left out. Where units do not reach each other it is exact, and `RTRL` itself.

    s(0) keeps its influence on its own units. Gradients of xs are those of `BPTT()`, as in `RTRL`.

    Raises:
        TypeError: a cell in which a parameter reaches several units in one step (`OriginalGRU`, `ProjectedLSTM`, layer
            norm, a `Stack` taken for one cell): pass `adjoint=RTRL()`; a method other than `Scan()`; forward-mode
            differentiation.

    Example:
        jax.grad(lambda p: loss(unfold(cell, p, xs, adjoint=SnAp1()).outputs))(params)

    Source: Menick et al., *A practical sparse approximation for real time recurrent learning* (2020), Sec. 3.
    """

    def influence(
        self, cell: Cell, arguments: Arguments, batch: tuple[int, ...], chosen: list[bool], initial: bool
    ) -> Influence:
        """∂s(t)/∂θ, each parameter's on its own unit."""
        if isinstance(cell, Gated) and _side_by_side(cell, arguments):
            one = OneExample(partial(_within_units, cell), arguments, batch, chosen, initial)
            found = units(one)
            if isinstance(found, Units) and found.diagonal:
                return Influence(one, Traces(one, found, direct=True))
        one = OneExample(cell.step, arguments, batch, chosen, initial)
        found = units(one)
        if isinstance(found, list):
            paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(arguments.params)]
            names = ", ".join(f"params{jax.tree_util.keystr(paths[k])}" for k in found)
            raise TypeError(
                f"SnAp1 takes cells whose parameters reach one unit each in one step; in {cell} several are reached by "
                f"{names}: pass adjoint=RTRL(), or adjoint=BPTT()"
            )
        return Influence(one, Traces(one, found, direct=True))

    def run(self, problem: Problem, operands: Operands, method: Method) -> Trajectory:
        """Values by the method, gradients by what is kept of the influence on the states."""
        return forward_in_time.run(self, problem, operands, method)


def _side_by_side(cell: Gated, arguments: Arguments) -> bool:
    """Whether h has one entry a unit, and each recurrent matrix the columns of one gate beside those of the next."""
    params, state = arguments.params, arguments.state
    jaxpr = jax.make_jaxpr(lambda state: cell.hidden(params, state))(state).jaxpr
    own = labelled(np.arange(math.prod(jaxpr.outvars[0].aval.shape)).reshape(jaxpr.outvars[0].aval.shape))
    same = all(
        r.shape == own.shape and (r == own).all()
        for r in reach(jaxpr, [own], derivatives=True)
        if not reaches_none(r).all()
    )
    matrices = jax.tree.leaves(jax.eval_shape(cell.recurrent, params))
    return same and all(W.shape[-1] % W.shape[-2] == 0 for W in matrices)


def _within_units(cell: Gated, params: Params, state: State, x: Inputs) -> State:
    """The step, with the derivative of each product by h cut down to what a unit does to itself.

    Only the diagonal of each gate's recurrent matrix is then needed, and not the step's whole Jacobian.
    """
    fixed, h = lax.stop_gradient(state), cell.hidden(lax.stop_gradient(params), state)
    change = h - lax.stop_gradient(h)

    def own(a: jax.Array, W: jax.Array) -> jax.Array:
        *blocks, m, n = W.shape
        gates = jnp.diagonal(lax.stop_gradient(W).reshape(*blocks, m, n // m, m), axis1=-3, axis2=-1)
        by_block = change.reshape(*h.shape[:-1], *blocks, 1, m)
        gates = gates.reshape((1,) * (by_block.ndim - gates.ndim) + gates.shape)
        return a + (by_block * gates).reshape(a.shape)

    a = jax.tree.map(own, cell.recur(params, fixed), cell.recurrent(params))
    return cell.activate(params, state, cell.drive(params, x), a)
