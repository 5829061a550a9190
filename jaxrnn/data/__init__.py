"""Data that ships with the package, and batches of it."""

from jaxrnn.data.buckets import Bucket, buckets, pad
from jaxrnn.data.copying import CopyTask, copy_task
from jaxrnn.data.shakespeare import shakespeare
from jaxrnn.data.text import Alphabet, Chunks, PaddedChunks, chunks, padded_chunks, read_text, split

__all__ = [
    "Alphabet",
    "Bucket",
    "Chunks",
    "CopyTask",
    "PaddedChunks",
    "buckets",
    "chunks",
    "copy_task",
    "pad",
    "padded_chunks",
    "read_text",
    "shakespeare",
    "split",
]
