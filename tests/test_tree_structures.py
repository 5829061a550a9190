"""What trees are made of: parents, nested tuples, brackets, syntax trees; and what is no tree."""

import ast
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from jaxrnn import trees
from jaxrnn.trees import Labels, Tree

LEAVES = st.integers(0, 9)
NESTED = st.recursive(LEAVES, lambda inner: st.tuples(st.sampled_from("abc"), inner, inner) | st.tuples(
    st.sampled_from("abc"), inner) | st.tuples(st.sampled_from("abc"), inner, inner, inner), max_leaves=12)  # fmt: skip


def nested(tree: Tree, node: int = -1, x: Any = None) -> Any:
    """A tree as nested tuples again, by recursion."""
    x = tree.x if x is None else x
    below = [nested(tree, child, x) for child in tree.children[node] if child >= 0]
    return (x[node], *below) if below else x[node]


@hypothesis.given(NESTED)
def test_nested_tuples_come_back(given: Any) -> None:
    assert nested(trees.from_nested(given)) == given


@hypothesis.given(NESTED, st.integers(2, 3))
def test_narrow_trees_have_the_same_leaves(given: Any, arity: int) -> None:
    tree = trees.from_nested(given)
    found = trees.narrow(tree, arity)
    assert found.children.shape[1] <= arity
    leaves = [t.x[(t.children < 0).all(axis=1)].tolist() for t in (tree, found)]
    assert leaves[0] == leaves[1]
    if tree.children.shape[1] <= arity:
        assert nested(found) == given


def test_a_wide_node_becomes_low() -> None:
    found = trees.narrow(trees.from_nested(("f", *range(81))), 3)
    assert len(trees.sizes([found._replace(x=np.zeros(len(found.x)))]).widths) == 5  # log 81 / log 3, and the leaves
    assert nested(trees.narrow(trees.from_nested(("f", 1, 2, 3)), 2)) == ("f", ("f", 1, 2), 3)


