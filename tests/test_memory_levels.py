"""Blocks within blocks, and blocks chosen from a number of bytes: gradients, choices, and the memory of the program."""

from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxrnn import BPTT, GRU, Autodiff, Cell, Elman, MinGRU, Scan, Shooting, transition, unfold
from jaxrnn.unfold import budget, sizes
from jaxrnn.unfold.problem import Keep, Operands, Problem
from tests import grid

STEPS = 23  # no power of 2 or 3, and more than 2^4
LENGTHS = np.array([STEPS, 0, 14])


# One cell of each way to step back through a block; in both directions.
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("name", "reverse"), [("gru", False), ("linear", True), ("transition", False)])
def test_gradients_at_every_level_are_those_of_autodiff(name: str, reverse: bool, rng: np.random.Generator) -> None:
    entry = grid.CELLS[grid.NAMES.index(name)]
    params, state, xs = grid.sample(entry, (3,))
    xs = jax.tree.map(lambda a: jnp.asarray(np.concatenate([a] * 4)[:STEPS]), grid.host(xs))
    resets = rng.random((STEPS, 3)) < 0.1
    pairs: list[Any] = [(Scan(), a) for a in (Autodiff(), BPTT(block=3, levels=2), BPTT(levels=3), BPTT(memory="6kB"))]
    pairs.append((Shooting(blocks=2), BPTT(block=4, levels=2)))

    @grid.quick
    def program(params: Any, state: Any, xs: Any) -> Any:
        def loss(pair: Any, params: Any, state: Any, xs: Any) -> Any:
            method, adjoint = pair
            given = {"lengths": LENGTHS, "resets": resets, "reverse": reverse}
            run = unfold(entry.cell, params, xs, state=state, **given, method=method, adjoint=adjoint)
            return grid.weigh((run.outputs, run.final)), run.outputs

        return [grid.gradients(partial(loss, pair), params, state, xs) for pair in pairs]

    expected, *found = program(params, state, xs)
    for pair, one in zip(pairs[1:], found, strict=True):
        grid.close(one, expected, 1e-10, 1e-11, str(pair))


def test_a_loss_on_outputs_alone_has_its_gradient_over_shards() -> None:
    """What has no cotangent is zero, and is made to vary over the devices as all else does."""
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    params, _, xs = grid.sample(grid.CELLS[grid.NAMES.index("gru")], (4,), jnp.float32)
    cell, adjoints = GRU(2, 3), (BPTT(block=3), BPTT(block=2, levels=2), BPTT(memory="4kB"))

    def gradients(params: Any, xs: Any) -> Any:
        def loss(params: Any, adjoint: BPTT) -> Any:
            return (unfold(cell, params, xs, adjoint=adjoint).outputs ** 2).sum()

        return [jax.grad(loss)(params, adjoint) for adjoint in adjoints]

    parts = jax.shard_map(gradients, mesh=mesh, in_specs=(P(), P(None, "batch")), out_specs=P())
    found = jax.block_until_ready(grid.quick(parts)(params, xs))  # two programs at once might deadlock
    grid.close(found, grid.quick(gradients)(params, xs), 1e-5, 1e-5)


@pytest.mark.parametrize(
    ("steps", "block", "levels", "keep"),
    [
        (1000, 10, 1, Keep(10, False)),
        (1000, 10, 2, Keep(100, False, (10,))),
        (1001, 10, 3, Keep(1000, False, (100, 10))),
        (1000, 10, 3, Keep(100, False, (10,))),  # a span of all steps would only be computed once more
        (7, 10, 3, Keep(10, False)),
        (7, 2, 9, Keep(4, False, (2,))),
    ],
)
def test_levels_are_powers_of_the_block_that_cut_the_steps(steps: int, block: int, levels: int, keep: Keep) -> None:
    assert sizes.nested(steps, block, levels) == keep
    assert keep.block == block


