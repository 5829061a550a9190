"""The command `jaxrnn`: train a language model on text, generate text with it, evaluate it."""

import argparse
import dataclasses
import hashlib
import io
import json
import math
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import jax

from jaxrnn import __version__
from jaxrnn.data import Alphabet, chunks, padded_chunks, read_text, shakespeare, split
from jaxrnn.models.language import LanguageModel
from jaxrnn.runs import CELLS, LARGEST, build_model, load_run
from jaxrnn.training import Fit, compile_evaluation, create_run, fit, make_optimizer, use_all_cores
from jaxrnn.training.checkpoints import check_free, write
from jaxrnn.training.metrics import finite

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


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with these arguments (default: those of the process).

    Raises:
        SystemExit: 2 for input that cannot be used, with one line on standard error; 1 where training failed, or memory
            or the disk did not suffice; 128 + n where signal n ended it.
    """
    options = make_parser().parse_args(argv)
    use_all_cores()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a character shows "?"
    try:
        options.run(options)
        sys.stdout.flush()
    except BadInputError as error:
        one_line = " ".join(str(error).split())
        sys.exit(_fail(2, f"jaxrnn {options.command}: error: {one_line}"))
    except BrokenPipeError:  # whoever read the output wants no more of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python still has to flush
        sys.exit(128 + 13)  # SIGPIPE, which not every system has
    except (OSError, MemoryError, jax.errors.JaxRuntimeError) as error:
        one_line = textwrap.shorten(str(error) or type(error).__name__, 300)
        sys.exit(_fail(1, f"jaxrnn {options.command}: failed: {one_line}"))
    except KeyboardInterrupt:
        sys.exit(_fail(128 + signal.SIGINT, f"jaxrnn {options.command}: interrupted"))


class BadInputError(Exception):
    """What was given cannot be used; the message says why."""


def _fail(code: int, message: str) -> int:
    print(message, file=sys.stderr)
    return code


REFUSALS = (
    ValueError,
    TypeError,
    OSError,
    OverflowError,
    RecursionError,
    NotImplementedError,
    MemoryError,
    jax.errors.JaxRuntimeError,  # not enough memory, mostly
)


def checked(make: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """Call a function that checks what the user gave; what it refuses is bad input."""
    try:
        return make(*args, **keywords)
    except REFUSALS as error:
        raise BadInputError(str(error) or type(error).__name__) from error


def run_train(options: argparse.Namespace) -> None:
    """Train, and leave a run folder."""
    began = time.perf_counter()
    text = shakespeare() if options.text is None else checked(read_text, options.text)
    alphabet = Alphabet.from_text(text)
    training, held_out = checked(split, text, options.held_out)
    pieces = checked(chunks, alphabet.encode(training), options.batch, options.seq_len)
    if len(held_out) < 2:
        raise BadInputError(
            f"--held-out {options.held_out} leaves {len(held_out)} character to validate on, and it takes at least 2: "
            "pass a larger part, or a longer text"
        )
    to_evaluate = checked(padded_chunks, alphabet.encode(held_out), **EVALUATION)
    choices = {name: getattr(options, name) for name in ("cell", "layers", "hidden", "embedding", "dropout")}
    model = checked(build_model, choices, alphabet)
    folder = Path(options.out or time.strftime("runs/%Y-%m-%d_%H-%M-%S"))
    checked(check_free, folder, overwrite=options.overwrite)

    optimizer = checked(
        make_optimizer, options.learning_rate, options.steps, clip=options.clip, weight_decay=options.weight_decay
    )
    key_params, key_training, key_sample = jax.random.split(jax.random.key(options.seed), 3)
    params = checked(lambda: jax.block_until_ready(model.init(key_params)))
    configuration = {
        "model": choices,
        "alphabet": dataclasses.asdict(alphabet),
        "training": {
            name: getattr(options, name)
            for name in ("steps", "batch", "seq_len", "learning_rate", "clip", "weight_decay", "held_out", "seed")
        },
        "text": {
            "source": "shakespeare" if options.text is None else str(options.text),
            "characters": len(text),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        },
        "versions": {"jaxrnn": __version__, "jax": jax.__version__, "optax": version("optax")},
    }
    say(
        options,
        f"{len(training):,} characters to train on, {len(held_out):,} held out; {len(alphabet)} symbols; "
        f"{sum(a.size for a in jax.tree.leaves(params)):,} parameters; compiling",
    )

    state = model.initial_state(params, (EVALUATION["batch"],))
    evaluate, evaluation_seconds = compile_evaluation(model.loss, params, state, to_evaluate)
    made = checked(create_run, folder, configuration, params, overwrite=options.overwrite)
    result = fit(
        model.loss,
        params,
        model.initial_state(params, (options.batch,)),
        pieces,
        optimizer=optimizer,
        steps=options.steps,
        evaluate=evaluate,
        evaluate_every=options.eval_every,
        key=key_training,
        folder=made,
        progress=not options.quiet,
    )
    compile_seconds = result.compile_seconds + evaluation_seconds
    sample(model, alphabet, result.params, key_sample, made)
    draw_curves(result, made)
    summary = summarize(result, compile_seconds, time.perf_counter() - began, folder)
    write(made / "summary.json", json.dumps(finite(summary), indent=2, allow_nan=False) + "\n")
    table = as_table(summary)
    write(made / "summary.txt", table)
    print(table, end="")
    after = f"after {result.steps} of {options.steps} steps; {folder} holds the best parameters so far"
    if result.diverged:
        sys.exit(_fail(1, f"jaxrnn train: the loss was no longer finite {after}: try a smaller --learning-rate"))
    if result.interrupted is not None:
        sys.exit(_fail(128 + result.interrupted, f"jaxrnn train: interrupted {after}"))


def say(options: argparse.Namespace, message: str) -> None:
    """Tell on standard error how it goes."""
    if not options.quiet:
        print(message, file=sys.stderr)


def sample(model: LanguageModel, alphabet: Alphabet, params: Any, key: jax.Array, folder: Path) -> None:
    """Write a text by the model, after a line break where it knows one."""
    prompt = "\n" if "\n" in alphabet.symbols else alphabet.symbols[0]
    tokens = model.generate(params, key, prompt=alphabet.encode(prompt), steps=1000)
    write(folder / "sample.txt", alphabet.decode(tokens) + "\n")


def draw_curves(result: Fit, folder: Path) -> None:
    """Draw the curves of training and validation."""
    from jaxrnn.plotting import curves  # matplotlib only where something is drawn

    drawing = io.BytesIO()
    curves(result.metrics).savefig(drawing, format="png", dpi=150)
    write(folder / "curves.png", drawing.getvalue())


def summarize(result: Fit, compile_seconds: float, seconds: float, folder: Path) -> dict[str, Any]:
    """What a run came to."""
    best = min(result.metrics, key=lambda line: (not line["validation_loss"] < math.inf, line["validation_loss"]))
    return {
        "training bits per character": best["training_loss"] / math.log(2),
        "validation bits per character": best["validation_loss"] / math.log(2),
        "best at step": best["step"],
        "steps": result.steps,
        "characters a second": result.characters_per_second,
        "seconds of compilation": compile_seconds,
        "seconds in all": seconds,
        "run folder": str(folder),
    }


def as_table(rows: dict[str, Any]) -> str:
    """Rows of a name and a value."""

    def text(name: str, value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.3f}" if "bits" in name else f"{value:,.1f}"
        return str(value)

    width = max(map(len, rows))
    return "".join(f"{name:<{width}}  {text(name, value)}\n" for name, value in rows.items())


def run_generate(options: argparse.Namespace) -> None:
    """Print the prompt and what the model writes after it."""
    model, alphabet, params = checked(load_run, options.folder)
    if not options.prompt:
        raise BadInputError("--prompt is empty: pass at least one character")
    tokens = checked(
        model.generate,
        params,
        jax.random.key(options.seed),
        prompt=checked(alphabet.encode, options.prompt),
        steps=options.length,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
    )
    print(options.prompt + alphabet.decode(tokens))


def run_evaluate(options: argparse.Namespace) -> None:
    """Print bits per character over a file."""
    model, alphabet, params = checked(load_run, options.folder)
    text = checked(read_text, options.text)
    pieces = checked(padded_chunks, checked(alphabet.encode, text), **EVALUATION)
    state = model.initial_state(params, (EVALUATION["batch"],))
    evaluate, _ = compile_evaluation(model.loss, params, state, pieces)
    nats = evaluate(params)
    print(as_table({"bits per character": nats / math.log(2), "characters": len(text)}), end="")


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
    parser.set_defaults(run=run_train)
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
    parser.set_defaults(run=run_generate)
    parser.add_argument("folder", metavar="RUN", help="a run folder made by jaxrnn train")
    add = parser.add_argument
    add("--prompt", default="\n", metavar="TEXT", help="what the model reads first (default: a line break)")
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
    parser.set_defaults(run=run_evaluate)
    parser.add_argument("folder", metavar="RUN", help="a run folder made by jaxrnn train")
    parser.add_argument("--text", required=True, metavar="FILE", help="a UTF-8 text file")
