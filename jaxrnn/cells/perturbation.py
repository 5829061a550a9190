"""Cells whose every new state is perturbed in training."""

import abc
import numbers
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Cell, Gated, Inputs, Outputs, Params, State


class Perturbation(abc.ABC):
    """What is done to each new state, from d(t), which was drawn for its step: s(t) = apply(s(t-1), f(...), d(t))."""

    @abc.abstractmethod
    def draw(self, key: jax.Array, shapes: State) -> Any:
        """D for every step: a tree of arrays of these shapes, in which time comes first."""

    @abc.abstractmethod
    def apply(self, before: State, new: State, drawn: Any) -> State:
        """s(t) from s(t-1), the new state, and d(t), or None in evaluation."""


@dataclass(frozen=True)
class Perturbed(Cell):
    """Any cell whose every new state is perturbed: the input is the pair (x(t), d(t)), with d(t) None in evaluation.

        s(t) = perturbation(s(t-1), f(s(t-1), x(t)), d(t))

    Make it with `perturbed`, which keeps a `Gated` cell gated. Parameters, state and output are the inner cell's.

    Args:
        inner: any cell.
        perturbation: `Zoneout(rate)` or `StateNoise(scale)`.

    Raises:
        TypeError: an inner that is not a cell; an input that is not a pair.

    Example:
        cell = perturbed(Stack([LSTM(8, 64), LSTM(64, 64)]), Zoneout(0.1))  # a Perturbed

    Source: Krueger et al., *Zoneout* (2017), with f as in *Deep Learning*, Eq. 10.4.
    """

    inner: Cell
    perturbation: Perturbation

    def __post_init__(self):
        checks.cell(self, self.inner)
        _check(self, self.perturbation)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        return self.inner.init(key, dtype)

    def draw(
        self, key: jax.Array, params: Params, steps: int, batch_shape: tuple[int, ...] = (), state: State = None
    ) -> Any:
        """d(t) for training, leaves `(steps, *batch, ...)`; of a state that is given, the shapes are read."""
        return _draw(self, key, params, steps, batch_shape, state)

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        return self.inner.initial_state(params, batch_shape)

    def step(self, params: Params, state: State, x: Inputs) -> State:
        x, drawn = _pair(self, x)
        return self.perturbation.apply(state, self.inner.step(params, state, x), drawn)

    def output(self, params: Params, state: State) -> Outputs:
        return self.inner.output(params, state)


@dataclass(frozen=True)
class PerturbedGated(Gated):
    """A `Gated` cell whose every new state is perturbed: the input is (x(t), d(t)), with d(t) None in evaluation.

        s(t) = perturbation(s(t-1), activate(s(t-1), u(t), h(t-1) W), d(t))

    Make it with `perturbed`. Parameters, state and output are the inner cell's.

    Args:
        inner: any `Gated` cell.
        perturbation: `Zoneout(rate)` or `StateNoise(scale)`.

    Raises:
        TypeError: an inner cell that is not `Gated`; an input that is not a pair.

    Example:
        cell = perturbed(LSTM(8, 64), Zoneout(0.1))  # a PerturbedGated

    Source: Krueger et al., *Zoneout* (2017).
    """

    inner: Gated
    perturbation: Perturbation

    def __post_init__(self):
        checks.gated(self, self.inner, Gated)
        _check(self, self.perturbation)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        return self.inner.init(key, dtype)

    def draw(
        self, key: jax.Array, params: Params, steps: int, batch_shape: tuple[int, ...] = (), state: State = None
    ) -> Any:
        """d(t) for training, leaves `(steps, *batch, ...)`; of a state that is given, the shapes are read."""
        return _draw(self, key, params, steps, batch_shape, state)

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        return self.inner.initial_state(params, batch_shape)

    def drive(self, params: Params, x: Inputs) -> Any:
        x, drawn = _pair(self, x)
        return self.inner.drive(params, x), drawn

    def recurrent(self, params: Params) -> Any:
        return self.inner.recurrent(params)

    def hidden(self, params: Params, state: State) -> jax.Array:
        return self.inner.hidden(params, state)

    def activate(self, params: Params, state: State, u: Any, a: Any) -> State:
        u, drawn = u
        return self.perturbation.apply(state, self.inner.activate(params, state, u, a), drawn)

    def output(self, params: Params, state: State) -> Outputs:
        return self.inner.output(params, state)


