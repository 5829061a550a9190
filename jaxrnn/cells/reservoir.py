"""Echo-state networks: a recurrence that is not trained, and a readout in closed form."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import core, lax
from jax.scipy.linalg import solve_triangular
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Additive, Weights
from jaxrnn.cells.readout import ReadoutParams


class ReservoirParams(NamedTuple):
    """The weights of a reservoir, which stay as they were drawn."""

    U: jax.Array  # (input, hidden)
    W: jax.Array  # (hidden, hidden)
    b: jax.Array  # (hidden,)


class ReservoirState(NamedTuple):
    """s(t) of a reservoir."""

    h: jax.Array  # (*batch, hidden)


@dataclass(frozen=True)
class Reservoir(Additive):
    """An echo-state network: a leaky net with fixed random weights, of which only a readout is trained.

        h(t) = (1 - leak) h(t-1) + leak tanh(x(t) U + h(t-1) W + b)

    The weights are constants: gradients flow through the states and inputs, and those of U, W and b are zero. (An
    optimizer's weight decay would still change them.) U and b start uniform in ±input_scale. Each unit reads
    `density`·hidden others, at least one, with weights that are uniform but for their scale, which makes the largest
    modulus of the eigenvalues of W `spectral_radius`, up to rounding. Below 1, states usually forget s(0).

    Shapes: x `(*batch, input)`, h and the output `(*batch, hidden)`, U `(input, hidden)`, W `(hidden, hidden)`,
    b `(hidden,)`.

    Args:
        input_size: entries of x(t).
        hidden_size: entries of h(t).
        spectral_radius: the largest modulus of W's eigenvalues.
        leak: from above 0 to 1, how fast units are; 1: no memory but by W.
        density: from above 0 to 1, the share of units that a unit reads.
        input_scale: the largest weight of an input.

    Raises:
        ValueError: a size below 1; numbers out of range; x whose last axis is not `input_size`.
        TypeError: x of integers or complex numbers.

    Example:
        net = Readout(Reservoir(1, 300, spectral_radius=0.9), output_size=1)
        params = net.init(jax.random.key(0))
        params = ridge_readout(params, unfold(net.inner, params.cell, xs).outputs, ys, penalty=1e-6, washout=100)

    Source: Jaeger, *The "echo state" approach to analysing and training recurrent neural networks* (2001, corrected
    2010); Jaeger et al., *Optimization and applications of echo state networks with leaky-integrator neurons* (2007).
    """

    input_size: int
    hidden_size: int
    spectral_radius: float = 0.9
    leak: float = 1.0
    density: float = 0.1
    input_scale: float = 1.0

    def __post_init__(self):
        checks.positive(self, input_size=self.input_size, hidden_size=self.hidden_size)
        for name in ("spectral_radius", "input_scale"):
            checks.number(self, name, getattr(self, name), above=0)
        for name in ("leak", "density"):
            checks.number(self, name, getattr(self, name), above=0, most=1)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> ReservoirParams:
        key_U, key_W, key_b, key_mask = jax.random.split(key, 4)
        hidden, scale = self.hidden_size, self.input_scale
        wide = jnp.promote_types(dtype, jnp.float32)  # eigenvalues are not found in less
        # As many in each column: where every unit reads one at least, there is a cycle, and W is not nilpotent.
        reads = max(1, round(self.density * hidden))
        ranks = jnp.argsort(jnp.argsort(jax.random.uniform(key_mask, (hidden, hidden)), axis=0), axis=0)
        W = jnp.where(ranks < reads, jax.random.uniform(key_W, (hidden, hidden), wide, -1, 1), 0)
        W = W * (self.spectral_radius / jnp.max(jnp.abs(jnp.linalg.eigvals(W))))
        return ReservoirParams(
            jax.random.uniform(key_U, (self.input_size, hidden), dtype, -scale, scale),
            W.astype(dtype),
            jax.random.uniform(key_b, (hidden,), dtype, -scale, scale),
        )

    def initial_state(self, params: ReservoirParams, batch_shape: tuple[int, ...] = ()) -> ReservoirState:
        return ReservoirState(jnp.zeros((*batch_shape, self.hidden_size), params.W.dtype))

    def weights(self, params: ReservoirParams) -> Weights:
        return Weights(*lax.stop_gradient(params))

    def hidden(self, params: ReservoirParams, state: ReservoirState) -> jax.Array:
        return state.h

    def gate(self, params: ReservoirParams, state: ReservoirState, z: jax.Array) -> ReservoirState:
        leak = float(self.leak)  # a number of NumPy would widen the state
        return ReservoirState((1 - leak) * state.h + leak * jnp.tanh(z))

    def output(self, params: ReservoirParams, state: ReservoirState) -> jax.Array:
        return state.h


def ridge_readout(
    params: ReadoutParams, states: jax.Array, targets: jax.Array, penalty: Any, *, lengths: Any = None, washout: int = 0
) -> ReadoutParams:
    """The best linear readout of given states, in closed form.

        V, c = argmin Σ_t |y(t) - c - h(t) V|² + penalty |V|²

    The sum is over all sequences and their valid steps but the first `washout`. It is solved by the QR decomposition of
    the centred states: forming HᵀH would square its condition.

    Args:
        params: of a `Readout`; what is returned has another V and c.
        states: h, the outputs of the readout's inner cell, `(time, *batch, hidden)`.
        targets: y, `(time, *batch, output)`.
        penalty: above 0.
        lengths: integers of the shape of the batch: steps at and past the length do not count.
        washout: steps from the start of each sequence that do not count, while s(0) is still remembered.

    Returns:
        The same parameters with V and c of the best readout.

    Raises:
        ValueError: a penalty that is not above 0; a washout of all steps; lengths out of range; no step that counts;
            shapes that do not fit. Within `jax.jit` lengths are not known: V and c are then NaN where no step counts.
        TypeError: parameters that are not a readout's.

    Example:
        params = ridge_readout(params, unfold(net.inner, params.cell, xs).outputs, ys, penalty=1e-6)

    Source: Hoerl and Kennard, *Ridge regression* (1970); for echo states: Lukoševičius, *A practical guide to applying
    echo state networks* (2012), Eq. 9.
    """
    _check_readout(params, states, targets, penalty, lengths, washout)
    steps, hidden = states.shape[0], states.shape[-1]
    wide = jnp.promote_types(states.dtype, jnp.float32)
    time = jnp.arange(steps).reshape((steps,) + (1,) * (states.ndim - 2))
    counts = jnp.broadcast_to(time >= washout, states.shape[:-1])
    if lengths is not None:
        counts = counts & (time < jnp.asarray(lengths)[None])
    counts = counts.reshape(-1, 1)
    # Padding may hold anything, NaN as well.
    H = jnp.where(counts, states.reshape(-1, hidden), 0).astype(wide)
    Y = jnp.where(counts, targets.reshape(-1, targets.shape[-1]), 0).astype(wide)
    number = counts.sum().astype(wide)
    mean_H, mean_Y = H.sum(axis=0) / number, Y.sum(axis=0) / number
    H, Y = (jnp.where(counts, a - m[None], 0) for a, m in ((H, mean_H), (Y, mean_Y)))
    Q, R = jnp.linalg.qr(jnp.concatenate([H, jnp.sqrt(jnp.asarray(penalty, wide)) * jnp.eye(hidden, dtype=wide)]))
    V = solve_triangular(R, Q[: H.shape[0]].T @ Y)
    return params._replace(V=V.astype(params.V.dtype), c=(mean_Y - mean_H @ V).astype(params.c.dtype))


def _check_readout(params: Any, states: Any, targets: Any, penalty: Any, lengths: Any, washout: int) -> None:
    if not isinstance(params, ReadoutParams):
        raise TypeError(
            f"ridge_readout: params must be those of a Readout, got {type(params).__name__}: pass "
            "Readout(cell, output_size).init(key)"
        )
    if not isinstance(penalty, core.Tracer):
        checks.number("ridge_readout", "penalty", penalty, above=0)
    if states.shape[:-1] != targets.shape[:-1] or (states.shape[-1], targets.shape[-1]) != params.V.shape:
        raise ValueError(
            f"ridge_readout: states (time, *batch, {params.V.shape[0]}) and targets (time, *batch, "
            f"{params.V.shape[1]}) are expected for this readout, got {states.shape} and {targets.shape}"
        )
    if not 0 <= washout < states.shape[0]:
        raise ValueError(f"ridge_readout: washout must be from 0 to below the {states.shape[0]} steps, got {washout}")
    if lengths is not None and jnp.asarray(lengths).shape != states.shape[1:-1]:
        raise ValueError(
            f"ridge_readout: lengths must have the shape of the batch, {states.shape[1:-1]}, got "
            f"{jnp.asarray(lengths).shape}"
        )
    _check_counts(states.shape, lengths, washout)


def _check_counts(shape: tuple[int, ...], lengths: Any, washout: int) -> None:
    """Raise unless some step counts and, where lengths are known, they are within the steps."""
    if isinstance(lengths, core.Tracer):
        return
    steps = shape[0]
    known = np.full(shape[1:-1], steps) if lengths is None else np.asarray(lengths)
    if known.size and (known.min() < 0 or known.max() > steps):
        raise ValueError(
            f"ridge_readout: lengths must be between 0 and the {steps} steps, got {known.min()} to {known.max()}"
        )
    if not (known > washout).any():
        raise ValueError(
            f"ridge_readout: no step counts, for no sequence is longer than washout = {washout}: pass a smaller "
            "washout or longer sequences"
        )
