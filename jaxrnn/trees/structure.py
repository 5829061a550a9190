"""One tree as arrays, and the check that it is one."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np


class Tree(NamedTuple):
    """One tree: its nodes numbered so that children come before their parents, the root last."""

    children: np.ndarray  # (nodes, arity), integers: the numbers of each node's children, in order; -1 for none
    x: Any  # leaves (nodes, ...), what is known of each node: its input, a label


def checked(owner: str, tree: Tree) -> Tree:
    """The tree with NumPy arrays; raise unless it is one tree, children before parents."""
    if not isinstance(tree, Tree):
        raise TypeError(f"{owner} must be a Tree, got {type(tree).__name__}: pass Tree(children, x)")
    children = np.asarray(tree.children)
    if children.ndim != 2 or not (np.issubdtype(children.dtype, np.integer) or children.size == 0):
        raise ValueError(
            f"{owner}: children must be integers (nodes, arity), got {children.dtype} of shape {children.shape}"
        )
    nodes = len(children)
    if nodes == 0:
        raise ValueError(f"{owner} has no nodes: a tree has at least its root")
    for leaf in jax.tree.leaves(tree.x):
        if np.shape(leaf)[:1] != (nodes,):
            raise ValueError(
                f"{owner}: every array of x must be ({nodes}, ...), one for each node, got {np.shape(leaf)}"
            )
    _numbered(owner, children)
    return Tree(children.astype(np.int32), jax.tree.map(np.asarray, tree.x))


def _numbered(owner: str, children: np.ndarray) -> None:
    """Raise unless children are before their parents, each has one parent, and only the last node has none."""
    own, nodes = np.arange(len(children))[:, None], len(children)
    if children.size and (children.min() < -1 or children.max() >= nodes):
        node, place = np.argwhere((children < -1) | (children >= nodes))[0]
        raise ValueError(
            f"{owner}: child {children[node, place]} of node {node} does not exist: nodes are numbered from 0 to "
            f"{nodes - 1}, and -1 means no child"
        )
    ahead = np.argwhere(children >= own)
    if len(ahead):
        node, place = ahead[0]
        what = "itself" if children[node, place] == node else f"node {children[node, place]}, which comes after it"
        raise ValueError(
            f"{owner}: node {node} has as its child {what}: children come before their parents, or there is a cycle; "
            "from_parents(parents, x) numbers nodes anew"
        )
    parents = np.bincount(children[children >= 0], minlength=nodes)
    if (parents > 1).any():
        raise ValueError(
            f"{owner}: node {parents.argmax()} is a child more than once: in a tree every node has one parent"
        )
    roots = np.flatnonzero(parents == 0)
    if len(roots) > 1:
        raise ValueError(
            f"{owner} has {len(roots)} roots, nodes {', '.join(map(str, roots[:5]))}{', ...' * (len(roots) > 5)}: make "
            "a tree of each, or give them a parent"
        )


def from_children(children: Sequence[Sequence[int]], x: Any) -> Tree:
    """A tree from a list of children for each node, children before parents.

    Args:
        children: for each node the numbers of its children, in order; none for a leaf.
        x: what is known of each node, leaves `(nodes, ...)`.

    Raises:
        ValueError: what is no tree: cycles, children after their parents, a node with two parents, several roots.
        TypeError: children that are no lists of whole numbers.

    Example:
        from_children([(), (), (0, 1)], np.ones((3, 8)))  # node 2 has the children 0 and 1
    """
    for node, each in enumerate(children):
        given = np.asarray(each)
        if given.ndim != 1 or (given.size and not np.issubdtype(given.dtype, np.integer)):
            raise TypeError(
                f"from_children: the children of node {node} must be whole numbers, got {each!r}: pass such as (0, 1), "
                "and () for a leaf"
            )
    arity = max((len(each) for each in children), default=0)
    table = np.full((len(children), arity), -1, np.int64)
    for node, each in enumerate(children):
        table[node, : len(each)] = each
    return checked("from_children: the tree", Tree(table, x))


def from_parents(parents: Sequence[int] | np.ndarray, x: Any) -> Tree:
    """A tree from the number of each node's parent, as a dependency parse has it; nodes in any order.

    Args:
        parents: integers `(nodes,)`, the parent of each node, -1 for the root.
        x: what is known of each node, leaves `(nodes, ...)`, in the order of parents.

    Returns:
        The tree, its nodes numbered anew so that children come before parents; the children of a node keep their order.

    Raises:
        ValueError: no node without a parent or several, parents that are no nodes, cycles.

    Example:
        from_parents([1, -1, 1], {"word": np.array([4, 0, 7])})  # the root, 1, has the children 0 and 2
    """
    parents = np.asarray(parents)
    if parents.ndim != 1 or not np.issubdtype(parents.dtype, np.integer):
        raise ValueError(f"from_parents: parents must be integers (nodes,), got {parents.dtype} of {parents.shape}")
    if parents.size == 0:
        raise ValueError("from_parents: parents is empty: a tree has at least its root")
    if parents.min() < -1 or parents.max() >= len(parents):
        raise ValueError(
            f"from_parents: parents must be between 0 and {len(parents) - 1}, or -1 for the root, got "
            f"{parents.min()} to {parents.max()}"
        )
    roots = np.flatnonzero(parents < 0)
    if len(roots) != 1:
        raise ValueError(f"from_parents: one node has no parent (-1), the root, got {len(roots)}: {roots[:5].tolist()}")
    below: list[list[int]] = [[] for _ in parents]
    for node, parent in enumerate(parents.tolist()):
        if parent >= 0:
            below[parent].append(node)
    order = postorder(int(roots[0]), below.__getitem__)
    if len(order) < len(parents):
        lost = sorted(set(range(len(parents))) - set(order))
        raise ValueError(f"from_parents: nodes {lost[:5]} are in a cycle, or below one: they never reach the root")
    number = {node: k for k, node in enumerate(order)}
    x = jax.tree.map(lambda a: np.asarray(a)[order] if np.shape(a)[:1] == parents.shape else a, x)
    return from_children([[number[child] for child in below[node]] for node in order], x)


def postorder(root: Any, children: Any) -> list[Any]:
    """All below a root, children (in order) before their parents; without recursion, so of any height."""
    order, stack = [], [root]
    while stack:
        node = stack.pop()
        order.append(node)
        stack.extend(children(node))
    return order[::-1]
