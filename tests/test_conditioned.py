"""What depends on a vector, at every step and at the start: batches, resets, methods, models; and given wrongly."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    BPTT,
    GRU,
    LSTM,
    Associative,
    Autodiff,
    Bidirectional,
    Conditioned,
    ConditionedDriven,
    ConditionedGated,
    ConditionedInitialState,
    ConditionedLinear,
    Driven,
    Elman,
    Gated,
    Linear,
    MinGRU,
    Readout,
    Shooting,
    Stack,
    conditioned,
    given,
    unfold,
)
from jaxrnn.models import LanguageModel
from tests import grid, oracles

XS = np.random.default_rng(0).normal(size=(grid.T, 3, 2))
VS = np.random.default_rng(1).normal(size=(3, 2))
BOTH = ConditionedInitialState(conditioned(Elman(4, 3), 2), 2)


def test_a_cell_keeps_its_structure() -> None:
    for cell, kind, trait in (
        (LSTM(4, 3), ConditionedGated, Gated),
        (MinGRU(4, 3), ConditionedLinear, Linear),
        (grid.Leaky(4, 3), ConditionedDriven, Driven),
        (Stack([GRU(4, 3)]), Conditioned, object),
    ):
        assert type(conditioned(cell, 2)) is kind
        assert isinstance(conditioned(cell, 2), trait)


@pytest.mark.usefixtures("x64")
def test_every_sequence_has_its_own_vector_at_every_step_and_at_the_start() -> None:
    """Row by row by the equations, with a reset, a length of zero, and gradients of the vectors."""
    params = given(BOTH.init(jax.random.key(0), jnp.float64), VS)
    lengths, resets = np.array([grid.T, 0, 4]), np.zeros((grid.T, 3), bool)
    resets[3, 0] = True

    @grid.quick
    def program(params: Any, xs: Any) -> Any:
        def loss(params: Any, xs: Any, adjoint: Any) -> Any:
            run = unfold(BOTH, params, xs, lengths=lengths, resets=resets, adjoint=adjoint)
            return grid.weigh((run.outputs, run.final)), (run.outputs, run.final)

        return [grid.gradients(lambda p, x, a=a: loss(p, x, a), params, xs) for a in (Autodiff(), BPTT(), BPTT(3))]

    expected, *found = program(params, jnp.asarray(XS))
    grid.close(found, [expected, expected], 1e-11, 1e-12)
    p = grid.host(params)
    for row, n in enumerate(lengths):
        start = p.q._replace(h=p.q.h + VS[row] @ p.Q.h)
        xs = np.concatenate([XS[:, row], np.broadcast_to(VS[row], (grid.T, 2))], axis=-1)
        states, last = oracles.run(oracles.ELMAN, p.cell.cell, start, xs, n, resets[:, row])
        np.testing.assert_allclose(expected[0][1].h[row], last.h, rtol=1e-11)
        for t, s in enumerate(states):
            np.testing.assert_allclose(expected[0][0][t, row], s.h, rtol=1e-11)


@pytest.mark.usefixtures("x64")
def test_the_vector_is_a_bias_that_it_chooses() -> None:
    """The book's view: v R with R the rows of U that v meets."""
    cell = conditioned(Elman(4, 3), 2)
    params = cell.init(jax.random.key(0), jnp.float64)
    U, R = params.cell.U[:2], params.cell.U[2:]
    biased = params.cell._replace(U=U, b=params.cell.b + VS[0] @ R)
    found = unfold(cell, given(params, VS[0]), jnp.asarray(XS)).outputs
    np.testing.assert_allclose(found, unfold(Elman(2, 3), biased, jnp.asarray(XS)).outputs, rtol=1e-11)
    plain = unfold(cell, params, jnp.asarray(XS)).outputs  # without a vector
    np.testing.assert_array_equal(plain, unfold(cell, given(params, np.zeros(2)), jnp.asarray(XS)).outputs)


def test_methods_that_need_structure(key: jax.Array) -> None:
    xs, vs = jnp.asarray(XS, jnp.float32), jnp.asarray(VS, jnp.float32)
    for cell, method in ((conditioned(MinGRU(4, 3), 2), Associative()), (conditioned(GRU(4, 3), 2), Shooting(2))):
        params = given(cell.init(key), vs)
        grid.close(unfold(cell, params, xs, method=method)[:2], unfold(cell, params, xs)[:2], 1e-5, 1e-6)


