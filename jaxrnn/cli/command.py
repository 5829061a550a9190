"""From the arguments of the process to its exit code: whatever goes wrong is one line on standard error."""

import contextlib
import io
import os
import signal
import sys
import textwrap
from collections.abc import Sequence
from typing import NoReturn

import jax

from jaxrnn.cli.arguments import make_parser
from jaxrnn.cli.bad_input import BadInputError
from jaxrnn.cli.bench import run_bench
from jaxrnn.cli.train import run_train
from jaxrnn.cli.use import run_evaluate, run_generate
from jaxrnn.training import use_all_cores

COMMANDS = {"train": run_train, "generate": run_generate, "evaluate": run_evaluate, "bench": run_bench}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with these arguments (default: those of the process).

    Raises:
        SystemExit: 2 for input that cannot be used, with one line on standard error; 1 where training failed, or memory
            or the disk did not suffice; 128 + n where signal n ended it.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a character shows "?"
    name = "jaxrnn"
    try:
        try:
            options, unknown = make_parser().parse_known_args(argv)
            name = f"jaxrnn {options.command}"
            if unknown:
                raise BadInputError(f"unrecognized arguments: {' '.join(unknown)} (see {name} --help)")
            start_jax()
            COMMANDS[options.command](options)
        finally:
            if sys.stdout is not None:  # it was not closed
                sys.stdout.flush()
    except BadInputError as error:
        _end(2, f"{name}: error: {' '.join(str(error).split())}")
    except BrokenPipeError:  # whoever read the output wants no more of it
        _discard_output()
        sys.exit(128 + 13)  # SIGPIPE, which not every system has
    except (OSError, MemoryError, jax.errors.JaxRuntimeError) as error:
        _discard_output()  # its end may be what the disk has no room for
        _end(1, f"{name}: failed: {textwrap.shorten(str(error) or type(error).__name__, 300)}")
    except KeyboardInterrupt:
        _end(128 + signal.SIGINT, f"{name}: interrupted")


def start_jax() -> None:
    """Let JAX find its devices."""
    use_all_cores()
    try:
        jax.devices()
    except RuntimeError as error:  # JAX_PLATFORMS names what is not there
        raise BadInputError(f"JAX finds no device: {error}") from error


def _end(code: int, message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(code)


def _discard_output() -> None:
    """What Python has not written yet goes nowhere: it would fail again, at exit."""
    with contextlib.suppress(AttributeError, OSError):  # closed, or no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
