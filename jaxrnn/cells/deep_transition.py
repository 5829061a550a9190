"""A recurrence that is deep within a step: several layers between two states, and around the input and the output."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import activations, checks
from jaxrnn.cells.activations import Activation
from jaxrnn.cells.affine import affine, product
from jaxrnn.cells.base import Driven
from jaxrnn.cells.elman import ElmanState
from jaxrnn.cells.initializers import uniform


class Dense(NamedTuple):
    """One layer of a feed-forward net."""

    W: jax.Array  # (n, m)
    b: jax.Array  # (m,)


class DeepTransitionParams(NamedTuple):
    """θ of a recurrence with deep transitions."""

    below: tuple[Dense, ...]  # from the input to the hidden units, the lowest first
    U: jax.Array  # (input, first), or (last of below, first)
    W: jax.Array  # (hidden, first)
    b: jax.Array  # (first,)
    within: tuple[Dense, ...]  # from one state to the next, after the first layer; the last ends in (hidden,)
    S: jax.Array | None  # (hidden, hidden), the way round the transition; None without it
    above: tuple[Dense, ...]  # from the hidden units to the output


@dataclass(frozen=True)
class DeepTransition(Driven):
    """A recurrent net whose three transformations are deep: input to hidden, hidden to hidden, hidden to output.

        u(t) = b + x'(t) U,   x' = x through the layers `below`, φ after each
        z_1(t) = φ(u(t) + h(t-1) W),   z_k(t) = φ(b_k + z_(k-1)(t) W_k) for the layers `within`
        h(t) = z_n(t),   with skip: h(t) = φ(b_n + z_(n-1)(t) W_n + h(t-1) S)
        y(t) = h(t) through the layers `above`, φ after each

    Depth within the transition makes the shortest way from step to step longer by as many layers; `skip` adds one past
    them, S. Without any layers it is `Elman`. What the layers below and above do needs no state, so it runs over whole
    blocks of time.

    Shapes: x `(*batch, input)`; h `(*batch, hidden)`; the output `(*batch, n)` with n the last of `above`, or hidden.
    Every matrix and bias starts uniform in ±1/√n, n being the entries that the matrix reads; U, W, b by those of h.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).
        within: sizes of the layers between h(t-1) and h(t), the first first; a last one of hidden_size follows.
        below: sizes of the layers between x(t) and the hidden units.
        above: sizes of the layers between h(t) and the output.
        skip: h(t-1) also reaches the last layer of the transition by itself.
        activation: φ, as in `Elman`.

    Raises:
        ValueError: a size below 1; skip without layers within to pass; an unknown activation; x whose last axis is not
            `input_size`.
        TypeError: sizes that are not whole numbers; x of integers or complex numbers.

    Example:
        cell = DeepTransition(8, 64, within=(64,), below=(32,), above=(32,), skip=True)
        run = unfold(cell, cell.init(jax.random.key(0)), jnp.ones((20, 8)))  # run.outputs: (20, 32)

    Source: Pascanu, Gulcehre, Cho, Bengio, *How to construct deep recurrent neural networks* (2014), Fig. 2 b, b*, c;
    Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.5 and Fig. 10.13b, c.
    """

    input_size: int
    hidden_size: int
    within: tuple[int, ...] = ()
    below: tuple[int, ...] = ()
    above: tuple[int, ...] = ()
    skip: bool = False
    activation: Activation = "tanh"

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)
        for name in ("within", "below", "above"):
            sizes = getattr(self, name)
            if not isinstance(sizes, tuple | list):
                raise TypeError(f"DeepTransition: {name} must be a tuple of sizes, got {sizes!r}: pass such as (64,)")
            for size in sizes:
                checks.positive(self, **{name: size})
            object.__setattr__(self, name, tuple(map(int, sizes)))  # hashable
        if self.skip and not self.within:
            raise ValueError("DeepTransition: skip passes the layers within, and there are none: pass within=(n,)")
        activations.function(self, self.activation)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> DeepTransitionParams:
        hidden = self.hidden_size
        first, *rest = (*self.within, hidden)
        key_below, key_first, key_within, key_S, key_above = jax.random.split(key, 5)
        read = (self.input_size, *self.below)[-1]
        U, W, b = uniform(key_first, hidden**-0.5, (read, first), (hidden, first), (first,), dtype=dtype)
        S = uniform(key_S, hidden**-0.5, (hidden, hidden), dtype=dtype)[0] if self.skip else None
        return DeepTransitionParams(
            _layers(key_below, (self.input_size, *self.below), dtype),
            U,
            W,
            b,
            _layers(key_within, (first, *rest), dtype),
            S,
            _layers(key_above, (hidden, *self.above), dtype),
        )

    def initial_state(self, params: DeepTransitionParams, batch_shape: tuple[int, ...] = ()) -> ElmanState:
        return ElmanState(jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype))

    def drive(self, params: DeepTransitionParams, x: jax.Array) -> jax.Array:
        checks.features(self, x, self.input_size)
        return affine(self._through(params.below, x), params.U, params.b)

    def advance(self, params: DeepTransitionParams, state: ElmanState, u: jax.Array) -> ElmanState:
        activation = activations.function(self, self.activation)
        z = activation(u + product(state.h, params.W))
        if not params.within:
            return ElmanState(z)
        *layers, last = params.within
        z = affine(self._through(tuple(layers), z), last.W, last.b)
        return ElmanState(activation(z if params.S is None else z + product(state.h, params.S)))

    def output(self, params: DeepTransitionParams, state: ElmanState) -> jax.Array:
        return self._through(params.above, state.h)

    def _through(self, layers: tuple[Dense, ...], x: jax.Array) -> jax.Array:
        for layer in layers:
            x = activations.function(self, self.activation)(affine(x, layer.W, layer.b))
        return x


def _layers(key: jax.Array, sizes: tuple[int, ...], dtype: DTypeLike) -> tuple[Dense, ...]:
    """Layers from each size to the next."""
    keys = jax.random.split(key, len(sizes))
    return tuple(
        Dense(*uniform(k, n**-0.5, (n, m), (m,), dtype=dtype)) for k, n, m in zip(keys, sizes, sizes[1:], strict=False)
    )
