"""What a recurrent network is: the transition s(t) = f(s(t-1), x(t); θ), and the structure a cell may say it has."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import core
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine, recurrent_product
from jaxrnn.cells.closure import close

# Pytrees of arrays. Their structure is the cell's own: a NamedTuple with one documented shape a field.
Params = Any
State = Any
Inputs = Any
Outputs = Any


class Cell(abc.ABC):
    """The transition of a recurrent network, `s(t) = f(s(t-1), x(t); θ)`, and what of s(t) the next layer reads.

    A cell holds sizes and choices and no arrays; it is hashable, so it can be a static argument of `jax.jit`. Features
    are the last axis of every array; any axes before it are batch axes, and there may be none.

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Eq. 10.4 and 10.5.
    """

    @abc.abstractmethod
    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw new parameters θ of the floating type `dtype`."""

    @abc.abstractmethod
    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        """s(0) for the batch axes `batch_shape`, in the floating type of `params`."""

    @abc.abstractmethod
    def step(self, params: Params, state: State, x: Inputs) -> State:
        """s(t) = f(s(t-1), x(t); θ)."""

    @abc.abstractmethod
    def output(self, params: Params, state: State) -> Outputs:
        """What the next layer, or the loss, reads of s(t)."""


class Driven(Cell):
    """A cell whose input acts through a drive u(t) that needs no state: `s(t) = advance(s(t-1), u(t))`.

    The drive of a whole block of time is then one matrix product.
    """

    @abc.abstractmethod
    def drive(self, params: Params, x: Inputs) -> Any:
        """u(t) from x(t): a pytree of arrays, with any axes before the last."""

    @abc.abstractmethod
    def advance(self, params: Params, state: State, u: Any) -> State:
        """s(t) from s(t-1) and u(t)."""

    def step(self, params: Params, state: State, x: Inputs) -> State:
        """s(t) = advance(s(t-1), drive(x(t)))."""
        return self.advance(params, state, self.drive(params, x))


class Gated(Driven):
    """A driven cell that reads its state through products h(t-1) @ W and has no product after them.

    `advance(s, u) = activate(s, u, h @ W)`, for each sequence of a batch by itself. The gradient of W is then one
    product a block, `Σ_t h(t-1)ᵀ ∂L/∂a(t)`.
    """

    @abc.abstractmethod
    def recurrent(self, params: Params) -> Any:
        """The recurrent matrices: a pytree of arrays `(hidden, n)`, one for each gate.

        A block-diagonal one is `(blocks, hidden/blocks, n)`; its product is `(*batch, blocks·n)`.
        """

    @abc.abstractmethod
    def hidden(self, params: Params, state: State) -> jax.Array:
        """The part h of the state that the recurrent matrices multiply, `(*batch, hidden)`.

        Params are constants here: no gradient reaches them by this way.
        """

    @abc.abstractmethod
    def activate(self, params: Params, state: State, u: Any, a: Any) -> State:
        """s(t) from s(t-1), the drive u(t) and a = h(t-1) @ W (a tree like `recurrent`'s)."""

    def recur(self, params: Params, state: State) -> Any:
        """a(t) = h(t-1) @ W, for each recurrent matrix."""
        h = self.hidden(params, state)
        return jax.tree.map(lambda W: recurrent_product(h, W), self.recurrent(params))

    def advance(self, params: Params, state: State, u: Any) -> State:
        """s(t) = activate(s(t-1), u(t), a(t))."""
        return self.activate(params, state, u, self.recur(params, state))


class Weights(NamedTuple):
    """The weights of an `Affine` cell; n is hidden times the number of gates."""

    U: jax.Array  # (input, n)
    W: jax.Array  # (hidden, n), or what else `recurrent` may be
    b: jax.Array  # (n,)


class Affine(Gated):
    """A gated cell whose drive is u(t) = x(t) U + b."""

    @abc.abstractmethod
    def weights(self, params: Params) -> Weights:
        """U, W and b."""

    def drive(self, params: Params, x: Inputs) -> jax.Array:
        """u(t) = x(t) U + b."""
        U, _, b = self.weights(params)
        checks.features(self, x, U.shape[0])
        return affine(x, U, b)

    def recurrent(self, params: Params) -> Any:
        """W."""
        return self.weights(params).W


class Additive(Affine):
    """An affine cell that reads nothing but the sum of drive and product: z(t) = x(t) U + h(t-1) W + b.

    The sum is then all that is kept of a step for the way back, and for a small batch it is one product of (x, h).
    """

    @abc.abstractmethod
    def gate(self, params: Params, state: State, z: jax.Array) -> State:
        """s(t) from s(t-1) and z(t): element by element."""

    def activate(self, params: Params, state: State, u: jax.Array, a: jax.Array) -> State:
        """s(t) = gate(s(t-1), u(t) + a(t))."""
        return self.gate(params, state, u + a)


