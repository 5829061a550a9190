"""`unfold`: the one entry point over time."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells.base import Cell, Inputs, Outputs, Params, State, Wrapped, closed
from jaxrnn.cells.closure import close, holds_functions
from jaxrnn.cells.stack import Stack
from jaxrnn.unfold import sharding, validate
from jaxrnn.unfold.adjoints.bptt import BPTT
from jaxrnn.unfold.adjoints.reverse_only import FORWARD_MODE
from jaxrnn.unfold.auto import Auto
from jaxrnn.unfold.precision import products
from jaxrnn.unfold.problem import Operands, Problem, Trajectory, row_shapes, where
from jaxrnn.unfold.scan import Scan

Emit = Callable[[Cell, Params, State], Outputs]
Read = Callable[[Params, State, Inputs], Outputs]
Select = Callable[[Inputs], Inputs]


class Unfolding(NamedTuple):
    """What `unfold` returns."""

    outputs: Outputs  # what `emit` gave at every step, time on the axis it has in xs; None with emit=None
    final: State  # the state after the last valid step
    info: Any  # what the method reports; None for Scan


def states(cell: Cell, params: Params, state: State) -> State:
    """An `emit` for `unfold` that keeps whole states."""
    return state


def _output(cell: Cell, params: Params, state: State) -> Outputs:
    return cell.output(params, state)


def unfold(
    cell: Cell,
    params: Params,
    xs: Inputs = None,
    *,
    state: State = None,
    steps: int | None = None,
    lengths: Any = None,
    resets: Any = None,
    reverse: bool = False,
    time_axis: int = 0,
    emit: Emit | None = Cell.output,
    method: Any = Scan(),  # noqa: B008  frozen, without state
    adjoint: Any = BPTT(),  # noqa: B008
    precision: str | None = None,
) -> Unfolding:
    """Run a cell over time: s(t) = f(s(t-1), x(t); θ) for t = 1..τ.

    Args:
        cell: what to run.
        params: its parameters θ.
        xs: inputs, a pytree whose leaves have time on `time_axis`, then any batch axes: `(time, *batch, features)`.
            None, with `steps=τ`, runs the classical system s(t) = f(s(t-1); θ).
        state: s(0); default `cell.initial_state(params, batch)`.
        steps: τ, where there is no xs to tell it.
        lengths: integers of the shape of the batch: steps at and past the length leave the state as it is and give zero
            outputs; `final` is the state at the true length. Length 0 gives s(0), zeros, and zero gradients.
        resets: booleans `(time, *batch)`: the state is set back to s(0) before x(t) is consumed.
        reverse: from the last valid step to the first; outputs stay beside the inputs of their time.
        time_axis: the axis of time in xs, resets and outputs.
        emit: `emit(cell, params, state)`, what to keep of each step; None keeps nothing but `final`;
            `jaxrnn.states` keeps whole states.
        method: how the values are computed: `Scan()`, for linear cells `Associative()`, or many steps at once by
            `Shooting()` or `Newton()`, which change no value beyond their tolerance and report on it in `info`;
            "auto", or `Auto()`, chooses.
        adjoint: how gradients are computed: `BPTT()`, `TruncatedBPTT(steps)`, `Autodiff()`, forward in time `RTRL()`
            and its approximation `SnAp1()`. It never changes a value.
        precision: how matrix products are computed, forward and backward, where the device can: "float32";
            "tensorfloat32", operands rounded to 10 bits on a GPU; "bfloat16", operands rounded to 7 bits. Sums, states
            and all else stay float32. None: as `jax.default_matmul_precision` says. A device that cannot round computes
            in float32.

    Returns:
        `Unfolding(outputs, final, info)`.

    Raises:
        ValueError: sizes that do not fit, lengths beyond the time axis (where they are known), neither xs nor steps, an
            unknown precision.
        TypeError: types that do not fit: integers where floating-point numbers belong, a step that changes the type of
            the state; forward-mode differentiation of a blocked adjoint.

    Example:
        cell = GRU(input_size=8, hidden_size=32)
        run = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((100, 4, 8)))
        run.outputs.shape, run.final.h.shape  # (100, 4, 32), (4, 32)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.1.
    """
    validate.recurrence(cell)
    validate.choices(emit, method, adjoint, reverse, time_axis)
    validate.precision(precision, method, params)
    method = Auto() if isinstance(method, str) else method
    time_axis = validate.axis_of_time(xs, time_axis)
    tau = validate.length_of_time(xs, steps, time_axis)
    xs = jax.tree.map(lambda a: jnp.moveaxis(jnp.asarray(a), time_axis, 0), xs)
    if resets is not None and jnp.ndim(resets) > 1:
        resets = jnp.moveaxis(jnp.asarray(resets), time_axis, 0)
    batch = validate.batch_shape(cell, xs, lengths, resets)
    lengths, resets = validate.lengths_and_resets(lengths, resets, tau, batch, xs)
    params, state = jax.tree.map(jnp.asarray, (params, state))
    run = partial(_checked, cell, emit, tau, reverse, method, adjoint, batch)
    with products(precision):
        trajectory = sharding.automatic(run, batch, params, state, xs, lengths, resets)
    validate.outputs_have_axis(trajectory.outputs, time_axis)
    outputs = jax.tree.map(lambda a: jnp.moveaxis(a, 0, time_axis), trajectory.outputs)
    return Unfolding(outputs, trajectory.final, trajectory.info)


def _checked(
    cell: Cell,
    emit: Emit | None,
    steps: int,
    reverse: bool,
    method: Any,
    adjoint: Any,
    batch: tuple[int, ...],
    params: Params,
    state: State,
    xs: Inputs,
    lengths: jax.Array | None,
    resets: jax.Array | None,
) -> Trajectory:
    """Run what fits together, time first."""
    validate.parameters(cell, params)
    state = validate.first_state(cell, params, state, batch)
    validate.step_keeps_state(cell, params, state, xs)
    if emit is Cell.output:
        emit = _output
    if emit is not None and lengths is not None:
        given = jax.eval_shape(lambda params, state: emit(cell, params, state), params, state)
        validate.outputs_have_batch(given, lengths.shape)
    # What holds no function cannot change its meaning between calls: it is compiled once, also without a jit around it.
    run = _compiled if emit in (None, _output, states) and not holds_functions(cell) else _run
    operands = sharding.varying((params, state, xs, lengths, resets))
    try:
        return run(cell, emit, steps, reverse, method, adjoint, *operands)
    except TypeError as error:
        if "custom_vjp" in str(error):  # JAX's own words for it, where vmap comes between (jax.jacfwd)
            raise TypeError(FORWARD_MODE) from error
        raise


def _run(
    cell: Cell,
    emit: Emit | None,
    steps: int,
    reverse: bool,
    method: Any,
    adjoint: Any,
    params: Params,
    state: State,
    xs: Inputs,
    lengths: jax.Array | None,
    resets: jax.Array | None,
) -> Trajectory:
    """Run what was checked, time first."""
    read = None if emit is None else lambda params, state, x: emit(cell, params, state)
    return _Run(steps, lengths, resets, reverse, method, adjoint)(cell, params, state, xs, lambda x: x, read, params)


_compiled = jax.jit(_run, static_argnums=range(6))


class _Run(NamedTuple):
    """What is the same for every cell within a cell."""

    steps: int
    lengths: jax.Array | None
    resets: jax.Array | None
    reverse: bool
    method: Any
    adjoint: Any

    def __call__(
        self,
        cell: Cell,
        params: Params,
        state: State,
        xs: Inputs,
        select: Select,
        read: Read | None,
        read_params: Params,
    ) -> Trajectory:
        """Run `cell` on `select(xs)`; the outputs are `read(read_params, s(t), x(t))`."""
        if isinstance(cell, Wrapped):
            return self._wrapped(cell, params, state, xs, select, read, read_params)
        if isinstance(cell, Stack):
            return self._stack(cell, params, state, xs, select, read, read_params)
        if self.steps:
            x = jax.tree.map(lambda a: a[0], xs)
            if holds_functions(cell):
                cell, params = closed(cell, params, state, select(x))
            if read is not None:
                read, read_params = _closed(read, read_params, state, x)
        problem = Problem(cell, select, read, self.steps, self.reverse)
        operands = Operands(params, read_params, state, xs, self.lengths, self.resets)
        method = self.method.choose(problem, operands, self.adjoint) if isinstance(self.method, Auto) else self.method
        return self.adjoint.run(problem, operands, method)

    def _wrapped(
        self,
        cell: Wrapped,
        params: Params,
        state: State,
        xs: Inputs,
        select: Select,
        read: Read | None,
        read_params: Params,
    ) -> Trajectory:
        """Run the inner cell; what the wrapper adds to its states is a matter of reading them."""

        def read_inner(params: Params, inner: State, x: Inputs) -> Outputs:
            assert read is not None
            return read(params, cell.extend(inner, select(x)), x)

        inner = self(
            cell.inner,
            cell.inner_params(params),
            cell.inner_state(state),
            xs,
            lambda x: cell.inner_input(select(x)),
            None if read is None else read_inner,
            read_params,
        )
        if self.steps == 0:
            return inner._replace(final=state)
        final = cell.extend(inner.final, self._last(select(xs)))
        if self.lengths is not None:
            final = where(self.lengths > 0, final, state)
        return inner._replace(final=final)

    def _last(self, xs: Inputs) -> Inputs:
        """The input of the last valid step."""
        if self.reverse:
            return jax.tree.map(lambda a: a[0], xs)
        if self.lengths is None:
            return jax.tree.map(lambda a: a[-1], xs)
        last = jnp.maximum(self.lengths - 1, 0)[None]

        def take(a: jax.Array) -> jax.Array:
            return jnp.take_along_axis(a, last.reshape(last.shape + (1,) * (a.ndim - last.ndim)), axis=0)[0]

        return jax.tree.map(take, xs)

    def _stack(
        self,
        cell: Stack,
        params: Params,
        state: State,
        xs: Inputs,
        select: Select,
        read: Read | None,
        read_params: Params,
    ) -> Trajectory:
        """Run layer by layer. The states of the lower layers are kept only if what is emitted reads them."""
        *lower, top = range(len(cell.cells))
        keep = read is not None and _reads_lower(read, read_params, state, xs)
        finals, infos, kept = [], [], []
        below, take = xs, select
        for k in lower:
            layer = cell.cells[k]

            def output(params: Params, state: State, x: Inputs, layer: Cell = layer) -> Outputs:
                return (layer.output(params, state), state) if keep else (layer.output(params, state), None)

            run = self(layer, params[k], state[k], below, take, output, params[k])
            (below, states), take = run.outputs, lambda x: x
            finals.append(run.final)
            infos.append(run.info)
            kept.append(states)

        def read_top(params: Params, state_top: State, x: Inputs) -> Outputs:
            _, whole, lower = x
            assert read is not None
            return read(params, (*(lower if keep else state[:-1]), state_top), whole)

        run = self(
            cell.cells[top],
            params[top],
            state[top],
            (below, xs, tuple(kept)),
            lambda x: take(x[0]),
            None if read is None else read_top,
            read_params,
        )
        infos.append(run.info)
        info = None if all(i is None for i in infos) else tuple(infos)
        return Trajectory(run.outputs, (*finals, run.final), None, info)


def _closed(read: Read, params: Params, state: State, x: Inputs) -> tuple[Read, Params]:
    """`read` with the arrays that it closes over, which may have gradients, among its parameters."""
    converted, captured = close(read, params, state, x)
    return lambda params, state, x: converted(params[1], params[0], state, x), (params, captured)


def _reads_lower(read: Read, read_params: Params, state: State, xs: Inputs) -> bool:
    """Whether what is emitted of a stack reads the states of layers below the top."""
    x = row_shapes(xs)
    lower = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype), state[:-1])
    jaxpr = jax.make_jaxpr(lambda lower, p, s, x: read(p, (*lower, s), x))(lower, read_params, state[-1], x).jaxpr
    used = {id(v) for equation in jaxpr.eqns for v in equation.invars} | {id(v) for v in jaxpr.outvars}
    return any(id(v) in used for v in jaxpr.invars[: len(jax.tree.leaves(lower))])
