"""Weights of other frameworks, in and out: `from_NAME(source) -> (layer, params)`, `to_NAME(layer, params)`."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxrnn.interop import arrays, flax, keras, linen, nnx, onnx, torch

__all__ = ["arrays", "flax", "keras", "linen", "nnx", "onnx", "torch"]


def __getattr__(name: str) -> Any:
    # Nobody waits for a framework, or needs to have it, who does not use it.
    if name in __all__:
        return importlib.import_module(f"jaxrnn.interop.{name}")
    raise AttributeError(f"module 'jaxrnn.interop' has no attribute {name!r}")
