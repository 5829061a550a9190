"""Networks that need the whole sequence: directions, layers one after another, what stands between them."""

from jaxrnn.layers.base import Layer, Pass
from jaxrnn.layers.bidirectional import Bidirectional, BidirectionalInfo, BidirectionalParams, BidirectionalState
from jaxrnn.layers.dropout import Dropout
from jaxrnn.layers.embedding import Embedding, EmbeddingParams
from jaxrnn.layers.pooling import (
    AttentionPooling,
    AttentionPoolingParams,
    LastPooling,
    LayerRun,
    MaxPooling,
    MeanPooling,
    Pooling,
)
from jaxrnn.layers.recurrent import Recurrent
from jaxrnn.layers.residual import Highway, HighwayParams, Residual
from jaxrnn.layers.sequential import Sequential

__all__ = [
    "AttentionPooling",
    "AttentionPoolingParams",
    "Bidirectional",
    "BidirectionalInfo",
    "BidirectionalParams",
    "BidirectionalState",
    "Dropout",
    "Embedding",
    "EmbeddingParams",
    "Highway",
    "HighwayParams",
    "LastPooling",
    "Layer",
    "LayerRun",
    "MaxPooling",
    "MeanPooling",
    "Pass",
    "Pooling",
    "Recurrent",
    "Residual",
    "Sequential",
]
