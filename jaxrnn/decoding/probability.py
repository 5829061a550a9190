"""How likely a network finds a sequence."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn import losses
from jaxrnn.cells import Cell, Supervised, SupervisedState
from jaxrnn.cells.base import Params, State
from jaxrnn.decoding.generation import checked_prompt
from jaxrnn.unfold import BPTT, Scan, unfold, validate


def log_prob(
    cell: Cell,
    params: Params,
    tokens: Any,
    *,
    prompt: Any,
    lengths: Any = None,
    state: State = None,
    method: Any = Scan(),  # noqa: B008  frozen, without state
    adjoint: Any = BPTT(),  # noqa: B008
) -> jax.Array:
    """The log-probability, in nats, that tokens come after a prompt: of what `generate` draws, at temperature 1.

        log p(x(1..τ) | prompt) = Σ_t log softmax(o(t-1))_{x(t)}

    Args:
        cell: reads integers `(*batch,)` and has logits `(*batch, vocabulary)` as its output.
        params: its parameters.
        tokens: integers `(τ, *batch)` from 0 to vocabulary - 1, what comes; τ may be 0.
        prompt: integers `(n, *batch)`, what is read first, n at least 1.
        lengths: integers `(*batch,)`: only so many of the tokens count; None for all.
        state: the state before the prompt; default `cell.initial_state(params, batch)`.
        method: how values are computed, as in `unfold`.
        adjoint: how gradients are computed, as in `unfold`.

    Returns:
        `(*batch,)`, 0 for no tokens.

    Raises:
        ValueError: an empty prompt; a prompt and tokens of unlike batches; lengths beyond the tokens.
        TypeError: tokens that are not integers.

    Example:
        log_prob(cell, params, alphabet.encode("thou"), prompt=alphabet.encode("What wouldst "))

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Eq. 10.31 and 10.32.
    """
    prompt = checked_prompt("log_prob", prompt)
    inputs, targets, lengths = following(prompt, checked_tokens("log_prob", tokens, prompt), lengths)
    supervised = Supervised(cell, losses.negative_log_likelihood)
    if state is not None:
        state = SupervisedState(state, jnp.zeros(inputs.shape[1:], jnp.int32))
    choices = {"lengths": lengths, "method": method, "adjoint": adjoint}
    run = unfold(supervised, params, (inputs, targets), state=state, **choices)
    return after_prompt(run.outputs, prompt)


def checked_tokens(owner: str, tokens: Any, prompt: jax.Array) -> jax.Array:
    """Tokens as int32 `(τ, *batch)`, of the batch of the prompt."""
    if isinstance(tokens, str):
        raise TypeError(f"{owner}: tokens must be integers, got text: pass alphabet.encode(text)")
    tokens = jnp.asarray(tokens, jnp.int32 if jnp.size(tokens) == 0 else None)
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise TypeError(f"{owner}: tokens must be integers, got {tokens.dtype}: pass alphabet.encode(text)")
    if tokens.ndim < 1 or tokens.shape[1:] != prompt.shape[1:]:
        raise ValueError(
            f"{owner}: prompt and tokens must be (n, *batch) and (time, *batch) of one batch, got shapes "
            f"{prompt.shape} and {tokens.shape}"
        )
    return tokens.astype(jnp.int32)


def following(prompt: jax.Array, tokens: jax.Array, lengths: Any) -> tuple[jax.Array, jax.Array, Any]:
    """Inputs, targets and lengths of a run over a prompt and what follows it."""
    lengths, _ = validate.lengths_and_resets(lengths, None, len(tokens), tokens.shape[1:], tokens)
    whole = jnp.concatenate([prompt, tokens])
    return whole[:-1], whole[1:], None if lengths is None else lengths + (len(prompt) - 1)


def after_prompt(L: jax.Array, prompt: jax.Array) -> jax.Array:
    """Σ_t -L(t) over what came after the prompt, summed in float32 at least."""
    L = L.astype(jnp.promote_types(L.dtype, jnp.float32))
    return -L[len(prompt) - 1 :].sum(0)
