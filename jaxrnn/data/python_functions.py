"""The functions of Python's standard library, as syntax trees: found where Python is installed, not shipped."""

import ast
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test"}  # folders


class PythonFunction(NamedTuple):
    """A function, its name apart from what it does."""

    file: str  # where it is defined, from the folder on
    name: str
    body: ast.Module  # its statements, without the docstring


def python_functions(folder: Path | str | None = None) -> list[PythonFunction]:
    """The functions and methods that are defined below a folder, each body once for each first word of a name.

    Tests and installed packages are left out, and so are files that this Python cannot parse and functions of which
    nothing is left without the docstring. The order is that of the files' names.

    Args:
        folder: what to read; default: the standard library of the Python that runs.

    Raises:
        ValueError: a folder without functions, or that is none.

    Example:
        functions = python_functions()
        tree, word = trees.from_ast(functions[0].body), first_word(functions[0].name)

    Source: of the data, Python's standard library (PSF licence); duplicates: Allamanis, *The adverse effects of code
    duplication in machine learning models of code* (2019).
    """
    root = Path(sysconfig.get_path("stdlib") if folder is None else folder)
    seen: set[tuple[str, str]] = set()
    found: list[PythonFunction] = []
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if LEFT_OUT.isdisjoint(place.parts[:-1]):
            for name, body in _defined(path):
                once = first_word(name), ast.dump(body)
                if once not in seen:
                    seen.add(once)
                    found.append(PythonFunction(place.as_posix(), name, body))
    if not found:
        raise ValueError(f"python_functions: no functions below {root}: pass a folder of Python files")
    return found


def first_word(name: str) -> str:
    """The first word of a name, in small letters: what a function's name says that it does.

    Args:
        name: words joined by underscores or by capitals; "" of a name of underscores alone.

    Example:
        first_word("__get_value"), first_word("setUp"), first_word("HTTPServer")  # "get", "set", "http"
    """
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z_]+", name)
    return words[0].lower() if words else ""


def _defined(path: Path) -> Iterator[tuple[str, ast.Module]]:
    """Names and bodies of the functions of a file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the code that is read
            module = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
            if body:
                yield node.name, ast.Module(body, [])
