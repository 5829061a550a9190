"""Long short-term memory over images: convolutions in place of products."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.affine import add_row
from jaxrnn.cells.base import Driven, Spatial


class ConvLSTMParams(NamedTuple):
    """θ of a convolutional LSTM; gates in the order i, f, g, o."""

    U: jax.Array  # (*kernel, input, 4·hidden)
    W: jax.Array  # (*kernel, hidden, 4·hidden)
    b: jax.Array  # (4·hidden,)


class ConvLSTMState(NamedTuple):
    """s(t) of a convolutional LSTM."""

    h: jax.Array  # (*batch, *spatial, hidden)
    c: jax.Array  # (*batch, *spatial, hidden)


@dataclass(frozen=True)
class ConvLSTM(Driven, Spatial):
    """Long short-term memory whose products are convolutions, in one, two or three dimensions of space.

        i, f, o = σ(b + W * h(t-1) + U * x(t))      input, forget and output gate, each with its own channels
        g       = tanh(b + W * h(t-1) + U * x(t))   the new content
        c(t)    = f ⊙ c(t-1) + i ⊙ g
        h(t)    = o ⊙ tanh(c(t))

    Here `*` is cross-correlation with zeros outside, so that space keeps its size: tap k of n reads what is
    k - (n - 1)//2 further. The peephole terms of the paper's equations (c in the gates) are left out, as is usual.

    Shapes: x `(*batch, *spatial, input)`, h, c and the output `(*batch, *spatial, hidden)`, U
    `(*kernel, input, 4·hidden)`, W `(*kernel, hidden, 4·hidden)`, b `(4·hidden,)`, the gates side by side in the order
    i, f, g, o. All start uniform in ±1/√n, n being what an entry of the recurrent convolution sums over,
    hidden · taps of the kernel.

    Args:
        spatial: the shape of space, such as `(height, width)`.
        input_channels: channels of x(t).
        hidden_channels: channels of h(t) and of c(t).
        kernel: the taps along each dimension of space, or one number for all.

    Raises:
        ValueError: a size below 1; not one to three dimensions; x that does not end in `(*spatial, input_channels)`.
        TypeError: x of integers or complex numbers.

    Example:
        cell = ConvLSTM(spatial=(28, 28), input_channels=1, hidden_channels=16, kernel=3)
        run = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 32, 28, 28, 1)))  # run.final.h: (32, 28, 28, 16)

    Source: Shi et al., *Convolutional LSTM network: a machine learning approach for precipitation nowcasting* (2015),
    Eq. 3.
    """

    spatial: tuple[int, ...]
    input_channels: int
    hidden_channels: int
    kernel: int | tuple[int, ...] = 3

    def __post_init__(self):
        object.__setattr__(self, "spatial", tuple(self.spatial))  # hashable, whatever sequence was given
        taps = self.kernel if isinstance(self.kernel, tuple | list) else (self.kernel,) * len(self.spatial)
        object.__setattr__(self, "kernel", tuple(taps))
        if not 1 <= len(self.spatial) <= 3:
            raise ValueError(f"ConvLSTM: spatial must have one to three dimensions, got {self.spatial}")
        if len(taps) != len(self.spatial):
            raise ValueError(f"ConvLSTM: kernel must be one number or one for each of {self.spatial}, got {taps}")
        checks.positive(self, input_channels=self.input_channels, hidden_channels=self.hidden_channels)
        for size, n in zip(self.spatial, taps, strict=True):
            checks.positive(self, spatial=size, kernel=n)
        for name in ("spatial", "kernel"):
            object.__setattr__(self, name, tuple(map(int, getattr(self, name))))

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> ConvLSTMParams:
        taps: tuple[int, ...] = self.kernel  # pyright: ignore[reportAssignmentType]
        gates, count = 4 * self.hidden_channels, self.hidden_channels
        for n in taps:
            count *= n
        shapes = (*taps, self.input_channels, gates), (*taps, self.hidden_channels, gates), (gates,)
        keys = jax.random.split(key, len(shapes))
        bound = count**-0.5
        return ConvLSTMParams(
            *(jax.random.uniform(k, shape, dtype, -bound, bound) for k, shape in zip(keys, shapes, strict=True))
        )

    def initial_state(self, params: ConvLSTMParams, batch_shape: tuple[int, ...] = ()) -> ConvLSTMState:
        zeros = jnp.zeros((*batch_shape, *self.spatial, self.hidden_channels), params.W.dtype)
        return ConvLSTMState(zeros, zeros)

    def drive(self, params: ConvLSTMParams, x: jax.Array) -> jax.Array:
        checks.features(self, x, self.input_channels)
        ends = (*self.spatial, self.input_channels)
        if x.shape[-len(ends) :] != ends:
            raise ValueError(f"ConvLSTM: x must end in (*spatial, input_channels) = {ends}, got shape {x.shape}")
        return add_row(self._convolve(x, params.U), params.b)

    def advance(self, params: ConvLSTMParams, state: ConvLSTMState, u: jax.Array) -> ConvLSTMState:
        i, f, g, o = jnp.split(u + self._convolve(state.h, params.W), 4, axis=-1)
        c = jax.nn.sigmoid(f) * state.c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return ConvLSTMState(jax.nn.sigmoid(o) * jnp.tanh(c), c)

    def output(self, params: ConvLSTMParams, state: ConvLSTMState) -> jax.Array:
        return state.h

    def _convolve(self, x: jax.Array, taps: jax.Array) -> jax.Array:
        """Cross-correlation over space, for any axes before it."""
        n = len(self.spatial)
        images = x.reshape(-1, *x.shape[-n - 1 :])
        layout = lax.ConvDimensionNumbers(
            (0, n + 1, *range(1, n + 1)), (n + 1, n, *range(n)), (0, n + 1, *range(1, n + 1))
        )
        found = lax.conv_general_dilated(images, taps, (1,) * n, "SAME", dimension_numbers=layout)
        return found.reshape(*x.shape[: -n - 1], *found.shape[1:])
