"""Functions of Python files: what is found, what is left out, and the words of names."""

import ast
import sysconfig
from pathlib import Path

import pytest

from jaxrnn import trees
from jaxrnn.data import first_word, python_functions


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_functions_are_found_without_what_describes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of files; nested ones too; without docstrings, tests, copies, and what cannot be parsed."""
    _write(
        tmp_path,
        {
            "b.py": "class A:\n def get_x(self):\n  'What.'\n  return self.x\n async def setX(self):\n  self.x = 1",
            "a/c.py": "def outer():\n def inner():\n  pass\n return inner",
            "a/copies.py": "def get_y(self): return self.x\ndef is_x(self): return self.x\ndef none(): 'nothing else'",
            "test/d.py": "def test_x(): return 1",
            "site-packages/e.py": "def other(): return 1",
            "wrong.py": "def f(:",
            "escapes.py": "def f(): return '\\d'",
            "text.txt": "def g(): return 1",
        },
    )
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    found = python_functions()
    names = [(function.file, function.name) for function in found]
    assert names == [
        ("a/c.py", "outer"),
        ("a/c.py", "inner"),
        ("a/copies.py", "get_y"),
        ("a/copies.py", "is_x"),
        ("b.py", "setX"),
        ("escapes.py", "f"),
    ]
    assert ast.unparse(found[2].body) == "return self.x"
    assert trees.from_ast(found[2].body).x.tolist() == ["Name", "Attribute", "Return", "Module"]


def test_the_library_of_this_python_has_some() -> None:
    found = python_functions(Path(sysconfig.get_path("stdlib")) / "json")
    assert {"loads", "dumps", "iterencode"} <= {function.name for function in found}
    assert all(function.body.body for function in found)


@pytest.mark.parametrize(
    ("name", "word"),
    [("get_x", "get"), ("__init__", "init"), ("setUp", "set"), ("HTTPServer", "http"), ("_is2", "is2"), ("__", "")],
)
def test_the_first_word(name: str, word: str) -> None:
    assert first_word(name) == word


def test_a_folder_without_functions(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no functions below"):
        python_functions(tmp_path)
    with pytest.raises(ValueError, match="no functions below"):
        python_functions(tmp_path / "none")
