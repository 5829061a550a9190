"""How parameters start: what cells draw, and functions of parameters that give them another start."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks

Weighted = TypeVar("Weighted")  # a NamedTuple of parameters


def uniform(key: jax.Array, bound: float, *shapes: tuple[int, ...], dtype: DTypeLike) -> list[jax.Array]:
    """One array of each shape, all uniform in ±bound."""
    keys = jax.random.split(key, len(shapes))
    return [jax.random.uniform(k, shape, dtype, -bound, bound) for k, shape in zip(keys, shapes, strict=True)]


def uniform_by_hidden(
    key: jax.Array, input_size: int, hidden_size: int, *, gates: int, dtype: DTypeLike
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """U `(input, gates·hidden)`, W `(hidden, gates·hidden)` and b `(gates·hidden,)`, all uniform in ±1/√hidden."""
    shapes = (input_size, gates * hidden_size), (hidden_size, gates * hidden_size), (gates * hidden_size,)
    U, W, b = uniform(key, hidden_size**-0.5, *shapes, dtype=dtype)
    return U, W, b


def orthogonal(key: jax.Array, params: Weighted, scale: float = 1.0) -> Weighted:
    """Recurrent matrices that turn the state and do not stretch it: each gate's part of W is orthogonal times `scale`.

    Args:
        key: of the matrices.
        params: of one cell, with a field W `(hidden, gates·hidden)`.
        scale: by which a state is stretched.

    Returns:
        The same parameters with another W.

    Raises:
        TypeError: parameters without a field W.
        ValueError: W that is not of square gates.

    Example:
        params = initializers.orthogonal(jax.random.key(1), cell.init(jax.random.key(0)))

    Source: Saxe, McClelland, Ganguli, *Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks* (2014).
    """
    W = _square_gates("orthogonal", params)
    hidden = W.shape[0]
    wide = jnp.promote_types(W.dtype, jnp.float32)  # it is found by a QR decomposition, in no less
    gates = jax.random.orthogonal(key, hidden, (W.shape[1] // hidden,), wide)
    return _replace(params, W=(scale * jnp.concatenate(list(gates), axis=1)).astype(W.dtype))


def identity(params: Weighted, scale: float = 1.0) -> Weighted:
    """A state that stays as it is: each gate's part of W is `scale` times the identity, the biases b are zero.

    Made for `Elman(..., activation=jax.nn.relu)`, whose state then adds up its inputs until training changes that.

    Args:
        params: of one cell, with fields W `(hidden, gates·hidden)` and b.
        scale: on the diagonal; less than 1 forgets.

    Returns:
        The same parameters with other W and b.

    Raises:
        TypeError: parameters without a field W or b.
        ValueError: W that is not of square gates.

    Example:
        params = initializers.identity(cell.init(jax.random.key(0)))

    Source: Le, Jaitly, Hinton, *A simple way to initialize recurrent networks of rectified linear units* (2015).
    """
    W, b = _square_gates("identity", params), _bias("identity", params)
    hidden = W.shape[0]
    gates = [(scale * jnp.eye(hidden)).astype(W.dtype)] * (W.shape[1] // hidden)
    return _replace(params, W=jnp.concatenate(gates, axis=1), b=jnp.zeros_like(b))


def forget_bias(params: Weighted, value: float = 1.0) -> Weighted:
    """Gates that keep the state at first: the bias of an LSTM's f, or of a GRU's z, is `value`.

    Args:
        params: of an LSTM-like cell, whose parameters have four gates i, f, g, o, or a GRU-like one, with r, z, n.
        value: of the bias; the larger, the longer is the memory.

    Returns:
        The same parameters with another b.

    Raises:
        TypeError: parameters without a field b, or of a cell that is neither.

    Example:
        params = initializers.forget_bias(cell.init(jax.random.key(0)))

    Source: Gers, Schmidhuber, Cummins, *Learning to forget* (2000); Jozefowicz, Zaremba, Sutskever, *An empirical
    exploration of recurrent network architectures* (2015).
    """
    gates = _gates("forget_bias", params)
    parts = [jnp.full_like(part, value) if k == 1 else part for k, part in enumerate(gates)]
    return _replace(params, b=jnp.concatenate(parts))


def chrono(key: jax.Array, params: Weighted, longest: float) -> Weighted:
    """Gates whose memories last from 1 to `longest` steps: b_f = log u, u ~ Uniform(1, longest - 1), and b_i = -b_f.

    A GRU's z takes the place of f, and has no i.

    Args:
        key: of u.
        params: of an LSTM-like cell, whose parameters have four gates i, f, g, o, or a GRU-like one, with r, z, n.
        longest: the longest dependency that is expected, in steps, above 2.

    Returns:
        The same parameters with another b.

    Raises:
        TypeError: parameters without a field b, or of a cell that is neither.
        ValueError: a `longest` of at most 2.

    Example:
        params = initializers.chrono(jax.random.key(1), cell.init(jax.random.key(0)), longest=784)

    Source: Tallec and Ollivier, *Can recurrent neural networks warp time?* (2018), Eq. 16.
    """
    checks.number("chrono", "longest", longest, above=0)
    if longest <= 2:
        raise ValueError(f"chrono: longest must be above 2 steps, got {longest!r}")
    gates = _gates("chrono", params)
    keep = jnp.log(jax.random.uniform(key, gates[1].shape, gates[1].dtype, 1, longest - 1))
    parts = [-keep, keep, *gates[2:]] if len(gates) == 4 else [gates[0], keep, gates[2]]
    return _replace(params, b=jnp.concatenate(parts))


def _square_gates(name: str, params: Any) -> jax.Array:
    """W `(hidden, gates·hidden)`."""
    W = checks.recurrent_matrix(name, params)
    gates = getattr(type(params), "gates", None)  # not every class says them
    columns = None if gates is None else len(gates) * W.shape[0]
    if W.ndim != 2 or W.shape[1] % W.shape[0] or columns not in (None, W.shape[1]):
        what = "gates" if gates is None else f"{len(gates)}"
        raise ValueError(
            f"{name}: W of {type(params).__name__} must be (hidden, {what}·hidden), got shape {W.shape}: replace W by "
            "hand"
        )
    return W


def _bias(name: str, params: Any) -> jax.Array:
    b = getattr(params, "b", None) if hasattr(params, "_replace") else None
    if b is None:
        raise TypeError(
            f"{name}: params must be the parameters of one cell, with a field b, got {type(params).__name__}: pass the "
            "part that belongs to the cell, such as params.cell"
        )
    return b


def _gates(name: str, params: Any) -> list[jax.Array]:
    """The biases of i, f, g, o or of r, z, n."""
    b, order = _bias(name, params), getattr(type(params), "gates", None)
    if order not in ("ifgo", "rzn"):
        raise TypeError(
            f"{name}: params must be those of an LSTM or a GRU, got {type(params).__name__}; for another class of "
            'parameters, say which gates it has: gates = "ifgo", or gates = "rzn"'
        )
    return jnp.split(b, len(order))


def _replace(params: Any, **fields: jax.Array) -> Any:
    return params._replace(**fields)
