"""Law 4: vmap, vmap of grad, grad of grad, shard_map, forward mode, types; every kind of cell."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxrnn import BPTT, RTRL, Autodiff, TruncatedBPTT, unfold
from tests import grid

every_kind = pytest.mark.parametrize("entry", grid.KINDS, ids=lambda entry: entry.name)
LENGTHS = np.array([grid.T, 3])


def _loss(entry: grid.Entry, adjoint: Any, params: Any, state: Any, xs: Any, lengths: Any = None) -> Any:
    run = unfold(entry.cell, params, xs, state=state, lengths=lengths, adjoint=adjoint)
    return grid.weigh((run.outputs, run.final)), run.outputs


@pytest.mark.usefixtures("x64")
@every_kind
def test_vmap_equals_one_by_one(entry: grid.Entry) -> None:
    """Over inputs, over parameters, over both with the lengths; values and gradients."""
    samples = [grid.sample(entry, (2,), seed=seed) for seed in range(3)]
    many = jax.tree.map(lambda *a: jnp.stack(a), *samples)
    lengths = jnp.array([[7, 3], [0, 5], [1, 7]])

    def one(params: Any, state: Any, xs: Any, lengths: Any) -> Any:
        loss = partial(_loss, entry, BPTT(block=3), lengths=lengths)
        return grid.gradients(loss, params, state, xs)

    cases = (None, 0, 0, None), (0, None, None, None), (0, 0, 0, 0)

    @grid.quick
    def program(*operands: Any) -> Any:
        """By vmap, and each in its turn in one loop over the examples of all cases."""
        together, picked = [], []
        for axes in cases:
            first = [
                jax.tree.map(lambda v: v[0], a) if axis is None else a for a, axis in zip(operands, axes, strict=True)
            ]
            together.append(jax.vmap(one, in_axes=axes)(*first))
            picked.append([np.arange(3) if axis == 0 else np.zeros(3, int) for axis in axes])
        example = np.concatenate(picked, axis=1).T  # (case and example, operand)

        def alone(index: Any) -> Any:
            return one(*(jax.tree.map(lambda v, i=i: v[i], a) for a, i in zip(operands, index, strict=True)))

        return jax.tree.map(lambda *a: jnp.concatenate(a), *together), jax.lax.map(alone, example)

    together, alone = program(*many, lengths)
    grid.close(together, alone, 1e-11, 1e-12)


@pytest.mark.usefixtures("x64")
@every_kind
def test_second_derivatives_equal_autodiffs(entry: grid.Entry) -> None:
    """Reverse over reverse, and forward over reverse."""
    sample = grid.sample(entry, (2,))

    def slope(adjoint: Any, *operands: Any) -> Any:
        """The gradient along a fixed direction."""
        loss = partial(_loss, entry, adjoint, lengths=LENGTHS)
        return grid.weigh(grid.gradients(loss, *operands)[1], salt=0.5), None

    @grid.quick
    def program(*operands: Any) -> Any:
        return [grid.gradients(partial(slope, adjoint), *operands) for adjoint in (Autodiff(), BPTT(), BPTT(block=3))]

    expected, *found = program(*sample)
    assert any(np.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(expected))
    for gradients in found:
        grid.close(gradients, expected, 1e-9, 1e-10)


@pytest.mark.usefixtures("x64")
def test_forward_over_reverse_equals_autodiffs() -> None:
    entry = grid.CELLS[grid.NAMES.index("gru")]
    params, state, xs = grid.sample(entry, ())

    @grid.quick
    def program(xs: Any) -> Any:
        return [
            jax.hessian(lambda xs, a=adjoint: _loss(entry, a, params, state, xs)[0])(xs)
            for adjoint in (Autodiff(), BPTT(block=3))
        ]

    expected, found = program(xs)
    grid.close(found, expected, 1e-10, 1e-12)


SPLIT = P("batch"), P(None, "batch")  # of what has batch first, and of what has time before it


def _mesh(kind: Any) -> Any:
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(kind,))
    assert mesh.size == 2
    return mesh


def _gradient(entry: grid.Entry, adjoint: Any, given: bool, params: Any, state: Any, xs: Any, lengths: Any) -> Any:
    """Outputs, and gradients of parameters, state and inputs; where no state is given, it has no gradient."""

    def loss(params: Any, state: Any, xs: Any) -> Any:
        s = state if given else None
        run = unfold(entry.cell, params, xs, state=s, lengths=lengths, adjoint=adjoint)
        return (run.outputs**2).sum(), run.outputs

    return grid.gradients(loss, params, state, xs)


def _whole_and_parts(entry: grid.Entry, adjoint: Any, given: bool) -> tuple[Any, Any]:
    """The gradient of a batch of two, and that by half of it on each of two devices."""
    params, state, xs = grid.sample(entry, (2,))
    lengths = jnp.asarray(LENGTHS)
    gradient = partial(_gradient, entry, adjoint, given)
    parts = jax.shard_map(
        gradient,
        mesh=_mesh(jax.sharding.AxisType.Auto),
        in_specs=(P(), SPLIT[0], SPLIT[1], SPLIT[0]),
        out_specs=(SPLIT[1], [P(), *SPLIT]),
    )
    found = jax.block_until_ready(grid.quick(parts)(params, state, xs, lengths))  # two programs at once might deadlock
    return jax.block_until_ready(grid.quick(gradient)(params, state, xs, lengths)), found


@pytest.mark.usefixtures("x64")
@every_kind
def test_shards_equal_the_whole(entry: grid.Entry) -> None:
    """Half of the batch on each of two devices: the same values, and JAX sums the gradients of what both share."""
    whole, parts = _whole_and_parts(entry, BPTT(block=3), given=True)
    grid.close(parts, whole, 1e-11, 1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("name", "adjoint"),
    [("gru", BPTT()), ("gru", TruncatedBPTT(3)), ("gru", RTRL()), ("linear", RTRL()), ("transition", Autodiff())],
    ids=str,
)
def test_shards_make_their_own_states(name: str, adjoint: Any) -> None:
    """Every adjoint, s(0) made where it is used."""
    whole, parts = _whole_and_parts(grid.CELLS[grid.NAMES.index(name)], adjoint, given=False)
    grid.close(parts, whole, 1e-11, 1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["gru", "supervised", "transition"])
def test_a_mesh_of_explicit_axes(name: str) -> None:
    """Arrays whose types say where they are: the same values and gradients, each where its operand is."""
    entry = grid.CELLS[grid.NAMES.index(name)]
    params, state, xs = grid.sample(entry, (2,))
    mesh = _mesh(jax.sharding.AxisType.Explicit)
    gradient = partial(_gradient, entry, BPTT(), True)

    def put(tree: Any, spec: Any) -> Any:
        return jax.device_put(tree, jax.sharding.NamedSharding(mesh, spec))

    placed = put(params, P()), put(state, SPLIT[0]), put(xs, SPLIT[1]), put(jnp.asarray(LENGTHS), SPLIT[0])
    found = jax.block_until_ready(grid.quick(gradient)(*placed))
    expected = jax.block_until_ready(grid.quick(gradient)(params, state, xs, jnp.asarray(LENGTHS)))
    grid.close(found, expected, 1e-11, 1e-12)
    assert found[0].sharding.spec[:2] == (None, "batch")


@pytest.mark.usefixtures("x64")
@every_kind
def test_forward_mode_with_autodiff(entry: grid.Entry) -> None:
    """The derivative along a direction is the gradient times the direction."""
    sample = grid.sample(entry, ())
    flat, rebuild = [a for a in jax.tree.leaves(sample) if grid.is_float(a)], jax.tree.structure(sample)

    def value(floats: list[Any]) -> Any:
        found = iter(floats)
        leaves = [next(found) if grid.is_float(a) else a for a in jax.tree.leaves(sample)]
        return _loss(entry, Autodiff(), *jax.tree.unflatten(rebuild, leaves))[0]

    @grid.quick
    def program(floats: list[Any]) -> Any:
        along = [jnp.cos(a) for a in floats]
        slope = jax.grad(value)(floats)
        return jax.jvp(value, (floats,), (along,))[1], sum((s * d).sum() for s, d in zip(slope, along, strict=True))

    forward, reverse = program(flat)
    np.testing.assert_allclose(forward, reverse, rtol=1e-11)


@pytest.mark.usefixtures("x64")
@every_kind
def test_types(entry: grid.Entry) -> None:
    """Values and gradients keep the type that they are given, and are those of double precision up to its rounding."""

    @grid.quick
    def program(*operands: Any) -> Any:
        loss = partial(_loss, entry, BPTT(block=3), lengths=LENGTHS)
        return grid.gradients(loss, *operands)

    for dtype, tolerance in ((jnp.float32, 1e-4), (jnp.bfloat16, 0.15)):
        narrow = grid.sample(entry, (2,), dtype)
        found = jax.tree.leaves(program(*narrow))
        assert all(leaf.dtype == dtype for leaf in found)
        wide = grid.cast(narrow, jnp.float64)  # the same numbers
        for leaf, expected in zip(found, jax.tree.leaves(program(*wide)), strict=True):
            scale = 1 + np.abs(expected).max()
            np.testing.assert_array_less(np.abs(np.asarray(leaf, np.float64) - expected), tolerance * scale)
