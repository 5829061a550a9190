"""Where a fused kernel plugs in: a `Kernel` takes the steps of one kind of cell, the method `Fused` asks it to."""

from jaxrnn.unfold.kernels.fused import Fused
from jaxrnn.unfold.kernels.kernel import Kernel

__all__ = ["Fused", "Kernel"]
