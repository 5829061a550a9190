"""Skip connections through time."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Gated, Inputs, Outputs, Params, State


class SkipParams(NamedTuple):
    """θ of a cell with skip connections through time."""

    cell: Params  # of the inner cell
    W: Params  # a matrix (hidden, n) for each of the inner cell's recurrent matrices: what reads h(t-d)


class SkipState(NamedTuple):
    """s(t) of a cell with skip connections through time."""

    cell: State  # of the inner cell
    past: jax.Array  # (*batch, delay - 1, hidden): h(t-1), h(t-2) ... h(t-delay+1)


@dataclass(frozen=True)
class Skip(Gated):
    """A gated cell that also reads what its state was `delay` steps ago: skip connections through time.

        s(t) = activate(s(t-1), u(t), h(t-1) W + h(t-delay) W_d)

    Along the connections of length `delay` a gradient takes τ / delay steps, not τ, and so vanishes more slowly; those
    of length 1 are still there, and so it may still explode. Before the start, h was h(0).

    Shapes: W_d like W, a matrix `(hidden, n)` for each of the inner cell's, starts uniform in ±1/√hidden. The state
    holds `delay` times h.

    Args:
        inner: a `Gated` cell with matrices `(hidden, n)`, such as `Elman`, `LSTM` or `GRU`.
        delay: steps, at least 2.

    Raises:
        TypeError: an inner cell that is not `Gated`; in `init`, one with no recurrent matrix, or one in blocks.
        ValueError: a delay below 2.

    Example:
        cell = Skip(Elman(3, 16), delay=10)
        h = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((100, 3))).outputs  # (100, 16)

    Source: Lin, Horne, Tiňo, Giles, *Learning long-term dependencies in NARX recurrent neural networks* (1996);
    *Deep Learning*, Sec. 10.9.1.
    """

    inner: Gated
    delay: int

    def __post_init__(self):
        checks.gated(self, self.inner, Gated)
        checks.at_least(self, 2, delay=self.delay)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> SkipParams:
        key_cell, key_W = jax.random.split(key)
        cell = self.inner.init(key_cell, dtype)
        matrices, structure = jax.tree.flatten(self.inner.recurrent(cell))
        if not matrices or any(W.ndim != 2 for W in matrices):
            raise TypeError(
                f"Skip: the recurrent matrices of the inner cell must be (hidden, n), got shapes "
                f"{[W.shape for W in matrices]} of {self.inner}: pass a cell such as GRU(input_size, hidden_size)"
            )
        keys = jax.random.split(key_W, len(matrices))
        bound = matrices[0].shape[0] ** -0.5
        W = [jax.random.uniform(k, W.shape, dtype, -bound, bound) for k, W in zip(keys, matrices, strict=True)]
        return SkipParams(cell, jax.tree.unflatten(structure, W))

    def initial_state(self, params: SkipParams, batch_shape: tuple[int, ...] = ()) -> SkipState:
        state = self.inner.initial_state(params.cell, batch_shape)
        h = self.inner.hidden(params.cell, state)[..., None, :]
        return SkipState(state, jnp.broadcast_to(h, (*batch_shape, self.delay - 1, h.shape[-1])))

    def drive(self, params: SkipParams, x: Inputs) -> Any:
        return self.inner.drive(params.cell, x)

    def recurrent(self, params: SkipParams) -> Any:
        return jax.tree.map(lambda *W: jnp.concatenate(W), self.inner.recurrent(params.cell), params.W)

    def hidden(self, params: SkipParams, state: SkipState) -> jax.Array:
        return jnp.concatenate([self.inner.hidden(params.cell, state.cell), state.past[..., -1, :]], axis=-1)

    def activate(self, params: SkipParams, state: SkipState, u: Any, a: Any) -> SkipState:
        h = self.inner.hidden(params.cell, state.cell)[..., None, :]
        past = jnp.concatenate([h, state.past[..., :-1, :]], axis=-2)
        return SkipState(self.inner.activate(params.cell, state.cell, u, a), past)

    def output(self, params: SkipParams, state: SkipState) -> Outputs:
        return self.inner.output(params.cell, state.cell)
