"""Dropout with one mask for all of a sequence."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Gated, Inputs, Outputs, Params, State
from jaxrnn.cells.masks import drop, keep
from jaxrnn.cells.mgu import MGU
from jaxrnn.cells.original_gru import OriginalGRU


class VariationalDropoutParams(NamedTuple):
    """θ of a cell with variational dropout, and what is dropped at this time."""

    cell: Params  # of the inner cell
    mask: jax.Array | None  # (*batch, hidden), booleans, True where h is kept; None: everything is kept


@dataclass(frozen=True)
class VariationalDropout(Gated):
    """A gated cell that drops the same entries of h(t-1) in every step, from the recurrent products alone.

        a(t) = (mask ⊙ h(t-1) / (1 - rate)) W

    `init` gives no mask: the cell is then exactly the inner one, as it should be in evaluation. In training, draw a
    mask for each sequence and put it into the parameters. It is a constant: no gradient reaches it.

    Shapes: the mask `(*batch, hidden)`, or with fewer of the first axes, which then share one.

    Args:
        inner: a `Gated` cell all of whose products of h(t-1) are `recurrent`'s: any but `MGU` and `OriginalGRU`, which
            reset h before a product, and `IndRNN`, which has none.
        rate: the share of entries that is dropped, from 0 to below 1.

    Raises:
        TypeError: an inner cell that is not `Gated`, or is one of those three; a mask that does not hold booleans.
        ValueError: a rate out of range; a mask of another shape than h's.

    Example:
        cell = VariationalDropout(LSTM(8, 64), rate=0.25)
        params = cell.init(jax.random.key(0))
        training = params._replace(mask=cell.draw_mask(jax.random.key(1), params, batch_shape=(32,)))

    Source: Gal and Ghahramani, *A theoretically grounded application of dropout in recurrent neural networks* (2016),
    with one mask for all gates.
    """

    inner: Gated
    rate: float

    def __post_init__(self):
        checks.gated(self, self.inner, Gated)
        _check_products(self.inner)
        checks.number(self, "rate", self.rate, least=0, below=1)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> VariationalDropoutParams:
        return VariationalDropoutParams(self.inner.init(key, dtype), None)

    def draw_mask(
        self, key: jax.Array, params: VariationalDropoutParams, batch_shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """A mask `(*batch, hidden)` in which each entry is kept with the probability 1 - rate."""
        h = jax.eval_shape(lambda p: self.inner.hidden(p, self.inner.initial_state(p, batch_shape)), params.cell)
        return keep(key, h.shape, self.rate)

    def initial_state(self, params: VariationalDropoutParams, batch_shape: tuple[int, ...] = ()) -> State:
        return self.inner.initial_state(params.cell, batch_shape)

    def drive(self, params: VariationalDropoutParams, x: Inputs) -> Inputs:
        return self.inner.drive(params.cell, x)

    def recurrent(self, params: VariationalDropoutParams) -> Params:
        return self.inner.recurrent(params.cell)

    def hidden(self, params: VariationalDropoutParams, state: State) -> jax.Array:
        h, mask = self.inner.hidden(params.cell, state), params.mask
        if mask is None:
            return h
        if mask.dtype != jnp.bool_:
            raise TypeError(f"VariationalDropout: mask must hold booleans, got {mask.dtype}: pass cell.draw_mask(...)")
        if mask.ndim > h.ndim or h.shape[h.ndim - mask.ndim :] != mask.shape:
            raise ValueError(
                f"VariationalDropout: mask must be like h, {h.shape}, got {mask.shape}: pass cell.draw_mask(key, "
                "params, batch_shape) of the same batch"
            )
        return drop(h, mask, self.rate)

    def activate(self, params: VariationalDropoutParams, state: State, u: Inputs, a: Params) -> State:
        return self.inner.activate(params.cell, state, u, a)

    def output(self, params: VariationalDropoutParams, state: State) -> Outputs:
        return self.inner.output(params.cell, state)


def _check_products(cell: Gated) -> None:
    """Raise unless the mask reaches all products of h(t-1), of which there is one at least."""
    innermost = cell
    while isinstance(inner := getattr(innermost, "inner", None), Gated):
        innermost = inner
    if isinstance(innermost, MGU | OriginalGRU):
        raise TypeError(
            f"VariationalDropout: the new content of {innermost} is a product of its own, which the mask would not "
            "reach: pass a cell such as GRU(input_size, hidden_size)"
        )
    try:
        matrices = jax.eval_shape(lambda: cell.recurrent(cell.init(jax.random.key(0))))
    except (ValueError, NotImplementedError, jax.errors.JAXTypeError):  # the caller makes the parameters
        return
    if not jax.tree.leaves(matrices):
        raise TypeError(
            f"VariationalDropout: {innermost} has no recurrent matrices, so that nothing would be dropped: pass a cell "
            "such as GRU(input_size, hidden_size), or use Zoneout"
        )


def sequence_dropout(key: jax.Array, xs: jax.Array, rate: float, *, time_axis: int = 0) -> jax.Array:
    """Drop the same entries of x(t) in every step: `mask ⊙ x(t) / (1 - rate)`.

    For the inputs of a cell, or for outputs on their way to the next layer, in training.

    Args:
        key: of the mask.
        xs: `(time, *batch, features)`.
        rate: the share of entries that is dropped, from 0 to below 1.
        time_axis: the axis of time in xs.

    Returns:
        An array like xs.

    Raises:
        ValueError: a rate out of range.
        TypeError: xs of integers.

    Example:
        run = unfold(cell, params, sequence_dropout(jax.random.key(1), xs, rate=0.25))

    Source: Gal and Ghahramani, *A theoretically grounded application of dropout in recurrent neural networks* (2016).
    """
    checks.number("sequence_dropout", "rate", rate, least=0, below=1)
    xs = jnp.asarray(xs)
    if not jnp.issubdtype(xs.dtype, jnp.floating):
        raise TypeError(f"sequence_dropout: xs must be of a floating type, got {xs.dtype}")
    shape = list(xs.shape)
    shape[time_axis] = 1
    return drop(xs, keep(key, tuple(shape), rate), rate)
