"""Symbols that a network writes, one after another, in one compiled program."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells import checks
from jaxrnn.cells.base import Cell, Params, State
from jaxrnn.decoding.allowed import Allowed, checked_allowed
from jaxrnn.decoding.sampling import MOST, choices, sample


def generate(
    cell: Cell,
    params: Params,
    key: jax.Array,
    *,
    prompt: Any,
    steps: int,
    state: State = None,
    temperature: Any = 1.0,
    top_k: Any = None,
    top_p: Any = None,
    allowed: Any = None,
) -> jax.Array:
    """Symbols that a network writes after a prompt: x(t+1) ~ softmax(o(t)), where o(t) is the cell's output.

    Reading and writing are one compiled program; it is compiled anew for another cell, number of steps, shape of the
    prompt or function `allowed`, and for nothing else. One key gives one text, and fewer steps give its beginning.

    Args:
        cell: reads integers `(*batch,)` and has logits `(*batch, vocabulary)` as its output.
        params: its parameters.
        key: a random key.
        prompt: integers `(n, *batch)`, what is read first, n at least 1.
        steps: how many symbols are written.
        state: the state before the prompt; default `cell.initial_state(params, batch)`.
        temperature: see `restrict`, also for the next two.
        top_k: how many symbols may come.
        top_p: the probability of the symbols that may come.
        allowed: which symbols may come: booleans `(vocabulary,)` or `(*batch, vocabulary)`; or a pure function
            `allowed(t, token) -> booleans (*batch, vocabulary)` of the step t = 0, 1, ... and the symbols before it,
            integers `(*batch,)`. What is drawn is drawn among these, before top_k and top_p count.

    Returns:
        int32 `(steps, *batch)`; the prompt is not repeated. From where a function allows no symbol on it is -1.

    Raises:
        ValueError: an empty prompt, `steps` below 1 or above 2³¹ - 1, keywords that `restrict` refuses, `allowed` of
            another shape, or a table that leaves no symbol.
        TypeError: a prompt that is not of integers, keywords that `restrict` refuses, `allowed` not of booleans.

    Example:
        generate(cell, params, key, prompt=prompt, steps=10, allowed=jnp.arange(65) != 0)  # never the first symbol
    """
    steps = checked_steps("generate", steps)
    begun = beginning("generate", cell, params, prompt, state, choices(temperature, top_k, top_p), allowed)
    return _generate(cell, steps, params, key, begun)


class Beginning(NamedTuple):
    """What a text begins with, and how its symbols are drawn."""

    prompt: jax.Array  # int32 (n, *batch)
    state: State  # before the prompt
    drawing: dict[str, Any]  # the keywords of `restrict`
    allowed: Allowed


def beginning(
    owner: str, cell: Cell, params: Params, prompt: Any, state: State, drawing: dict[str, Any], allowed: Any
) -> Beginning:
    """A beginning, checked."""
    prompt = checked_prompt(owner, prompt)
    batch = prompt.shape[1:]
    if state is None:
        state = cell.initial_state(params, batch)

    def vocabulary() -> int:
        logits = jax.eval_shape(lambda p, s, x: cell.output(p, cell.step(p, s, x)), params, state, prompt[-1])
        return logits.shape[-1]

    return Beginning(prompt, state, drawing, checked_allowed(owner, allowed, vocabulary, batch))


@partial(jax.jit, static_argnums=(0, 1))
def _generate(cell: Cell, steps: int, params: Params, key: jax.Array, begun: Beginning) -> jax.Array:
    def one(carry: tuple[State, jax.Array], t: jax.Array) -> tuple[tuple[State, jax.Array], jax.Array]:
        state, token = write(cell, params, key, *carry, t, begun.drawing, begun.allowed)
        return (state, token), token

    state = read(cell, params, begun.state, begun.prompt[:-1])
    _, tokens = jax.lax.scan(one, (state, begun.prompt[-1]), jnp.arange(steps))
    return tokens


def read(cell: Cell, params: Params, state: State, tokens: jax.Array) -> State:
    """The state after tokens that are only read."""
    return jax.lax.scan(lambda state, token: (cell.step(params, state, token), None), state, tokens)[0]


def write(
    cell: Cell,
    params: Params,
    key: jax.Array,
    state: State,
    token: jax.Array,
    t: jax.Array,
    drawing: dict[str, Any],
    allowed: Allowed,
) -> tuple[State, jax.Array]:
    """One step: the state after a token, and the token that is drawn after it, the t-th that is written."""
    # -1, where a function left nothing, is no symbol that a cell could read.
    state = cell.step(params, state, token if allowed.function is None else jnp.maximum(token, 0))
    logits, key = cell.output(params, state), jax.random.fold_in(key, t)
    may = allowed.mask(t, token, logits.shape)
    if may is None:
        return state, sample(logits, key, **drawing)
    drawn = sample(jnp.where(may, logits, -jnp.inf), key, **drawing)
    return state, jnp.where(may.any(-1) & (token >= 0), drawn, -1)


def checked_prompt(owner: str, prompt: Any) -> jax.Array:
    """A prompt as int32 `(n, *batch)`, n at least 1."""
    prompt = jnp.asarray(prompt)
    if prompt.ndim < 1 or prompt.shape[0] < 1:
        raise ValueError(f"{owner}: prompt must have at least one token (n, *batch), got shape {prompt.shape}")
    if not jnp.issubdtype(prompt.dtype, jnp.integer):
        raise TypeError(f"{owner}: prompt must be integers, got {prompt.dtype}: pass alphabet.encode(text)")
    return prompt.astype(jnp.int32)


def checked_steps(owner: str, steps: Any) -> int:
    """How many symbols are written."""
    whole = checks.whole_number(f"{owner}: steps", steps, 1)
    if whole > MOST:
        raise ValueError(f"{owner}: steps must be at most {MOST}, got {steps!r}")
    return whole
