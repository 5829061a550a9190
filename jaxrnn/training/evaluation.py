"""The mean loss over all of a text."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxrnn.training.devices import BY_COLUMN, BY_ROW, EVERYWHERE, Device, choose, make_mesh, on_each, place
from jaxrnn.training.state import Params, State, initial_state


def compile_evaluation(
    loss: Callable[..., Any],
    params: Params,
    state: State,
    chunks: tuple[Any, Any, Any],
    devices: Sequence[Device] | None = None,
) -> tuple[Callable[[Params], float], float]:
    """Compile `evaluate(params)`, the mean loss of a step over every step of the chunks.

    Each stream of the chunks begins in its row of `state` and carries it from one chunk to the next; the streams are
    divided among the devices, which need not hear of one another.

    Args:
        loss: `loss(params, state, (inputs, targets), None, lengths=lengths) -> (value, (state, metrics))`, the value a
            mean over the steps before `lengths`; it takes None for its own initial state if `state` is None.
        params: parameters of the shapes to come.
        state: the recurrent state that the streams begin in, leaves `(batch, ...)`; None for the initial state of the
            model, at the parameters that are evaluated.
        chunks: `(inputs, targets, lengths)`: `(chunks, time, batch)` twice, and `(chunks, batch)`.
        devices: default: those there are; as many are used as divide the batch.

    Returns:
        The function, and the seconds that compiling it took.

    Example:
        evaluate, _ = compile_evaluation(model.loss, params, None, padded_chunks(tokens, batch=32, seq_len=128))
        evaluate(params) / math.log(2)  # bits per character
    """
    began = time.perf_counter()
    inputs, targets, lengths = (np.asarray(a) for a in chunks)
    mesh = make_mesh(choose(lengths.shape[1], devices))

    def losses(params: Params, state: State, inputs: jax.Array, targets: jax.Array, lengths: jax.Array) -> jax.Array:
        def chunk(state: State, chunk: tuple[jax.Array, ...]) -> tuple[State, jax.Array]:
            inputs, targets, lengths = chunk
            mean, (state, _) = loss(params, state, (inputs, targets), None, lengths=lengths)
            return state, mean * lengths.sum()

        if state is None:
            state = initial_state(loss, params, (inputs[0], targets[0]))
        return jax.lax.scan(chunk, state, (inputs, targets, lengths))[1][None]

    by_stream = jax.sharding.PartitionSpec(None, None, *BY_ROW)
    specs = (EVERYWHERE, BY_ROW, by_stream, by_stream, BY_COLUMN)
    data = tuple(
        place(mesh, part, spec) for part, spec in zip((state, inputs, targets, lengths), specs[1:], strict=True)
    )
    run = jax.jit(on_each(losses, mesh, specs, BY_ROW)).lower(place(mesh, params, EVERYWHERE), *data).compile()

    def evaluate(params: Params) -> float:
        return float(np.asarray(run(place(mesh, params, EVERYWHERE), *data), np.float64).sum() / lengths.sum())

    return evaluate, time.perf_counter() - began
