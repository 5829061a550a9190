"""How far what was written is from what should have been."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple


class ErrorRates(NamedTuple):
    """Errors of sequences against their references, as shares of 1."""

    symbols: float  # edits to the closest reference, for each symbol of it
    sequences: float  # sequences that are none of their references
    symbols_of_first: float  # edits to the first reference, for each symbol of it
    sequences_of_first: float  # sequences that are not their first reference


def edit_distance(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """The fewest insertions, deletions and substitutions that make b of a.

    Args:
        a: any sequence of symbols.
        b: any sequence of symbols.

    Example:
        edit_distance("kitten", "sitting")  # 3

    Source: Levenshtein (1966); Wagner and Fischer, *The string-to-string correction problem* (1974).
    """
    row = list(range(len(b) + 1))
    for i, symbol in enumerate(a, start=1):
        above, row[0] = row[0], i
        for j, other in enumerate(b, start=1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (symbol != other))
    return row[-1]


def error_rates(found: Sequence[Sequence[Any]], references: Sequence[Sequence[Sequence[Any]]]) -> ErrorRates:
    """How far sequences are from their references, of which each has one or several.

    Args:
        found: what was written.
        references: for each of them, what would have been right; the first is the usual one.

    Raises:
        ValueError: nothing found; another number of references; a sequence without any.

    Example:
        error_rates(["ab", "cd"], [["ab"], ["ce", "d"]])  # symbols 1/3, sequences 1/2

    The closest reference is the one with the fewest edits; of several such the longest, and then the first.
    """
    if not len(found) or len(found) != len(references) or not all(len(of) for of in references):
        raise ValueError(
            f"error_rates: every sequence needs a reference, and there must be one at least, got {len(found)} "
            f"sequences and {len(references)} lists of references, of {min(map(len, references), default=0)} or more"
        )
    edits = [[edit_distance(y, reference) for reference in of] for y, of in zip(found, references, strict=True)]
    pairs = [[(e, len(r)) for e, r in zip(*both, strict=True)] for both in zip(edits, references, strict=True)]
    closest = [min(of, key=lambda pair: (pair[0], -pair[1])) for of in pairs]
    first = [of[0] for of in pairs]
    return ErrorRates(*_rates(closest), *_rates(first))


def _rates(pairs: Sequence[tuple[int, int]]) -> tuple[float, float]:
    wrong = sum(edits > 0 for edits, _ in pairs) / len(pairs)
    return sum(edits for edits, _ in pairs) / max(1, sum(length for _, length in pairs)), wrong
