"""Folding a cell over trees: what trees are, and the cells of recursive networks."""

from jaxrnn.trees.api import Folding, fold
from jaxrnn.trees.base import TreeCell
from jaxrnn.trees.batching import Batch, Sizes, Trees, batch, batches, largest, sizes, unbatch
from jaxrnn.trees.brackets import from_brackets, to_brackets
from jaxrnn.trees.chain import Chain
from jaxrnn.trees.child_sum import ChildSumTreeLSTM, ChildSumTreeLSTMParams, TreeLSTMState
from jaxrnn.trees.convert import from_ast, from_nested, narrow
from jaxrnn.trees.labels import Labels
from jaxrnn.trees.nary import NaryTreeLSTM, NaryTreeLSTMParams
from jaxrnn.trees.structure import Tree, from_children, from_parents
from jaxrnn.trees.tensor import RNTN, RNTNParams

__all__ = [
    "RNTN",
    "Batch",
    "Chain",
    "ChildSumTreeLSTM",
    "ChildSumTreeLSTMParams",
    "Folding",
    "Labels",
    "NaryTreeLSTM",
    "NaryTreeLSTMParams",
    "RNTNParams",
    "Sizes",
    "Tree",
    "TreeCell",
    "TreeLSTMState",
    "Trees",
    "batch",
    "batches",
    "fold",
    "from_ast",
    "from_brackets",
    "from_children",
    "from_nested",
    "from_parents",
    "largest",
    "narrow",
    "sizes",
    "to_brackets",
    "unbatch",
]