@hypothesis.given(st.integers(1, 20), st.integers(0, 99))
def test_parents_in_any_order(nodes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = rng.permutation(nodes)  # node k hangs from an earlier one, and is called names[k]
    parents = np.full(nodes, -1)
    for k in range(1, nodes):
        parents[names[k]] = names[rng.integers(k)]
    tree = trees.from_parents(parents, {"name": np.arange(nodes)})
    name = tree.x["name"]
    assert sorted(name) == list(range(nodes))
    for node, row in enumerate(tree.children):
        below = [child for child in row if child >= 0]
        assert all(parents[name[child]] == name[node] for child in below)
        assert all(child < node for child in below)
        assert sorted(name[below]) == name[below].tolist()  # the order of siblings
    assert parents[name[-1]] == -1


def test_brackets() -> None:
    tree = trees.from_brackets(" (3 (2 It)\n (4 (2 really) (4 works)) )")
    assert tree.x["label"].tolist() == ["2", "2", "4", "4", "3"]
    assert tree.x["word"].tolist() == ["It", "really", "works", "", ""]
    assert [[c for c in row if c >= 0] for row in tree.children.tolist()] == [[], [], [], [1, 2], [0, 3]]
    assert trees.to_brackets(tree) == "(3 (2 It) (4 (2 really) (4 works)))"
    penn = trees.from_brackets("( (S (NP-SBJ Ms. Haag) (VP (VBZ plays) (NP (NNP Elianti))) (. .)) )")
    assert trees.to_brackets(penn) == "(S (NP-SBJ Ms. Haag) (VP (VBZ plays) (NP (NNP Elianti))) (. .))"
    assert penn.x["label"][:3].tolist() == ["", "", "NP-SBJ"]
    deep = "(a " * 5000 + "(b c)" + ")" * 5000
    assert trees.to_brackets(trees.from_brackets(deep)) == deep


@hypothesis.given(NESTED)
def test_brackets_come_back(given: Any) -> None:
    def text(node: Any) -> str:
        return f"({' '.join([node[0], *map(text, node[1:])])})" if isinstance(node, tuple) else f"(digit {node})"

    assert trees.to_brackets(trees.from_brackets(text(given))) == text(given)


def test_syntax_trees() -> None:
    tree = trees.from_ast("def f(x):\n    return -x + g(1)\n")
    names = [type(node).__name__ for node in ast.walk(ast.parse("def f(x):\n    return -x + g(1)\n"))]
    assert sorted(tree.x) == sorted(name for name in names if name != "Load")
    assert nested(tree) == (
        "Module",
        (
            "FunctionDef",
            ("arguments", "arg"),
            ("Return", ("BinOp", ("UnaryOp", "USub", "Name"), "Add", ("Call", "Name", "Constant"))),
        ),
    )
    assert len(trees.from_ast("+".join("a" * 900)).x) == 2 + 900 + 2 * 899  # 900 high


def test_labels() -> None:
    arrays = [np.array(["b", "a"], object), np.array(["b", "c"], object)]
    labels = Labels.of(arrays)
    assert labels.names == ("a", "b", "c")
    assert labels.encode(arrays[1]).tolist() == [1, 2]
    assert labels.encode(arrays[1]).dtype == np.int32
    assert labels.decode([[2], [0]]).tolist() == [["c"], ["a"]]
    rare = Labels.of(arrays, least=2, unknown="?")
    assert rare.names == ("?", "b")
    assert rare.encode(np.array(["c", "b", "?"])).tolist() == [0, 1, 0]
    assert Labels.of(tree.x for tree in [trees.from_nested(("max", 1, 2))]).names == (1, 2, "max")


def test_numbers_beside_text_stay_numbers() -> None:
    labels = Labels.of([["MAX", 2], [2, "2"]])
    assert set(labels.names) == {"MAX", 2, "2"}
    assert labels.decode(labels.encode(["2", 2, "MAX"])).tolist() == ["2", 2, "MAX"]


def test_one_object_in_two_places_is_two_nodes() -> None:
    twice = ["b", 1]
    assert trees.from_nested(("a", twice, twice)).x.tolist() == [1, "b", 1, "b", "a"]


def test_trees_of_one_node() -> None:
    for tree in (trees.from_nested("a"), trees.from_brackets("(a b)"), trees.from_parents([-1], np.zeros(1))):
        assert tree.children.shape == (1, 0)
    batch = trees.batch([Tree(np.zeros((1, 0), np.int32), np.ones(1))])
    assert (batch.children, batch.roots.tolist(), batch.xs.tolist()) == ((), [0], [1])


def made(*children: Any) -> Any:
    return lambda: trees.from_children(children, np.zeros(len(children)))


def endless() -> Any:
    """A list that is a part of a part of itself."""
    found: list[Any] = ["a"]
    found.append(("b", found))
    return found


def endless_code() -> ast.AST:
    node = ast.UnaryOp(ast.Not(), ast.Constant(1))
    node.operand = node
    return node


def written(children: Any, labels: list[str], words: list[str]) -> Any:
    x = {"label": np.array(labels, object), "word": np.array(words, object)}
    return lambda: trees.to_brackets(trees.from_children(children, x))


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "a cycle": (
        made((1,), (0,)),
        ValueError,
        "node 0 has as its child node 1, which comes after it: children come before",
    ),
    "itself": (made((), (1,)), ValueError, "node 1 has as its child itself"),
    "a forward reference": (made((2,), (), (), (0, 1)), ValueError, "from_parents(parents, x) numbers nodes anew"),
    "several roots": (made((), (), (0,)), ValueError, "the tree has 2 roots, nodes 1, 2: make a tree of each"),
    "two parents": (made((), (0,), (0, 1)), ValueError, "node 0 is a child more than once"),
    "twice": (made((), (0, 0)), ValueError, "node 0 is a child more than once"),
    "a child beyond": (made((), (7,)), ValueError, "child 7 of node 1 does not exist: nodes are numbered from 0 to 1"),
    "a child below": (made((), (0, -2)), ValueError, "child -2 of node 1 does not exist"),
    "a child that is not whole": (
        made((), (0.5,)),
        TypeError,
        "the children of node 1 must be whole numbers, got (0.5,): pass such as (0, 1)",
    ),
    "a child that is text": (made((), "0"), TypeError, "the children of node 1 must be whole numbers, got '0'"),
    "children that are one": (made((), 0), TypeError, "the children of node 1 must be whole numbers, got 0"),
    "a child far beyond": (made((), (2**40,)), ValueError, "child 1099511627776 of node 1 does not exist"),
    "a child that would wrap around": (
        lambda: trees.batch([Tree(np.array([[-1], [2**32]]), np.ones(2))]),
        ValueError,
        "child 4294967296 of node 1 does not exist",
    ),
    "no nodes": (made(), ValueError, "the tree has no nodes"),
    "no parents": (lambda: trees.from_parents([], np.zeros(0)), ValueError, "parents must be integers (nodes,)"),
    "no root": (
        lambda: trees.from_parents([1, 0], np.zeros(2)),
        ValueError,
        "one node has no parent (-1), the root, got 0",
    ),
    "two roots": (lambda: trees.from_parents([-1, -1], np.zeros(2)), ValueError, "the root, got 2: [0, 1]"),
    "a cycle apart": (lambda: trees.from_parents([-1, 2, 1], np.zeros(3)), ValueError, "nodes [1, 2] are in a cycle"),
    "a parent beyond": (
        lambda: trees.from_parents([-1, 3], np.zeros(2)),
        ValueError,
        "between 0 and 1, or -1 for the root",
    ),
    "x of others": (
        lambda: trees.from_parents([-1, 0], np.zeros(3)),
        ValueError,
        "every array of x must be (2, ...), one for each node, got (3,)",
    ),
    "no table": (
        lambda: trees.batch([Tree(np.zeros(3, int), np.zeros(3))]),
        ValueError,
        "batch: tree 0: children must be integers (nodes, arity), got int64 of shape (3,)",
    ),
    "numbers that are not whole": (
        lambda: trees.batch([Tree(np.zeros((3, 1)), np.zeros(3))]),
        ValueError,
        "children must be integers (nodes, arity), got float64",
    ),
    "no tree": (
        lambda: trees.batch([((), 1)]),  # pyright: ignore
        TypeError,
        "batch: tree 0 must be a Tree, got tuple",
    ),
    "the second": (
        lambda: trees.batch([Tree(np.zeros((1, 0), int), np.ones(1)), Tree(np.array([[-1], [-1]]), np.ones(2))]),
        ValueError,
        "batch: tree 1 has 2 roots",
    ),
    "no label": (
        lambda: trees.from_nested((("a", 1), 2)),
        ValueError,
        "a node is (label, child, ...), got (('a', 1), 2)",
    ),
    "an empty tuple": (lambda: trees.from_nested(("a", ())), ValueError, "a node is (label, child, ...), got ()"),
    "a list within itself": (lambda: trees.from_nested(endless()), ValueError, "a list is within itself"),
    "code within itself": (lambda: trees.from_ast(endless_code()), ValueError, "a UnaryOp is within itself"),
    "never closed": (
        lambda: trees.from_brackets("(3 (2 It)"),
        ValueError,
        "the bracket opened at 0 ('(3 (2 It)') is never",
    ),
    "never opened": (lambda: trees.from_brackets("(3 It))"), ValueError, "the bracket closed at 6 "),
    "empty brackets": (lambda: trees.from_brackets("(3 () (2 a))"), ValueError, "the brackets at 3 "),
    "only a label": (lambda: trees.from_brackets("(3 (2) (2 a))"), ValueError, "hold only '2': a leaf is (label word)"),
    "brackets without a label": (
        lambda: trees.from_brackets("((2 a) (2 b))"),
        ValueError,
        "at 0 ('((2 a) (2 b))') have no",
    ),
    "two trees": (
        lambda: trees.from_brackets("(2 a) (2 b)"),
        ValueError,
        "expected one tree, got 2: pass each by itself",
    ),
    "no text": (lambda: trees.from_brackets("  "), ValueError, "expected one tree, got 0"),
    "a word alone": (lambda: trees.from_brackets("It (2 works)"), ValueError, "'It' stands outside brackets"),
    "bytes": (lambda: trees.from_brackets(b"(2 a)"), TypeError, "text must be a string, got bytes"),  # pyright: ignore
    "no brackets' tree": (
        lambda: trees.to_brackets(trees.from_nested("a")),
        TypeError,
        "such as that of from_brackets",
    ),
    "a space in a word": (written([()], ["a"], ["b c"]), ValueError, "node 0 has a space or a bracket in its"),
    "a bracket in a label": (written([()], ["("], ["b"]), ValueError, "node 0 has a space or a bracket in its label"),
    "nothing in brackets": (written([()], ["a"], [""]), ValueError, "node 0 must have either a word or children"),
    "a word and children": (
        written([(), (0,)], ["a", "b"], ["x", "y"]),
        ValueError,
        "node 1 must have either a word or children, got the label 'b' and the word 'y'",
    ),
    "a root without a label": (
        written([(), (), (0, 1)], ["a", "b", ""], ["x", "y", ""]),
        ValueError,
        "node 2 must have a label",
    ),
    "one word without a label": (
        written([(), (0,)], ["", "b"], ["x", ""]),
        ValueError,
        "node 1 has one child, which has no label: make it this node's word",
    ),
    "no code": (lambda: trees.from_ast("def"), SyntaxError, "invalid syntax"),
    "a number of code": (
        lambda: trees.from_ast(3),  # pyright: ignore
        TypeError,
        "must be a node of ast, or code, got int",
    ),
    "too narrow": (
        lambda: trees.narrow(trees.from_nested("a"), 1),
        ValueError,
        "narrow: arity must be at least 2, got 1",
    ),
    "an unknown label": (
        lambda: Labels(("a", "b")).encode(["a", "z"]),
        ValueError,
        "unknown label 'z': known are 'a', 'b'",
    ),
    "a label twice": (lambda: Labels(("a", "a")), ValueError, "'a' stands there more than once"),
    "no labels": (lambda: Labels(()), ValueError, "names is empty"),
    "an unknown unknown": (lambda: Labels(("a",), "?"), ValueError, "unknown = '?' is not among the names"),
    "one string": (lambda: Labels.of("abc"), TypeError, "pass an array of labels for each tree, got 'a' among them"),
    "numbers that are no integers": (lambda: Labels(("a",)).decode([0.0]), TypeError, "integers, got float64"),
    "no such number": (lambda: Labels(("a",)).decode([1]), ValueError, "between 0 and 0, got 1 to 1"),
}  # fmt: skip


@pytest.mark.parametrize(("act", "kind", "says"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_tree(act: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        act()
    assert says in str(caught.value)
