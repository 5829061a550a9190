"""The child-sum Tree-LSTM, for any number of children in any order."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine, product
from jaxrnn.cells.initializers import uniform_by_hidden
from jaxrnn.trees.base import TreeCell, nodes


class TreeLSTMState(NamedTuple):
    """s(j) of a Tree-LSTM."""

    h: jax.Array  # (nodes, hidden)
    c: jax.Array  # (nodes, hidden)


class ChildSumTreeLSTMParams(NamedTuple):
    """θ of a child-sum Tree-LSTM; gates in the order i, f, g, o."""

    U: jax.Array  # (input, 4·hidden)
    W: jax.Array  # (hidden, 4·hidden)
    b: jax.Array  # (4·hidden,)

    gates = "ifgo"  # of b, in order


@dataclass(frozen=True)
class ChildSumTreeLSTM(TreeCell):
    """A Tree-LSTM that reads the sum of its children's h, and has a forget gate for each child.

        h̃       = Σ_k h(k)                              over the children k of node j
        i, g, o = σ, tanh, σ (b + h̃ W + x(j) U)         each with its own columns
        f(k)    = σ(b_f + h(k) W_f + x(j) U_f)          for each child
        c(j)    = i ⊙ g + Σ_k f(k) ⊙ c(k)
        h(j)    = o ⊙ tanh(c(j))

    The order of the children does not matter; of a leaf the sums are zero.

    Shapes: x `(nodes, input)`, h, c and the output `(nodes, hidden)`, U `(input, 4·hidden)`, W `(hidden, 4·hidden)`,
    b `(4·hidden,)`, the gates side by side in the order i, f, g, o. All start uniform in ±1/√hidden.

    Args:
        input_size: entries of x(j).
        hidden_size: entries of h(j) and of c(j).

    Raises:
        ValueError: a size below 1; x that is not `(nodes, input)`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = ChildSumTreeLSTM(input_size=8, hidden_size=64)
        run = fold(cell, cell.init(jax.random.key(0)), trees.batch([tree]))  # run.roots: (1, 64)

    Source: Tai, Socher, Manning, *Improved semantic representations from tree-structured long short-term memory
    networks* (2015), Eq. 2 to 8, where g is called u.
    """

    input_size: int
    hidden_size: int

    arity = None

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> ChildSumTreeLSTMParams:
        return ChildSumTreeLSTMParams(*uniform_by_hidden(key, self.input_size, self.hidden_size, gates=4, dtype=dtype))

    def leaf(self, params: ChildSumTreeLSTMParams, x: jax.Array) -> TreeLSTMState:
        nodes(self, x, self.input_size)
        i, _, g, o = jnp.split(affine(x, params.U, params.b), 4, axis=-1)
        return gated(i, g, o, 0)

    def combine(
        self, params: ChildSumTreeLSTMParams, children: TreeLSTMState, mask: jax.Array, x: jax.Array
    ) -> TreeLSTMState:
        nodes(self, x, self.input_size)
        W_i, W_f, W_g, W_o = jnp.split(params.W, 4, axis=-1)
        i, f, g, o = jnp.split(affine(x, params.U, params.b), 4, axis=-1)
        read = product(children.h.sum(axis=-2), jnp.concatenate([W_i, W_g, W_o], axis=-1))
        i, g, o = (z + a for z, a in zip((i, g, o), jnp.split(read, 3, axis=-1), strict=True))
        kept = jax.nn.sigmoid(f[..., None, :] + product(children.h, W_f)) * children.c  # zero where there is no child
        return gated(i, g, o, kept.sum(axis=-2))

    def output(self, params: ChildSumTreeLSTMParams, state: TreeLSTMState) -> jax.Array:
        return state.h


def gated(i: jax.Array, g: jax.Array, o: jax.Array, kept: jax.Array | float) -> TreeLSTMState:
    """The state h = σ(o) ⊙ tanh(c) with c = σ(i) ⊙ tanh(g) + what was kept of the children's."""
    c = jax.nn.sigmoid(i) * jnp.tanh(g) + kept
    return TreeLSTMState(jax.nn.sigmoid(o) * jnp.tanh(c), c)
