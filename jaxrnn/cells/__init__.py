"""Transition functions: one family a file."""

from jaxrnn.cells.base import Additive, Cell, Driven, Gated, Linear, Transition, Weights, Wrapped, transition
from jaxrnn.cells.elman import Elman, ElmanParams, ElmanState
from jaxrnn.cells.gru import GRU, GRUParams, GRUState
from jaxrnn.cells.lstm import LSTM, LSTMParams, LSTMState
from jaxrnn.cells.original_gru import OriginalGRU, OriginalGRUParams
from jaxrnn.cells.peephole_lstm import PeepholeLSTM, PeepholeLSTMParams
from jaxrnn.cells.projected_lstm import ProjectedLSTM, ProjectedLSTMParams, ProjectedLSTMState
from jaxrnn.cells.readout import Readout, ReadoutParams, Supervised, SupervisedState
from jaxrnn.cells.stack import Stack

__all__ = [
    "GRU",
    "LSTM",
    "Additive",
    "Cell",
    "Driven",
    "Elman",
    "ElmanParams",
    "ElmanState",
    "GRUParams",
    "GRUState",
    "Gated",
    "LSTMParams",
    "LSTMState",
    "Linear",
    "OriginalGRU",
    "OriginalGRUParams",
    "PeepholeLSTM",
    "PeepholeLSTMParams",
    "ProjectedLSTM",
    "ProjectedLSTMParams",
    "ProjectedLSTMState",
    "Readout",
    "ReadoutParams",
    "Stack",
    "Supervised",
    "SupervisedState",
    "Transition",
    "Weights",
    "Wrapped",
    "transition",
]
