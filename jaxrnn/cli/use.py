"""`jaxrnn generate` and `jaxrnn evaluate`: what a run folder is good for."""

import argparse
import math

import jax

from jaxrnn.cli.arguments import EVALUATION
from jaxrnn.cli.bad_input import BadInputError, checked
from jaxrnn.cli.summary import as_table
from jaxrnn.data import Alphabet, padded_chunks, read_text
from jaxrnn.runs import load_run
from jaxrnn.training import compile_evaluation


def run_generate(options: argparse.Namespace) -> None:
    """Print the prompt and what the model writes after it."""
    model, alphabet, params = checked(load_run, options.folder)
    prompt = opening(alphabet) if options.prompt is None else options.prompt
    if not prompt:
        raise BadInputError("--prompt is empty: pass at least one character")
    tokens = checked(
        model.generate,
        params,
        jax.random.key(options.seed),
        prompt=checked(alphabet.encode, prompt),
        steps=options.length,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
    )
    print(prompt + alphabet.decode(tokens))


def opening(alphabet: Alphabet) -> str:
    """What a model reads first where nobody says: a line break, if it knows one."""
    return "\n" if "\n" in alphabet.symbols else alphabet.symbols[0]


def run_evaluate(options: argparse.Namespace) -> None:
    """Print bits per character over a file."""
    model, alphabet, params = checked(load_run, options.folder)
    text = checked(read_text, options.text)
    pieces = checked(padded_chunks, checked(alphabet.encode, text), **EVALUATION)
    evaluate, _ = compile_evaluation(model.loss, params, None, pieces)
    print(as_table({"bits per character": evaluate(params) / math.log(2), "characters": len(text)}), end="")
