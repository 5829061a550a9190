"""Laws 1 to 3: values equal a NumPy recurrence, gradients equal its finite differences; every cell, every adjoint.

The oracle runs every sequence alone, cut to its length, turned round, begun anew at each reset. That the package equals
it says at once that batched equals one by one, padded equals unpadded, reverse equals flipping, a reset equals a start.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Cell, unfold
from jaxrnn import states as whole_states
from tests import grid, oracles

T = grid.T


def _both(cell: Any, params: Any, state: Any) -> Any:
    return {"read": cell.output(params, state), "state": state}


class Scenario(NamedTuple):
    """Arguments of `unfold`, and what they mean to the oracle."""

    pairs: Any
    batch: tuple[int, ...] = ()
    lengths: Any = None
    resets: Any = None
    reverse: bool = False
    time_axis: int = 0
    emit: Any = Cell.output
    shown: Callable[..., Any] = lambda oracle, p, s: oracle.output(p, s)


def _resets(batch: tuple[int, ...], lengths: Any, seed: int) -> np.ndarray:
    """At random, at the first and the last step, and just past a length."""
    resets = np.random.default_rng(seed).random((T, *batch)) < 0.2
    first = (0,) * len(batch)
    resets[(0, *first)] = resets[(T - 1, *first)] = True
    for row in np.ndindex(*batch):
        if lengths is not None and 0 < lengths[row] < T:
            resets[(int(lengths[row]), *row)] = True
    return resets


ROWS = np.array([T, 0, 4])
SQUARE = np.array([[5, 0], [T, 2]])
SCENARIOS = {
    "one sequence": Scenario(grid.PAIRS[0]),
    "lengths and resets": Scenario(
        grid.PAIRS[1], (3,), ROWS, _resets((3,), ROWS, 1), emit=whole_states, shown=lambda oracle, p, s: s
    ),
    "reverse": Scenario(
        grid.PAIRS[2],
        (2, 2),
        SQUARE,
        _resets((2, 2), SQUARE, 2),
        reverse=True,
        time_axis=1,
        emit=_both,
        shown=lambda oracle, p, s: {"read": oracle.output(p, s), "state": s},
    ),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
@pytest.mark.parametrize("entry", grid.CELLS, ids=grid.NAMES)
def test_values_and_gradients(entry: grid.Entry, scenario: Scenario) -> None:
    sample = grid.sample(entry, scenario.batch)
    axis = scenario.time_axis

    def expected(params: Any, state: Any, xs: Any) -> Any:
        return oracles.unfolded(
            entry.oracle,
            params,
            state,
            xs,
            steps=T,
            batch=scenario.batch,
            lengths=scenario.lengths,
            resets=scenario.resets,
            reverse=scenario.reverse,
            emit=scenario.shown,
        )

    host = grid.host(sample)
    values = expected(*host)
    slopes = [
        oracles.differences(lambda part, k=k: grid.weigh(expected(*[*host[:k], part, *host[k + 1 :]])), host[k])
        for k in range(3)
    ]
    if entry.fixed:
        slopes[0] = jax.tree.map(np.zeros_like, slopes[0])

    @grid.quick
    def program(params: Any, state: Any, xs: Any, lengths: Any, resets: Any) -> Any:
        results = []
        for method, adjoint in scenario.pairs:

            def loss(params: Any, state: Any, xs: Any, method: Any = method, adjoint: Any = adjoint) -> Any:
                run = unfold(
                    entry.cell,
                    params,
                    jax.tree.map(lambda a: jnp.moveaxis(a, 0, axis), xs),
                    state=state,
                    lengths=lengths,
                    resets=None if resets is None else jnp.moveaxis(resets, 0, axis),
                    reverse=scenario.reverse,
                    time_axis=axis,
                    emit=scenario.emit,
                    method=method,
                    adjoint=adjoint,
                )
                found = jax.tree.map(lambda a: jnp.moveaxis(a, axis, 0), run.outputs), run.final
                return grid.weigh(found), found

            results.append(grid.gradients(loss, params, state, xs))
        return results

    results = program(*sample, scenario.lengths, scenario.resets)
    for (method, adjoint), (found, slope) in zip(scenario.pairs, results, strict=True):
        pair = f"{method}, {adjoint}"
        grid.close(found, values, 1e-10, 1e-11, f"values of {pair}")
        grid.close(slope, slopes, 1e-6, 1e-8, f"gradients of {pair} against finite differences")
        grid.close(slope, results[0][1], 1e-10, 1e-11, f"gradients of {pair} against Autodiff")
