"""Recurrent networks in JAX: any pure transition, unfolded over time in blocks."""

import importlib
from typing import TYPE_CHECKING, Any

from jaxrnn.cells import (
    GRU,
    LSTM,
    MGU,
    Additive,
    Cell,
    CoupledLSTM,
    CoupledLSTMParams,
    Driven,
    Elman,
    ElmanParams,
    ElmanState,
    Gated,
    GRUParams,
    GRUState,
    Jordan,
    JordanParams,
    JordanState,
    LeakyElman,
    LeakyElmanParams,
    Linear,
    LSTMParams,
    LSTMState,
    MGUParams,
    MinGRU,
    MinGRUParams,
    MinLSTM,
    MinLSTMParams,
    MinLSTMState,
    OriginalGRU,
    OriginalGRUParams,
    PeepholeLSTM,
    PeepholeLSTMParams,
    ProjectedLSTM,
    ProjectedLSTMParams,
    ProjectedLSTMState,
    Readout,
    ReadoutParams,
    Stack,
    Supervised,
    SupervisedState,
    Transition,
    Weights,
    Wrapped,
    transition,
)
from jaxrnn.unfold import BPTT, Autodiff, Scan, TruncatedBPTT, Unfolding, states, unfold

if TYPE_CHECKING:
    from jaxrnn import data, decoding, interop, losses, models, plotting, training

__version__ = "0.1.0"

__all__ = [
    "BPTT",
    "GRU",
    "LSTM",
    "MGU",
    "Additive",
    "Autodiff",
    "Cell",
    "CoupledLSTM",
    "CoupledLSTMParams",
    "Driven",
    "Elman",
    "ElmanParams",
    "ElmanState",
    "GRUParams",
    "GRUState",
    "Gated",
    "Jordan",
    "JordanParams",
    "JordanState",
    "LSTMParams",
    "LSTMState",
    "LeakyElman",
    "LeakyElmanParams",
    "Linear",
    "MGUParams",
    "MinGRU",
    "MinGRUParams",
    "MinLSTM",
    "MinLSTMParams",
    "MinLSTMState",
    "OriginalGRU",
    "OriginalGRUParams",
    "PeepholeLSTM",
    "PeepholeLSTMParams",
    "ProjectedLSTM",
    "ProjectedLSTMParams",
    "ProjectedLSTMState",
    "Readout",
    "ReadoutParams",
    "Scan",
    "Stack",
    "Supervised",
    "SupervisedState",
    "Transition",
    "TruncatedBPTT",
    "Unfolding",
    "Weights",
    "Wrapped",
    "data",
    "decoding",
    "interop",
    "losses",
    "models",
    "plotting",
    "states",
    "training",
    "transition",
    "unfold",
]

_ON_USE = {"data", "decoding", "interop", "losses", "models", "plotting", "training"}


def __getattr__(name: str) -> Any:
    # These bring optax, tqdm and more: whoever only unfolds a cell does not wait for them.
    if name in _ON_USE:
        return importlib.import_module(f"jaxrnn.{name}")
    raise AttributeError(f"module 'jaxrnn' has no attribute {name!r}")
