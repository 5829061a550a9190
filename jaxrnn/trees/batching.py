"""Trees side by side: all nodes of one height are computed at once, whatever tree they belong to."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrnn.cells.checks import whole_number
from jaxrnn.trees.structure import Tree, checked

NARROWEST = 0.5  # levels run as one loop while they are wider than this part of its first


class Sizes(NamedTuple):
    """How large a batch is made: one entry for each level, the leaves first. Batches of one size share a program."""

    widths: tuple[int, ...]  # nodes of each height, never more than of the height below
    arities: tuple[int, ...]  # children that such a node has at most


class Trees(NamedTuple):
    """A batch of trees, scheduled: every node has a place, those of one height stand side by side, the lowest first.

    A level has as many places as the widest in its run of levels, so some hold no node: `nodes` tells them.
    """

    children: tuple[Any, ...]  # for each run of levels int32 (levels, width, arity): places of children, -1 for none
    xs: Any  # leaves (places, ...): x of the node at each place, zeros where there is none
    nodes: Any  # (places,), int32: the node at each place, counted over all trees in the order given; -1 for none
    roots: Any  # (trees,), int32: the place of each tree's root


class Batch(NamedTuple):
    """Some of many trees."""

    trees: Trees
    places: np.ndarray  # (trees,), int32: where these trees stand among those given


def sizes(trees: Sequence[Tree]) -> Sizes:
    """The size of a batch of these trees.

    Args:
        trees: what is to be in the batch.

    Raises:
        ValueError: no trees; what is no tree.

    Example:
        sizes([tree]).widths  # (5, 3, 1): five leaves, three nodes above them, the root
    """
    return _forest("sizes", trees).sizes()


def batch(trees: Sequence[Tree], sizes: Sizes | None = None) -> Trees:
    """Trees as `fold` takes them: of any shapes, in as many levels as the highest has.

    The height of a node is the length of the longest way down to a leaf. Of each height there are never more nodes
    than of the one below, so the levels fall into few runs of about equal width.

    Args:
        trees: what is in the batch; their x alike but for the number of nodes.
        sizes: room for this much, at least what the trees need; default: just that. Under `jax.jit`, batches of one
            size and number of trees are traced once.

    Raises:
        ValueError: no trees; what is no tree (cycles, children after their parents, two parents, several roots); x that
            are not alike; sizes that are too small.
        TypeError: x that holds no numbers: labels must be made numbers first, such as by `Labels`.

    Example:
        run = fold(cell, params, batch([tree, another]))
    """
    forest = _forest("batch", trees)
    least = forest.sizes()
    if sizes is None:
        sizes = least
    _fits(least, sizes)
    inner = _runs(sizes)
    starts = np.cumsum([0, sizes.widths[0], *(width for levels, width, _ in inner for _ in range(levels))])
    place = np.zeros(len(forest.heights) + 1, np.int32)
    place[-1] = -1  # where there is no child
    order = np.argsort(forest.heights, kind="stable")
    counts = np.bincount(forest.heights)
    first = np.cumsum([0, *counts])
    place[order] = np.concatenate([start + np.arange(n) for start, n in zip(starts, counts, strict=False)])
    nodes = np.full(starts[-1], -1, np.int32)
    nodes[place[:-1]] = np.arange(len(forest.heights))
    children, level = [], 1
    for levels, width, arity in inner:
        run = np.full((levels, width, arity), -1, np.int32)
        for k in range(min(levels, len(counts) - level)):
            members = order[first[level + k] : first[level + k + 1]]
            run[k, : len(members), : forest.children.shape[1]] = place[forest.children[members, :arity]]
        children.append(run)
        level += levels

    def spread(*leaves: np.ndarray) -> np.ndarray:
        whole = np.zeros((len(nodes), *leaves[0].shape[1:]), leaves[0].dtype)
        whole[place[:-1]] = np.concatenate(leaves)
        return whole

    return Trees(tuple(children), jax.tree.map(spread, *forest.xs), nodes, place[forest.roots])


def batches(trees: Sequence[Tree], size: int, *, seed: int | None = None) -> list[Batch]:
    """Batches of one size and so one program; every tree comes once.

    Args:
        trees: of any shapes.
        size: trees in a batch; what is left makes a smaller one, with a program of its own.
        seed: None for the order given. A whole number shuffles the trees. Pass another one in each epoch; batches of
            another epoch may have another size, unless `trees` are cut into batches once.

    Raises:
        ValueError: no trees; what is no tree; a size below 1.
        TypeError: a size that is not a whole number.

    Example:
        for trees, places in batches(all_trees, 32, seed=0):
            run = fold(cell, params, trees)  # labels[places] belong to these trees
    """
    size = whole_number("batches: size", size, 1)
    order = np.arange(len(trees)) if seed is None else np.random.default_rng(seed).permutation(len(trees))
    groups = [[trees[k] for k in order[start : start + size]] for start in range(0, len(order), size)] or [[]]
    room = largest([_forest("batches", group).sizes() for group in groups])
    places = np.split(order.astype(np.int32), range(size, len(order), size))
    return [Batch(batch(group, room), where) for group, where in zip(groups, places, strict=True)]


def largest(many: Sequence[Sizes]) -> Sizes:
    """The least size that has room for each of these.

    Args:
        many: sizes of batches, at least one.

    Raises:
        ValueError: no sizes.

    Example:
        room = largest([sizes(these), sizes(those)])
    """
    if not many:
        raise ValueError("largest: no sizes: pass at least one")
    levels = max(len(each.widths) for each in many)

    def over(which: str) -> tuple[int, ...]:
        padded = [getattr(each, which) + (0,) * (levels - len(each.widths)) for each in many]
        return tuple(max(level) for level in zip(*padded, strict=True))

    return Sizes(over("widths"), over("arities"))


def unbatch(trees: Trees, values: Any) -> list[Any]:
    """What `fold` found, or anything else with an entry for each place, by tree and in the order of its own nodes.

    Args:
        trees: the batch, its numbers known: not under `jax.jit`.
        values: leaves `(places, ...)`.

    Returns:
        For each tree a pytree of NumPy arrays `(nodes, ...)`.

    Raises:
        ValueError: values without an entry for each place.

    Example:
        unbatch(batch, fold(cell, params, batch).outputs)[0]  # (nodes of the first tree, hidden)
    """
    nodes = np.asarray(trees.nodes)
    for leaf in jax.tree.leaves(values):
        if np.shape(leaf)[:1] != nodes.shape:
            raise ValueError(f"unbatch: values must be ({len(nodes)}, ...), one for each place, got {np.shape(leaf)}")
    order = np.argsort(nodes, kind="stable")[np.sum(nodes < 0) :]
    ends = nodes[np.asarray(trees.roots)] + 1  # the root is a tree's last node
    return [
        jax.tree.map(lambda a, part=order[begin:end]: np.asarray(a)[part], values)
        for begin, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


class _Forest(NamedTuple):
    """All trees as one table, checked."""

    children: np.ndarray  # (nodes, arity)
    heights: np.ndarray  # (nodes,)
    roots: np.ndarray  # (trees,)
    xs: list[Any]

    def sizes(self) -> Sizes:
        last = np.where(self.children >= 0, np.arange(1, self.children.shape[1] + 1), 0).max(axis=1, initial=0)
        levels = range(self.heights.max() + 1)
        return Sizes(
            tuple(np.bincount(self.heights).tolist()), tuple(int(last[self.heights == k].max()) for k in levels)
        )


def _forest(owner: str, trees: Sequence[Tree]) -> _Forest:
    if isinstance(trees, Tree):
        raise TypeError(f"{owner}: trees must be a list of trees, got one: pass [tree]")
    if not len(trees):
        raise ValueError(f"{owner}: no trees: pass at least one")
    trees = [checked(f"{owner}: tree {k}", tree) for k, tree in enumerate(trees)]
    for k, tree in enumerate(trees):
        if _like(tree.x) != _like(trees[0].x):
            raise ValueError(
                f"{owner}: trees must have x that are alike but for the number of nodes: tree {k} has {_like(tree.x)}, "
                f"the first {_like(trees[0].x)}"
            )
    for leaf in jax.tree.leaves(trees[0].x):
        if leaf.dtype.kind not in "biufc" and not hasattr(jax.numpy, str(leaf.dtype)):
            raise TypeError(
                f"{owner}: x must hold numbers, got {leaf.dtype}: make labels numbers first, such as by "
                "Labels.of(x).encode(x)"
            )
    ends = np.cumsum([len(tree.children) for tree in trees])
    table = np.full((ends[-1], max(tree.children.shape[1] for tree in trees)), -1, np.int32)
    for tree, end in zip(trees, ends, strict=True):
        begin = end - len(tree.children)
        table[begin:end, : tree.children.shape[1]] = np.where(tree.children < 0, -1, tree.children + begin)
    return _Forest(table, _heights(table), ends - 1, [tree.x for tree in trees])


def _heights(children: np.ndarray) -> np.ndarray:
    """The longest way from each node down to a leaf, found level by level: a node is ready when its last child is."""
    there = children >= 0
    parent = np.full(len(children), -1, np.int32)
    parent[children[there]] = np.nonzero(there)[0]
    waiting, found, ready, height = there.sum(axis=1), np.zeros(len(children), np.int32), None, 0
    ready = np.flatnonzero(waiting == 0)
    while len(ready):
        found[ready] = height
        above = parent[ready]
        above = above[above >= 0]
        np.subtract.at(waiting, above, 1)
        ready = np.unique(above[waiting[above] == 0])
        height += 1
    return found


def _runs(sizes: Sizes) -> list[tuple[int, int, int]]:
    """The levels above the leaves as runs (levels, width, arity) of about equal width."""
    runs: list[tuple[int, int, int]] = []
    for width, arity in zip(sizes.widths[1:], sizes.arities[1:], strict=True):
        if runs and width > NARROWEST * runs[-1][1]:
            levels, most, places = runs[-1]
            runs[-1] = levels + 1, most, max(places, arity)
        else:
            runs.append((1, width, arity))
    return runs


def _fits(least: Sizes, room: Sizes) -> None:
    """Raise unless there is room, and the room is one."""
    if not isinstance(room, Sizes) or len(room.widths) != len(room.arities) or not room.widths:
        raise TypeError(f"batch: sizes must be Sizes(widths, arities) with one entry for each level, got {room!r}")
    if any(a < b for a, b in zip(room.widths, room.widths[1:], strict=False)) or min(room.widths) < 0:
        raise ValueError(f"batch: no level is wider than the one below, got the widths {room.widths}")
    missing = len(least.widths) - len(room.widths)
    pairs = [*zip(least.widths, room.widths, strict=False), *zip(least.arities, room.arities, strict=False)]
    if missing > 0 or any(a > b for a, b in pairs):
        raise ValueError(f"batch: the trees need {least}, and sizes has only room for {room}: pass larger ones")


def _like(x: Any) -> str:
    """The shapes without the nodes, and the types."""
    return str(jax.tree.map(lambda a: f"{a.dtype}{list(a.shape[1:])}", x))
