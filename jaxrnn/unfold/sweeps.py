"""The sweeps of shooting: blocks of time as rows of one batch, run again until each starts where the last one ends."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.unfold import certificate
from jaxrnn.unfold.method import Carried, Certificate, Solved, Step, carried_as_is
from jaxrnn.unfold.probe import Probed
from jaxrnn.unfold.problem import row_shapes, where
from jaxrnn.unfold.scan import Scan
from jaxrnn.unfold.sharding import Line, varying


def side_by_side(tree: Any, blocks: int) -> Any:
    """Arrays (time, ...) as (blocks, size, n); axes of one entry would make XLA copy them for the sake of layouts."""
    return jax.tree.map(lambda a: a.reshape(blocks, a.shape[0] // blocks, a[0].size), tree)


class _Scale(NamedTuple):
    """The largest |s| of each sequence."""

    before: Any  # until each block begins, leaves (blocks, *batch, 1)
    whole: Any  # of all blocks


def _of_rows(states: Any) -> Any:
    """The largest |s| of each row of a batch."""
    return jax.vmap(lambda state: certificate.scale(state, axes=0))(states)


def _larger(a: Any, b: Any) -> Any:
    return jax.tree.map(jnp.maximum, a, b)


class _Swept(NamedTuple):
    """What is known of a window; leaves (blocks, size, n)."""

    states: Any
    extras: Any
    scale: _Scale
    sweeps: jax.Array
    residual: jax.Array  # not a number until a sweep has met the path of the one before it
    depth: jax.Array
    joints: tuple[jax.Array, jax.Array]  # where each sweep met the path before it, on this device; residuals there


class _Merge(NamedTuple):
    """A sweep under way."""

    states: Any
    extras: Any
    now: Any  # the state of every block, as it is carried
    largest: Any  # |s| of each sequence in this sweep, leaves (blocks, *batch, 1)
    done: jax.Array  # steps
    residual: jax.Array  # of going over to the path of the last sweep


class Sweeps:
    """The sweeps of one window; the steps that do not fill its blocks, fewer than there are blocks, come last.

    On a line of devices, of this one's share of the blocks. What devices tell each other in a sweep is the states that
    blocks start from, the scale, and the residual, which decides on further sweeps; each device's loop ends by its own.
    """

    def __init__(
        self,
        step: Step,
        items: Any,
        valid: jax.Array | None,
        blocks: int,
        backward: bool,
        line: Line,
        many: Carried | None = None,
    ):
        steps = jax.tree.leaves(items)[0].shape[0]
        self.backward, self.line = backward, line
        self.all, self.blocks = blocks, blocks // line.size
        blocks = self.blocks
        self.size, self.rest = divmod(steps, blocks)
        self.one, self.valid, self.given = step, valid, (items, valid)
        self.many = many or carried_as_is(jax.vmap(step))
        split = self.rest if backward else steps - self.rest
        parts = jax.tree.map(lambda a: a[:split], (items, valid)), jax.tree.map(lambda a: a[split:], (items, valid))
        whole, (self.few, _) = parts[::-1] if backward else parts
        self.item, self.valid_item = row_shapes(whole)
        self.items, self.valid_many = side_by_side(whole, blocks)

    def run(
        self,
        first: Any,
        in_turn: Callable[..., Solved],
        items: Any,
        tolerance: float,
        max_sweeps: int,
        probed: Probed | None = None,
    ) -> Solved:
        """Sweep until the blocks fit together; else one step after another, `in_turn(first, items, room)`.

        At once so where the net that was `probed` does not forget.
        """
        # After as many sweeps as blocks every state is exact, and the sweep that finds it so ends at its first step.
        most: Any = min(max_sweeps, self.all) + (max_sweeps >= self.all)
        swept, first = varying((self._nothing(first, most), first, self.items))[:2]
        if probed is None:
            swept = varying((self._first_sweep(swept, first), first))[0]
        else:
            most = jnp.where(probed.forgets, most, 0)
            # One turn or none: as many steps or none would, under vmap, choose between whole windows in each of them.
            swept = lax.while_loop(
                lambda s: (s.sweeps < 1) & probed.forgets,
                lambda s: self._first_sweep(s, first),
                swept._replace(depth=probed.steps),
            )
        swept = lax.while_loop(
            lambda s: ~(s.residual <= tolerance) & (s.sweeps < most),
            lambda s: self._sweep(s, first, tolerance),
            swept,
        )
        report = Certificate(swept.sweeps, swept.residual, jnp.zeros_like(swept.sweeps), swept.depth)
        found = self._in_order(swept, first, report)
        found = certificate.or_in_turn(found, self._in_line(in_turn), (first, items), tolerance, self.line)
        if self.line.name is None:
            return found
        report = found.certificate
        assert report is not None
        # Alike on all devices: one of them, or their maximum, tells so to JAX.
        last = self.line.ending(found.last, None, self.backward)
        sweeps, fell_back, depth = lax.pmax((report.sweeps, report.fell_back, report.depth), self.line.name)
        report = Certificate(sweeps, self.line.most(report.residual), fell_back, depth)
        return found._replace(last=last, certificate=report)

    def _in_line(self, in_turn: Callable[..., Solved]) -> Callable[..., Solved]:
        """`in_turn` on the devices in turn: after n rounds the first n have what they are to have."""
        if self.line.name is None:
            return in_turn

        def rounds(first: Any, items: Any, room: Any) -> Solved:
            def body(_: Any, found: Solved) -> Solved:
                return in_turn(self.line.entering(found.last, first, self.backward), items, room)

            shapes = jax.eval_shape(in_turn, first, items, room)
            nothing = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
            found = lax.fori_loop(0, self.line.size, body, varying((nothing, first, items))[0])
            last = self.line.ending(found.last, None, self.backward)
            return varying((found._replace(last=last), found))[0]

        return rounds

    def _nothing(self, first: Any, most: int) -> _Swept:
        self.shapes = jax.eval_shape(self.one, first, self.item)
        states, extras = jax.tree.map(lambda s: jnp.zeros((self.blocks, self.size, s.size), s.dtype), self.shapes)
        count = jnp.zeros((), jnp.int32)
        unmet = jnp.full((), jnp.nan, certificate.real_type(first))
        # Written as zeros: XLA would take seconds to find that they are.
        scale = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(self._scale, states))
        joints = jnp.zeros(most, count.dtype), jnp.zeros((most, 2), unmet.dtype)
        return _Swept(states, extras, scale, count, unmet, count, joints)

    def _first_sweep(self, swept: _Swept, first: Any) -> _Swept:
        def body(t: jax.Array, carry: Any) -> Any:
            now, item, *room = carry
            now, extra = self.many.step(now, item)
            # The next item is fetched by itself: within a pointwise kernel, XLA's CPU compiler would not vectorise it.
            item = self._at(self.items, self.item, jnp.minimum(t + 1, self.size - 1))
            return now, item, *self._put(room, (self.many.state(now), extra), t)

        starts = self.many.carry(jax.tree.map(lambda s: jnp.broadcast_to(s, (self.blocks, *s.shape)), first))
        begun = starts, self._at(self.items, self.item, jnp.zeros_like(swept.sweeps)), swept.states, swept.extras
        _, _, states, extras = lax.fori_loop(0, self.size, body, begun)
        scale, depth = self._scale(states), swept.depth + self.size
        return _Swept(states, extras, scale, swept.sweeps + 1, swept.residual, depth, swept.joints)

    def _sweep(self, swept: _Swept, first: Any, tolerance: float) -> _Swept:
        """One more sweep, each block from where the one before it ended, until it is on the path of the last."""

        def body(merge: _Merge) -> _Merge:
            now, extra = self.many.step(merge.now, self._at(self.items, self.item, merge.done))
            new = self.many.state(now)
            old = self._at(merge.states, self.shapes[0], merge.done)
            largest = _larger(merge.largest, _of_rows(new))
            residual = self._residual(new, old, _larger(largest, swept.scale.before), merge.done)
            # The step that meets the last path is not taken: the state there stands, and the residual is its own.
            met = residual <= tolerance
            taken = jax.tree.map(lambda a, b: jnp.where(met, a, b), old, new)
            states, extras = self._put((merge.states, merge.extras), (taken, extra), merge.done)
            return _Merge(states, extras, now, largest, merge.done + 1, self.line.met(residual))

        ends = jax.tree.map(self._ends, swept.states, first)
        entering = self.line.entering(jax.tree.map(lambda s: s[0 if self.backward else -1], ends), first, self.backward)
        starts = jax.tree.map(self._from_the_end_before, ends, entering)
        unmet, none = jnp.full_like(swept.residual, jnp.nan), jnp.zeros_like(swept.sweeps)
        nothing = jax.tree.map(jnp.zeros_like, swept.scale.before)
        begun = _Merge(swept.states, swept.extras, self.many.carry(starts), nothing, none, unmet)
        merge = lax.while_loop(lambda m: (m.done < self.size) & ~(m.residual <= tolerance), body, begun)
        scale, last = self._scale(merge.states), merge.done - 1  # of the states that were found, not of those replaced
        old, both = self._at(merge.states, self.shapes[0], last), (_larger(merge.largest, scale.before), scale.whole)
        now = self.many.state(merge.now)
        found = jnp.stack([self._residual(now, old, scale, last) for scale in both])
        met = merge.residual <= tolerance
        # Where this device met its path while others did not, earlier joints may stand behind the new one.
        at, earlier = swept.joints
        standing = jnp.where((at > last)[:, None], earlier, 0).at[swept.sweeps].set(jnp.where(met, found, 0))
        residual = jnp.where(met, standing.max(0), merge.residual)
        so_far, most, depth = self.line.most(jnp.append(residual, merge.done.astype(residual.dtype)))
        most = jnp.where(so_far <= tolerance, most, so_far)
        joints = at.at[swept.sweeps].set(last), standing
        sweeps, depth = swept.sweeps + 1, swept.depth + depth.astype(swept.depth.dtype)
        found = _Swept(merge.states, merge.extras, scale, sweeps, most, depth, joints)
        return varying((found, swept))[0]

    def _scale(self, states: Any) -> _Scale:
        def largest(a: jax.Array, s: Any) -> jax.Array:
            if not jnp.issubdtype(a.dtype, jnp.inexact):
                return a[:, 0].reshape(self.blocks, *s.shape)
            if self.valid_many is not None:
                valid = self.valid_many.reshape(*a.shape[:2], *self.valid_item.shape)
                a = where(valid, a.reshape(*a.shape[:2], *s.shape), 0)  # what stands in padding does not count
            return jnp.abs(a).max(1).reshape(self.blocks, *s.shape)

        of_blocks = _of_rows(jax.tree.map(largest, states, self.shapes[0]))
        of_all = jax.tree.map(lambda x: x.max(0), of_blocks)
        earlier, whole = self.line.so_far(of_all, self.backward)

        def before(x: jax.Array, earlier: jax.Array) -> jax.Array:
            until = jnp.maximum(lax.cummax(x, 0, self.backward), earlier[None])
            return self._from_the_end_before(until, earlier)

        return _Scale(jax.tree.map(before, of_blocks, earlier), whole)

    def _residual(self, new: Any, old: Any, scale: Any, t: jax.Array) -> jax.Array:
        return certificate.difference(new, old, scale, self._at(self.valid_many, self.valid_item, t))

    def _in_order(self, swept: _Swept, first: Any, report: Certificate) -> Solved:
        """The blocks one after another, and the steps that did not fill them."""
        states, extras = jax.tree.map(
            lambda a, s: a.reshape(self.blocks * self.size, *s.shape), (swept.states, swept.extras), tuple(self.shapes)
        )
        if self.rest:
            last = jax.tree.map(lambda s: s[0 if self.backward else -1], states)
            _, *tail, _ = Scan().recur(self.one, last, self.few, self.backward)

            def join(a: jax.Array, b: jax.Array) -> jax.Array:
                return jnp.concatenate((b, a) if self.backward else (a, b))

            states, extras = jax.tree.map(join, (states, extras), tuple(tail))
            report = report._replace(depth=report.depth + self.rest)
        # Blocks of padding never started from where their sequences ended: what they hold is put right here.
        last, states = certificate.hold(states, first, self.valid, self.backward, self.line)
        return varying((Solved(last, states, extras, report), states))[0]

    def _time(self, t: Any) -> Any:
        return self.size - 1 - t if self.backward else t

    def _at(self, tree: Any, shapes: Any, t: jax.Array) -> Any:
        def at(a: jax.Array, shape: Any) -> jax.Array:
            row = lax.dynamic_index_in_dim(a, self._time(t), 1, keepdims=False)
            return row.reshape(self.blocks, *shape.shape)

        return jax.tree.map(at, tree, shapes)

    def _put(self, room: Any, new: Any, t: jax.Array) -> Any:
        def put(a: jax.Array, b: jax.Array) -> jax.Array:
            return lax.dynamic_update_index_in_dim(a, b.reshape(self.blocks, b[0].size), self._time(t), 1)

        return jax.tree.map(put, tuple(room), tuple(new))

    def _ends(self, states: jax.Array, first: jax.Array) -> jax.Array:
        """The state that each block ends with."""
        return states[:, 0 if self.backward else -1].reshape(self.blocks, *first.shape)

    def _from_the_end_before(self, ends: jax.Array, first: jax.Array) -> jax.Array:
        """What each block is to start from."""
        return jnp.concatenate((ends[1:], first[None]) if self.backward else (first[None], ends[:-1]))
