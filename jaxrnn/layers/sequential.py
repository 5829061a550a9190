"""Layers one after another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells.base import Cell, Inputs, Params, State
from jaxrnn.layers.base import Layer, Pass
from jaxrnn.layers.recurrent import as_layer
from jaxrnn.unfold import Unfolding


@dataclass(frozen=True)
class Sequential(Layer):
    """Layers of which each reads the outputs of the one before it.

    Parameters and state are tuples with one entry a layer; that of a layer without any is None.

    Args:
        layers: the lowest first; a cell is `Recurrent(cell)`.

    Raises:
        ValueError: no layers; parameters or a state of another number of layers.
        TypeError: no list; in it, what is neither a layer nor a cell.

    Example:
        net = Sequential([Bidirectional(LSTM(8, 32), LSTM(8, 32)), Dropout(0.5), Recurrent(LSTM(64, 16))])
        run = net.apply(net.init(jax.random.key(0)), jnp.ones((20, 4, 8)), key=jax.random.key(1))
        run.final[0].backward.h.shape, run.final[2].h.shape  # (4, 32), (4, 16)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.5.
    """

    layers: Sequence[Layer | Cell]

    def __post_init__(self):
        if not isinstance(self.layers, Iterable):
            raise TypeError(f"Sequential: layers must be a list of layers or cells, got {self.layers!r}")
        # hashable, whatever sequence was given
        object.__setattr__(self, "layers", tuple(as_layer(self, layer) for layer in self.layers))
        if not self.layers:
            raise ValueError("Sequential: layers is empty; pass at least one layer")

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> tuple[Params, ...]:
        keys = jax.random.split(key, len(self.layers))
        return tuple(layer.init(k, dtype) for layer, k in zip(self.layers, keys, strict=True))

    def initial_state(self, params: tuple[Params, ...], batch_shape: tuple[int, ...] = ()) -> tuple[State, ...]:
        return tuple(
            as_layer(self, layer).initial_state(p, batch_shape) for layer, p in zip(self.layers, params, strict=True)
        )

    def run(
        self,
        params: tuple[Params, ...],
        state: tuple[State, ...] | None,
        xs: Inputs,
        key: jax.Array | None,
        over: Pass,
    ) -> Unfolding:
        n = len(self.layers)
        state = (None,) * n if state is None else state
        self._one_a_layer("params", params)
        self._one_a_layer("state", state)
        keys = (None,) * n if key is None else jax.random.split(key, n)
        finals, infos = [], []
        for layer, p, s, k in zip(self.layers, params, state, keys, strict=True):
            run = as_layer(self, layer).run(p, s, xs, k, over)
            xs = run.outputs
            finals.append(run.final)
            infos.append(run.info)
        return Unfolding(xs, tuple(finals), None if all(i is None for i in infos) else tuple(infos))

    def _one_a_layer(self, name: str, value: Any) -> None:
        n = len(self.layers)
        if not isinstance(value, tuple) or len(value) != n:
            found = f"{len(value)} entries" if isinstance(value, tuple) else type(value).__name__
            raise ValueError(f"Sequential: {name} must be a tuple with one entry for each of {n} layers, got {found}")