@pytest.mark.parametrize("levels", [1, 2, 3, 7])
@pytest.mark.parametrize("steps", [1, 2, 8, 9, 1000, 1001, 10**6, 10**6 + 1, 2**62 + 1])
def test_a_block_that_was_not_given_is_the_root(steps: int, levels: int) -> None:
    block = sizes.even_block(steps, levels)
    assert block ** (levels + 1) >= steps
    assert block == 2 or (block - 1) ** (levels + 1) < steps


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1, 1),
        (np.int64(300), 300),
        ("512MB", 512_000_000),
        ("1.5GB", 1_500_000_000),
        (" .5 kB ", 500),
        ("2KB", 2000),
        ("7 B", 7),
        ("3.KiB", 3072),
        ("1MiB", 1 << 20),
        ("0.25GiB", 1 << 28),
    ],
)
def test_sizes_are_read(given: Any, expected: int) -> None:
    assert budget.parse(given) == expected
    assert BPTT(memory=given).memory == given


@pytest.mark.parametrize(
    ("choices", "kind", "message"),
    [
        ({"memory": "512"}, ValueError, "a number and one of the units B, kB, .* got '512'"),
        ({"memory": "512 mb"}, ValueError, "got '512 mb'"),
        ({"memory": "-1MB"}, ValueError, "got '-1MB'"),
        ({"memory": "0.1B"}, ValueError, "at least 1, got 0"),
        ({"memory": 0}, ValueError, "at least 1, got 0"),
        ({"memory": 1e6}, TypeError, "in bytes or as '512MB', must be a whole number, got 1000000.0"),
        ({"memory": True}, TypeError, "got True"),
        ({"memory": "1MB", "block": 3}, ValueError, "got block = 3 and levels = 1 too"),
        ({"memory": "1MB", "levels": 2}, ValueError, "got block = None and levels = 2 too"),
        ({"levels": 0}, ValueError, "levels must be at least 1, got 0"),
        ({"levels": 1.0}, TypeError, "levels must be a whole number"),
        ({"levels": 2, "block": 1}, ValueError, "block = 1 keeps every state, and leaves nothing to levels = 2"),
    ],
)
def test_choices_that_make_no_sense_are_refused(choices: dict[str, Any], kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        BPTT(**choices)


def _choose(cell: Cell, steps: int, memory: int, a_step: int) -> Keep:
    """What is kept of a problem whose blocks need `a_step` bytes a step."""
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0)))
    state = jax.eval_shape(cell.initial_state, params)
    operands = Operands(params, (), state, jax.ShapeDtypeStruct((steps, 8), jnp.float32), None, None)
    problem = Problem(cell, lambda x: x, None, steps, False)
    return budget.keep(problem, operands, memory, lambda n: jax.make_jaxpr(lambda: jnp.ones((n, a_step), "i1"))().jaxpr)


