"""A vector that a recurrence depends on at every step."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Cell, Driven, Gated, Inputs, Linear, Outputs, Params, State


class ConditionedParams(NamedTuple):
    """θ of a cell that reads a vector at every step."""

    cell: Params  # of the inner cell
    vector: jax.Array | None = None  # v (size,), or (*batch, size); None is v = 0, the cell without a condition


class Conditioning(Cell):
    """A cell whose inner cell reads (x(t), v) where v is a vector: what `conditioned` makes, without its structure."""

    inner: Any
    size: int

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> ConditionedParams:
        """Parameters of the inner cell; the vector is None."""
        return ConditionedParams(self.inner.init(key, dtype))

    def initial_state(self, params: ConditionedParams, batch_shape: tuple[int, ...] = ()) -> State:
        """The inner cell's s(0)."""
        return self.inner.initial_state(params.cell, batch_shape)

    def output(self, params: ConditionedParams, state: State) -> Outputs:
        """The inner cell's output."""
        return self.inner.output(params.cell, state)


@dataclass(frozen=True)
class Conditioned(Conditioning):
    """A cell that reads a vector v at every step, beside x(t): the plain way, for any cell; see `conditioned`.

        s(t) = f(s(t-1), (x(t), v); θ)

    The rows of the inner cell's U that v meets are the book's R: v R is a bias of the hidden units that v chooses.

    Shapes: x `(*batch, input)`, v `(size,)`, or `(*batch, size)`, one for each sequence; the inner cell reads
    `(*batch, input + size)`.

    Args:
        inner: any cell that reads `input + size` floating-point numbers.
        size: entries of v.

    Raises:
        ValueError: a size below 1; a vector of another size, or whose batch axes are not those of x.
        TypeError: what is not a cell; a vector of integers.

    Example:
        cell = Conditioned(Stack([GRU(8 + 3, 64), GRU(64, 64)]), 3)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.4 and Fig. 10.9.
    """

    inner: Cell
    size: int

    def __post_init__(self):
        _check(self, self.inner, Cell)

    def step(self, params: ConditionedParams, state: State, x: Inputs) -> State:
        return self.inner.step(params.cell, state, joined(self, params.vector, x))


@dataclass(frozen=True)
class ConditionedDriven(Conditioning, Driven):
    """A driven cell that reads a vector v at every step, and is still driven; see `conditioned`.

        s(t) = advance(s(t-1), drive((x(t), v)))

    Args:
        inner: any driven cell that reads `input + size` floating-point numbers.
        size: entries of v.

    Raises:
        TypeError: an inner cell that is not `Driven`, and as for `Conditioned`.
        ValueError: as for `Conditioned`.

    Example:
        cell = conditioned(LeakyElman(8 + 3, 64), 3)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.4 and Fig. 10.9.
    """

    inner: Driven
    size: int

    def __post_init__(self):
        _check(self, self.inner, Driven)

    def drive(self, params: ConditionedParams, x: Inputs) -> Any:
        return self.inner.drive(params.cell, joined(self, params.vector, x))

    def advance(self, params: ConditionedParams, state: State, u: Any) -> State:
        return self.inner.advance(params.cell, state, u)


@dataclass(frozen=True)
class ConditionedGated(Conditioning, Gated):
    """A gated cell that reads a vector v at every step, and is still gated; see `conditioned`.

        s(t) = activate(s(t-1), drive((x(t), v)), h(t-1) W)

    Args:
        inner: any gated cell that reads `input + size` floating-point numbers.
        size: entries of v.

    Raises:
        TypeError: an inner cell that is not `Gated`, and as for `Conditioned`.
        ValueError: as for `Conditioned`.

    Example:
        cell = conditioned(LSTM(8 + 3, 64), 3)  # a ConditionedGated

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.4 and Fig. 10.9.
    """

    inner: Gated
    size: int

    def __post_init__(self):
        _check(self, self.inner, Gated)

    def drive(self, params: ConditionedParams, x: Inputs) -> Any:
        return self.inner.drive(params.cell, joined(self, params.vector, x))

    def recurrent(self, params: ConditionedParams) -> Any:
        return self.inner.recurrent(params.cell)

    def hidden(self, params: ConditionedParams, state: State) -> jax.Array:
        return self.inner.hidden(params.cell, state)

    def activate(self, params: ConditionedParams, state: State, u: Any, a: Any) -> State:
        return self.inner.activate(params.cell, state, u, a)


