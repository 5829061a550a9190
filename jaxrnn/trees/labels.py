"""Labels of nodes as numbers, as an embedding reads them."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Labels:
    """The labels that a model knows; the number of a label is its place among them.

    Args:
        names: the labels, each once; anything hashable.
        unknown: the label, one of the names, that stands for those that are not known; None if there is none.

    Raises:
        ValueError: no labels, or one of them twice; `unknown` that is not among them.

    Example:
        labels = Labels.of(tree.x for tree in many)
        tree._replace(x=labels.encode(tree.x))
    """

    names: tuple[Hashable, ...]
    unknown: Hashable = None

    def __post_init__(self):
        object.__setattr__(self, "names", tuple(self.names))
        if not self.names:
            raise ValueError("Labels: names is empty: pass labels, or use Labels.of")
        if len(set(self.names)) < len(self.names):
            twice = next(name for k, name in enumerate(self.names) if name in self.names[:k])
            raise ValueError(f"Labels: names must differ, but {twice!r} stands there more than once")
        if self.unknown is not None and self.unknown not in self.names:
            raise ValueError(f"Labels: unknown = {self.unknown!r} is not among the names: add it to them")

    @classmethod
    def of(cls, arrays: Iterable[Any], *, least: int = 1, unknown: Hashable = None) -> "Labels":
        """The labels that come at least `least` times, in the order of their text; first `unknown`, if there is one.

        Args:
            arrays: labels, one array for each tree.
            least: how often a label must come.
            unknown: see `Labels`.
        """
        counts: dict[Hashable, int] = {}
        for array in arrays:
            if isinstance(array, str) or not np.ndim(array):
                raise TypeError(f"Labels.of: pass an array of labels for each tree, got {array!r} among them")
            for name in np.asarray(array, object).tolist():  # so that numbers beside text stay numbers
                counts[name] = counts.get(name, 0) + 1
        names = sorted((name for name, count in counts.items() if count >= least and name != unknown), key=str)
        return cls((*([] if unknown is None else [unknown]), *names), unknown)

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, labels: Any) -> np.ndarray:
        """The numbers of labels: int32, in the shape of labels.

        Raises:
            ValueError: a label that is not known, where `unknown` is None.
        """
        number = {name: k for k, name in enumerate(self.names)}
        default = None if self.unknown is None else number[self.unknown]
        array = np.asarray(labels, object)
        found = [number.get(name, default) for name in array.reshape(-1).tolist()]
        if None in found:
            wrong = array.reshape(-1).tolist()[found.index(None)]
            known = ", ".join(map(repr, self.names[:10])) + ", ..." * (len(self.names) > 10)
            raise ValueError(
                f"Labels: unknown label {wrong!r}: known are {known}; give Labels a name for what is unknown, or leave "
                "the tree out"
            )
        return np.asarray(found, np.int32).reshape(array.shape)

    def decode(self, numbers: Any) -> np.ndarray:
        """The labels of numbers, an array of objects.

        Raises:
            ValueError: numbers that are no place among the labels.
            TypeError: numbers that are not whole.
        """
        numbers = np.asarray(numbers)
        if not np.issubdtype(numbers.dtype, np.integer):
            raise TypeError(f"Labels: numbers must be integers, got {numbers.dtype}: pass what encode gave")
        if numbers.size and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise ValueError(
                f"Labels: numbers must be between 0 and {len(self) - 1}, got {numbers.min()} to {numbers.max()}"
            )
        table = np.empty(len(self), object)
        for k, name in enumerate(self.names):
            table[k] = name
        return table[numbers]
