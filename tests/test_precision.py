"""`precision`: every matrix product of `unfold`, forward and backward, is asked of the device as it says."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax import lax

import jaxrnn
from jaxrnn import RTRL, Autodiff, Newton, Shooting, trees, unfold
from tests import grid

ASKED = {
    None: "None",
    "float32": str((lax.Precision.HIGHEST,) * 2),
    "tensorfloat32": str((lax.Precision.HIGH,) * 2),
    "bfloat16": "BF16_BF16_F32",
}
CELLS = [
    jaxrnn.Elman(3, 4),
    jaxrnn.LSTM(3, 4),
    jaxrnn.GRU(3, 4),
    jaxrnn.MGU(3, 4),
    jaxrnn.OriginalGRU(3, 4),
    jaxrnn.ProjectedLSTM(3, 4, 2),
    jaxrnn.SLSTM(3, 4, heads=2),
    jaxrnn.MinGRU(3, 4),
    jaxrnn.Readout(jaxrnn.GRU(3, 4), 2),
    jaxrnn.Stack([jaxrnn.LSTM(3, 4), jaxrnn.GRU(4, 4)]),
]


def _inner(equation: Any) -> Iterator[Any]:
    for leaf in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
        if hasattr(leaf, "eqns") or hasattr(leaf, "jaxpr"):
            yield leaf if hasattr(leaf, "eqns") else leaf.jaxpr


def _products(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for inner in _inner(equation):
            yield from _products(inner)


def _gradient(cell: Any, **choices: Any) -> tuple[Callable[..., Any], tuple[Any, Any]]:
    """The gradient of Σ y² by parameters and inputs."""

    def loss(params: Any, xs: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(unfold(cell, params, xs, **choices).outputs))

    xs = jax.random.normal(jax.random.key(1), (5, 2, 3))
    return jax.grad(loss, (0, 1)), (cell.init(jax.random.key(0)), xs)


@pytest.mark.parametrize("precision", ASKED)
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: type(cell).__name__)
def test_every_product_is_asked_for_as_precision_says(cell: Any, precision: str | None):
    gradient, given = _gradient(cell, precision=precision)
    found = list(_products(jax.make_jaxpr(gradient)(*given).jaxpr))
    assert len(found) >= 3
    assert {str(equation.params["precision"]) for equation in found} == {ASKED[precision]}
    assert {v.aval.dtype for equation in found for v in equation.outvars} == {np.dtype("float32")}


@pytest.mark.parametrize(
    "choices", [{}, {"adjoint": RTRL()}, {"adjoint": Autodiff()}, {"method": Shooting(2)}], ids=str
)
def test_the_setting_of_jax_holds_on_the_way_back_too(choices: dict[str, Any]):
    cell = jaxrnn.GRU(3, 4)

    def loss(params: Any, xs: jax.Array) -> jax.Array:
        with jax.default_matmul_precision("BF16_BF16_F32"):  # nothing is set where the gradient is asked for
            run = unfold(cell, params, xs, **choices)
        return jnp.sum(run.outputs)

    given = cell.init(jax.random.key(0)), jnp.ones((6, 2, 3))
    found = list(_products(jax.make_jaxpr(jax.grad(loss))(*given).jaxpr))
    asked = {str(equation.params["precision"]) for equation in found}
    assert ASKED["bfloat16"] in asked
    assert asked <= {ASKED["bfloat16"], ASKED["float32"]}  # RTRL keeps the influence of the past unrounded


def test_the_setting_of_jax_holds_on_the_way_back_of_trees_too():
    cell = trees.ChildSumTreeLSTM(3, 4)
    batch = trees.batch([trees.from_children([(), (), (0, 1)], np.ones((3, 3), np.float32))])

    def loss(params: Any) -> jax.Array:
        with jax.default_matmul_precision("BF16_BF16_F32"):
            run = trees.fold(cell, params, batch)
        return jnp.sum(run.roots)

    found = list(_products(jax.make_jaxpr(jax.grad(loss))(cell.init(jax.random.key(0))).jaxpr))
    assert len(found) >= 6
    assert {str(equation.params["precision"]) for equation in found} == {ASKED["bfloat16"]}


def _rounded(jaxpr: Any, arguments: list[Any]) -> list[Any]:
    """A program as a device runs it that rounds the operands of every product to bfloat16, and sums in float32."""
    values = dict(zip(jaxpr.invars, arguments, strict=True))

    def read(v: Any) -> Any:
        return v.val if hasattr(v, "val") else values[v]

    for equation in jaxpr.eqns:
        given, parts = [read(v) for v in equation.invars], equation.params
        name, inner = equation.primitive.name, list(_inner(equation))
        if name == "dot_general":
            left, right = (lax.reduce_precision(a, 8, 7) for a in given)
            found = [lax.dot_general(left, right, parts["dimension_numbers"], precision="float32")]
        elif name == "scan":
            fixed, first = parts["num_consts"], parts["num_consts"] + parts["num_carry"]
            body = parts["jaxpr"]

            def step(carry: Any, xs: Any, body: Any = body, held: Any = tuple(given[:fixed])) -> Any:
                out = _rounded(body.jaxpr, [*body.consts, *held, *carry, *xs])
                return out[: len(carry)], out[len(carry) :]

            last, ys = lax.scan(step, given[fixed:first], given[first:], parts["length"], parts["reverse"])
            found = [*last, *ys]
        elif name in ("jit", "pjit", "custom_jvp_call"):
            program = parts["jaxpr" if "jaxpr" in parts else "call_jaxpr"]
            found = _rounded(program.jaxpr, [*program.consts, *given])
        else:
            assert not inner, name
            out = equation.primitive.bind(*given, **parts)
            found = out if equation.primitive.multiple_results else [out]
        values |= dict(zip(equation.outvars, found, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _elman(U: Any, W: Any, b: Any, xs: Any, rounded: Callable[[Any], Any]) -> list[Any]:
    """Gradients of Σ h² of h(t) = tanh(x(t) U + h(t-1) W + b), in float64 but for the operands of products."""
    h, states = np.zeros((xs.shape[1], len(W))), []
    for x in xs:
        states.append(h)
        h = np.tanh(rounded(x) @ rounded(U) + rounded(h) @ rounded(W) + b)
    after, of_U, of_W, of_b, of_xs = [*states[1:], h], 0.0, 0.0, 0.0, []
    back = np.zeros_like(h)
    for x, before, now in zip(xs[::-1], states[::-1], after[::-1], strict=True):
        d = (1 - now**2) * (2 * now + back)
        back = rounded(d) @ rounded(W).T
        of_xs.append(rounded(d) @ rounded(U).T)
        of_U = of_U + rounded(x).T @ rounded(d)
        of_W = of_W + rounded(before).T @ rounded(d)
        of_b = of_b + d.sum(0)
    return [of_U, of_W, of_b, np.array(of_xs[::-1])]


def test_rounded_to_bfloat16_gradients_are_those_of_numpy_rounded_alike():
    cell = jaxrnn.Elman(3, 4)
    gradient, (params, xs) = _gradient(cell, precision="bfloat16")
    program = jax.make_jaxpr(gradient)(params, xs)
    found = _rounded(program.jaxpr, jax.tree.leaves((params, xs)))
    wide = [np.asarray(a, np.float64) for a in (*params, xs)]
    expected = _elman(*wide, rounded=lambda a: a.astype(ml_dtypes.bfloat16).astype(np.float64))
    unrounded = _elman(*wide, rounded=lambda a: a)
    for one, other, plain in zip(found, expected, unrounded, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
        assert np.abs(plain - other).max() > 1e-3  # or nothing was rounded
    for one, plain in zip(jax.tree.leaves(gradient(params, xs)), unrounded, strict=True):
        np.testing.assert_allclose(one, plain, rtol=0.05, atol=0.05)  # here, rounded or not as the device can


@pytest.mark.parametrize("precision", ["bf16", "highest", 7, ("float32",)])
def test_an_unknown_precision_is_refused(precision: Any):
    cell = jaxrnn.GRU(3, 4)
    with pytest.raises(ValueError, match='must be one of "float32", "tensorfloat32", "bfloat16", or None, got'):
        unfold(cell, cell.init(jax.random.key(0)), jnp.ones((2, 3)), precision=precision)


def test_what_solves_to_rounding_is_not_rounded(x64: None):
    cell = jaxrnn.GRU(3, 4)
    params, xs = cell.init(jax.random.key(0)), jnp.ones((2, 3), jnp.float32)
    with pytest.raises(ValueError, match="Newton solves to the rounding of its parameters"):
        unfold(cell, params, xs, method=Newton(), precision="bfloat16")
    wide = cell.init(jax.random.key(0), jnp.float64)
    with pytest.raises(ValueError, match="is for parameters of float32, got float64"):
        unfold(cell, wide, jnp.ones((2, 3)), precision="tensorfloat32")
    grid.close(
        unfold(cell, wide, jnp.ones((2, 3)), precision="float32").final,
        unfold(cell, wide, jnp.ones((2, 3))).final,
        0,
        0,
    )
