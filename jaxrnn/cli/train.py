"""`jaxrnn train`: a language model of a text, and the run folder that it leaves."""

import argparse
import dataclasses
import hashlib
import io
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxrnn import __version__
from jaxrnn.cli.arguments import EVALUATION
from jaxrnn.cli.bad_input import BadInputError, checked
from jaxrnn.cli.summary import as_table, summarize
from jaxrnn.cli.use import opening
from jaxrnn.data import Alphabet, Chunks, PaddedChunks, chunks, padded_chunks, read_text, shakespeare, split
from jaxrnn.models.language import LanguageModel
from jaxrnn.runs import build_model
from jaxrnn.training import Fit, compile_evaluation, create_run, fit, make_optimizer
from jaxrnn.training.checkpoints import check_free, write
from jaxrnn.training.metrics import finite

MODEL = ("cell", "layers", "hidden", "embedding", "dropout")
TRAINING = ("steps", "batch", "seq_len", "learning_rate", "clip", "weight_decay", "held_out", "seed")


class Text(NamedTuple):
    """A text, cut to train and to validate on."""

    whole: str
    alphabet: Alphabet
    training: Chunks
    held_out: PaddedChunks


def run_train(options: argparse.Namespace) -> None:
    """Train, and leave a run folder."""
    began = time.perf_counter()
    text = read(options)
    choices = {name: getattr(options, name) for name in MODEL}
    model = checked(build_model, choices, text.alphabet)
    folder = Path(options.out or time.strftime("runs/%Y-%m-%d_%H-%M-%S"))
    checked(check_free, folder, overwrite=options.overwrite)
    rates = {"clip": options.clip, "weight_decay": options.weight_decay}
    optimizer = checked(make_optimizer, options.learning_rate, options.steps, **rates)
    key_params, key_training, key_sample = jax.random.split(jax.random.key(options.seed), 3)
    params = checked(lambda: jax.block_until_ready(model.init(key_params)))
    if not options.quiet:
        print(f"{sizes(text, params)}; compiling", file=sys.stderr)

    evaluate, evaluation_seconds = compile_evaluation(model.loss, params, None, text.held_out)
    made = checked(create_run, folder, configuration(options, choices, text), params, overwrite=options.overwrite)
    result = fit(
        model.loss,
        params,
        None,
        text.training,
        optimizer=optimizer,
        steps=options.steps,
        evaluate=evaluate,
        evaluate_every=options.eval_every,
        key=key_training,
        folder=made,
        progress=not options.quiet,
    )
    write_sample(model, text.alphabet, result.params, key_sample, made)
    draw_curves(result, made)
    compile_seconds = result.compile_seconds + evaluation_seconds
    summary = summarize(result, compile_seconds, time.perf_counter() - began, folder)
    write(made / "summary.json", json.dumps(finite(summary), indent=2, allow_nan=False) + "\n")
    write(made / "summary.txt", as_table(summary))
    print(as_table(summary), end="")
    end(result, options.steps, folder)


def read(options: argparse.Namespace) -> Text:
    """The text that the options name, cut as they say."""
    whole = shakespeare() if options.text is None else checked(read_text, options.text)
    alphabet = Alphabet.from_text(whole)
    training, held_out = checked(split, whole, options.held_out)
    pieces = checked(chunks, alphabet.encode(training), options.batch, options.seq_len)
    if len(held_out) < 2:
        raise BadInputError(
            f"--held-out {options.held_out} leaves {len(held_out)} character to validate on, and it takes at least 2: "
            "pass a larger part, or a longer text"
        )
    return Text(whole, alphabet, pieces, checked(padded_chunks, alphabet.encode(held_out), **EVALUATION))


def sizes(text: Text, params: Any) -> str:
    """What is trained on what, in numbers."""
    held_out = int(text.held_out.lengths.sum()) + 1
    return (
        f"{len(text.whole) - held_out:,} characters to train on, {held_out:,} held out; {len(text.alphabet)} symbols; "
        f"{sum(a.size for a in jax.tree.leaves(params)):,} parameters"
    )


def configuration(options: argparse.Namespace, choices: dict[str, Any], text: Text) -> dict[str, Any]:
    """Everything needed to build the model again, and where it came from."""
    return {
        "model": choices,
        "alphabet": dataclasses.asdict(text.alphabet),
        "training": {name: getattr(options, name) for name in TRAINING},
        "text": {
            "source": "shakespeare" if options.text is None else str(options.text),
            "characters": len(text.whole),
            "sha256": hashlib.sha256(text.whole.encode()).hexdigest(),
        },
        "versions": {"jaxrnn": __version__, "jax": jax.__version__, "optax": version("optax")},
    }


def write_sample(model: LanguageModel, alphabet: Alphabet, params: Any, key: jax.Array, folder: Path) -> None:
    """Write a text by the model."""
    tokens = model.generate(params, key, prompt=alphabet.encode(opening(alphabet)), steps=1000)
    write(folder / "sample.txt", alphabet.decode(tokens) + "\n")


def draw_curves(result: Fit, folder: Path) -> None:
    """Draw the curves of training and validation."""
    from jaxrnn.plotting import curves  # matplotlib only where something is drawn

    drawing = io.BytesIO()
    curves(result.metrics).savefig(drawing, format="png", dpi=150)
    write(folder / "curves.png", drawing.getvalue())


def end(result: Fit, steps: int, folder: Path) -> None:
    """Say so, and exit accordingly, where training ended before its last step."""
    after = f"after {result.steps} of {steps} steps; {folder} holds the best parameters so far"
    if result.diverged:
        print(f"jaxrnn train: the loss was no longer finite {after}: try a smaller --learning-rate", file=sys.stderr)
        sys.exit(1)
    if result.interrupted is not None:
        print(f"jaxrnn train: interrupted {after}", file=sys.stderr)
        sys.exit(128 + result.interrupted)
