"""ListOps: nested operations on lists of digits, as trees and as flat text."""

import random
from typing import Any, NamedTuple

from jaxrnn.cells.checks import whole_number

OPERATORS = ("MIN", "MAX", "MED", "SM")  # the least, the largest, the median rounded down, the sum modulo 10
DIGITS = tuple(range(10))
LABELS = (*DIGITS, *OPERATORS)  # of the nodes of a tree
TOKENS = (*map(str, DIGITS), *(f"[{name}" for name in OPERATORS), "]")  # of a flat expression

OPERATOR_PROBABILITY = 0.25
MOST_ARGUMENTS = 5
DEEPEST = 20  # an expression so deep within others is a digit


class ListOps(NamedTuple):
    """An expression and its value."""

    nested: Any  # a digit, or (operator, argument, ...), as `trees.from_nested` takes it
    value: int  # 0 to 9


def listops(count: int, *, seed: int, fewest_nodes: int = 3, most_nodes: int = 100) -> list[ListOps]:
    """Different expressions, drawn from the grammar of ListOps until there are so many.

        expression = digit                                       with probability 0.75
                   | (operator, expression, ..., expression)     2 to 5 of them, with probability 0.25

    The operators are MIN, MAX, MED (the median, rounded down) and SM (the sum modulo 10); all draws are uniform. The
    nodes of an expression are its digits and operators. Expressions with too few or too many are drawn anew, and none
    comes twice, so parts of the list have nothing in common.

    Args:
        count: how many.
        seed: one seed gives one list.
        fewest_nodes: least size; 3 leaves single digits out.
        most_nodes: largest size.

    Raises:
        ValueError: a count or size below 1; sizes the wrong way round; a count that the sizes do not allow.
        TypeError: numbers that are not whole.

    Example:
        listops(1000, seed=0)[0]  # ListOps(nested=("MAX", 2, ("SM", 7, 8), 0), value=5)

    Source: Nangia and Bowman, *ListOps: a diagnostic dataset for latent tree learning* (2018).
    """
    count, fewest = whole_number("listops: count", count, 1), whole_number("listops: fewest_nodes", fewest_nodes, 1)
    most = whole_number("listops: most_nodes", most_nodes, fewest)
    rng = random.Random(whole_number("listops: seed", seed, 0))
    found: dict[Any, None] = {}
    tries = 0
    while len(found) < count:
        nested = _draw(rng, 1)
        tries += 1
        if fewest <= _nodes(nested) <= most:
            found[nested] = None
        if tries > 1000 + 1000 * count:
            raise ValueError(
                f"listops: {tries} draws gave only {len(found)} different expressions of {fewest} to {most} nodes, not "
                f"{count}: allow more nodes, or ask for fewer"
            )
    return [ListOps(nested, value(nested)) for nested in found]


def value(nested: Any) -> int:
    """What an expression is worth, 0 to 9.

    Args:
        nested: a digit, or `(operator, argument, ...)`.

    Raises:
        ValueError: an operator that there is not, or one without arguments.

    Example:
        value(("SM", 7, 8))  # 5
    """
    if not isinstance(nested, tuple):
        return nested
    operator, *arguments = nested
    if operator not in OPERATORS or not arguments:
        raise ValueError(f"listops: expected an operator of {', '.join(OPERATORS)} with arguments, got {nested!r}")
    values = sorted(map(value, arguments))
    middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) // 2
    return {"MIN": values[0], "MAX": values[-1], "MED": middle, "SM": sum(values) % 10}[operator]


def flat(nested: Any) -> list[str]:
    """The tokens of an expression, from left to right.

    Args:
        nested: a digit, or `(operator, argument, ...)`.

    Example:
        flat(("SM", 7, 8))  # "[SM", "7", "8", "]"
    """
    if not isinstance(nested, tuple):
        return [str(nested)]
    return [f"[{nested[0]}", *(token for argument in nested[1:] for token in flat(argument)), "]"]


def _draw(rng: random.Random, depth: int) -> Any:
    if depth >= DEEPEST or rng.random() > OPERATOR_PROBABILITY:
        return rng.choice(DIGITS)
    arguments = tuple(_draw(rng, depth + 1) for _ in range(rng.randint(2, MOST_ARGUMENTS)))
    return (rng.choice(OPERATORS), *arguments)


def _nodes(nested: Any) -> int:
    return 1 + sum(map(_nodes, nested[1:])) if isinstance(nested, tuple) else 1
