"""Echo-state networks: the spectral radius, the readout in closed form, a chaotic series that it foretells."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Readout, Reservoir, ridge_readout, unfold


@pytest.mark.usefixtures("x64")
def test_weights_are_as_the_choices_say(key: jax.Array) -> None:
    params = Reservoir(3, 40, spectral_radius=0.8, density=0.25, input_scale=0.5).init(key, jnp.float64)
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(params.W)).max(), 0.8, rtol=1e-12)
    assert (np.count_nonzero(params.W, axis=0) == 10).all()
    assert np.abs(params.U).max() <= 0.5
    for hidden in (1, 2, 5):  # as sparse as can be, and not nilpotent
        sparse = Reservoir(1, hidden, density=1e-9).init(key, jnp.float64)
        np.testing.assert_allclose(np.abs(np.linalg.eigvals(sparse.W)).max(), 0.9, rtol=1e-9)


@pytest.mark.usefixtures("x64")
def test_the_readout_solves_the_normal_equations(rng: np.random.Generator) -> None:
    """With lengths, NaN in the padding, and a washout; and the gradient of its objective is zero."""
    net = Readout(Reservoir(1, 4), 2)
    params = net.init(jax.random.key(0), jnp.float64)
    h, y = rng.normal(size=(9, 3, 4)), rng.normal(size=(9, 3, 2))
    lengths = np.array([9, 2, 5])
    H = np.concatenate([h[2:n, row] for row, n in enumerate(lengths)])
    Y = np.concatenate([y[2:n, row] for row, n in enumerate(lengths)])
    for row, n in enumerate(lengths):
        h[n:, row] = np.nan
        y[n:, row] = np.nan
    found = ridge_readout(params, jnp.asarray(h), jnp.asarray(y), 0.3, lengths=lengths, washout=2)
    A = np.hstack([H, np.ones((len(H), 1))])
    expected = np.linalg.solve(A.T @ A + 0.3 * np.diag([1, 1, 1, 1, 0]), A.T @ Y)
    np.testing.assert_allclose(found.V, expected[:-1], rtol=1e-10)
    np.testing.assert_allclose(found.c, expected[-1], rtol=1e-10)
    assert found.cell is params.cell


@pytest.mark.usefixtures("x64")
def test_it_foretells_a_chaotic_series(key: jax.Array) -> None:
    """The Hénon map, of which one coordinate is seen: far better than the mean, and than the value before."""
    x = [0.1, 0.2]
    for _ in range(700):
        x.append(1 - 1.4 * x[-1] ** 2 + 0.3 * x[-2])
    series = np.array(x)[100:, None]
    net = Readout(Reservoir(1, 60, spectral_radius=0.5, input_scale=0.5), 1)
    params = net.init(key, jnp.float64)
    xs, ys = jnp.asarray(series[:-1]), series[1:]
    h = unfold(net.inner, params.cell, xs).outputs
    params = ridge_readout(params, h[:400], jnp.asarray(ys[:400]), penalty=1e-8, washout=50)
    error = np.sqrt(np.mean((np.asarray(unfold(net, params, xs).outputs) - ys)[400:] ** 2))
    mean = np.std(ys[400:])
    persistence = np.sqrt(np.mean((series[:-1] - ys)[400:] ** 2))
    assert mean > 0.6
    assert persistence > 0.6
    assert error < 0.01


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "leak above one": (lambda p: Reservoir(1, 3, leak=1.5), ValueError, "leak must be above 0 and at most 1, got 1.5"),
    "density of zero": (lambda p: Reservoir(1, 3, density=0), ValueError, "density must be above 0"),
    "no readout": (lambda p: ridge_readout(p.cell, H, Y, 0.1), TypeError, "Readout(cell, output_size)"),
    "no penalty": (lambda p: ridge_readout(p, H, Y, 0), ValueError, "penalty must be above 0"),
    "all washed out": (lambda p: ridge_readout(p, H, Y, 0.1, washout=7), ValueError, "below the 7 steps, got 7"),
    "other targets": (lambda p: ridge_readout(p, H, H, 0.1), ValueError, "got (7, 2, 3) and (7, 2, 3)"),
    "other lengths": (lambda p: ridge_readout(p, H, Y, 0.1, lengths=[1]), ValueError, "shape of the batch, (2,)"),
    "lengths beyond": (lambda p: ridge_readout(p, H, Y, 0.1, lengths=[8, 1]), ValueError, "the 7 steps, got 1 to 8"),
    "nothing counts": (
        lambda p: ridge_readout(p, H, Y, 0.1, lengths=[2, 1], washout=2),
        ValueError,
        "no sequence is longer than washout = 2",
    ),
    "no sequences": (lambda p: ridge_readout(p, H[:, :0], Y[:, :0], 0.1), ValueError, "no step counts"),
}
H, Y = jnp.ones((7, 2, 3)), jnp.ones((7, 2, 1))


@pytest.mark.parametrize(("act", "kind", "says"), WRONG.values(), ids=WRONG.keys())
def test_wrong_choices(act: Any, kind: type[Exception], says: str, key: jax.Array) -> None:
    params = Readout(Reservoir(1, 3), 1).init(key)
    with pytest.raises(kind) as caught:
        act(params)
    assert says in str(caught.value)