class Spatial(Cell):
    """A cell whose input has axes of space between the batch axes and the features: x(t) `(*batch, *spatial, n)`.

    Of an input alone, `unfold` could not tell them from batch axes.
    """

    spatial: tuple[int, ...]


class Linear(Driven):
    """A cell that is linear in its state, element by element: `s(t) = a(t) * s(t-1) + b(t)`.

    Such a recurrence can be solved in parallel by a prefix scan.
    """

    @abc.abstractmethod
    def coefficients(self, params: Params, xs: Inputs) -> tuple[State, State]:
        """(a, b) from x: two trees like the state's, with any axes before the last."""

    def drive(self, params: Params, x: Inputs) -> Any:
        """u(t) = (a(t), b(t))."""
        return self.coefficients(params, x)

    def advance(self, params: Params, state: State, u: Any) -> State:
        """s(t) = a(t) * s(t-1) + b(t)."""
        return jax.tree.map(lambda s, a, b: a * s + b, state, *u)


class Wrapped(Cell):
    """The recurrence of an `inner` cell, read differently: the state is a function of the inner state and x(t) alone.

    What such a cell adds (a readout, a loss) takes no part in the recurrence, so `unfold` runs the inner cell with all
    its traits and applies `extend` and `output` to whole blocks of time.
    """

    inner: Cell

    @abc.abstractmethod
    def inner_params(self, params: Params) -> Params:
        """The inner cell's part of the parameters."""

    @abc.abstractmethod
    def inner_state(self, state: State) -> State:
        """The inner cell's part of the state."""

    @abc.abstractmethod
    def inner_input(self, x: Inputs) -> Inputs:
        """The inner cell's part of the input."""

    @abc.abstractmethod
    def extend(self, state: State, x: Inputs) -> State:
        """The whole state at t, from the inner cell's state at t and x(t)."""

    def step(self, params: Params, state: State, x: Inputs) -> State:
        """s(t) = extend(f(s(t-1), x(t)), x(t)) with the inner cell's f."""
        inner = self.inner.step(self.inner_params(params), self.inner_state(state), self.inner_input(x))
        return self.extend(inner, x)


@dataclass(frozen=True)
class Transition(Cell):
    """The cell that `transition` makes of a function.

    Args:
        function: the transition, `f(params, state, x) -> state`.
        read: `output(params, state)`, or None for the whole state.
        initial: `init(key, dtype)`, or None.
        start: `initial_state(params, batch_shape)`, or None.

    Example:
        logistic = transition(lambda r, s, x: r * s * (1 - s))  # a Transition
    """

    function: Callable[[Params, State, Inputs], State]
    read: Callable[[Params, State], Outputs] | None
    initial: Callable[..., Params] | None
    start: Callable[[Params, tuple[int, ...]], State] | None

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        if self.initial is None:
            raise ValueError("transition(f) has no init: pass transition(f, init=...), or make the parameters yourself")
        return self.initial(key, dtype)

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        if self.start is None:
            raise ValueError(
                "transition(f) does not know s(0): pass state=... to unfold, or transition(f, initial_state=...)"
            )
        return self.start(params, batch_shape)

    def step(self, params: Params, state: State, x: Inputs) -> State:
        return self.function(params, state, x)

    def output(self, params: Params, state: State) -> Outputs:
        return state if self.read is None else self.read(params, state)


def closed(cell: Cell, params: Params, state: State, x: Inputs) -> tuple[Cell, Params]:
    """The same recurrence, with the arrays that a cell's functions close over, and that may have gradients, in params.

    A cell that closes over none is itself; another becomes a `Transition` of its step, which has no traits.
    """
    converted, captured = close(cell.step, params, state, x)
    if not any(isinstance(array, core.Tracer) for array in captured):  # nothing is differentiated, or mapped over
        return cell, params
    return Transition(lambda p, s, x: converted(p[1], p[0], s, x), None, None, None), (params, captured)


def transition(
    f: Callable[[Params, State, Inputs], State],
    *,
    output: Callable[[Params, State], Outputs] | None = None,
    init: Callable[..., Params] | None = None,
    initial_state: Callable[[Params, tuple[int, ...]], State] | None = None,
) -> Cell:
    """A cell of any pure function `f(params, state, x) -> state`: `s(t) = f(s(t-1), x(t); θ)`.

    Args:
        f: the transition; pure, and returning a state of the structure, shapes and types it was given.
        output: `output(params, state)`, what the next layer reads; default: the whole state.
        init: `init(key, dtype)`, draws parameters; without it the caller makes them.
        initial_state: `initial_state(params, batch_shape)`, s(0); without it `unfold` needs `state=`.

    Example:
        logistic = transition(lambda r, s, x: r * s * (1 - s))
        unfold(logistic, 3.7, steps=100, state=jnp.array(0.5)).outputs

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Eq. 10.1: s(t) = f(s(t-1); θ).
    """
    return Transition(f, output, init, initial_state)
