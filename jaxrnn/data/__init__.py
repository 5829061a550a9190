"""Data that ships with the package, and batches of it."""

from jaxrnn.data.buckets import Bucket, buckets, pad
from jaxrnn.data.copying import CopyTask, copy_task
from jaxrnn.data.japanese_vowels import Recordings, japanese_vowels
from jaxrnn.data.listops import ListOps, listops
from jaxrnn.data.pair_buckets import PairBucket, pair_buckets
from jaxrnn.data.pronunciations import (
    LETTERS,
    PHONEMES,
    WordSplit,
    cmudict,
    decode_phonemes,
    encode_phonemes,
    encode_spelling,
    split_words,
)
from jaxrnn.data.python_functions import PythonFunction, first_word, python_functions
from jaxrnn.data.shakespeare import shakespeare
from jaxrnn.data.text import Alphabet, Chunks, PaddedChunks, chunks, padded_chunks, read_text, split

__all__ = [
    "LETTERS",
    "PHONEMES",
    "Alphabet",
    "Bucket",
    "Chunks",
    "CopyTask",
    "ListOps",
    "PaddedChunks",
    "PairBucket",
    "PythonFunction",
    "Recordings",
    "WordSplit",
    "buckets",
    "chunks",
    "cmudict",
    "copy_task",
    "decode_phonemes",
    "encode_phonemes",
    "encode_spelling",
    "first_word",
    "japanese_vowels",
    "listops",
    "pad",
    "padded_chunks",
    "pair_buckets",
    "python_functions",
    "read_text",
    "shakespeare",
    "split",
    "split_words",
]
