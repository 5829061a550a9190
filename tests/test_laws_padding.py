"""Law 4: what stands in the padding reaches no output, no state, no gradient; not even NaN or infinity."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import BPTT, Autodiff, unfold
from tests import grid

LENGTHS = np.array([grid.T, 0, 4])
PADDING = np.arange(grid.T)[:, None] >= LENGTHS
RUNS = ((Autodiff(), False), (BPTT(block=4), True))  # adjoint, reverse


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("entry", grid.KINDS, ids=lambda entry: entry.name)
def test_padding_reaches_nothing(entry: grid.Entry) -> None:
    params, state, xs = grid.sample(entry, (3,))

    def fill(a: Any, value: float) -> Any:
        mask = PADDING.reshape(PADDING.shape + (1,) * (a.ndim - 2))
        return jnp.where(mask, value, a) if grid.is_float(a) else jnp.where(mask, 1_000_000, a)

    resets = jnp.zeros((grid.T, 3), bool).at[4, 2].set(True).at[2].set(True)

    @grid.quick
    def program(params: Any, state: Any, xs: Any) -> Any:
        results = []
        for adjoint, reverse in RUNS:

            def loss(params: Any, state: Any, xs: Any, adjoint: Any = adjoint, reverse: bool = reverse) -> Any:
                run = unfold(
                    entry.cell,
                    params,
                    xs,
                    state=state,
                    lengths=LENGTHS,
                    resets=resets,
                    reverse=reverse,
                    adjoint=adjoint,
                )
                return grid.weigh((run.outputs, run.final)), (run.outputs, run.final)

            results.append(grid.gradients(loss, params, state, xs))
        return results

    clean = program(params, state, xs)
    for value in (np.nan, np.inf):
        for found, expected in zip(
            program(params, state, jax.tree.map(lambda a, value=value: fill(a, value), xs)), clean, strict=True
        ):
            for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
                np.testing.assert_array_equal(a, b)
    for (outputs, _), (_, _, of_xs) in clean:
        for array in (outputs, *of_xs):
            assert np.isfinite(array).all()
            assert not np.asarray(array)[PADDING].any()
            assert np.asarray(array)[~PADDING].any()
