"""The command `jaxrnn`: train a language model on text, generate text with it, evaluate it."""

from jaxrnn.cli.command import main

__all__ = ["main"]
