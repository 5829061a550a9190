"""Trees of Python objects: nested tuples, syntax trees; and wide trees made narrow."""

import ast
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from jaxrnn.cells.checks import whole_number
from jaxrnn.trees.structure import Tree, checked, from_children, postorder


def from_nested(nested: Any) -> Tree:
    """A tree from nested tuples: `(label, child, child, ...)` is a node with children, anything else a leaf's label.

    Args:
        nested: such a tuple, or a label; lists count as tuples.

    Returns:
        The tree; x is the labels, an array of objects `(nodes,)`: make them numbers by `Labels`.

    Raises:
        ValueError: a tuple without a label; a list that is within itself.

    Example:
        from_nested(("max", 2, 9, ("min", 4, 7), 0)).x  # 2, 9, 4, 7, "min", 0, "max"
    """

    def label(node: Any) -> Any:
        if not isinstance(node, tuple | list):
            return node
        if not node or isinstance(node[0], tuple | list):
            raise ValueError(
                f"from_nested: a node is (label, child, ...), got {str(node)[:60]}: put a label first, such as None"
            )
        return node[0]

    return _from_objects(
        "from_nested", nested, lambda node: list(node)[1:] if isinstance(node, tuple | list) else (), label
    )


def from_ast(node: ast.AST | str) -> Tree:
    """A tree from Python code: each node of its syntax tree, with the name of its class as the label.

    Names, numbers and strings are left out, and so is whether a name is read or written (Load, Store, Del).

    Args:
        node: a node of `ast`, or the code.

    Returns:
        The tree; x is the labels, an array of objects `(nodes,)`.

    Raises:
        SyntaxError: code that is none.
        ValueError: a node that is within itself.
        TypeError: neither code nor a node.

    Example:
        from_ast("a + 1").x  # "Name", "Add", "Constant", "BinOp", "Expr", "Module"
    """
    if isinstance(node, str):
        node = ast.parse(node)
    if not isinstance(node, ast.AST):
        raise TypeError(f"from_ast: node must be a node of ast, or code, got {type(node).__name__}")

    def below(node: ast.AST) -> list[ast.AST]:
        return [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr_context)]

    return _from_objects("from_ast", node, below, lambda node: type(node).__name__)


def narrow(tree: Tree, arity: int) -> Tree:
    """The same tree with at most `arity` children a node: more are put below further nodes with the same x.

    The children keep their order. A node with n children becomes about log n / log arity nodes high.

    Args:
        tree: any tree.
        arity: at least 2.

    Raises:
        ValueError: an arity below 2; what is no tree.

    Example:
        narrow(from_nested(("f", 1, 2, 3)), 2).x  # 1, 2, "f", 3, "f"
    """
    arity = whole_number("narrow: arity", arity, 2)
    tree = checked("narrow: the tree", tree)
    children: list[tuple[int, ...]] = []
    sources: list[int] = []  # of x
    number: list[int] = []
    for node, table in enumerate(tree.children):
        level = [number[child] for child in table if child >= 0]
        while len(level) > arity:
            groups: list[tuple[int, ...]] = [tuple(level[k : k + arity]) for k in range(0, len(level), arity)]
            level = []
            for group in groups:
                if len(group) > 1:
                    children.append(group)
                    sources.append(node)
                level.append(len(children) - 1 if len(group) > 1 else min(group))
        children.append(tuple(level))
        sources.append(node)
        number.append(len(children) - 1)
    return from_children(children, jax.tree.map(lambda a: a[sources], tree.x))


def objects(values: Iterable[Any]) -> np.ndarray:
    """An array of objects, one entry each, whatever they are."""
    values = list(values)
    array = np.empty(len(values), object)
    for k, value in enumerate(values):
        array[k] = value
    return array


def _from_objects(owner: str, root: Any, children: Callable[[Any], Iterable[Any]], label: Callable[[Any], Any]) -> Tree:
    """A tree of objects, each known by its place and not by its value: equal ones are different nodes."""
    _ends(owner, root, children)
    held: list[tuple[Any, list[int]]] = [(root, [])]
    labels = [label(root)]

    def below(number: int) -> list[int]:
        node, numbers = held[number]
        for child in children(node):
            labels.append(label(child))
            numbers.append(len(held))
            held.append((child, []))
        return numbers

    order = postorder(0, below)
    place = {number: k for k, number in enumerate(order)}
    return from_children(
        [[place[child] for child in held[number][1]] for number in order], objects(labels[number] for number in order)
    )


def _ends(owner: str, root: Any, children: Callable[[Any], Iterable[Any]]) -> None:
    """Raise if an object is somewhere below itself."""
    above: set[int] = set()
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            above.remove(id(node))
        elif id(node) in above:
            raise ValueError(f"{owner}: a {type(node).__name__} is within itself: a tree has no cycles")
        else:
            above.add(id(node))
            stack.append((node, True))
            stack.extend((child, False) for child in children(node))
