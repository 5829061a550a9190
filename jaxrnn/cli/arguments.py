"""The arguments of the command: their names, bounds, defaults and help."""

import argparse
import math
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from jaxrnn import __version__
from jaxrnn.runs import CELLS, LARGEST

HELD_OUT = 0.1
EVALUATION = {"batch": 32, "seq_len": 128}  # how a text to evaluate is cut: streams side by side, steps of a chunk

# What `jaxrnn train` does without arguments: below 2.2 bits per character within four minutes on two cores.
DEFAULTS = {
    "cell": "gru",
    "layers": 1,
    "hidden": 256,
    "embedding": 64,
    "dropout": 0.0,
    "steps": 3500,
    "batch": 32,
    "seq_len": 64,
    "learning_rate": 8e-3,
    "weight_decay": 0.1,
    "seed": 0,
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def whole(least: int, most: int = 1_000_000) -> Callable[[str], int]:
    """Reads a whole number from `least` to `most`."""

    def read(given: str) -> int:
        try:
            value = int(given)
        except ValueError:
            value = least - 1
        if value < least or value > most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, got {given!r}")
        return value

    return read


MOST = 1e38  # float32 ends soon after


def number(test: Callable[[float], bool], bounds: str) -> Callable[[str], float]:
    """Reads a number that passes the test, and that a float32 holds."""

    def read(given: str) -> float:
        try:
            value = float(given)
        except ValueError:
            value = math.nan
        if math.isnan(value) or not test(value):
            raise argparse.ArgumentTypeError(f"must be a number {bounds}, got {given!r}")
        if value > MOST:
            raise argparse.ArgumentTypeError(f"must be at most {MOST:g}, got {given!r}")
        return value

    return read


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = Parser(prog="jaxrnn", description="Recurrent networks in JAX: a language model of characters.")
    parser.add_argument("--version", action="version", version=f"jaxrnn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_train(commands)
    add_generate(commands)
    add_evaluate(commands)
    add_bench(commands)
    return parser


def add_train(commands: Any) -> None:
    """The arguments of `jaxrnn train`."""
    parser = commands.add_parser(
        "train",
        help="train a model on a text and leave a run folder",
        description="Train a language model of characters. Without arguments: on nine plays of Shakespeare, which come "
        "with the package. It leaves a folder with the best parameters, the configuration, metrics, a plot of the "
        "curves, a sample and a summary. Ctrl-C ends it early and keeps the best parameters so far.",
    )
    positive, above_zero = whole(1), number(lambda v: v > 0, "above 0")

    def group(title: str) -> Callable[..., None]:
        arguments = parser.add_argument_group(title)

        def add(name: str, help: str, **keywords: Any) -> None:  # noqa: A002
            default = keywords.setdefault("default", DEFAULTS.get(name.lstrip("-").replace("-", "_")))
            shown = "" if default is None or keywords.get("action") else f" (default: {default})"
            if not keywords.get("action"):
                keywords.setdefault("metavar", "X")
            arguments.add_argument(name, help=help + shown, **keywords)

        return add

    add = group("text")
    add("--text", "a UTF-8 text file (default: Shakespeare)", metavar="FILE")
    unit = number(lambda v: 0 < v < 1, "between 0 and 1")
    add("--held-out", "the part of the text, at its end, to validate on", type=unit, default=HELD_OUT)
    add = group("model")
    add("--cell", "elman, lstm or gru", choices=list(CELLS), metavar="CELL")
    add("--layers", "recurrent layers, one above the other", type=whole(1, LARGEST["layers"]), metavar="N")
    add("--hidden", "units of each layer", type=whole(1, LARGEST["hidden"]), metavar="N")
    add("--embedding", "entries of a character's embedding", type=whole(1, LARGEST["embedding"]), metavar="N")
    part = number(lambda v: 0 <= v < 1, "of at least 0 and below 1")
    add("--dropout", "probability of dropout between layers", type=part)
    add = group("training")
    add("--steps", "steps of training, each on one chunk of every stream", type=whole(1, 10**9), metavar="N")
    add("--batch", "streams of text read side by side", type=positive, metavar="N")
    add("--seq-len", "characters in a chunk, over which gradients reach back", type=positive, metavar="N")
    add("--learning-rate", "the largest learning rate; it warms up, then falls along a cosine", type=above_zero)
    add("--clip", "the largest norm of the gradient", type=above_zero, default=1.0)
    not_negative = number(lambda v: v >= 0, "of at least 0")
    add("--weight-decay", "decoupled weight decay", type=not_negative)
    add("--eval-every", "steps between evaluations (default: a tenth of the steps)", type=whole(1, 10**9), metavar="N")
    add("--seed", "seed of all that is random", type=whole(0, 2**32 - 1), metavar="N")
    add = group("output")
    add("--out", "the run folder to make (default: runs/DATE_TIME)", metavar="FOLDER")
    add("--overwrite", "replace the run folder if it is there", action="store_true")
    add("--quiet", "show no progress", action="store_true")


def add_generate(commands: Any) -> None:
    """The arguments of `jaxrnn generate`."""
    parser = commands.add_parser(
        "generate",
        help="write text with a trained model",
        description="Write text with the model of a run folder, after a prompt. One seed gives one text.",
    )
    parser.add_argument("folder", metavar="RUN", help="a run folder made by jaxrnn train")
    add = parser.add_argument
    add("--prompt", metavar="TEXT", help="what the model reads first (default: a line break, if it knows one)")
    add("--length", type=whole(1, 10**7), default=500, metavar="N", help="characters to write (default: %(default)s)")
    at_least_zero = number(lambda v: v >= 0, "of at least 0")
    add(
        "--temperature",
        type=at_least_zero,
        default=1.0,
        metavar="X",
        help="0: always the likeliest character; 1: as the model says (default: %(default)s)",
    )
    add("--top-k", type=whole(1, sys.maxsize), metavar="N", help="only the N likeliest characters may come")
    probability = number(lambda v: 0 < v <= 1, "above 0 and at most 1")
    add(
        "--top-p",
        type=probability,
        metavar="X",
        help="only the likeliest characters that together have probability X may come",
    )
    add("--seed", type=whole(0, 2**32 - 1), default=0, metavar="N", help="(default: %(default)s)")


def add_evaluate(commands: Any) -> None:
    """The arguments of `jaxrnn evaluate`."""
    parser = commands.add_parser(
        "evaluate",
        help="measure a trained model on a text",
        description="Bits per character of the model of a run folder, over every character of a file after the first. "
        f"The text is read as {EVALUATION['batch']} streams side by side, each from a state of zeros.",
    )
    parser.add_argument("folder", metavar="RUN", help="a run folder made by jaxrnn train")
    parser.add_argument("--text", required=True, metavar="FILE", help="a UTF-8 text file")


def add_bench(commands: Any) -> None:
    """The arguments of `jaxrnn bench`."""
    parser = commands.add_parser(
        "bench",
        help="measure speed beside other libraries, in a clone of the repository",
        description="Time, and accuracy beside it, of jaxrnn and other libraries in turns. The benchmarks are part of "
        "the repository, not of the installed package. `make bench` runs everything.",
    )
    add = parser.add_argument
    add("--kind", nargs="+", choices=["elman", "lstm", "gru"], help="cells (default: all)")
    add("--shape", nargs="+", metavar="T,B,D,H", help="time, batch, input, hidden (default: six)")
    add("--rivals", metavar="A,B", help="such as torch,flax-nnx,jaxrnn-cores (default: all)")
    add("--passes", metavar="A,B", help="of forward,gradient,training (default: all)")
    add("--rounds", type=whole(1), metavar="N", help="rounds (default: what --seconds allows)")
    add("--seconds", type=whole(1), metavar="N", help="for all of it, compilation included (default: 1200)")
    precisions = ["float32", "tensorfloat32", "bfloat16"]
    add("--precision", choices=precisions, help="of all matrix products, where the device can")
    add("--out", metavar="FILE", help="put what is measured into this file, as JSON")
