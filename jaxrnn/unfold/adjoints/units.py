"""Units of a state: what each parameter reaches in one step, where that is one unit alone."""

from typing import Any, NamedTuple

import numpy as np

from jaxrnn.unfold.adjoints.example import OneExample
from jaxrnn.unfold.reach import NOTHING, labelled, nothing, reaches_many, reaches_none


class Units(NamedTuple):
    """A unit is an index, and its entries are those that the arrays of the state of one shape have there.

    Of an LSTM, unit u is (h_u, c_u).
    """

    members: list[list[int]]  # for each array of θ: the arrays of the state that have its units
    numbers: list[np.ndarray]  # the unit of each of its entries, in its shape
    direct: list[np.ndarray]  # (members, *shape): whether the entry reaches that member's entry within one step
    diagonal: bool  # each entry of the state reaches its own unit alone


def units(one: OneExample) -> Units | list[int]:
    """The units of a step, or which leaves of its θ reach several of them."""
    shapes = [one.rows[k].shape for k in one.state]
    firsts, total = {}, 0
    for shape in shapes:
        if shape not in firsts:
            firsts[shape] = total
            total += int(np.prod(shape))
    labels = [labelled(firsts[s] + np.arange(int(np.prod(s))).reshape(s)) for s in shapes]
    reached = one.reach(labels)
    diagonal = all(
        bool((reaches_none(reached[k]) | (reached[k] == own).all(0)).all())
        for k, own in zip(one.state, labels, strict=True)
    )
    blank = [nothing(s) for s in shapes]
    in_one = [one.reach([*blank[:k], own, *blank[k + 1 :]]) for k, own in enumerate(labels)]
    members, numbers, direct, several = [], [], [], []
    for place in one.theta:
        found = reached[place]
        if place in one.initial:  # s(0) is where it is; resets change nothing in that
            own = labels[one.initial.index(place)]
            found = np.minimum(found, own)
        least = found[0][~reaches_none(found)]
        home = next((s for s in firsts if least.size and 0 <= least.min() - firsts[s] < int(np.prod(s))), None)
        first = 0 if home is None else firsts[home]
        if reaches_many(found).any() or (home is not None and least.max() - first >= int(np.prod(home))):
            several.append(place)
            continue
        among = [k for k, s in enumerate(shapes) if s == home]
        members.append(among)
        numbers.append(np.where(found[0] == NOTHING, 0, found[0] - first))
        direct.append(np.array([~reaches_none(in_one[k][place]) | (place in one.initial) for k in among], bool))
    return several or Units(members, numbers, direct, diagonal)


def of_parts(units: Units, one: OneExample) -> Units:
    """The same for arrays of real numbers: a complex one is two, of the same units."""

    def count(k: int) -> int:
        return 2 if np.issubdtype(one.rows[k].dtype, np.complexfloating) else 1

    place = np.cumsum([0, *(count(k) for k in one.state)])
    members: list[Any] = [[int(p) for k in among for p in range(place[k], place[k + 1])] for among in units.members]
    direct = [
        np.repeat(d, [count(one.state[k]) for k in among], axis=0)
        for d, among in zip(units.direct, units.members, strict=True)
    ]
    twice = [n for n, k in enumerate(one.theta) for _ in range(count(k))]
    return Units(
        [members[n] for n in twice], [units.numbers[n] for n in twice], [direct[n] for n in twice], units.diagonal
    )
