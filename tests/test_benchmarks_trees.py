"""The benchmarks of trees compute what they say."""

import ast
import re

import pytest

from benchmarks import listops, syntax
from benchmarks import trees as benchmark
from jaxrnn import trees
from jaxrnn.data import PythonFunction
from jaxrnn.data.listops import flat, value


def test_binary_trees_hold_the_whole_expression() -> None:
    nested = ("SM", 7, ("MAX", 1, 2, 3), 8)

    def leaves(node: object) -> list[object]:
        return [leaf for part in node[1:] for leaf in leaves(part)] if isinstance(node, tuple) else [node]

    def closed(node: object) -> list[str]:
        """The expression's tokens, from the binary tree alone."""
        if not isinstance(node, tuple):
            return [str(node) if isinstance(node, int) else f"[{node}"]
        return [token for part in node[1:] for token in (["]"] if part == listops.CLOSE else closed(part))]

    tree = listops.binary(nested)
    assert closed(tree) == flat(nested)
    assert len(leaves(tree)) == len(flat(nested))
    assert trees.from_nested(tree).children.shape[1] == 2
    assert value(nested) == 8


def test_fold_and_loop_have_one_value(capsys: pytest.CaptureFixture[str]) -> None:
    benchmark.main(["--count", "6", "--loop", "2", "--hidden", "4", "--rounds", "1"])
    printed = capsys.readouterr().out
    differences = [float(text) for text in re.findall(r"from the loop (\S+) of", printed)]
    assert len(differences) == 2
    assert max(differences) < 1e-5
    assert printed.count("| value") == 2


def _of_files(count: int) -> list[PythonFunction]:
    """Functions of some files: those of file k have k + 1 statements, and no other has so many."""
    return [
        PythonFunction(f"{k}.py", name, ast.parse("pass\n" * (k + 1)))
        for k in range(count)
        for name in ("get_x", "set_x", "rare") * 2
    ]


def test_functions_are_split_by_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "python_functions", lambda: _of_files(10))
    sizes = []
    for tested in ("validation", "test"):
        data = syntax.functions(2, 11, 0, tested)
        assert data.words == ["get", "set"]
        assert data.kinds.names == (syntax.UNKNOWN, "Module", "Pass")
        parts = data.training, data.other
        assert all(len(part.words) == len(part.trees) for part in parts)
        sizes.append([{len(tree.x) for tree in part.trees} for part in parts])
        assert not sizes[-1][0] & sizes[-1][1]
    assert sizes[0][0] == sizes[1][0]
    assert sizes[0][0] | sizes[0][1] | sizes[1][1] == set(range(2, 12))
    assert not sizes[0][1] & sizes[1][1]


def test_words_are_told_from_syntax(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(syntax, "python_functions", lambda: _of_files(10))
    syntax.main(["--words", "2", "--hidden", "2", "--batch", "4", "--epochs", "1", "--seeds", "1"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0].split(" ")[1] for row in rows[2:]] == ["always", "logistic", "child-sum"]
    assert {row[2] for row in rows[2:]} == {"50.0"}  # each body comes with both words
