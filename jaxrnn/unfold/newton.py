"""Unfolding a whole window of steps at once, by Newton's method."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.interpreters import partial_eval

from jaxrnn.cells import checks
from jaxrnn.cells.base import Inputs, State
from jaxrnn.unfold import certificate, recurrence, sizes
from jaxrnn.unfold.adjoints.inexact import split
from jaxrnn.unfold.adjoints.parts import before
from jaxrnn.unfold.jacobians import Arrays, Diagonals, Full, Layout
from jaxrnn.unfold.method import Certificate, Method, Solved, Step
from jaxrnn.unfold.problem import Flags, Operands, Problem, empty, over_blocks, put_block, take_block
from jaxrnn.unfold.scan import Scan
from jaxrnn.unfold.sharding import varying
from jaxrnn.unfold.steps import steps_of

JACOBIANS = ("full", "block", "diagonal")
GROWTH = 4.0  # a step after which the residual is larger by more than this is not taken
RADIUS = 1.0  # the longest step after one that was not taken, in terms of the largest |s|
SHRINK = 0.5  # what becomes of it after each further one
LEAST = 0.01  # a radius at which it is given up


@dataclass(frozen=True)
class Newton(Method):
    """All steps of a window at once: Newton's method on s(t) - f(s(t-1), x(t)) = 0.

    With J(t) = ∂f/∂s at the states found so far, a step adds the δ of a linear recurrence, which a prefix scan solves
    in O(log n) sequential steps of a window of n:

        δ(t) = J(t) δ(t-1) + f(s(t-1), x(t)) - s(t),     δ = 0 before the window

    A step after which the residual |s(t) - f(s(t-1), x(t))| / max |s| is more than four times as large is not taken,
    and no further one is longer than max |s| (a trust region, halved each time). Whatever the steps, each that is taken
    makes one more state exact. The states returned are f at those that were found, if that makes the residual smaller;
    `info.residual` is that of what is returned. A window that does not reach the tolerance is done again one step after
    another, and `info.fell_back` counts it. λ is found in the same way, from the end: its recurrence is linear, one
    step with the whole Jacobian.

    Windows come one after another: τ steps take O(log τ) only where they are one window, else O(τ / n · log n).

    It pays where processors idle: small states, long sequences, dynamics that contract. Integers in the state are
    carried one step after another.

    Args:
        window: steps that are found at once; None: as many as have their Jacobians in little memory.
        tolerance: the residual that will do, in terms of the largest |s| of the same sequence; None: 64 units of
            rounding of the state's type (4 for 16-bit types).
        max_steps: Newton steps for a window before it falls back.
        jacobian: "full": the whole of it (DEER): few steps, O(n³) work and O(n²) memory a step of time and sequence, n
            being the real numbers of its state. "diagonal": only its diagonal (quasi-DEER), O(n) memory: more steps.
            "block": the diagonals of the derivatives of every array of the state by every array of the same shape: 2×2
            blocks for the h and c of an LSTM, and for real and imaginary parts. Diagonals are exact, from n
            Jacobian-vector products. They change how many steps it takes, never the answer, nor a gradient.

    Raises:
        ValueError: `window` or `max_steps` below 1, another `jacobian`, a tolerance below one unit of rounding.
        TypeError: integers in the state that depend on its real numbers.

    Example:
        run = unfold(cell, params, xs, method=Newton())
        run.info  # Certificate(sweeps, residual, fell_back, depth)

    Source: Lim, Zhu, Selfridge, Kasim, *Parallelizing non-linear sequential models over the sequence length* (2024);
    Gonzalez, Warrington, Smith, Linderman, *Towards scalable and stable parallelization of nonlinear RNNs* (2024).
    """

    window: int | None = None
    tolerance: float | None = None
    max_steps: int = 32
    jacobian: str = "full"

    def __post_init__(self):
        checks.positive(self, max_steps=self.max_steps)
        if self.window is not None:
            checks.positive(self, window=self.window)
        certificate.check_tolerance(self, self.tolerance)
        if self.jacobian not in JACOBIANS:
            raise ValueError(f"Newton: jacobian must be one of {', '.join(JACOBIANS)}, got {self.jacobian!r}")

    @property
    def certifies(self) -> bool:
        """It goes on until the residual is small."""
        return True

    def at_once(self, problem: Problem, operands: Operands) -> int | None:
        """As many steps as have their Jacobians in little memory."""
        return self._window(operands.state, problem.batch_axes(operands))

    def states(
        self, problem: Problem, operands: Operands, state: State, xs: Inputs, flags: Flags, products: bool = False
    ) -> Solved:
        """The states of a window that starts from `state`; the extras are its recurrent products, if asked for."""
        step, items, _ = steps_of(problem, operands, xs, products)
        return self.recur(step, state, (items, flags), problem.reverse, flags.valid, problem.batch_axes(operands))

    def recur(
        self, step: Step, first: Any, items: Any, backward: bool, valid: jax.Array | None = None, axes: int = 0
    ) -> Solved:
        """The states of any recurrence, window by window."""
        steps = jax.tree.leaves(items)[0].shape[0]
        size = min(self._window(first, axes), steps)

        def body(carry: Any, number: Any, start: Any, size: int) -> Any:
            state, room, report = carry
            now, valid_now = take_block((items, valid), start, size)
            found = _Window(self, step, state, now, backward, valid_now, axes).solve()
            assert found.certificate is not None
            return found.last, put_block(room, (found.states, found.extras), start), report.then(found.certificate)

        row = jax.tree.map(lambda a: a[0], items)
        room = empty(jax.eval_shape(step, first, row), steps)
        carry = first, room, certificate.nothing_found(first)
        last, (states, extras), report = over_blocks(body, carry, steps=steps, block=size, backward=backward)
        return Solved(last, states, extras, report)

    def solve(self, a: Any, b: Any, first: Any, backward: bool) -> Any:
        """The states after each step of s(t) = a(t) s(t-1) + b(t): the linear recurrence of one Newton step."""
        return recurrence.parallel(a, b, first, backward)

    def _window(self, state: Any, axes: int) -> int:
        reals = split(state)[0]
        if self.window is not None or not reals:
            return self.window or sizes.NEWTON_LONGEST
        layout = Layout(reals, axes)
        state = layout.rows * layout.size * layout.dtype.itemsize
        return sizes.newton_window(self._structure(layout, 1).bytes, state)

    def _structure(self, layout: Layout, steps: int) -> Full | Diagonals:
        if self.jacobian == "full":
            return Full(layout)
        columns = sizes.newton_columns(steps * layout.rows * layout.size * layout.dtype.itemsize)
        return Diagonals(layout, self.jacobian == "block", columns)


class _Iterate(NamedTuple):
    """What has been found; `rows` are the sequences of the batch."""

    steps: jax.Array  # Newton steps
    states: Arrays  # parts (time, rows, width)
    residual: jax.Array  # (rows,), of the states
    radius: jax.Array  # (rows,), of the trust region, in terms of the largest |s|
    lost: jax.Array  # (rows,), booleans: it has been given up


class _Window:
    """One window of a recurrence. What is not real in the state is found first, and joins the items."""

    def __init__(
        self,
        method: Newton,
        step: Step,
        first: State,
        items: Inputs,
        backward: bool,
        valid: jax.Array | None,
        axes: int,
    ):
        self.method, self.step, self.first, self.items = method, step, first, items
        self.backward, self.valid = backward, valid
        self.size = jax.tree.leaves(items)[0].shape[0]
        reals, whole, self.merge = split(first)
        if not reals:
            raise TypeError("Newton: the state holds no real numbers, which it could differentiate: pass method=Scan()")
        self.tolerance = certificate.tolerance(method.tolerance, first)
        self.layout = Layout(reals, axes)
        self.structure = method._structure(self.layout, self.size)
        self.start, self.whole = self.layout.pack(reals), whole
        self.inputs: Any = items, whole
        if whole:
            entered, self.whole = _carry(step, first, items, backward)
            self.inputs = items, entered

    def solve(self) -> Solved:
        """Newton steps, and one step after another where they do not lead to the tolerance."""
        found = self._iterate()
        states, extras, residual = self._certify(found.states)
        # Both ways of a prefix scan, and f and its Jacobian, each Newton step; f twice at the end.
        depth = found.steps * (2 * math.ceil(math.log2(max(2, self.size))) + self.structure.depth + 1) + 2
        depth = depth + (self.size if self.whole else 0)
        report = Certificate(found.steps, residual, jnp.zeros_like(found.steps), depth)
        states = self.merge(states, self.whole)
        last, states = certificate.hold(states, self.first, self.valid, self.backward)
        return certificate.or_in_turn(
            Solved(last, states, extras, report),
            lambda first, items, _: Scan().recur(self.step, first, items, self.backward),
            (self.first, self.items),
            self.tolerance,
        )

    def _iterate(self) -> _Iterate:
        enough = self.tolerance / 2  # the residual of complex numbers is that of their parts here

        def body(now: _Iterate) -> _Iterate:
            s = now.states
            values, jacobian = self.structure.linearize(self._parts, before(self.start, s, self.backward), self.inputs)
            errors = _minus(values, s)
            delta = self.structure.solve(jacobian, errors, self.backward)
            scale = self._scale(values)
            delta = [_within(*each, now.radius) for each in zip(delta, errors, scale, strict=True)]
            trial = [a + d for a, d in zip(s, delta, strict=True)]
            next_errors = _minus(self._evaluate(trial)[0], trial)
            merit = _relative(errors, scale)
            better = _relative(next_errors, scale) <= GROWTH * merit
            moved = better & (now.residual > enough)
            radius = jnp.where(better, now.radius, jnp.minimum(RADIUS, SHRINK * now.radius))
            return _Iterate(
                now.steps + 1,
                [jnp.where(moved[None, :, None], b, a) for a, b in zip(s, trial, strict=True)],
                jnp.where(moved, _relative(next_errors, self._scale(trial)), now.residual),
                radius,
                now.lost | ~jnp.isfinite(merit) | (radius < LEAST),
            )

        def unfinished(now: _Iterate) -> jax.Array:
            going = ~(now.residual <= enough) & ~now.lost
            return (now.steps < self.method.max_steps) & going.any()

        states = [jnp.broadcast_to(p[None], (self.size, *p.shape)) for p in self.start]
        rows, count = jnp.full(self.layout.rows, jnp.inf, self.layout.dtype), jnp.zeros((), jnp.int32)
        begun = _Iterate(count, states, rows, rows, jnp.zeros(rows.shape, bool))
        return lax.while_loop(unfinished, body, varying((begun, self.first, self.items))[0])

    def _certify(self, found: Arrays) -> tuple[Arrays, Any, jax.Array]:
        """The states that were found or, if they fit better, f at them; and by how much they do not fit."""
        found = self.layout.pack(self.layout.unpack(found))  # as their type holds them
        values, extras = self._evaluate(found)
        again, extras_again = self._evaluate(values)
        residual, residual_again = self._residual(found, values), self._residual(values, again)
        worse = residual < residual_again

        def pick(a: Any, b: Any) -> Any:
            return jax.tree.map(lambda a, b: jnp.where(worse, a, b), a, b)

        states = self.layout.unpack(pick(found, values))
        return states, pick(extras, extras_again), pick(residual, residual_again)

    def _residual(self, states: Arrays, values: Arrays) -> jax.Array:
        states, values = self.layout.unpack(states), self.layout.unpack(values)
        return certificate.difference(values, states, certificate.scale(states, axes=1), self.valid)

    def _scale(self, states: Arrays) -> Arrays:
        return self.layout.spread(certificate.scale(self.layout.unpack(states), axes=1))

    def _parts(self, parts: Arrays, inputs: Any) -> Arrays:
        return self._step(parts, inputs)[0]

    def _step(self, parts: Arrays, inputs: Any) -> tuple[Arrays, Any]:
        item, whole = inputs
        new, extra = self.step(self.merge(self.layout.unpack(parts), whole), item)
        return self.layout.pack(split(new)[0]), extra

    def _evaluate(self, states: Arrays) -> tuple[Arrays, Any]:
        """f, and what the step gives beside it, at the state before each step, all at once."""
        return jax.vmap(self._step)(before(self.start, states, self.backward), self.inputs)


def _minus(a: Arrays, b: Arrays) -> Arrays:
    return [x - y for x, y in zip(a, b, strict=True)]


def _relative(errors: Arrays, scale: Arrays) -> jax.Array:
    """The largest error of each row, in terms of its scale; not a number where one is not."""
    largest = [(jnp.abs(e) / s[None]).max((0, 2), initial=0) for e, s in zip(errors, scale, strict=True)]
    return jnp.stack(largest).max(0)


def _within(delta: jax.Array, error: jax.Array, scale: jax.Array, radius: jax.Array) -> jax.Array:
    """A step within the trust region; where products of Jacobians overflowed, that of s(t) = f(s(t-1), x(t)) alone."""
    limit = (scale * radius[:, None])[None]
    return jnp.where(jnp.isfinite(delta), jnp.clip(delta, -limit, limit), error)


def _carry(step: Step, first: State, items: Inputs, backward: bool) -> tuple[list[Any], list[Any]]:
    """What is not real in the state, before and after each step, found without the rest and one step after another."""
    reals, whole, merge = split(first)

    def alone(whole: list[Any], reals: list[Any], item: Any) -> list[Any]:
        return split(step(merge(reals, whole), item)[0])[1]

    row = jax.tree.map(lambda a: a[0], items)
    jaxpr = jax.make_jaxpr(alone)(whole, reals, row).jaxpr
    _, used = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    if any(used[len(whole) : len(whole) + len(reals)]):
        raise TypeError(
            "Newton: the state holds integers that depend on its real numbers and have no derivative: pass "
            "method=Scan(), or Shooting()"
        )

    def along(whole: list[Any], item: Any) -> tuple[list[Any], Any]:
        new = alone(whole, reals, item)
        return new, (whole, new)

    return lax.scan(along, whole, items, reverse=backward)[1]
