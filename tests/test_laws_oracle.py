"""Laws 1 to 4: values equal a NumPy recurrence, gradients equal its finite differences; every cell, every adjoint.

The oracle runs every sequence alone, cut to its length, turned round, begun anew at each reset. That the package equals
it says at once that batched equals one by one, padded equals unpadded, reverse equals flipping, a reset equals a start.
The same program then runs with NaN and infinity in the padding: they reach no output, no state, no gradient.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Associative, Cell, unfold
from jaxrnn import states as whole_states
from jaxrnn.unfold import sizes
from tests import grid, oracles

T = grid.T


def _both(cell: Any, params: Any, state: Any) -> Any:
    return {"read": cell.output(params, state), "state": state}


class Scenario(NamedTuple):
    """Arguments of `unfold`, and what they mean to the oracle."""

    group: int
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
    "one sequence": Scenario(0),
    "lengths and resets": Scenario(
        1, (3,), ROWS, _resets((3,), ROWS, 1), emit=whole_states, shown=lambda oracle, p, s: s
    ),
    "reverse": Scenario(
        2,
        (2, 2),
        SQUARE,
        _resets((2, 2), SQUARE, 2),
        reverse=True,
        time_axis=1,
        emit=_both,
        shown=lambda oracle, p, s: {"read": oracle.output(p, s), "state": s},
    ),
}


def _padding(scenario: Scenario) -> np.ndarray:
    """Whether each step is past its sequence's length: (time, *batch)."""
    times = np.arange(T).reshape(T, *[1] * len(scenario.batch))
    return times >= (T if scenario.lengths is None else scenario.lengths) * np.ones(scenario.batch)


def _fill(xs: Any, padding: np.ndarray, value: float) -> Any:
    """Inputs with a value, or a number that is no label, in the padding."""

    def fill(a: np.ndarray) -> np.ndarray:
        mask = padding.reshape(padding.shape + (1,) * (a.ndim - padding.ndim))
        return np.where(mask, np.asarray(value if grid.is_float(a) else 1_000_000, a.dtype), a)

    return jax.tree.map(fill, grid.host(xs))


def _along(gradients: Any, directions: Any) -> Any:
    """Of each leaf, the slope along its direction."""
    return jax.tree.map(lambda g, d: np.sum(np.asarray(g) * d).real, gradients, directions)


@contextlib.contextmanager
def _prefix_scan(method: Any) -> Iterator[None]:
    """`Associative` is that also on a CPU, where it would run the program of `Scan`."""
    with pytest.MonkeyPatch.context() as patch:
        if isinstance(method, Associative):
            patch.setattr(sizes, "prefix_scan_pays", lambda: True)
        yield


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
@pytest.mark.parametrize("entry", grid.CELLS, ids=grid.NAMES)
def test_values_and_gradients(entry: grid.Entry, scenario: Scenario, rng: np.random.Generator) -> None:
    params, state, xs = grid.sample(entry, scenario.batch)
    pairs = grid.pairs(entry, scenario.group)
    axis = scenario.time_axis
    as_for_a_user = entry in grid.KINDS and scenario.group == 1

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

    host = grid.host((params, state, xs))
    values = expected(*host)
    parts = [
        oracles.differences(lambda part, k=k: grid.weigh(expected(*[*host[:k], part, *host[k + 1 :]])), host[k], rng)
        for k in range(3)
    ]
    directions, slopes = [along for along, _ in parts], [slope for _, slope in parts]
    if entry.fixed:
        slopes[0] = jax.tree.map(np.zeros_like, slopes[0])

    @(grid.optimised if as_for_a_user else grid.quick)
    def program(params: Any, state: Any, xs: Any, lengths: Any, resets: Any) -> Any:
        results = []
        for method, adjoint in pairs:

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

            with _prefix_scan(method):
                results.append(grid.gradients(loss, params, state, xs))
        return results

    results = program(params, state, xs, scenario.lengths, scenario.resets)
    padding = _padding(scenario)
    for (method, adjoint), (found, gradients) in zip(pairs, results, strict=True):
        pair = f"{method}, {adjoint}"
        grid.close(found, values, 1e-10, 1e-11, f"values of {pair}")
        grid.close(_along(gradients, directions), slopes, 1e-8, 1e-9, f"slopes of {pair} against finite differences")
        grid.close(gradients, results[0][1], 1e-10, 1e-11, f"gradients of {pair} against {pairs[0]}")
        for array in (*jax.tree.leaves(found[0]), *gradients[2]):
            assert not np.asarray(array)[padding].any(), f"{pair} in the padding"
            assert np.asarray(array)[~padding].any(), pair

    if padding.any():
        for value in (np.nan, np.inf):
            dirty = program(params, state, _fill(xs, padding, value), scenario.lengths, scenario.resets)
            jax.tree.map(np.testing.assert_array_equal, dirty, results)
