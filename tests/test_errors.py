"""Law 5: what does not fit raises before any arithmetic, and says what was given and what to pass."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    BPTT,
    GRU,
    LRU,
    LSTM,
    Autodiff,
    Elman,
    LeakyElman,
    Readout,
    Scan,
    Shooting,
    Stack,
    TruncatedBPTT,
    transition,
    unfold,
)

CELL = GRU(2, 3)
PARAMS = CELL.init(jax.random.key(0))
XS = np.ones((7, 4, 2), np.float32)
FREE = transition(lambda params, state, x: state * params)


def _run(**keywords: Any) -> Callable[[], Any]:
    xs = keywords.pop("xs", XS)
    return lambda: unfold(CELL, PARAMS, xs, **keywords)


# what is done, the exception, and what its message must say
CASES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a class for a cell": (lambda: unfold(GRU, PARAMS, XS), TypeError, "pass an instance"),  # pyright: ignore
    "a function for a cell": (lambda: unfold(lambda p, s, x: s, PARAMS, XS), TypeError, "transition"),  # pyright: ignore
    "size of zero": (lambda: Elman(0, 3), ValueError, "input_size must be at least 1, got 0"),
    "negative size": (lambda: LSTM(2, -3), ValueError, "hidden_size must be at least 1, got -3"),
    "fractional size": (lambda: GRU(2.5, 3), TypeError, "input_size must be a whole number, got 2.5"),  # pyright: ignore
    "boolean size": (lambda: GRU(True, 3), TypeError, "input_size must be a whole number, got True"),
    "unknown activation": (lambda: Elman(2, 3, activation="tan"), ValueError, "tanh (of jax.nn), got 'tan'"),
    "a class for an activation": (
        lambda: Elman(2, 3, activation=dict),  # pyright: ignore
        ValueError,
        "activation must be a function of one array",
    ),
    "rate of zero": (lambda: LeakyElman(2, 3, 0.0), ValueError, "rate must be above 0 and at most 1, got 0.0"),
    "rate that is no number": (lambda: LeakyElman(2, 3, "0.1"), TypeError, "rate must be a number, got '0.1'"),  # pyright: ignore
    "ring turned inside out": (
        lambda: LRU(2, 3, r_min=0.9, r_max=0.5),
        ValueError,
        "at least 0 and below 0.5, got 0.9",
    ),
    "readout of size zero": (lambda: Readout(CELL, 0), ValueError, "output_size must be at least 1, got 0"),
    "empty stack": (lambda: Stack([]), ValueError, "at least one cell"),
    "block of zero": (lambda: BPTT(block=0), ValueError, "block must be at least 1, got 0"),
    "truncation of zero": (lambda: TruncatedBPTT(0), ValueError, "steps must be at least 1, got 0"),
    "truncation with a block of zero": (
        lambda: TruncatedBPTT(3, block=0),
        ValueError,
        "block must be at least 1, got 0",
    ),
    "unroll of zero": (lambda: Scan(unroll=0), ValueError, "unroll must be at least 1, got 0"),
    "neither inputs nor steps": (_run(xs=None), ValueError, "steps=τ"),
    "negative steps": (_run(xs=None, steps=-1), ValueError, "steps must be at least 0, got -1"),
    "fractional steps": (_run(xs=None, steps=1.5), TypeError, "steps must be a whole number, got 1.5"),
    "steps against inputs": (_run(steps=8), ValueError, "steps = 8, but xs has 7 steps"),
    "integer inputs": (_run(xs=np.ones((7, 4, 2), np.int32)), TypeError, "floating type, got int32"),
    "complex inputs": (_run(xs=np.ones((7, 4, 2), np.complex64)), TypeError, "floating type, got complex64"),
    "boolean inputs": (_run(xs=np.ones((7, 4, 2), bool)), TypeError, "floating type, got bool"),
    "a list of numbers": (_run(xs=[1.0, 2.0]), TypeError, "jnp.asarray"),
    "too many features": (_run(xs=np.ones((7, 4, 5), np.float32)), ValueError, r"input_size = 2, got shape (4, 5)"),
    "no feature axis": (_run(xs=np.ones((7,), np.float32)), ValueError, "input_size = 2, got shape ()"),
    "time axis out of range": (_run(time_axis=3), ValueError, "time_axis = 3"),
    "negative time axis out of range": (_run(time_axis=-4), ValueError, "time_axis = -4"),
    "arrays of unlike time": (
        lambda: unfold(CELL, PARAMS, {"a": np.ones((7, 2)), "b": np.ones((6, 2))}),
        ValueError,
        "differ in time",
    ),
    "length beyond the time axis": (_run(lengths=np.array([7, 8, 0, 1])), ValueError, "between 0 and the 7 steps"),
    "negative length": (_run(lengths=np.array([7, -1, 0, 1])), ValueError, "got -1 to 7"),
    "fractional lengths": (_run(lengths=np.array([1.0, 2, 3, 4], np.float32)), TypeError, "integers, got float32"),
    "lengths of another batch": (_run(lengths=np.array([1, 2, 3])), ValueError, "lengths has batch axes (3,)"),
    "resets that are not booleans": (_run(resets=np.ones((7, 4), np.int32)), TypeError, "resets.astype(bool)"),
    "resets of another time": (_run(resets=np.ones((6, 4), bool)), ValueError, "resets must have 7 steps"),
    "resets of another batch": (_run(resets=np.ones((7, 3), bool)), ValueError, "resets has batch axes (3,)"),
    "a state without the batch": (_run(state=CELL.initial_state(PARAMS)), ValueError, "expected"),
    "a state of another batch": (_run(state=CELL.initial_state(PARAMS, (5,))), ValueError, "expected"),
    "a state of another type": (_run(state=jnp.zeros((4, 3))), ValueError, "cell.initial_state"),
    "a state of another dtype": (
        _run(state=CELL.initial_state(CELL.init(jax.random.key(0), jnp.bfloat16), (4,))),
        ValueError,
        "bfloat16",
    ),
    "parameters of another cell": (lambda: unfold(GRU(2, 5), PARAMS, XS), ValueError, "params"),  # pyright: ignore
    "inputs of a wider type than the parameters": (
        lambda: unfold(CELL, CELL.init(jax.random.key(0), jnp.bfloat16), XS),
        TypeError,
        "xs.astype(jnp.bfloat16)",
    ),
    "a transition without a start": (lambda: unfold(FREE, 2.0, steps=3), ValueError, "state="),
    "a transition without init": (lambda: FREE.init(jax.random.key(0)), ValueError, "init="),
    "a step that changes the structure": (
        lambda: unfold(transition(lambda p, s, x: (s, s)), 2.0, steps=3, state=jnp.ones(2)),
        TypeError,
        "structure of the state",
    ),
    "a step that changes the shape": (
        lambda: unfold(transition(lambda p, s, x: s[None]), 2.0, steps=3, state=jnp.ones(2)),
        ValueError,
        "shape from (2,) to (1, 2)",
    ),
    "a step that changes the type": (
        lambda: unfold(transition(lambda p, s, x: s > 0), 2.0, steps=3, state=jnp.ones(2)),
        TypeError,
        "from float32 to bool",
    ),
}


@pytest.mark.parametrize(("act", "kind", "says"), CASES.values(), ids=CASES.keys())
def test_bad_input(act: Callable[[], Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=re.escape(says)):
        act()


@pytest.mark.parametrize("name", ["too many features", "integer inputs", "lengths of another batch"])
def test_bad_input_raises_while_tracing(name: str) -> None:
    act, kind, says = CASES[name]
    with pytest.raises(kind, match=re.escape(says)):
        jax.eval_shape(act)


FORWARD: dict[str, Callable[..., Any]] = {
    "jvp": lambda f, xs: jax.jvp(f, (xs,), (xs,)),
    "jitted jvp": jax.jit(lambda f, xs: jax.jvp(f, (xs,), (xs,)), static_argnums=0),
    "jacfwd": lambda f, xs: jax.jacfwd(f)(xs),
    "linearize": lambda f, xs: jax.linearize(f, xs)[1](xs),
}


@pytest.mark.parametrize("adjoint", [BPTT(block=3), TruncatedBPTT(3)], ids=str)
@pytest.mark.parametrize("way", FORWARD.values(), ids=FORWARD.keys())
def test_forward_mode_names_autodiff(adjoint: Any, way: Callable[..., Any]) -> None:
    cell = Elman(2, 3)
    params = cell.init(jax.random.key(0))
    with pytest.raises(TypeError, match=re.escape("adjoint=Autodiff()")):
        way(lambda xs: unfold(cell, params, xs, emit=None, adjoint=adjoint).final.h.sum(), jnp.asarray(XS[:, 0]))


def test_a_method_is_an_instance() -> None:
    for wrong in (BPTT(), "associative", Scan):
        with pytest.raises(TypeError, match=re.escape("method=Scan()")):
            unfold(CELL, PARAMS, XS, method=wrong)


def test_autodiff_wants_scan() -> None:
    with pytest.raises(TypeError, match=r"Autodiff.*Shooting.*pass adjoint=BPTT\(\), or method=Scan"):
        unfold(CELL, PARAMS, XS, method=Shooting(), adjoint=Autodiff())