@dataclass(frozen=True)
class ConditionedLinear(Conditioning, Linear):
    """A linear cell that reads a vector v at every step, and is still linear; see `conditioned`.

        s(t) = a((x(t), v)) * s(t-1) + b((x(t), v))

    Args:
        inner: any linear cell that reads `input + size` floating-point numbers.
        size: entries of v.

    Raises:
        TypeError: an inner cell that is not `Linear`, and as for `Conditioned`.
        ValueError: as for `Conditioned`.

    Example:
        cell = conditioned(MinGRU(8 + 3, 64), 3)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.4 and Fig. 10.9.
    """

    inner: Linear
    size: int

    def __post_init__(self):
        _check(self, self.inner, Linear)

    def coefficients(self, params: ConditionedParams, xs: Inputs) -> tuple[State, State]:
        return self.inner.coefficients(params.cell, joined(self, params.vector, xs))


def conditioned(cell: Cell, size: int) -> Conditioned | ConditionedDriven | ConditionedGated | ConditionedLinear:
    """A cell that reads a vector v at every step, beside x(t): `s(t) = f(s(t-1), (x(t), v); θ)`.

    The vector is put into the parameters, `given(params, v)`, once for all steps, and gradients flow to it. A driven,
    gated or linear cell stays what it is, and so as fast. For a vector that chooses s(0) too, put
    `ConditionedInitialState` around this one.

    Args:
        cell: any cell that reads `input + size` floating-point numbers: x(t) first, then v.
        size: entries of v.

    Raises:
        ValueError: a size below 1; later a vector of another size, or whose batch axes are not those of x.
        TypeError: what is not a cell; later a vector of integers.

    Example:
        cell = conditioned(GRU(8 + 3, 64), size=3)
        params = cell.init(jax.random.key(0))
        run = unfold(cell, given(params, jnp.ones((32, 3))), jnp.ones((100, 32, 8)))

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.4 and Fig. 10.9.
    """
    if isinstance(cell, Gated):
        return ConditionedGated(cell, size)
    if isinstance(cell, Linear):
        return ConditionedLinear(cell, size)
    return ConditionedDriven(cell, size) if isinstance(cell, Driven) else Conditioned(cell, size)


def checked_vector(owner: Any, vector: Any) -> jax.Array:
    """V `(*batch, size)` as it was given; zeros `(size,)` for None."""
    if vector is None:
        return jnp.zeros(owner.size)
    name = type(owner).__name__
    vector = jnp.asarray(vector)
    if not jnp.issubdtype(vector.dtype, jnp.floating):
        raise TypeError(
            f"{name}: the vector must be of a floating type, got {vector.dtype}: pass one such as "
            f"jax.nn.one_hot(labels, {owner.size})"
        )
    if vector.ndim < 1 or vector.shape[-1] != owner.size:
        raise ValueError(
            f"{name}: the last axis of the vector must be size = {owner.size}, got shape {tuple(vector.shape)}: pass "
            "given(params, v) with such a v"
        )
    return vector


def joined(owner: Any, vector: Any, x: Any) -> jax.Array:
    """(x(t), v) side by side; x may have axes before those of v, such as time."""
    name = type(owner).__name__
    vector = checked_vector(owner, vector)
    if not hasattr(x, "dtype") or not jnp.issubdtype(x.dtype, jnp.floating) or x.ndim < 1:
        raise TypeError(
            f"{name}: x must be one array of a floating type (*batch, features), got {getattr(x, 'dtype', type(x))}: "
            "where nothing but the vector is read, pass zeros of no features, (time, *batch, 0)"
        )
    batch = vector.shape[:-1]
    if len(batch) >= x.ndim or x.shape[x.ndim - 1 - len(batch) : -1] != batch:
        raise ValueError(
            f"{name}: the vector has batch axes {batch}, but x is of shape {tuple(x.shape)}: pass given(params, v) "
            f"with v (*batch, {owner.size}) of the same batch, or one for all, ({owner.size},)"
        )
    vector = jnp.broadcast_to(vector.astype(x.dtype), (*x.shape[:-1], owner.size))
    return jnp.concatenate([x, vector], axis=-1)


def _check(owner: Any, inner: Any, kind: type) -> None:
    checks.cell(owner, inner)
    checks.positive(owner, size=owner.size)
    if not isinstance(inner, kind):
        raise TypeError(
            f"{type(owner).__name__}: inner must be {kind.__name__}, got {inner}: pass conditioned(cell, size)"
        )
