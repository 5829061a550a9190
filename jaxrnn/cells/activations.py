"""Pointwise functions that a cell applies: by name, or as given."""

from collections.abc import Callable

import jax

Activation = str | Callable[[jax.Array], jax.Array]

NAMES = (
    "celu",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_tanh",
    "identity",
    "leaky_relu",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_sign",
    "softplus",
    "tanh",
)


def function(owner: object, activation: Activation) -> Callable[[jax.Array], jax.Array]:
    """The function that was chosen; raise if there is none."""
    if callable(activation) and not isinstance(activation, type):
        return activation
    if activation not in NAMES:
        raise ValueError(
            f"{type(owner).__name__}: activation must be a function of one array, or one of {', '.join(NAMES)} "
            f"(of jax.nn), got {activation!r}"
        )
    return getattr(jax.nn, activation)
