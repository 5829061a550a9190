"""Trees written with brackets, as treebanks have them."""

import re
from collections.abc import Callable

from jaxrnn.trees.convert import objects
from jaxrnn.trees.structure import Tree, checked, from_children

_WORD = re.compile(r"[^\s()]+")
_TOKEN = re.compile(rf"[()]|{_WORD.pattern}")


def from_brackets(text: str) -> Tree:
    """A tree from brackets: `(label child child ...)` is a node, `(label word)` a leaf.

    A word among other children is a leaf with no label. Another bracket around all, as the Penn Treebank has it, is
    left out where nothing else is in it.

    Args:
        text: one tree.

    Returns:
        The tree; x is `{"label": ..., "word": ...}`, arrays of strings (as objects) `(nodes,)`, "" for none.

    Raises:
        ValueError: brackets that do not match, empty ones, several trees, none.
        TypeError: what is no text.

    Example:
        from_brackets("(3 (2 It) (4 works))").x["word"]  # "It", "works", ""

    Source: Marcus, Santorini, Marcinkiewicz, *Building a large annotated corpus of English: the Penn Treebank* (1993).
    """
    if not isinstance(text, str):
        raise TypeError(f"from_brackets: text must be a string, got {type(text).__name__}")
    children: list[list[int]] = []
    labels: list[str] = []
    words: list[str] = []
    open_at: list[int] = []  # positions of brackets that are open
    inside: list[list[str | int]] = [[]]  # what is in each: words, and numbers of nodes

    def node(label: str, word: str, below: list[int]) -> int:
        children.append(below)
        labels.append(label)
        words.append(word)
        return len(children) - 1

    for token in _TOKEN.finditer(text):
        if token[0] == "(":
            open_at.append(token.start())
            inside.append([])
        elif token[0] == ")":
            if not open_at:
                raise ValueError(f"from_brackets: the bracket closed at {_where(text, token.start())} was never opened")
            begin = open_at.pop()
            inside[-2].append(_closed(inside.pop(), node, _where(text, begin)))
        else:
            inside[-1].append(token[0])
    if open_at:
        raise ValueError(f"from_brackets: the bracket opened at {_where(text, open_at[-1])} is never closed")
    loose = [each for each in inside[0] if isinstance(each, str)]
    if loose:
        raise ValueError(f"from_brackets: {loose[0]!r} stands outside brackets: a tree is (label child ...)")
    if len(inside[0]) != 1:
        raise ValueError(f"from_brackets: expected one tree, got {len(inside[0])}: pass each by itself")
    return from_children(children, {"label": objects(labels), "word": objects(words)})


def to_brackets(tree: Tree) -> str:
    """A tree of `from_brackets` as text again.

    Args:
        tree: with x `{"label": ..., "word": ...}`.

    Raises:
        ValueError: what is no tree; a node that would be read as another, such as with a space within its word.
        TypeError: another x.

    Example:
        to_brackets(from_brackets("(3 (2 It)(4 works))"))  # "(3 (2 It) (4 works))"
    """
    tree = checked("to_brackets: the tree", tree)
    if not isinstance(tree.x, dict) or not {"label", "word"} <= set(tree.x):
        raise TypeError('to_brackets: x must be {"label": ..., "word": ...}, such as that of from_brackets')
    found: list[str] = []
    for node, row in enumerate(tree.children):
        label, word = str(tree.x["label"][node]), str(tree.x["word"][node])
        below = [found[child] for child in row if child >= 0]
        _readable(node, label, word, below, root=node == len(tree.children) - 1)
        text = " ".join(part for part in (label, word, *below) if part)
        found.append(text if label == "" else f"({text})")
    return found[-1]


def _readable(node: int, label: str, word: str, below: list[str], root: bool) -> None:
    """Raise unless a node's text would be read as this node and no other."""
    what = None
    if any(part and not _WORD.fullmatch(part) for part in (label, word)):
        what = "has a space or a bracket in its label or word"
    elif (word == "") == (not below):
        what = "must have either a word or children"
    elif label == "" and (root or below):
        what = "must have a label: only words among other children have none"
    elif len(below) == 1 and not below[0].startswith("("):
        what = "has one child, which has no label: make it this node's word"
    if what:
        raise ValueError(f"to_brackets: node {node} {what}, got the label {label!r} and the word {word!r}")


def _closed(inside: list[str | int], node: Callable[[str, str, list[int]], int], where: str) -> int:
    """The node that a pair of brackets makes."""
    if not inside:
        raise ValueError(f"from_brackets: the brackets at {where} are empty: a node is (label child ...)")
    if isinstance(inside[0], int):
        if len(inside) == 1:  # a bracket around all
            return inside[0]
        raise ValueError(f"from_brackets: the brackets at {where} have no label: a node is (label child ...)")
    label, below = inside[0], inside[1:]
    if not below:
        raise ValueError(f"from_brackets: the brackets at {where} hold only {label!r}: a leaf is (label word)")
    if len(below) == 1 and isinstance(below[0], str):
        return node(label, below[0], [])
    return node(label, "", [node("", each, []) if isinstance(each, str) else each for each in below])


def _where(text: str, position: int) -> str:
    return f"{position} ({text[max(0, position - 10) : position + 20]!r})"
