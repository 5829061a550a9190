"""Depth within a step beyond the laws of the grid: what it is without layers, its sizes, bad input."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import DeepTransition, Driven, Elman, ElmanParams, unfold


def test_without_layers_it_is_an_elman_net(rng: np.random.Generator) -> None:
    cell, xs = DeepTransition(2, 3), jnp.asarray(rng.normal(size=(5, 2)), jnp.float32)
    params = cell.init(jax.random.key(0))
    expected = unfold(Elman(2, 3), ElmanParams(params.U, params.W, params.b), xs)
    run = unfold(cell, params, xs)
    np.testing.assert_allclose(run.outputs, expected.outputs, rtol=1e-6)
    np.testing.assert_allclose(run.final.h, expected.final.h, rtol=1e-6)


def test_sizes_of_layers(rng: np.random.Generator) -> None:
    cell: Any = DeepTransition(2, 3, within=[4, 5], below=[6], above=[7, 8], skip=True)  # pyright: ignore
    assert isinstance(cell, Driven)
    assert hash(cell) == hash(DeepTransition(2, 3, (4, 5), (6,), (7, 8), True))
    params = cell.init(jax.random.key(0))
    shapes = jax.tree.map(jnp.shape, params, is_leaf=lambda a: a is None)
    assert shapes.below == (((2, 6), (6,)),)
    assert (shapes.U, shapes.W, shapes.b) == ((6, 4), (3, 4), (4,))
    assert shapes.within == (((4, 5), (5,)), ((5, 3), (3,)))
    assert shapes.S == (3, 3)
    assert shapes.above == (((3, 7), (7,)), ((7, 8), (8,)))
    run = jax.eval_shape(lambda p: unfold(cell, p, jnp.zeros((5, 4, 2))), params)
    assert (run.outputs.shape, run.final.h.shape) == ((5, 4, 8), (4, 3))
    entries = [np.ravel(a) for a in jax.tree.leaves(params)]
    assert len(np.unique(np.concatenate(entries))) == sum(map(len, entries))  # no array is a copy of another


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: DeepTransition(0, 3), ValueError, "input_size must be at least 1"),
        (lambda: DeepTransition(2, 3, within=(0,)), ValueError, "within must be at least 1"),
        (lambda: DeepTransition(2, 3, above=(2.5,)), TypeError, "above must be a whole number"),  # pyright: ignore
        (lambda: DeepTransition(2, 3, within=4), TypeError, r"pass such as \(64,\)"),  # pyright: ignore
        (lambda: DeepTransition(2, 3, skip=True), ValueError, r"pass within=\(n,\)"),
        (lambda: DeepTransition(2, 3, activation="tan"), ValueError, "activation must be"),
        (
            lambda: unfold(DeepTransition(2, 3), DeepTransition(2, 3).init(jax.random.key(0)), jnp.zeros((5, 3))),
            ValueError,
            "input_size = 2",
        ),
    ],
)
def test_bad_input(make: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        make()
