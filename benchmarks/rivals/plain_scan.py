"""The scan that a tutorial writes: every product inside the step, gates side by side, JAX's own gradient."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.rivals.entrant import Entrant, jax_entrant
from benchmarks.task import Task, Weights

PACKAGE = "jax"


def _elman(params: dict[str, jax.Array], h: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    h = jnp.tanh(x @ params["U"] + h @ params["W"] + params["b"])
    return h, h


def _lstm(params: dict[str, jax.Array], state: Any, x: jax.Array) -> tuple[Any, jax.Array]:
    h, c = state
    i, f, g, o = jnp.split(x @ params["U"] + h @ params["W"] + params["b"], 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def _gru(params: dict[str, jax.Array], h: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    u_r, u_z, u_n = jnp.split(x @ params["U"] + params["b"], 3, axis=-1)
    a_r, a_z, a_n = jnp.split(h @ params["W"], 3, axis=-1)
    r, z = jax.nn.sigmoid(u_r + a_r), jax.nn.sigmoid(u_z + a_z)
    n = jnp.tanh(u_n + r * (a_n + params["c"]))
    h = (1 - z) * n + z * h
    return h, h


_STEPS: dict[str, Callable[..., Any]] = {"elman": _elman, "lstm": _lstm, "gru": _gru}


def build(task: Task, device: str) -> Entrant:
    """`lax.scan` over the step."""
    step, hidden = _STEPS[task.cell], task.shape.hidden

    def apply(params: dict[str, jax.Array], xs: jax.Array) -> jax.Array:
        zeros = jnp.zeros((xs.shape[1], hidden), xs.dtype)
        state = (zeros, zeros) if task.cell == "lstm" else zeros
        return lax.scan(lambda state, x: step(params, state, x), state, xs)[1]

    params = {name: w for name, w in task.weights._asdict().items() if w is not None}
    return jax_entrant(apply, params, task.xs, lambda g: Weights(**g), "lax.scan by hand, time first")
