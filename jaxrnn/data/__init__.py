"""Data that ships with the package, and batches of it."""

from jaxrnn.data.shakespeare import shakespeare
from jaxrnn.data.text import Alphabet, Chunks, PaddedChunks, chunks, padded_chunks, read_text, split

__all__ = ["Alphabet", "Chunks", "PaddedChunks", "chunks", "padded_chunks", "read_text", "shakespeare", "split"]
