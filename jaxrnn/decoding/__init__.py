"""Drawing symbols from a network, one after another."""

from jaxrnn.decoding.generation import generate
from jaxrnn.decoding.sampling import restrict, sample

__all__ = ["generate", "restrict", "sample"]
