"""Keras on JAX: keras.layers.SimpleRNN, LSTM, GRU through stateless_call."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from typing import Any

import keras
import numpy as np

from benchmarks.rivals.entrant import Entrant, jax_entrant, join, split
from benchmarks.task import Task, Weights

PACKAGE = "keras"


def _zrn(array: np.ndarray) -> np.ndarray:
    """Gates r, z, n in the order z, r, n, or back."""
    a, b, n = split(array, 3)
    return join(b, a, n)


def build(task: Task, device: str) -> Entrant:
    """`layer.stateless_call(params, state, xs)`, batch first, under jax.jit."""
    if keras.backend.backend() != "jax":
        raise ImportError(f"keras runs on {keras.backend.backend()}: set KERAS_BACKEND=jax")
    layers = {"elman": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
    layer = layers[task.cell](task.shape.hidden, return_sequences=True)
    layer.build((task.shape.batch, task.shape.time, task.shape.input))
    state = [v.value for v in layer.non_trainable_variables]
    U, W, b, c = task.weights
    if task.cell == "gru":
        assert c is not None
        inner = np.concatenate([np.zeros(2 * task.shape.hidden, np.float32), c])
        params = [_zrn(U), _zrn(W), np.stack([_zrn(b), inner])]
    else:
        params = [U, W, b]
    expected = [tuple(v.shape) for v in layer.trainable_variables]
    if [p.shape for p in params] != expected:
        raise ValueError(f"keras has parameters {expected}")

    def weights(gradient: list[Any]) -> Weights:
        U, W, b = gradient
        if task.cell == "gru":
            return Weights(_zrn(U), _zrn(W), _zrn(b[0]), split(b[1], 3)[2])
        return Weights(U, W, b)

    return jax_entrant(
        lambda params, xs: layer.stateless_call(params, state, xs)[0],
        params,
        task.xs,
        weights,
        "return_sequences=True, stateless_call under jax.jit, batch first",
        batch_first=True,
    )
