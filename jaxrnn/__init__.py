"""Recurrent networks in JAX: any pure transition, unfolded over time in blocks."""

import importlib
from typing import TYPE_CHECKING, Any

from jaxrnn import cells, layers
from jaxrnn.cells import *
from jaxrnn.cells import initializers
from jaxrnn.layers import *
from jaxrnn.trees import (
    RNTN,
    Chain,
    ChildSumTreeLSTM,
    ChildSumTreeLSTMParams,
    Folding,
    NaryTreeLSTM,
    NaryTreeLSTMParams,
    RNTNParams,
    Tree,
    TreeCell,
    TreeLSTMState,
    Trees,
    fold,
)
from jaxrnn.unfold import (
    BPTT,
    RTRL,
    Associative,
    Auto,
    Autodiff,
    Certificate,
    Newton,
    Online,
    OnlineState,
    Scan,
    Shooting,
    SnAp1,
    TruncatedBPTT,
    Unfolding,
    states,
    unfold,
)

if TYPE_CHECKING:
    from jaxrnn import data, decoding, diagnostics, interop, losses, models, plotting, training, trees

__version__ = "0.1.0"

__all__ = [
    "BPTT",
    "RNTN",
    "RTRL",
    "Associative",
    "Auto",
    "Autodiff",
    "Certificate",
    "Chain",
    "ChildSumTreeLSTM",
    "ChildSumTreeLSTMParams",
    "Folding",
    "NaryTreeLSTM",
    "NaryTreeLSTMParams",
    "Newton",
    "Online",
    "OnlineState",
    "RNTNParams",
    "Scan",
    "Shooting",
    "SnAp1",
    "Tree",
    "TreeCell",
    "TreeLSTMState",
    "Trees",
    "TruncatedBPTT",
    "Unfolding",
    "data",
    "decoding",
    "diagnostics",
    "fold",
    "initializers",
    "interop",
    "layers",
    "losses",
    "models",
    "plotting",
    "states",
    "training",
    "trees",
    "unfold",
]
__all__ += cells.__all__
__all__ += layers.__all__

_ON_USE = {"data", "decoding", "diagnostics", "interop", "losses", "models", "plotting", "training"}


def __getattr__(name: str) -> Any:
    # These bring optax, tqdm and more: whoever only unfolds a cell does not wait for them.
    if name in _ON_USE:
        return importlib.import_module(f"jaxrnn.{name}")
    raise AttributeError(f"module 'jaxrnn' has no attribute {name!r}")
