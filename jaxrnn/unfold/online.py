"""Learning while a stream runs: a gradient after every x(t), and nothing kept of what came before but the influence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrnn.cells.base import Cell, Inputs, Outputs, Params, State, Wrapped
from jaxrnn.unfold import validate
from jaxrnn.unfold.adjoints.example import Arguments
from jaxrnn.unfold.adjoints.inexact import add, has_gradient, inexact, split, vjp
from jaxrnn.unfold.adjoints.influence import Influence
from jaxrnn.unfold.adjoints.rtrl import RTRL
from jaxrnn.unfold.adjoints.snap1 import SnAp1
from jaxrnn.unfold.problem import Flags
from jaxrnn.unfold.reach import labelled, nothing, reach, reaches_none


class OnlineState(NamedTuple):
    """What `Online` carries from one x(t) to the next."""

    cell: State  # s(t)
    influence: list[jax.Array]  # ∂s(t)/∂θ: for each array of θ, (*batch, entries of s that are kept, *its shape)
    initial: State  # s(0), where it was given; None: the cell's own
    outputs: Outputs  # y(t)
    loss: jax.Array  # L(t), as the loss gave it


@dataclass(frozen=True)
class Online:
    """Gradients of a stream: one x(t) at a time, the weights free to change in between.

        S(t) = ∂f/∂s(t-1) S(t-1) + ∂f/∂θ,     g(t) = ∂L(t)/∂s(t) S(t) + ∂L(t)/∂θ

    all taken at θ(t). With weights that stay, Σ_t g(t) is the gradient of Σ_t L(t), that of `BPTT()`. With weights that
    change, S(t) still holds derivatives at the weights of earlier steps: g(t) is then that of real-time recurrent
    learning, which is close where the weights change slowly. Memory and time of a step do not depend on t. A `Stack` is
    one cell here, whose influence `RTRL` keeps whole.

    Args:
        cell: what runs; it may be a `Readout`.
        loss: `loss(outputs, target) -> L(t)`, of one step; of an array (one number for each example of a batch) the sum
            is differentiated.
        adjoint: `RTRL()`, exact; `SnAp1()`, an approximation in O(|θ|) memory for gated cells.

    Raises:
        TypeError: a cell, loss or adjoint of another kind; what `SnAp1` does not take.

    Example:
        learner = Online(Readout(LRU(8, 64), 4), loss=lambda o, y: jnp.sum((o - y) ** 2, axis=-1))
        state, step = learner.initial_state(params, x, y), jax.jit(learner.learn_step)
        for x, y in stream:
            state, grads = step(params, state, x, y)
            updates, moments = optimizer.update(grads, moments)
            params = optax.apply_updates(params, updates)

    Source: Williams and Zipser, *A learning algorithm for continually running fully recurrent neural networks* (1989).
    """

    cell: Cell
    loss: Callable[[Outputs, Any], jax.Array]
    adjoint: RTRL | SnAp1 = RTRL()  # noqa: RUF009  frozen, without state

    def __post_init__(self):
        validate.recurrence(self.cell)
        if not callable(self.loss):
            raise TypeError(f"Online: loss must be a function (outputs, target) -> L, got {self.loss!r}")
        if not isinstance(self.adjoint, RTRL | SnAp1):
            raise TypeError(
                f"Online: adjoint must go forward in time, got {self.adjoint!r}: pass RTRL() or SnAp1(), or use unfold "
                "for sequences that end"
            )

    def initial_state(self, params: Params, x: Inputs, target: Any = None, *, state: State = None) -> OnlineState:
        """What the first `learn_step` starts from.

        Args:
            params: θ.
            x: an input like those to come, `(*batch, ...)`; only its shapes and types count.
            target: likewise.
            state: s(0); default: the cell's own, to which a learned start has gradients.

        Raises:
            ValueError: sizes that do not fit.
            TypeError: types that do not fit.
        """
        params, x, target, state = jax.tree.map(jnp.asarray, (params, x, target, state))
        batch = self._batch(x)
        first = validate.first_state(self.cell, params, state, batch)
        validate.step_keeps_state(self.cell, params, first, jax.tree.map(lambda a: a[None], x))
        influence = self._influence(params, first, first, x, None, state is None)[0].start()
        shapes = jax.eval_shape(self._read, params, first, target)
        return OnlineState(first, influence, state, *jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes))

    def learn_step(
        self, params: Params, state: OnlineState, x: Inputs, target: Any = None, *, reset: jax.Array | None = None
    ) -> tuple[OnlineState, Params]:
        """The state after x(t), with y(t) and L(t) in it, and the gradient g(t).

        Pure: it may be jitted, scanned, and mapped over.

        Args:
            params: θ(t).
            state: of the step before.
            x: x(t), `(*batch, ...)`.
            target: what the loss compares y(t) with.
            reset: booleans `(*batch,)`: s and its influence return to those of t = 0 before x(t) is consumed.

        Returns:
            The state, and a tree like params, with zeros for arrays that have no gradient.

        Raises:
            TypeError: resets that are not booleans.
            ValueError: resets of another shape than the batch.
        """
        x, target = jax.tree.map(jnp.asarray, (x, target))
        first = self.cell.initial_state(params, self._batch(x)) if state.initial is None else state.initial
        influence, arguments, extend = self._influence(params, first, state.cell, x, reset, state.initial is None)
        inner, kept = influence.advance(state.influence, arguments)
        new = extend(inner)
        outputs, loss = self._read(params, new, target)

        def total(params: Params, inner: State) -> jax.Array:
            return self._read(params, extend(inner), target)[1].sum()

        of_params, of_inner = vjp(total, params, inner)[1]([jnp.ones((), loss.dtype)])
        of_inner_params, of_first = influence.split(influence.pull(kept, of_inner))
        given = inexact(arguments.params)
        of_inner_params = [jnp.zeros_like(p) if g is None else g for g, p in zip(of_inner_params, given, strict=True)]
        of_params = add(of_params, vjp(lambda p: _inner_params(self.cell, p), params)[1](of_inner_params)[0])
        if of_first:
            of_params = add(
                of_params, vjp(lambda p: _inner_start(self.cell, p, self._batch(x)), params)[1](of_first)[0]
            )
        _, others, merge = split(params)
        outputs, loss = jax.tree.map(lambda a: lax.convert_element_type(a, a.dtype), (outputs, loss))  # no weak types
        return OnlineState(new, kept, state.initial, outputs, loss), merge(
            of_params, jax.tree.map(jnp.zeros_like, others)
        )

    def _batch(self, x: Inputs) -> tuple[int, ...]:
        return validate.batch_shape(self.cell, jax.tree.map(lambda a: a[None], x), None, None)

    def _read(self, params: Params, state: State, target: Any) -> tuple[Outputs, jax.Array]:
        outputs = self.cell.output(params, state)
        return outputs, jnp.asarray(self.loss(outputs, target))

    def _influence(
        self, params: Params, first: State, state: State, x: Inputs, reset: Any, learned: bool
    ) -> tuple[Influence, Arguments, Callable[[State], State]]:
        """The influence of the innermost cell, what its step reads, and the whole state from the innermost one."""
        batch = self._batch(x)
        if reset is not None:
            reset = jnp.asarray(reset)
            if reset.dtype != jnp.bool_:
                raise TypeError(f"Online: reset must be booleans, got {reset.dtype}: pass reset.astype(bool)")
            if reset.shape != batch:
                raise ValueError(f"Online: reset must have the shape of the batch, {batch}, got {reset.shape}")
        core = _core(self.cell, params, state, x)
        start = _core(self.cell, params, first, x).state
        arguments = Arguments(
            core.params, start, core.state, core.x, Flags(jnp.zeros((), jnp.int32), None, reset, None)
        )
        learned = learned and _start_is_learned(self.cell, params, batch)
        chosen = [True for _ in inexact(core.params)]
        return self.adjoint.influence(core.cell, arguments, batch, chosen, learned), arguments, core.extend


class _Core(NamedTuple):
    """The cell within all wrappers, and what is its own."""

    cell: Cell
    params: Params
    state: State
    x: Inputs
    extend: Callable[[State], State]  # the whole state, from the innermost cell's


def _core(cell: Cell, params: Params, state: State, x: Inputs) -> _Core:
    if not isinstance(cell, Wrapped):
        return _Core(cell, params, state, x, lambda inner: inner)
    core = _core(cell.inner, cell.inner_params(params), cell.inner_state(state), cell.inner_input(x))
    return core._replace(extend=lambda inner: cell.extend(core.extend(inner), x))


def _inner_params(cell: Cell, params: Params) -> Params:
    return _inner_params(cell.inner, cell.inner_params(params)) if isinstance(cell, Wrapped) else params


def _inner_start(cell: Cell, params: Params, batch: tuple[int, ...]) -> State:
    """s(0) of the innermost cell."""
    inner, state = cell, cell.initial_state(params, batch)
    while isinstance(inner, Wrapped):
        inner, state = inner.inner, inner.inner_state(state)
    return state


def _start_is_learned(cell: Cell, params: Params, batch: tuple[int, ...]) -> bool:
    """Whether s(0) has derivatives with respect to parameters."""
    jaxpr = jax.make_jaxpr(lambda p: _inner_start(cell, p, batch))(params).jaxpr
    outs = [v.aval for v in jaxpr.outvars]
    labels = [labelled(np.zeros(a.shape)) if has_gradient(a) else nothing(a.shape) for a in outs]
    return any(not reaches_none(r).all() for r in reach(jaxpr, labels, derivatives=True))
