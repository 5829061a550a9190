"""What a recursive network is: the state of a node, f(states of its children, x; θ)."""

import abc
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Inputs, Outputs, Params, State


def nodes(owner: object, x: Any, size: int) -> None:
    """Raise unless x is a floating-point array `(nodes, size)`."""
    checks.features(owner, x, size)
    if x.ndim != 2:
        raise ValueError(f"{type(owner).__name__}: x must be (nodes, {size}), got shape {tuple(x.shape)}")


class TreeCell(abc.ABC):
    """The transition of a recursive network: the state of a node from those of its children, and what is read of it.

        s(j) = leaf(x(j))                               a node without children
        s(j) = combine([s(k) for k in C(j)], x(j))      a node with at least one

    A cell holds sizes and choices and no arrays; it is hashable, so it can be a static argument of `jax.jit`. It is
    given many nodes at once: they are the first axis of every array, features are the last.

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.6 and Fig. 10.14.
    """

    arity: Any  # how many children a node has at most, an int; None for any number

    @abc.abstractmethod
    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw new parameters θ of the floating type `dtype`."""

    @abc.abstractmethod
    def leaf(self, params: Params, x: Inputs) -> State:
        """The states of nodes without children: arrays `(nodes, ...)`."""

    @abc.abstractmethod
    def combine(self, params: Params, children: State, mask: jax.Array, x: Inputs) -> State:
        """The states of nodes with children.

        `children` is like the state, its arrays `(nodes, places, ...)`, with zeros where `mask`, booleans
        `(nodes, places)`, says that there is no child. There are at most `arity` places.
        """

    @abc.abstractmethod
    def output(self, params: Params, state: State) -> Outputs:
        """What the next layer, or the loss, reads of the states."""
