"""A network that reads symbols, one step at a time."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import Cell, Readout
from jaxrnn.cells.base import Inputs, Params, State


@dataclass(frozen=True)
class TokenReader(Cell):
    """A network that reads tokens, one step at a time, and gives logits; to generate from, and to search.

    Its parameters have the fields `embedding` and `readout`, which the model makes.

    Args:
        network: the cell with its readout, which reads embeddings.

    Example:
        reader = TokenReader(Readout(GRU(8, 32), 65))
        decoding.generate(reader, params, key, prompt=tokens, steps=100)
    """

    network: Readout

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        raise NotImplementedError("the model's init makes the parameters")

    def initial_state(self, params: Any, batch_shape: tuple[int, ...] = ()) -> State:
        return self.network.initial_state(params.readout, batch_shape)

    def step(self, params: Any, state: State, x: Inputs) -> State:
        return self.network.step(params.readout, state, params.embedding[x])

    def output(self, params: Any, state: State) -> jax.Array:
        return self.network.output(params.readout, state)
