"""One step of one example, as a function of lists of arrays, and which entries it joins."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrnn.cells.base import Inputs, Params, State
from jaxrnn.unfold.adjoints.inexact import has_gradient
from jaxrnn.unfold.adjoints.real import parts, whole
from jaxrnn.unfold.problem import Flags, begin, where
from jaxrnn.unfold.reach import Reach, labelled, nothing, reach, reaches_none

Step = Callable[[Params, State, Inputs], State]


class Arguments(NamedTuple):
    """What s(t) is a function of."""

    params: Params
    initial: State  # s(0), which resets return to
    state: State  # s(t-1)
    x: Inputs
    flag: Flags  # of the one step, leaves (*batch,)


class OneExample:
    """s(t) of one example of a batch, from the leaves of `Arguments`, and its derivative by θ and s(t-1).

    θ is what the chosen arrays of the parameters are and the step reads, and after it s(0) where that is wanted. A
    batch whose examples do not go each its own way is taken for one example.
    """

    def __init__(self, step: Step, arguments: Arguments, batch: tuple[int, ...], chosen: list[bool], initial: bool):
        self.step = step
        shapes, self.structure = jax.tree.flatten(jax.eval_shape(lambda a: a, arguments))
        first = np.cumsum([0, *(len(jax.tree.leaves(part)) for part in arguments)])
        self.batch, self.own = _apart(self.call, shapes, batch, slice(first[1], first[3]))
        self.rows = _rows(shapes, self.own, len(self.batch))
        self.jaxpr = jax.make_jaxpr(self.call)(self.rows).jaxpr
        self.state = [k for k in range(first[2], first[3]) if has_gradient(shapes[k])]
        self.in_state = [k - first[2] for k in self.state]  # among the leaves of a state
        self.params = [k for k in range(first[1]) if has_gradient(shapes[k])]
        reached = self.reach([labelled(np.zeros(self.rows[k].shape)) for k in self.state])
        read = [k for k, c in zip(self.params, chosen, strict=True) if c and not reaches_none(reached[k]).all()]
        self.initial = [first[1] + k for k in self.in_state] if initial else []
        self.theta = [*read, *self.initial]

    def call(self, leaves: list[Any]) -> list[Any]:
        """The leaves of s(t)."""
        params, initial, state, x, flag = jax.tree.unflatten(self.structure, leaves)
        new = self.step(params, begin(state, initial, flag), x)
        return jax.tree.leaves(new if flag.valid is None else where(flag.valid, new, state))

    def reach(self, of_state: list[Reach]) -> list[Reach]:
        """What each leaf reaches of s(t), through derivatives alone: from labels of its arrays that have them."""
        labels = iter(of_state)
        outs = [next(labels) if has_gradient(v.aval) else nothing(v.aval.shape) for v in self.jaxpr.outvars]
        return reach(self.jaxpr, outs, derivatives=True)

    def derivative(self, leaves: list[Any]) -> tuple[list[Any], Callable[..., Any]]:
        """The leaves of s(t), and what pulls cotangents of its real parts back to those of θ and of s(t-1)."""
        places = [*self.theta, *self.state]
        like = [leaves[k] for k in places]

        def new(theta: list[jax.Array], state: list[jax.Array]) -> tuple[list[jax.Array], list[Any]]:
            given = list(leaves)
            for place, value in zip(places, whole([*theta, *state], like), strict=True):
                given[place] = value
            found = self.call(given)
            return parts([found[k] for k in self.in_state]), found

        operands = parts([leaves[k] for k in self.theta]), parts([leaves[k] for k in self.state])
        _, pull, found = jax.vjp(new, *operands, has_aux=True)
        return found, pull

    def each(self, function: Callable[..., Any], influence: Any, leaves: list[Any]) -> Any:
        """`function(influence, leaves)` of every example."""
        for _ in self.batch:
            function = jax.vmap(function, in_axes=(0, [0 if own else None for own in self.own]))
        return function(influence, leaves)


def _rows(shapes: list[Any], own: list[bool], axes: int) -> list[Any]:
    """Shapes of one example's part of each array, or of the whole array that all share."""
    pairs = zip(shapes, own, strict=True)
    return [jax.ShapeDtypeStruct(s.shape[axes:] if o else s.shape, s.dtype) for s, o in pairs]


def _apart(
    call: Callable[[list[Any]], list[Any]], shapes: list[Any], batch: tuple[int, ...], states: slice
) -> tuple[tuple[int, ...], list[bool]]:
    """The batch axes if each example goes its own way, else none; and which leaves have a part for each example."""
    together = (), [False for _ in shapes]
    number = np.arange(math.prod(batch)).reshape(batch)
    if number.size < 2:
        return together

    def numbers(shape: tuple[int, ...]) -> Reach:
        return labelled(np.broadcast_to(number.reshape(batch + (1,) * (len(shape) - len(batch))), shape))

    def leads(shape: tuple[int, ...]) -> bool:
        return shape[: len(batch)] == batch

    def owns(reached: Reach) -> bool:
        shape = reached.shape[1:]
        return leads(shape) and bool((reaches_none(reached) | (reached == numbers(shape)).all(0)).all())

    jaxpr = jax.make_jaxpr(call)(shapes).jaxpr
    outs = [v.aval.shape for v in jaxpr.outvars]
    if not all(map(leads, outs)):
        return together
    own = [owns(r) for r in reach(jaxpr, [numbers(s) for s in outs], derivatives=False)]
    if not all(own[states]):
        return together
    try:
        alone = jax.eval_shape(call, _rows(shapes, own, len(batch)))
    except (TypeError, ValueError):  # the step counts on its batch axes
        return together
    return (batch, own) if [a.shape for a in alone] == [s[len(batch) :] for s in outs] else together
