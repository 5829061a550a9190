"""Transition functions: one family a file."""

from jaxrnn.cells.attending import AttendAfter, AttendBefore, AttendBeforeState, AttendParams, attend_to
from jaxrnn.cells.attention import (
    AdditiveAttention,
    AdditiveAttentionParams,
    Attention,
    Memory,
    MultiplicativeAttention,
    MultiplicativeAttentionParams,
)
from jaxrnn.cells.base import (
    Additive,
    Affine,
    Cell,
    Driven,
    Gated,
    Linear,
    Spatial,
    Transition,
    Weights,
    Wrapped,
    transition,
)
from jaxrnn.cells.conditioned import (
    Conditioned,
    ConditionedDriven,
    ConditionedGated,
    ConditionedLinear,
    ConditionedParams,
    conditioned,
)
from jaxrnn.cells.conditioned_start import ConditionedInitialState, ConditionedInitialStateParams, given
from jaxrnn.cells.conv_lstm import ConvLSTM, ConvLSTMParams, ConvLSTMState
from jaxrnn.cells.coupled_lstm import CoupledLSTM, CoupledLSTMParams
from jaxrnn.cells.deep_transition import DeepTransition, DeepTransitionParams
from jaxrnn.cells.dropconnect import weight_dropout
from jaxrnn.cells.elman import Elman, ElmanParams, ElmanState
from jaxrnn.cells.fast_weights import FastWeights, FastWeightsParams, FastWeightsState
from jaxrnn.cells.feed_forward import FeedForward, FeedForwardParams
from jaxrnn.cells.gru import GRU, GRUParams, GRUState
from jaxrnn.cells.ind_rnn import IndRNN, IndRNNParams
from jaxrnn.cells.jordan import Jordan, JordanParams, JordanState
from jaxrnn.cells.layer_norm_gru import LayerNormGRU, LayerNormGRUParams
from jaxrnn.cells.layer_norm_lstm import LayerNormLSTM, LayerNormLSTMParams
from jaxrnn.cells.leaky import LeakyElman, LeakyElmanParams
from jaxrnn.cells.learned_initial_state import LearnedInitialState, LearnedInitialStateParams
from jaxrnn.cells.lru import LRU, LRUParams, LRUState
from jaxrnn.cells.lstm import LSTM, LSTMParams, LSTMState
from jaxrnn.cells.mgu import MGU, MGUParams
from jaxrnn.cells.min_gru import MinGRU, MinGRUParams
from jaxrnn.cells.min_lstm import MinLSTM, MinLSTMParams, MinLSTMState
from jaxrnn.cells.ntm import NTM, NTMParams, NTMState
from jaxrnn.cells.original_gru import OriginalGRU, OriginalGRUParams
from jaxrnn.cells.peephole_lstm import PeepholeLSTM, PeepholeLSTMParams
from jaxrnn.cells.perturbation import Perturbation, Perturbed, PerturbedGated, perturbed
from jaxrnn.cells.projected_lstm import ProjectedLSTM, ProjectedLSTMParams, ProjectedLSTMState
from jaxrnn.cells.readout import Readout, ReadoutParams, Supervised, SupervisedState
from jaxrnn.cells.reservoir import Reservoir, ReservoirParams, ReservoirState, ridge_readout
from jaxrnn.cells.skip import Skip, SkipParams, SkipState
from jaxrnn.cells.slstm import SLSTM, SLSTMParams, SLSTMState
from jaxrnn.cells.stack import Stack
from jaxrnn.cells.state_noise import StateNoise
from jaxrnn.cells.tied_gru import TiedGRU, TiedGRUParams
from jaxrnn.cells.variational_dropout import VariationalDropout, VariationalDropoutParams, sequence_dropout
from jaxrnn.cells.zoneout import Zoneout

__all__ = [
    "GRU",
    "LRU",
    "LSTM",
    "MGU",
    "NTM",
    "SLSTM",
    "Additive",
    "AdditiveAttention",
    "AdditiveAttentionParams",
    "Affine",
    "AttendAfter",
    "AttendBefore",
    "AttendBeforeState",
    "AttendParams",
    "Attention",
    "Cell",
    "Conditioned",
    "ConditionedDriven",
    "ConditionedGated",
    "ConditionedInitialState",
    "ConditionedInitialStateParams",
    "ConditionedLinear",
    "ConditionedParams",
    "ConvLSTM",
    "ConvLSTMParams",
    "ConvLSTMState",
    "CoupledLSTM",
    "CoupledLSTMParams",
    "DeepTransition",
    "DeepTransitionParams",
    "Driven",
    "Elman",
    "ElmanParams",
    "ElmanState",
    "FastWeights",
    "FastWeightsParams",
    "FastWeightsState",
    "FeedForward",
    "FeedForwardParams",
    "GRUParams",
    "GRUState",
    "Gated",
    "IndRNN",
    "IndRNNParams",
    "Jordan",
    "JordanParams",
    "JordanState",
    "LRUParams",
    "LRUState",
    "LSTMParams",
    "LSTMState",
    "LayerNormGRU",
    "LayerNormGRUParams",
    "LayerNormLSTM",
    "LayerNormLSTMParams",
    "LeakyElman",
    "LeakyElmanParams",
    "LearnedInitialState",
    "LearnedInitialStateParams",
    "Linear",
    "MGUParams",
    "Memory",
    "MinGRU",
    "MinGRUParams",
    "MinLSTM",
    "MinLSTMParams",
    "MinLSTMState",
    "MultiplicativeAttention",
    "MultiplicativeAttentionParams",
    "NTMParams",
    "NTMState",
    "OriginalGRU",
    "OriginalGRUParams",
    "PeepholeLSTM",
    "PeepholeLSTMParams",
    "Perturbation",
    "Perturbed",
    "PerturbedGated",
    "ProjectedLSTM",
    "ProjectedLSTMParams",
    "ProjectedLSTMState",
    "Readout",
    "ReadoutParams",
    "Reservoir",
    "ReservoirParams",
    "ReservoirState",
    "SLSTMParams",
    "SLSTMState",
    "Skip",
    "SkipParams",
    "SkipState",
    "Spatial",
    "Stack",
    "StateNoise",
    "Supervised",
    "SupervisedState",
    "TiedGRU",
    "TiedGRUParams",
    "Transition",
    "VariationalDropout",
    "VariationalDropoutParams",
    "Weights",
    "Wrapped",
    "Zoneout",
    "attend_to",
    "conditioned",
    "given",
    "perturbed",
    "ridge_readout",
    "sequence_dropout",
    "transition",
    "weight_dropout",
]
