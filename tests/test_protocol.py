"""The public face: one argument order, documented names, nothing exported by accident."""

import dataclasses
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests import grid

PUBLIC = {name: getattr(jaxrnn, name) for name in jaxrnn.__all__}
CLASSES = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}
CELL_CLASSES = [value for value in CLASSES.values() if issubclass(value, jaxrnn.Cell)]
TUPLES = [value for value in CLASSES.values() if issubclass(value, tuple)]
CHOICES = [value for value in CLASSES.values() if dataclasses.is_dataclass(value)]
# (method, its arguments after self); one order everywhere: params, state, x
ORDER = {
    "init": ["key", "dtype"],
    "initial_state": ["params", "batch_shape"],
    "step": ["params", "state", "x"],
    "output": ["params", "state"],
    "drive": ["params", "x"],
    "advance": ["params", "state", "u"],
    "recurrent": ["params"],
    "recur": ["params", "state"],
    "hidden": ["params", "state"],
    "activate": ["params", "state", "u", "a"],
    "weights": ["params"],
    "gate": ["params", "state", "z"],
    "coefficients": ["params", "xs"],
    "inner_params": ["params"],
    "inner_state": ["state"],
    "inner_input": ["x"],
    "extend": ["state", "x"],
    "draw": ["key", "params", "steps", "batch_shape", "state"],
    "draw_mask": ["key", "params", "batch_shape"],
}


def _within(cell: Any) -> set[type]:
    """The classes of a cell and of those within it."""
    inner = [getattr(cell, "inner", None), *getattr(cell, "cells", ())]
    return {type(cell)}.union(*(_within(one) for one in inner if one is not None))


def test_every_cell_is_in_the_grid() -> None:
    """So that a cell that is made public has all the laws, or fails here."""
    final = {cell for cell in CELL_CLASSES if not inspect.isabstract(cell)}
    assert final - set().union(*(_within(entry.cell) for entry in grid.CELLS)) == set()


@pytest.mark.parametrize("cell", CELL_CLASSES, ids=lambda cell: cell.__name__)
def test_argument_order(cell: type) -> None:
    methods = {name: value for name, value in inspect.getmembers(cell, inspect.isfunction) if not name.startswith("_")}
    assert set(methods) <= set(ORDER)
    for name, method in methods.items():
        assert list(inspect.signature(method).parameters)[1:] == ORDER[name]


def test_unfold_takes_choices_by_name() -> None:
    parameters = inspect.signature(jaxrnn.unfold).parameters
    positional = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == ["cell", "params", "xs"]
    assert {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY} == {
        "state", "steps", "lengths", "resets", "reverse", "time_axis", "emit", "method", "adjoint", "precision",
    }  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings(name: str) -> None:
    value = PUBLIC[name]
    text = inspect.cleandoc(value.__doc__ or "")
    assert text
    assert not text.startswith(f"{name}(")  # not the signature that a dataclass makes up
    usable = (inspect.isfunction(value) and name != "states") or dataclasses.is_dataclass(value)
    if usable:
        assert "Example:" in text, f"{name} has no Example"
    if inspect.isfunction(value):
        for argument in inspect.signature(value).parameters:
            assert f"{argument}:" in text or name == "states", f"{name} does not document {argument}"
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            assert f"{field.name}:" in text, f"{name} does not document {field.name}"


@pytest.mark.parametrize("value", [*CELL_CLASSES, *CHOICES], ids=lambda value: value.__name__)
def test_abstract_or_final(value: type) -> None:
    """A class that can be made has no subclasses here, and nobody overrides a concrete method."""
    if not inspect.isabstract(value):
        assert not [c for c in CLASSES.values() if c is not value and issubclass(c, value)]
    for name, method in vars(value).items():
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        for base in value.__mro__[1:]:
            above = vars(base).get(name)
            assert above is None or getattr(above, "__isabstractmethod__", False), f"{value.__name__}.{name}"


@pytest.mark.parametrize("value", TUPLES, ids=lambda value: value.__name__)
def test_tuples_document_their_fields(value: Any) -> None:
    source = inspect.getsource(value)
    for field in value._fields:
        line = next(line for line in source.splitlines() if line.strip().startswith(f"{field}:"))
        assert "#" in line, f"{value.__name__}.{field} has no documented shape"


@pytest.mark.parametrize("entry", grid.CELLS, ids=grid.NAMES)
def test_cells_are_hashable_values(entry: grid.Entry) -> None:
    cell: Any = entry.cell
    assert dataclasses.is_dataclass(cell)
    assert hash(cell) == hash(dataclasses.replace(cell))  # pyright: ignore
    assert cell == dataclasses.replace(cell)  # pyright: ignore
    name = dataclasses.fields(cell)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(cell, name, None)


def _with_integers_of_numpy(value: Any) -> Any:
    """A choice made anew, each int in it an integer of NumPy."""
    if isinstance(value, int) and not isinstance(value, bool):
        return np.int64(value)
    if type(value) is tuple:
        return tuple(map(_with_integers_of_numpy, value))
    if dataclasses.is_dataclass(value) and type(value).__module__.startswith("jaxrnn."):
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        return dataclasses.replace(value, **{name: _with_integers_of_numpy(getattr(value, name)) for name in fields})  # pyright: ignore
    return value


SIZED = [
    *(entry.cell for entry in grid.CELLS),
    jaxrnn.Embedding(5, 2),
    jaxrnn.trees.NaryTreeLSTM(2, 3, arity=2),
    jaxrnn.Shooting(3, probe=4),
    jaxrnn.TruncatedBPTT(35, block=7),
    jaxrnn.Scan(unroll=2),
]


@pytest.mark.parametrize("choice", SIZED, ids=[*grid.NAMES, *(type(one).__name__ for one in SIZED[len(grid.NAMES) :])])
def test_integers_of_numpy_are_ints(choice: Any) -> None:
    again = _with_integers_of_numpy(choice)
    assert repr(again) == repr(choice)  # which says np.int64(3) of what is none
    assert (again, hash(again)) == (choice, hash(choice))


@pytest.mark.parametrize("entry", grid.CELLS, ids=grid.NAMES)
def test_shapes_and_types(entry: grid.Entry, rng: np.random.Generator) -> None:
    cell = entry.cell
    for dtype in (jnp.bfloat16, jnp.float32):
        for batch in ((), (3,), (2, 3)):
            params = jax.eval_shape(lambda key, dtype=dtype: cell.init(key, dtype), jax.random.key(0))
            assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(params) if grid.is_float(leaf))
            zero = jax.eval_shape(lambda params, batch=batch: cell.initial_state(params, batch), params)
            assert all(s.shape[: len(batch)] == batch for s in jax.tree.leaves(zero))
            assert all(s.dtype == dtype for s in jax.tree.leaves(zero) if grid.is_float(s))
            new = jax.eval_shape(cell.step, params, zero, grid.cast(entry.draw(rng, batch), dtype))
            assert jax.tree.map(lambda a: (a.shape, a.dtype), new) == jax.tree.map(lambda a: (a.shape, a.dtype), zero)
