"""Checks of the symbols that a model is given, and of the cell that reads them, before any arithmetic."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxrnn.cells.base import Cell

TEXT = "alphabet.encode(text)"


def checked(
    owner: str, name: str, tokens: Any, size: int, lengths: Any, limit: str = "vocabulary_size", hint: str = TEXT
) -> jax.Array:
    """Tokens as an array, checked; those past the lengths may be anything, and what is traced is not known.

    `size` is how many symbols there are, `limit` the name of that number, `hint` what to pass for other things.
    """
    if isinstance(tokens, str):
        raise TypeError(f"{owner}: {name} must be integers, got text: pass {hint}")
    given, tokens = tokens, jnp.asarray(tokens)
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise TypeError(f"{owner}: {name} must be integers, got {tokens.dtype}: pass {hint}")
    if tokens.ndim < 1:
        raise ValueError(f"{owner}: {name} must be (time, *batch), got one number")
    if any(isinstance(a, Tracer) for a in (given, lengths)):
        return tokens
    values = np.asarray(given)
    if lengths is not None and np.shape(lengths) == values.shape[1:]:
        time = np.arange(len(values)).reshape(-1, *(1 for _ in values.shape[1:]))
        values = values[time < np.asarray(lengths)]
    if values.size and (values.min() < 0 or values.max() >= size):
        raise ValueError(
            f"{owner}: {name} must be between 0 and {limit} - 1 = {size - 1}, got {values.min()} to {values.max()}"
        )
    return tokens


def reads(owner: str, cell: Cell, size: int, what: str = "embeddings of embedding_size") -> None:
    """Raise unless the cell reads rows of this size, which are `what`, and gives one array."""

    def once() -> Any:
        params = cell.init(jax.random.key(0))
        return cell.output(params, cell.step(params, cell.initial_state(params), jnp.zeros(size)))

    try:
        output = jax.eval_shape(once)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{owner}: cell must read {what} = {size}: {error}") from error
    if not isinstance(output, jax.ShapeDtypeStruct) or len(output.shape) != 1:
        raise ValueError(f"{owner}: the output of cell must be one array (*batch, hidden), got {output}")
