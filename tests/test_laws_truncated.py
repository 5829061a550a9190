"""Truncated backpropagation: the values of the whole, the gradients of segments between which none passes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import BPTT, Autodiff, Cell, Scan, Shooting, TruncatedBPTT, unfold
from tests import grid

K = 3  # T = 7: segments of 3, 3 and 1 steps
PAIRS = (Scan(), TruncatedBPTT(K, block=2)), (Shooting(2), TruncatedBPTT(K))
PARALLEL = "lstm", "driven", "transition"  # one cell of each way that the adjoint of `Shooting` goes
LENGTHS = np.array([grid.T, 0, 4])


def _cut(tree: Any, start: int, stop: int) -> Any:
    return jax.tree.map(lambda a: a[start:stop], tree)


def _by_segments(cell: Cell, params: Any, state: Any, xs: Any) -> tuple[Any, Any]:
    """Segments run one after another by plain JAX. No gradient enters a segment that has steps to take."""
    outputs = []
    for start in range(0, grid.T, K):
        stop = min(start + K, grid.T)
        if start:
            goes_on = jnp.asarray(start < LENGTHS)
            state = jax.tree.map(
                lambda s, on=goes_on: jnp.where(on.reshape(3, *[1] * (s.ndim - 1)), jax.lax.stop_gradient(s), s), state
            )
        left = np.clip(LENGTHS - start, 0, stop - start)
        run = unfold(cell, params, _cut(xs, start, stop), state=state, lengths=left, adjoint=Autodiff())
        outputs.append(run.outputs)
        state = run.final
    return jnp.concatenate(outputs), state


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("entry", grid.KINDS, ids=lambda entry: entry.name)
def test_truncated_equals_segments(entry: grid.Entry) -> None:
    sample = grid.sample(entry, (3,))

    @grid.quick
    def program(*operands: Any) -> Any:
        def segments(*operands: Any) -> Any:
            found = _by_segments(entry.cell, *operands)
            return grid.weigh(found), found

        results = [grid.gradients(segments, *operands)]
        for method, adjoint in PAIRS if entry.name in PARALLEL else PAIRS[:1]:

            def truncated(*operands: Any, method: Any = method, adjoint: Any = adjoint) -> Any:
                params, state, xs = operands
                run = unfold(entry.cell, params, xs, state=state, lengths=LENGTHS, method=method, adjoint=adjoint)
                return grid.weigh((run.outputs, run.final)), (run.outputs, run.final)

            results.append(grid.gradients(truncated, *operands))
        return results

    expected, *found = program(*sample)
    for result in found:
        grid.close(result, expected, 1e-10, 1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["gru", "transition"])
def test_truncated_in_reverse_equals_truncated_of_the_flipped(name: str) -> None:
    """Steps are counted from where each sequence's recurrence starts: at its last valid step."""
    entry = grid.CELLS[grid.NAMES.index(name)]
    params, state, xs = grid.sample(entry, (3,))
    lengths = np.array([grid.T, 5, 4])
    order = np.array([[n - 1 - t if t < n else t for n in lengths] for t in range(grid.T)])

    def flip(tree: Any) -> Any:
        return jax.tree.map(lambda a: a[order, np.arange(3)], tree)

    @grid.quick
    def program(*operands: Any) -> Any:
        def reverse(params: Any, state: Any, xs: Any) -> Any:
            run = unfold(entry.cell, params, xs, state=state, lengths=lengths, reverse=True, adjoint=TruncatedBPTT(K))
            return grid.weigh((run.outputs, run.final)), (run.outputs, run.final)

        def flipped(params: Any, state: Any, xs: Any) -> Any:
            run = unfold(entry.cell, params, flip(xs), state=state, lengths=lengths, adjoint=TruncatedBPTT(K))
            found = flip(run.outputs), run.final
            return grid.weigh(found), found

        return grid.gradients(reverse, *operands), grid.gradients(flipped, *operands)

    reverse, flipped = program(params, state, xs)
    grid.close(reverse, flipped, 1e-10, 1e-12)


@pytest.mark.usefixtures("x64")
def test_truncated_differs_from_exact() -> None:
    entry = grid.CELLS[grid.NAMES.index("gru")]
    params, state, xs = grid.sample(entry, ())

    def slope(adjoint: Any) -> Any:
        return jax.grad(lambda s: unfold(entry.cell, params, xs, state=s, adjoint=adjoint).final.h.sum())(state).h

    assert not slope(TruncatedBPTT(K)).any()  # s(0) lies in another segment than the end
    assert slope(BPTT()).all()