def test_a_vector_reaches_every_conditioned_cell_within(key: jax.Array) -> None:
    """Stacks, both directions of a layer, readouts, language models; vmap over vectors equals a batch of them."""
    stack = Stack([conditioned(GRU(4, 3), 2), Readout(ConditionedInitialState(conditioned(LSTM(5, 3), 2), 2), 4)])
    xs, vs = jnp.asarray(XS, jnp.float32), jnp.asarray(VS, jnp.float32)
    params = stack.init(key)
    whole = unfold(stack, given(params, vs), xs).outputs
    alone = jax.vmap(lambda v, x: unfold(stack, given(params, v), x).outputs, in_axes=(0, 1), out_axes=1)(vs, xs)
    np.testing.assert_allclose(whole, alone, rtol=1e-5, atol=1e-6)
    assert np.abs(whole - unfold(stack, params, xs).outputs).max() > 0.01
    both = Bidirectional(conditioned(GRU(4, 3), 2), conditioned(GRU(4, 3), 2))
    found = both.apply(given(both.init(key), vs), xs).outputs
    plain = both.apply(both.init(key), xs).outputs
    assert (np.abs(found - plain).max((0, 1)) > 1e-3).all()
    model = LanguageModel(5, 4, conditioned(GRU(6, 3), 2))
    params = model.init(key)
    prompt = jnp.zeros((1, 3), int)
    texts = model.generate(given(params, 9 * vs), key, prompt=prompt, steps=12)
    assert (texts != model.generate(params, key, prompt=prompt, steps=12)).any()
    jax.tree.map(np.testing.assert_array_equal, given(given(params, vs), None), params)


def test_types_follow_the_parameters(key: jax.Array) -> None:
    cell = ConditionedInitialState(conditioned(GRU(4, 3), 2), 2)
    params = given(cell.init(key, jnp.bfloat16), jnp.ones((3, 2), jnp.float32))
    assert unfold(cell, params, jnp.asarray(XS, jnp.bfloat16)).outputs.dtype == jnp.bfloat16
    nothing = unfold(conditioned(Elman(2, 3), 2), given(conditioned(Elman(2, 3), 2).init(key), VS), jnp.ones((4, 3, 0)))
    assert nothing.outputs.shape == (4, 3, 3)  # nothing but the vector is read


def _run(vector: Any, cell: Any = BOTH) -> Any:
    return unfold(cell, given(cell.init(jax.random.key(0)), vector), jnp.asarray(XS, jnp.float32))


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "another size": (lambda: _run(jnp.ones((3, 4))), ValueError, "must be size = 2, got shape (3, 4)"),
    "another batch": (lambda: _run(jnp.ones((4, 2))), ValueError, "batch axes (4,), but the state (3,)"),
    "another batch at every step": (
        lambda: _run(jnp.ones((4, 2)), BOTH.inner),
        ValueError,
        "the vector has batch axes (4,), but x is of shape (3, 2)",
    ),
    "integers": (lambda: _run(jnp.ones((3, 2), int)), TypeError, "pass one such as jax.nn.one_hot(labels, 2)"),
    "a number": (lambda: _run(1.0), ValueError, "got shape ()"),
    "nothing takes it": (lambda: _run(jnp.ones(2), Elman(2, 3)), ValueError, "no conditioned cell in params"),
    "symbols": (
        lambda: unfold(BOTH, BOTH.init(jax.random.key(0)), jnp.ones((5, 3), int)),
        TypeError,
        "x must be one array of a floating type",
    ),
    "no size": (lambda: conditioned(GRU(4, 3), 0), ValueError, "size must be at least 1, got 0"),
    "a class": (lambda: conditioned(GRU, 2), TypeError, "expected a cell"),  # pyright: ignore
    "not gated": (lambda: ConditionedGated(MinGRU(4, 3), 2), TypeError, "inner must be Gated"),  # pyright: ignore
    "a start that counts": (
        lambda: ConditionedInitialState(grid.Tied(2, 3), 2).init(jax.random.key(0)),
        TypeError,
        "real floating-point numbers",
    ),
}


@pytest.mark.parametrize(("act", "kind", "says"), WRONG.values(), ids=WRONG.keys())
def test_wrong_vectors(act: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        act()
    assert says in str(caught.value)
