"""Convolutional LSTM: dimensions, batch axes before space, and what does not fit; the grid has its values."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import ConvLSTM, Readout, Stack, Zoneout, perturbed, unfold
from tests import grid, oracles, oracles_around


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("spatial", "kernel"), [((5,), 4), ((3, 4), (3, 2)), ((2, 3, 2), 3)], ids=["1d", "2d", "3d"])
def test_dimensions(spatial: tuple[int, ...], kernel: Any, rng: np.random.Generator) -> None:
    cell = ConvLSTM(spatial, 2, 3, kernel)
    params = cell.init(jax.random.key(0), jnp.float64)
    xs = rng.normal(size=(3, 2, *spatial, 2))
    run = grid.quick(lambda p, x: unfold(cell, p, x))(params, jnp.asarray(xs))
    given, start = grid.host((params, cell.initial_state(params, (2,))))
    expected, final = oracles.unfolded(oracles_around.CONV_LSTM, given, start, xs, steps=3, batch=(2,))
    grid.close((run.outputs, run.final), (expected, final), 1e-10, 1e-11)


def test_space_is_no_batch_within_other_cells(key: jax.Array) -> None:
    """Below a readout, in a stack, with zoneout; with a length for each sequence and without a batch."""
    cell = ConvLSTM((4, 3), 1, 2)
    net = Readout(Stack([perturbed(cell, Zoneout(0.1)), ConvLSTM((4, 3), 2, 2)]), 5)
    params = net.init(key)
    xs = jnp.ones((6, 2, 4, 3, 1))
    run = jax.eval_shape(lambda p, x: unfold(net, p, (x, None), lengths=jnp.array([6, 3])), params, xs)
    assert run.outputs.shape == (6, 2, 4, 3, 5)
    assert run.final[0].h.shape == (2, 4, 3, 2)
    assert jax.eval_shape(lambda x: unfold(cell, cell.init(key), x), xs[:, 0]).final.c.shape == (4, 3, 2)


WRONG: dict[str, tuple[Any, str]] = {
    "four dimensions": (lambda: ConvLSTM((2, 2, 2, 2), 1, 1), "one to three dimensions, got (2, 2, 2, 2)"),
    "too many kernels": (lambda: ConvLSTM((2, 2), 1, 1, (3, 3, 3)), "one for each of (2, 2), got (3, 3, 3)"),
    "no taps": (lambda: ConvLSTM((2, 2), 1, 1, 0), "kernel must be at least 1"),
    "another space": (
        lambda: unfold(CELL, CELL.init(jax.random.key(0)), jnp.ones((5, 2, 3, 1))),
        "x must end in (*spatial, input_channels) = (2, 2, 1)",
    ),
}
CELL = ConvLSTM((2, 2), 1, 1)


@pytest.mark.parametrize(("act", "says"), WRONG.values(), ids=WRONG.keys())
def test_wrong_sizes(act: Any, says: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the message is compared whole
        act()
    assert says in str(caught.value)
