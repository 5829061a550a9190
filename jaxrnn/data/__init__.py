"""Data that ships with the package, and batches of it."""

from jaxrnn.data.buckets import Bucket, buckets, pad
from jaxrnn.data.copying import CopyTask, copy_task
from jaxrnn.data.japanese_vowels import Recordings, japanese_vowels
from jaxrnn.data.shakespeare import shakespeare
from jaxrnn.data.text import Alphabet, Chunks, PaddedChunks, chunks, padded_chunks, read_text, split

__all__ = [
    "Alphabet",
    "Bucket",
    "Chunks",
    "CopyTask",
    "PaddedChunks",
    "Recordings",
    "buckets",
    "chunks",
    "copy_task",
    "japanese_vowels",
    "pad",
    "padded_chunks",
    "read_text",
    "shakespeare",
    "split",
]
