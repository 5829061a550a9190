"""Dropout of recurrent weights."""

from typing import TypeVar

import jax

from jaxrnn.cells import checks
from jaxrnn.cells.masks import drop, keep

Weighted = TypeVar("Weighted")


def weight_dropout(key: jax.Array, params: Weighted, rate: float) -> Weighted:
    """Drop entries of the recurrent matrix: `W ← mask ⊙ W / (1 - rate)`, the same in every step and for every sequence.

    In training, inside the loss: the gradient reaches the weights that were kept.

    Args:
        key: of the mask.
        params: parameters with a field W.
        rate: the share of weights that is dropped, from 0 to below 1.

    Returns:
        The same parameters with another W.

    Raises:
        ValueError: a rate out of range.
        TypeError: parameters without a field W.

    Example:
        jax.grad(lambda params: loss(unfold(cell, weight_dropout(key, params, 0.5), xs)))(params)

    Source: Merity, Keskar, Socher, *Regularizing and optimizing LSTM language models* (2018), after the DropConnect of
    Wan et al. (2013).
    """
    checks.number("weight_dropout", "rate", rate, least=0, below=1)
    W = checks.recurrent_matrix("weight_dropout", params)
    return params._replace(W=drop(W, keep(key, W.shape, rate), rate))  # pyright: ignore[reportAttributeAccessIssue]
