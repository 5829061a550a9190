"""New values cost no new trace, no tracer escapes, programs do not grow with time, memory stays small."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

import jaxrnn
from jaxrnn import BPTT, GRU, RTRL, Autodiff, TruncatedBPTT, unfold
from tests import grid

ADJOINTS = (BPTT(), BPTT(block=3), TruncatedBPTT(3), RTRL(), Autodiff())


class Counting:
    """A function that counts its own traces."""

    def __init__(self, function: Any):
        self.function, self.traces = function, 0

    def __call__(self, *arguments: Any) -> Any:
        self.traces += 1
        return self.function(*arguments)


@pytest.mark.parametrize("adjoint", ADJOINTS, ids=str)
@pytest.mark.parametrize("name", ["gru", "transition"])
def test_new_values_are_not_traced_again(name: str, adjoint: Any) -> None:
    entry = next(entry for entry in grid.CELLS if entry.name == name)
    cell = entry.cell

    def loss(params: Any, state: Any, xs: Any, lengths: Any, resets: Any) -> Any:
        run = unfold(cell, params, xs, state=state, lengths=lengths, resets=resets, adjoint=adjoint)
        return grid.weigh((run.outputs, run.final)), run.outputs

    counting = Counting(loss)
    program = grid.quick(lambda p, s, x, *rest: grid.gradients(lambda *a: counting(*a, *rest), p, s, x))
    resets = jnp.zeros((grid.T, 3), bool)
    first, _ = program(*grid.sample(entry, (3,), jnp.float32), jnp.array([7, 0, 4]), resets)
    traces = counting.traces
    assert traces >= 1
    again, _ = program(*grid.sample(entry, (3,), jnp.float32, seed=1), jnp.array([1, 2, 3]), ~resets)
    assert counting.traces == traces
    assert not jnp.array_equal(first, again)


def test_equal_cells_are_one_static_argument() -> None:
    program = Counting(lambda cell, params, xs: unfold(cell, params, xs).outputs)
    jitted = jax.jit(program, static_argnums=0)
    xs = jnp.ones((4, 2))
    for _ in range(2):
        cell = jaxrnn.Stack([GRU(2, 3), jaxrnn.Readout(GRU(3, 3), 2)])  # made anew, from a list
        jitted(cell, cell.init(jax.random.key(0)), xs)
    assert program.traces == 1


@pytest.mark.parametrize("adjoint", ADJOINTS, ids=str)
def test_no_tracer_leaks(adjoint: Any) -> None:
    entry = next(entry for entry in grid.CELLS if entry.name == "readout_stack")
    sample = grid.sample(entry, (2,), jnp.float32)

    def loss(params: Any, state: Any, xs: Any) -> Any:
        run = unfold(entry.cell, params, xs, state=state, lengths=jnp.array([7, 3]), adjoint=adjoint)
        return grid.weigh((run.outputs, run.final)), None

    with jax.checking_leaks():
        jax.jit(lambda *operands: grid.gradients(loss, *operands)).trace(*sample)


@pytest.mark.parametrize("adjoint", ADJOINTS, ids=str)
def test_the_program_does_not_grow_with_time(adjoint: Any) -> None:
    cell = GRU(2, 3)
    params = cell.init(jax.random.key(0))

    def size(steps: int) -> int:
        def loss(params: Any, xs: Any) -> Any:
            return unfold(cell, params, xs, adjoint=adjoint).outputs.sum()

        return len(jax.jit(jax.grad(loss)).lower(params, jnp.ones((steps, 2))).as_text().splitlines())

    # a block that does not divide the steps adds a part, no more: a loop written out would be 3 to 10 times as long
    assert size(60000) < 1.5 * size(6000)


def _memory(adjoint: Any, steps: int, copies: int | None = None) -> int:
    """Temporary bytes of the gradient of a loss on the final state."""
    cell = GRU(8, 32)
    params = cell.init(jax.random.key(0))

    def loss(params: Any, xs: Any) -> Any:
        return unfold(cell, params, xs, emit=None, adjoint=adjoint).final.h.sum()

    gradient = jax.grad(loss)
    if copies is not None:
        gradient = jax.vmap(gradient, in_axes=(None, 0))
    xs = jnp.ones((steps, 8) if copies is None else (copies, steps, 8))
    analysis = jax.jit(gradient).lower(params, xs).compile().memory_analysis()
    assert analysis is not None
    return analysis.temp_size_in_bytes


def test_blocks_need_a_fraction_of_autodiffs_memory() -> None:
    blocked = _memory(BPTT(block=45), 2000)
    assert blocked < 0.25 * _memory(Autodiff(), 2000)
    assert _memory(BPTT(block=45), 2000, copies=4) < 5 * blocked


def test_examples_under_vmap_keep_little() -> None:
    """The sizes that `BPTT()` sees are those of one example; all states of both would take 26 MB."""
    assert _memory(BPTT(), 100000, copies=2) < 13e6
