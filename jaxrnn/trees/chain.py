"""Any cell of a sequence as a cell of trees: the chain is the tree that `unfold` runs."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Cell, Inputs, Outputs, Params, State
from jaxrnn.trees.base import TreeCell


@dataclass(frozen=True)
class Chain(TreeCell):
    """A cell whose step goes from a node's one child to the node: s(j) = f(s(child of j), x(j); θ).

    A leaf starts from s(0). A tree in which every node has one child is a sequence, the leaf its first step and the
    root its last, and folding it gives what `unfold` gives.

    Args:
        cell: any cell.

    Raises:
        TypeError: what is no cell.

    Example:
        cell = Chain(GRU(8, 64))  # fold(cell, params, trees): the params are the GRU's

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.6: recursive networks generalise the chain.
    """

    cell: Cell

    arity = 1

    def __post_init__(self):
        checks.cell(self, self.cell)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        return self.cell.init(key, dtype)

    def leaf(self, params: Params, x: Inputs) -> State:
        batch = jax.tree.leaves(x)[0].shape[:1]
        return self.cell.step(params, self.cell.initial_state(params, batch), x)

    def combine(self, params: Params, children: State, mask: jax.Array, x: Inputs) -> State:
        return self.cell.step(params, jax.tree.map(lambda s: s.squeeze(1), children), x)

    def output(self, params: Params, state: State) -> Outputs:
        return self.cell.output(params, state)
