"""The N-ary Tree-LSTM, whose children have places."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine, product
from jaxrnn.cells.initializers import uniform
from jaxrnn.trees.base import TreeCell, nodes
from jaxrnn.trees.child_sum import TreeLSTMState, gated


class NaryTreeLSTMParams(NamedTuple):
    """θ of an N-ary Tree-LSTM; gates in the order i, g, o, then a forget gate f for each child."""

    U: jax.Array  # (input, 4·hidden): i, g, o, f, the last shared by all children
    W: jax.Array  # (N·hidden, (3 + N)·hidden): from each child to i, g, o and the N forget gates
    b: jax.Array  # (4·hidden,)


@dataclass(frozen=True)
class NaryTreeLSTM(TreeCell):
    """A Tree-LSTM whose children have places 1..N, each with its own matrices; with N = 2 the binary one.

        i, g, o = σ, tanh, σ (b + Σ_l h(l) W(l) + x(j) U)      each with its own columns; l = 1..N
        f(k)    = σ(b_f + Σ_l h(l) W_f(l, k) + x(j) U_f)       for each place k = 1..N
        c(j)    = i ⊙ g + Σ_k f(k) ⊙ c(k)
        h(j)    = o ⊙ tanh(c(j))

    h(k) and c(k) are zero where there is no child.

    Shapes: x `(nodes, input)`, h, c and the output `(nodes, hidden)`, U `(input, 4·hidden)` with columns i, g, o, f,
    W `(N·hidden, (3 + N)·hidden)`, its rows by l, its columns i, g, o, f(1)..f(N), b `(4·hidden,)`. All start uniform
    in ±1/√hidden.

    Args:
        input_size: entries of x(j).
        hidden_size: entries of h(j) and of c(j).
        arity: N, how many children a node has at most.

    Raises:
        ValueError: a size below 1; x that is not `(nodes, input)`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = NaryTreeLSTM(input_size=8, hidden_size=64, arity=2)
        run = fold(cell, cell.init(jax.random.key(0)), trees.batch([tree]))  # run.roots: (1, 64)

    Source: Tai, Socher, Manning, *Improved semantic representations from tree-structured long short-term memory
    networks* (2015), Eq. 9 to 14, where g is called u.
    """

    input_size: int
    hidden_size: int
    arity: int = 2

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size, arity=self.arity)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> NaryTreeLSTMParams:
        n, arity = self.hidden_size, self.arity
        shapes = (self.input_size, 4 * n), (arity * n, (3 + arity) * n), (4 * n,)
        return NaryTreeLSTMParams(*uniform(key, n**-0.5, *shapes, dtype=dtype))

    def leaf(self, params: NaryTreeLSTMParams, x: jax.Array) -> TreeLSTMState:
        nodes(self, x, self.input_size)
        i, g, o, _ = jnp.split(affine(x, params.U, params.b), 4, axis=-1)
        return gated(i, g, o, 0)

    def combine(
        self, params: NaryTreeLSTMParams, children: TreeLSTMState, mask: jax.Array, x: jax.Array
    ) -> TreeLSTMState:
        nodes(self, x, self.input_size)
        n, places = self.hidden_size, mask.shape[-1]
        h = children.h.reshape(*children.h.shape[:-2], places * n)
        a = product(h, params.W[: places * n, : (3 + places) * n])  # what is beyond the last child is zero
        i, g, o, f = jnp.split(affine(x, params.U, params.b), 4, axis=-1)
        i, g, o = (z + r for z, r in zip((i, g, o), jnp.split(a[..., : 3 * n], 3, axis=-1), strict=True))
        forget = jax.nn.sigmoid(f[..., None, :] + a[..., 3 * n :].reshape(children.c.shape))
        return gated(i, g, o, (forget * children.c).sum(axis=-2))

    def output(self, params: NaryTreeLSTMParams, state: TreeLSTMState) -> jax.Array:
        return state.h