def perturbed(cell: Cell, perturbation: Perturbation) -> Perturbed | PerturbedGated:
    """A cell whose every new state is perturbed in training, and not, or by its expectation, in evaluation.

    The input of a step becomes the pair (x(t), d(t)): d is drawn for training, and None in evaluation.

    Args:
        cell: any cell; a `Gated` one stays gated, and so as fast. Of several layers, perturb the `Stack`.
        perturbation: `Zoneout(rate)` or `StateNoise(scale)`.

    Raises:
        TypeError: what is not a cell, or not a perturbation.

    Example:
        cell = perturbed(LSTM(8, 64), Zoneout(0.1))
        params = cell.init(jax.random.key(0))
        training = unfold(cell, params, (xs, cell.draw(jax.random.key(1), params, steps=100, batch_shape=(32,))))
        evaluation = unfold(cell, params, (xs, None))

    Source: Krueger et al., *Zoneout: regularizing RNNs by randomly preserving hidden activations* (2017).
    """
    return PerturbedGated(cell, perturbation) if isinstance(cell, Gated) else Perturbed(cell, perturbation)


def apply_to_floats(change: Any, before: State, new: State, *trees: Any) -> State:
    """`change(before, new, *leaves)` for each array of real or complex numbers; what counts stays as it is."""

    def one(old: jax.Array, value: jax.Array, *rest: Any) -> jax.Array:
        return change(old, value, *rest) if jnp.issubdtype(value.dtype, jnp.inexact) else value

    return jax.tree.map(one, before, new, *trees)


def check_drawn(owner: object, drawn: Any, state: State, boolean: bool) -> None:
    """Raise unless what was drawn is a tree of arrays like the state, of booleans or of numbers."""
    leaves = jax.tree.leaves(drawn)
    if (
        jax.tree.structure(drawn) != jax.tree.structure(state)
        or any(d.shape != s.shape for d, s in zip(leaves, jax.tree.leaves(state), strict=True))
        or any((d.dtype == jnp.bool_) != boolean for d in leaves)
    ):
        given = jax.tree.map(lambda d: f"{d.dtype} {tuple(d.shape)}", drawn)
        raise ValueError(
            f"{type(owner).__name__}: what is drawn for a step must be {'booleans' if boolean else 'numbers'} like the "
            f"state, {jax.tree.map(jnp.shape, state)}, got {given}: pass (xs, cell.draw(key, params, steps, "
            "batch_shape))"
        )


def like_state(owner: object, name: str, value: Any, state: State) -> Any:
    """One number for each array of a state, from one for all or a tree like the state; none that changes its type."""
    if isinstance(value, numbers.Real):
        return jax.tree.map(lambda _: float(value), state)
    if jax.tree.structure(value) != jax.tree.structure(state):
        raise ValueError(
            f"{type(owner).__name__}: {name} must be one number or a tree of numbers like the state, "
            f"{jax.tree.structure(state)}, got {value!r}"
        )
    return jax.tree.map(float, value)


def hash_of(tree: Any) -> int:
    """A hash of a tree of numbers, such as a dict, which has none of its own."""
    return hash((tuple(jax.tree.leaves(tree)), jax.tree.structure(tree)))


def _check(cell: Any, perturbation: Any) -> None:
    if not isinstance(perturbation, Perturbation):
        raise TypeError(
            f"{type(cell).__name__}: perturbation must be an instance such as Zoneout(0.1), got {perturbation!r}"
        )


def _pair(cell: Any, x: Any) -> tuple[Inputs, Any]:
    if not isinstance(x, tuple) or len(x) != 2:
        raise TypeError(
            f"{type(cell).__name__}: the input must be a pair (x, d), got {type(x).__name__}: pass (xs, "
            "cell.draw(key, params, steps, batch_shape)) in training, (xs, None) in evaluation"
        )
    return x


def _draw(
    cell: Perturbed | PerturbedGated,
    key: jax.Array,
    params: Params,
    steps: int,
    batch_shape: tuple[int, ...],
    state: State,
) -> Any:
    if state is None:
        state = jax.eval_shape(lambda p: cell.inner.initial_state(p, batch_shape), params)
    shapes = jax.tree.map(lambda s: jax.ShapeDtypeStruct((steps, *jnp.shape(s)), jnp.result_type(s)), state)
    return cell.perturbation.draw(key, shapes)
