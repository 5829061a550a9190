"""The recursive neural tensor network."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import affine, product
from jaxrnn.cells.initializers import uniform
from jaxrnn.trees.base import TreeCell, nodes


class RNTNParams(NamedTuple):
    """θ of a recursive neural tensor network with N children."""

    U: jax.Array  # (input, hidden)
    W: jax.Array  # (N·hidden, hidden)
    T: jax.Array  # (N·hidden, N·hidden, hidden), V of the paper
    b: jax.Array  # (hidden,)


@dataclass(frozen=True)
class RNTN(TreeCell):
    """The recursive neural tensor network: children act on each other through a tensor.

        p    = [h(1), ..., h(N)]                          the children side by side, zeros where there is none
        h(j) = tanh(p T p + p W + x(j) U + b)             with (p T p)_m = Σ_kl p_k T_klm p_l

    In the paper N = 2, and x is zero but at the leaves, whose x U is the vector of a word.

    Shapes: x `(nodes, input)`, h and the output `(nodes, hidden)`, U `(input, hidden)`, W `(N·hidden, hidden)`,
    T `(N·hidden, N·hidden, hidden)`, b `(hidden,)`. U, W, b start uniform in ±1/√hidden, T in ±1/(2 N·hidden).

    Args:
        input_size: entries of x(j).
        hidden_size: entries of h(j).
        arity: N, how many children a node has at most. T grows with its square.

    Raises:
        ValueError: a size below 1; x that is not `(nodes, input)`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = RNTN(input_size=25, hidden_size=25)
        run = fold(cell, cell.init(jax.random.key(0)), trees.batch([tree]))  # run.roots: (1, 25)

    Source: Socher et al., *Recursive deep models for semantic compositionality over a sentiment treebank* (2013),
    Sec. 4.3; *Deep Learning*, Sec. 10.6. Where T is zero it is the plain recursive network.
    """

    input_size: int
    hidden_size: int
    arity: int = 2

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size, arity=self.arity)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> RNTNParams:
        n, wide = self.hidden_size, self.arity * self.hidden_size
        key, key_T = jax.random.split(key)
        U, W, b = uniform(key, n**-0.5, (self.input_size, n), (wide, n), (n,), dtype=dtype)
        (T,) = uniform(key_T, 0.5 / wide, (wide, wide, n), dtype=dtype)
        return RNTNParams(U, W, T, b)

    def leaf(self, params: RNTNParams, x: jax.Array) -> jax.Array:
        nodes(self, x, self.input_size)
        return jnp.tanh(affine(x, params.U, params.b))

    def combine(self, params: RNTNParams, children: jax.Array, mask: jax.Array, x: jax.Array) -> jax.Array:
        nodes(self, x, self.input_size)
        wide = mask.shape[-1] * self.hidden_size
        p = children.reshape(*children.shape[:-2], wide)
        T = params.T[:wide, :wide].reshape(wide, wide * self.hidden_size)
        pT = product(p, T).reshape(*p.shape, self.hidden_size)
        pTp = (pT * p[..., None]).sum(axis=-2)
        return jnp.tanh(pTp + product(p, params.W[:wide]) + affine(x, params.U, params.b))

    def output(self, params: RNTNParams, state: jax.Array) -> jax.Array:
        return state
