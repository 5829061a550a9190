"""Symbols that a network writes, each as soon as it is drawn."""

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.cells.base import Cell, Params, State
from jaxrnn.decoding.generation import Beginning, beginning, checked_steps, read, write
from jaxrnn.decoding.sampling import choices


def stream(
    cell: Cell,
    params: Params,
    key: jax.Array,
    *,
    prompt: Any,
    steps: int | None = None,
    state: State = None,
    temperature: Any = 1.0,
    top_k: Any = None,
    top_p: Any = None,
    allowed: Any = None,
) -> Iterator[jax.Array]:
    """The symbols of `generate`, one at a time, for people who read along: x(t+1) ~ softmax(o(t)).

    One compiled program reads the prompt, another writes one symbol; it runs when the next symbol is asked for. One key
    gives one text, that of `generate` with the same arguments. (Where two symbols come out alike but for rounding, the
    two programs might round them differently.)

    Args:
        cell: reads integers `(*batch,)` and has logits `(*batch, vocabulary)` as its output.
        params: its parameters.
        key: a random key.
        prompt: integers `(n, *batch)`, what is read first, n at least 1.
        steps: how many symbols are written; None for a text without end.
        state: the state before the prompt; default `cell.initial_state(params, batch)`.
        temperature: see `restrict`, also for the next two.
        top_k: how many symbols may come.
        top_p: the probability of the symbols that may come.
        allowed: which symbols may come: see `generate`.

    Returns:
        An iterator of int32 `(*batch,)`.

    Raises:
        ValueError: an empty prompt, `steps` below 1 or above 2³¹ - 1, keywords that `restrict` refuses, a table that
            does not fit or leaves no symbol: at the call, not at the first symbol.
        TypeError: a prompt that is not of integers, keywords that `restrict` refuses, `allowed` not of booleans.

    Example:
        for token in stream(cell, params, jax.random.key(0), prompt=alphabet.encode("ROMEO:"), steps=200):
            print(alphabet.decode([int(token)]), end="", flush=True)
    """
    steps = None if steps is None else checked_steps("stream", steps)
    begun = beginning("stream", cell, params, prompt, state, choices(temperature, top_k, top_p), allowed)
    return _written(cell, params, key, begun, steps)


def _written(cell: Cell, params: Params, key: jax.Array, begun: Beginning, steps: int | None) -> Iterator[jax.Array]:
    state, token = _read(cell, params, begun.state, begun.prompt[:-1]), begun.prompt[-1]
    for t in itertools.count() if steps is None else range(steps):
        state, token = _write(cell, params, key, state, token, jnp.int32(t), begun.drawing, begun.allowed)
        yield token


_read = partial(jax.jit, static_argnums=0)(read)
_write = partial(jax.jit, static_argnums=0)(write)
