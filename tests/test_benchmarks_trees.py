"""The benchmarks of trees compute what they say."""

import re

import pytest

from benchmarks import listops
from benchmarks import trees as benchmark
from jaxrnn import trees
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
