"""Layers and their parameters as PyTorch has them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxrnn.cells import GRU, LSTM, Cell, Elman, ElmanParams, GRUParams, LSTMParams, ProjectedLSTM, ProjectedLSTMParams
from jaxrnn.cells.stack import Stack
from jaxrnn.interop.flatten import flatten
from jaxrnn.interop.torch_form import Form
from jaxrnn.layers import Bidirectional, BidirectionalParams, Dropout, Layer, Recurrent, Sequential


def to_layer(form: Form) -> Layer | Cell:
    """The layer that does what a module does; for a cell of PyTorch, the cell."""
    if form.layers is None:
        return _cell(form, 0)
    layers: list[Layer] = []
    for k in range(form.layers):
        if k and form.dropout:
            layers.append(Dropout(form.dropout))
        cell = _cell(form, k)
        layers.append(Bidirectional(cell, cell) if form.bidirectional else Recurrent(cell))
    return layers[0] if form.layers == 1 else Sequential(layers)


def to_params(form: Form, found: Mapping[str, np.ndarray]) -> Any:
    """The parameters of `to_layer(form)`."""
    params: list[Any] = []
    for k, suffixes in enumerate(form.suffixes()):
        if k and form.dropout:
            params.append(None)
        directions = [_cell_params(form, found, suffix) for suffix in suffixes]
        params.append(BidirectionalParams(*directions) if form.bidirectional else directions[0])
    return params[0] if len(params) == 1 else tuple(params)


def _cell_params(form: Form, found: Mapping[str, Any], suffix: str) -> Any:
    """The parameters of one cell."""
    U, W = found[f"weight_ih{suffix}"].T, found[f"weight_hh{suffix}"].T
    zeros: Any = np.zeros(U.shape[1], U.dtype)
    b, c = (found[f"bias_{of}{suffix}"] if form.bias else zeros for of in ("ih", "hh"))
    summed: Any = b + c
    if form.kind == "GRU":
        n = 2 * form.hidden_size
        summed[n:] = b[n:]
        return GRUParams(U, W, summed, c[n:])
    if form.kind == "RNN":
        return ElmanParams(U, W, summed)
    if form.projection:
        return ProjectedLSTMParams(U, W, summed, found[f"weight_hr{suffix}"].T)
    return LSTMParams(U, W, summed)


def _cell(form: Form, layer: int) -> Cell:
    """The cell of a layer."""
    sizes = form.input_of(layer), form.hidden_size
    if form.kind == "GRU":
        return GRU(*sizes)
    if form.kind == "RNN":
        return Elman(*sizes, activation=form.activation)
    return ProjectedLSTM(*sizes, form.projection) if form.projection else LSTM(*sizes)


def from_layer(layer: Layer | Cell, params: Any) -> tuple[Form, dict[str, np.ndarray]]:
    """The module that does what a layer does, and the entries of its state dict.

    Raises:
        ValueError: PyTorch has none.
    """
    levels, dropout = _levels(layer, params)
    form = _form([cell for cell, _ in levels], len(levels[0][1]) == 2, dropout)
    if isinstance(layer, Cell) and not isinstance(layer, Stack):
        if form.projection:
            raise ValueError(f"to_torch: PyTorch has no module for one step of {layer}: pass Recurrent(cell)")
        form = form._replace(layers=None)
    entries = {}
    for suffixes, (_, directions) in zip(form.suffixes(), levels, strict=True):
        for suffix, values in zip(suffixes, directions, strict=True):
            entries |= {f"{name}{suffix}": array for name, array in _entries(values).items()}
    return form, entries


def _levels(layer: Layer | Cell, params: Any) -> tuple[list[tuple[Cell, list[Any]]], float]:
    """Of each layer the cell and the parameters of its directions; and the rate of the dropout between them."""
    flat = list(flatten(layer, params))
    levels = [_level(inner, p) for inner, p in flat if not isinstance(inner, Dropout)]
    kinds = [isinstance(inner, Dropout) for inner, _ in flat]
    rates = {inner.rate for inner, _ in flat if isinstance(inner, Dropout)}
    between = [False, *[True, False] * (len(levels) - 1)]
    if not levels:
        raise ValueError(f"to_torch: PyTorch has no recurrent module for {layer}")
    if len(rates) > 1 or (rates and kinds != between):
        raise ValueError("to_torch: PyTorch's modules have dropout of one rate between all layers, and nowhere else")
    if len({len(directions) for _, directions in levels}) > 1:
        raise ValueError("to_torch: PyTorch's modules have one direction in all layers, or two in all")
    return levels, rates.pop() if rates else 0.0


def _level(layer: Layer, params: Any) -> tuple[Cell, list[Any]]:
    if isinstance(layer, Recurrent) and not layer.reverse:
        return layer.cell, [params]
    if isinstance(layer, Bidirectional) and layer.merge == "concatenate":
        forward, backward = layer.forward, layer.backward
        if isinstance(forward, Recurrent) and isinstance(backward, Recurrent) and forward.cell == backward.cell:
            return forward.cell, list(params)
    raise ValueError(
        f"to_torch: PyTorch has no module for {layer}: it has Recurrent(cell) and Bidirectional(cell, cell) of equal "
        "cells, concatenated, and Sequential of these"
    )


def _form(cells: list[Cell], bidirectional: bool, dropout: float) -> Form:
    form = _form_of_cell(cells[0])._replace(layers=len(cells), bidirectional=bidirectional, dropout=dropout)
    for k, cell in enumerate(cells):
        if cell != _cell(form, k):
            raise ValueError(
                f"to_torch: PyTorch's modules repeat one cell: {_cell(form, k)} must be layer {k}, not {cell}"
            )
    return form


def _form_of_cell(cell: Cell) -> Form:
    if isinstance(cell, Elman) and cell.activation in ("tanh", "relu"):
        return Form("RNN", cell.input_size, cell.hidden_size, activation=cell.activation)
    if isinstance(cell, GRU):
        return Form("GRU", cell.input_size, cell.hidden_size)
    if isinstance(cell, LSTM):
        return Form("LSTM", cell.input_size, cell.hidden_size)
    if isinstance(cell, ProjectedLSTM):
        return Form("LSTM", cell.input_size, cell.hidden_size, cell.projection_size)
    raise ValueError(
        f"to_torch: PyTorch has no module for {cell}: it has Elman (tanh, relu), LSTM, ProjectedLSTM and GRU"
    )


def _entries(params: Any) -> dict[str, np.ndarray]:
    """The entries of a state dict for one cell's parameters, without their suffix."""
    zeros = np.zeros_like(params.b)
    c = np.concatenate([zeros[: -len(params.c)], params.c]) if isinstance(params, GRUParams) else zeros
    entries = {"weight_ih": params.U.T, "weight_hh": params.W.T, "bias_ih": params.b, "bias_hh": c}
    if isinstance(params, ProjectedLSTMParams):
        entries["weight_hr"] = params.P.T
    return entries