def test_what_recomputes_least_is_chosen() -> None:
    """Against the formula, for every budget: 100 bytes a state, blocks of a_step bytes a step."""
    cell = transition(lambda p, s, x: s + x.sum(), init=lambda k, d: (), initial_state=lambda p, b: jnp.zeros((25,)))
    steps, a_step = 1000, 300
    needs = {}
    for levels in range(1, 10):
        for block in range(2, sizes.even_block(steps, levels) + 1):
            cut = [block**level for level in range(levels, 1, -1) if block**level < steps] + [block]
            states = -(-steps // cut[0]) + sum(-(-a // b) for a, b in pairwise(cut))
            needs.setdefault((levels, -block), 100 * states + 1.3 * a_step * block)
    least = min(needs.values())
    for memory in (10**9, 50_000, 20_000, 10_000, 5_000, 3_000, int(least) + 1):
        levels, block = min(choice for choice, need in needs.items() if need <= memory)
        assert _choose(cell, steps, memory, a_step) == sizes.nested(steps, -block, levels), memory
    with pytest.raises(ValueError, match=f"1000 steps of .* pass memory={int(np.ceil(least))} or more"):
        _choose(cell, steps, int(np.ceil(least)) - 1, a_step)


def test_cells_of_known_structure_keep_every_state_where_that_fits() -> None:
    steps = 10**6
    assert _choose(GRU(8, 128), steps, 3 * 10**9, 10_000) == Keep(1, True)  # 512 bytes of state, 1536 of products
    assert _choose(GRU(8, 128), steps, 10**9, 10_000) == Keep(1, False)
    assert _choose(MinGRU(8, 128), steps, 3 * 10**9, 4_000) == Keep(1, False)
    assert _choose(GRU(8, 128), steps, 10**8, 10_000) == Keep(1000, False)
    assert _choose(GRU(8, 128), steps, 10**6, 10_000).within


CELL = Elman(8, 64)
PARAMS = jax.eval_shape(lambda: CELL.init(jax.random.key(0)))
STATE, WEIGHTS = 4 * 16 * 64, sizes.tree_bytes(PARAMS)


def _step(adjoint: BPTT, steps: int, emit: Any = None) -> Any:
    """A gradient, lowered for so many steps of 16 sequences."""

    def loss(params: Any, xs: Any) -> Any:
        run = unfold(CELL, params, xs, emit=emit, adjoint=adjoint)
        return sum(a.sum() for a in jax.tree.leaves((run.outputs, run.final)))

    return jax.jit(jax.grad(loss)).lower(PARAMS, jax.ShapeDtypeStruct((steps, 16, 8), jnp.float32))


def _temporaries(adjoint: BPTT, steps: int, emit: Any = None) -> int:
    """Bytes that XLA takes for it beside what it is given and gives: compiled, not run."""
    return _step(adjoint, steps, emit).compile().memory_analysis().temp_size_in_bytes


def test_memory_grows_as_the_formula_says() -> None:
    """From 10,000 to 1,000,000 steps by 100^(1/(levels + 1)): ⌈τ/k^L⌉ + (L - 1) k states, and k steps of one block."""
    few, many = 10_000, 1_000_000
    before = {
        levels: _temporaries(BPTT(levels=levels, block=sizes.even_block(few, levels)), few) for levels in (1, 2, 3)
    }
    # What a step of a block takes: from twice the block, which halves the states.
    a_step = (_temporaries(BPTT(block=200), few) - before[1] + 50 * STATE) / 100
    for levels, was in before.items():
        blocks = [sizes.even_block(steps, levels) for steps in (few, many)]
        states = [
            -(-steps // block**levels) + (levels - 1) * block for steps, block in zip((few, many), blocks, strict=True)
        ]
        expected = STATE * (states[1] - states[0]) + a_step * (blocks[1] - blocks[0])
        grew = _temporaries(BPTT(levels=levels, block=blocks[1]), many) - was
        assert 0.8 * expected < grew < 1.2 * expected, levels


def test_outputs_are_made_a_block_at_a_time() -> None:
    """Spans of many blocks hold no more than a block of outputs: the outputs are there once, with the states kept."""
    one, two = (_temporaries(BPTT(block=100, levels=levels), 100_000, Cell.output) for levels in (1, 2))
    assert two < one


@pytest.mark.parametrize("memory", ["500MB", "8MB", "2MB", "600kB"])
def test_the_program_needs_what_it_was_given(memory: str) -> None:
    """Beside the sums of the gradients, and copies of the weights."""
    assert _temporaries(BPTT(memory=memory), 100_000) < budget.parse(memory) + 2 * WEIGHTS


def test_the_least_that_is_told_is_enough() -> None:
    with pytest.raises(
        ValueError, match=r"memory = 1000 bytes is less than .* 100000 steps of Elman.* memory=\d+ or"
    ) as told:
        _step(BPTT(memory="1kB"), 100_000)
    least = int(str(told.value).split("memory=")[1].split()[0])
    _step(BPTT(memory=least), 100_000)
    with pytest.raises(ValueError, match="is less than"):
        _step(BPTT(memory=least - 1), 100_000)
