"""Equinox: lax.scan over eqx.nn.LSTMCell, eqx.nn.GRUCell or an Elman module, under vmap over the batch."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.rivals.entrant import Entrant, jax_entrant
from benchmarks.task import Task, Weights

PACKAGE = "equinox"


class _Elman(eqx.Module):
    """An Elman cell written like eqx.nn.GRUCell."""

    weight_ih: jax.Array
    weight_hh: jax.Array
    bias: jax.Array
    hidden_size: int = eqx.field(static=True)

    def __call__(self, x: jax.Array, h: jax.Array) -> jax.Array:
        return jnp.tanh(self.weight_ih @ x + self.weight_hh @ h + self.bias)


class _Model(eqx.Module):
    """The scan of the documentation, keeping every output."""

    cell: Any

    def __call__(self, xs: jax.Array) -> jax.Array:
        zeros = jnp.zeros(self.cell.hidden_size)
        if isinstance(self.cell, eqx.nn.LSTMCell):
            state, read = (zeros, zeros), lambda state: state[0]
        else:
            state, read = zeros, lambda state: state

        def step(state: Any, x: jax.Array) -> tuple[Any, jax.Array]:
            state = self.cell(x, state)
            return state, read(state)

        return lax.scan(step, state, xs)[1]


def build(task: Task, device: str) -> Entrant:
    """`jax.vmap(model)(xs)`, batch first, under jax.jit: parameters are all the arrays of the module."""
    U, W, b, c = jax.tree.map(jnp.asarray, task.weights)
    key, sizes = jax.random.key(0), (task.shape.input, task.shape.hidden)
    if task.cell == "elman":
        cell: Any = _Elman(U.T, W.T, b, task.shape.hidden)
    else:
        cell = (eqx.nn.LSTMCell if task.cell == "lstm" else eqx.nn.GRUCell)(*sizes, key=key)
        cell = eqx.tree_at(lambda cell: (cell.weight_ih, cell.weight_hh, cell.bias), cell, (U.T, W.T, b))
        if task.cell == "gru":
            cell = eqx.tree_at(lambda cell: cell.bias_n, cell, c)
    params, static = eqx.partition(_Model(cell), eqx.is_array)

    def weights(gradient: Any) -> Weights:
        cell = gradient.cell
        return Weights(cell.weight_ih.T, cell.weight_hh.T, cell.bias, cell.bias_n if task.cell == "gru" else None)

    return jax_entrant(
        lambda params, xs: jax.vmap(eqx.combine(params, static))(xs),
        params,
        task.xs,
        weights,
        "lax.scan over the cell under vmap, batch first" + ("; Elman by hand" if task.cell == "elman" else ""),
        batch_first=True,
    )
