"""Backpropagation for gated cells and `Shooting`: blocks of time as rows of one batch, on the way back too."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn.unfold import certificate, sizes
from jaxrnn.unfold.adjoints import parts
from jaxrnn.unfold.adjoints.gated import GatedPullback, Sums
from jaxrnn.unfold.adjoints.inexact import zeros
from jaxrnn.unfold.probe import probe
from jaxrnn.unfold.problem import Block, Flags, Operands, Problem, abreast, over_blocks, put_block, take_block, where
from jaxrnn.unfold.scan import Scan
from jaxrnn.unfold.sharding import varying
from jaxrnn.unfold.shooting import Shooting
from jaxrnn.unfold.sweeps import side_by_side


class SideBySidePullback:
    """Steps back through windows of one problem whose cell is `Gated` and whose states are known.

    A window is cut into blocks of time that are stepped back through side by side, as a batch is, as if nothing came
    after each. Everything is linear in λ: what was lacking of the λ after a block is then sent after it alone, and what
    comes of it is added, until what is left is below the method's tolerance. After as many sweeps as blocks nothing is
    left; after the method's `max_sweeps` the window is stepped back through in turn. So it is at once where the method
    has a probe, and two paths of λ were seen not to meet.
    """

    def __init__(self, problem: Problem, operands: Operands, method: Shooting):
        self.problem, self.operands, self.method = problem, operands, method
        self.gated = GatedPullback(problem, operands, Scan())

    def start(self) -> Sums:
        """Zero sums."""
        return self.gated.start()

    def finish(self, sums: Sums) -> tuple[list[Any], list[Any], list[Any]]:
        """Gradients of params, emit_params and s(0)."""
        return self.gated.finish(sums)

    def block(
        self, sums: Sums, lam: list[Any], block: Block, of_outputs: list[Any]
    ) -> tuple[Sums, list[Any], list[Any]]:
        """λ before the window and the gradients of its inputs, from λ after it and the gradients of its outputs."""
        if block.after is None:
            found = self.method.states(self.problem, self.operands, block.first, block.xs, block.flags, products=True)
            block = block._replace(after=found.states, products=found.extras)
        steps, backward = block.flags.time.size, self.problem.reverse
        blocks = self.method.blocks_of(self.operands.state, steps)
        if blocks == 1:
            return self.in_turn(sums, lam, block, of_outputs)
        forgets = self._forgets(lam, block, of_outputs)
        # The steps that do not fill the blocks came last, and are the first on the way back.
        chunk = min(steps // blocks, sizes.SHOOTING_CHUNK)
        many = steps // (blocks * chunk) * blocks * chunk
        few = steps - many
        of_few: list[Any] = []
        if few:
            start = 0 if backward else many
            part = parts.sub_block(block, start, few, backward)
            sums, lam, of_few = self.in_turn(sums, lam, part, take_block(of_outputs, start, few))
        start = few if backward else 0
        part = parts.sub_block(block, start, many, backward)
        window = _Window(self, part, take_block(of_outputs, start, many), chunk)
        sums, lam, of_xs = window.run(sums, lam, blocks, forgets)
        if few:
            of_xs = [jnp.concatenate((b, a) if backward else (a, b)) for a, b in zip(of_xs, of_few, strict=True)]
        return sums, lam, of_xs

    def _forgets(self, lam: list[Any], block: Block, of_outputs: list[Any]) -> jax.Array | None:
        """Whether two paths of λ through the states of the window were seen to meet; None where there is no probe."""
        if self.method.probe is None:
            return None
        steps, backward = block.flags.time.size, self.problem.reverse
        size = max(1, min(sizes.SHOOTING_LOOK, steps // 4))

        def back(lam: list[Any], number: jax.Array) -> tuple[list[Any], None]:
            part = parts.sub_block(block, number * size, size, backward)
            of_part = take_block(of_outputs, number * size, size)
            return self.gated.block(self.start(), lam, part, of_part)[1], None

        tolerance = certificate.tolerance(self.method.tolerance, lam)
        numbers, most = jnp.arange(steps // size), max(2, self.method.probe // size)
        return probe(back, lam, numbers, None, most, tolerance, not backward, apart=1).forgets

    def in_turn(
        self, sums: Sums, lam: list[Any], block: Block, of_outputs: list[Any]
    ) -> tuple[Sums, list[Any], list[Any]]:
        """The same, one step after another."""
        steps, backward = block.flags.time.size, self.problem.reverse

        def body(carry: Any, _: Any, start: Any, size: int) -> Any:
            sums, lam, of_xs = carry
            part = parts.sub_block(block, start, size, backward)
            sums, lam, of_part = self.gated.block(sums, lam, part, take_block(of_outputs, start, size))
            return sums, lam, put_block(of_xs, of_part, start)

        longest = min(steps, sizes.backward_block(self.problem, self.operands))
        return over_blocks(body, (sums, lam, zeros(block.xs)), steps=steps, block=longest, backward=not backward)


class _Way(NamedTuple):
    """What is known on the way back through a window."""

    sums: Sums  # `initial` for every block
    lam: list[Any]  # of every block, leaves (blocks, *batch, ...)
    of_xs: list[Any]  # leaves (blocks, size, n)


class _Corrected(NamedTuple):
    """What was lacking of the λ after each block is sent after it."""

    way: _Way  # with the lacking part of λ
    before: list[Any]  # λ before every block, as far as it is known
    sweeps: jax.Array
    left: jax.Array  # the largest part that is lacking, in terms of the largest λ


class _Window:
    """The way back through one window of whole blocks, a chunk of every block at once."""

    def __init__(self, outer: SideBySidePullback, block: Block, of_outputs: list[Any], chunk: int):
        self.outer, self.block, self.of_outputs, self.chunk = outer, block, of_outputs, chunk
        self.backward, self.method = outer.problem.reverse, outer.method

    def run(
        self, sums: Sums, lam: list[Any], blocks: int, forgets: jax.Array | None
    ) -> tuple[Sums, list[Any], list[Any]]:
        """Sums, λ before the window, and the gradients of its inputs; at once in turn where λ does not vanish."""
        self.blocks, self.size = blocks, self.block.flags.time.size // blocks
        tolerance = certificate.tolerance(self.method.tolerance, lam)
        pullback = self._pullback()
        totals = sums._replace(initial=[jnp.zeros((blocks, *x.shape), x.dtype) for x in sums.initial])
        guess = self._guess(lam)
        room = side_by_side(zeros(self.block.xs), blocks)
        way, lam, _ = varying((_Way(totals, guess, room), lam, self.block))

        def first_sweep(number: Any, carry: tuple[_Way, list[Any]]) -> tuple[_Way, list[Any]]:
            way = self._back(pullback, carry[0], number, self.of_outputs)
            return way, jax.tree.map(jnp.maximum, carry[1], certificate.scale(way.lam, axes=1))

        def sweep(carry: tuple[_Way, list[Any]]) -> tuple[_Way, list[Any]]:
            return lax.fori_loop(0, self.size // self.chunk, first_sweep, carry)

        carry, most = (way, certificate.scale(way.lam, axes=1)), min(self.method.max_sweeps, blocks)
        if forgets is None:
            way, scale = sweep(carry)
        else:
            most = jnp.where(forgets, most, 0)
            pending, carry = varying((forgets, carry))
            way, scale = lax.while_loop(
                lambda c: c[0], lambda c: (jnp.zeros_like(c[0]), sweep(c[1])), (pending, carry)
            )[1]
        lacking = self._of_the_next(self._of_steps(way.lam))
        left = certificate.difference(lacking, zeros(lacking), scale)
        begun = _Corrected(way._replace(lam=lacking), way.lam, jnp.ones((), jnp.int32), left)
        found = lax.while_loop(
            lambda c: ~(c.left <= tolerance) & (c.sweeps < most),
            lambda c: self._correct(pullback, c, scale, tolerance),
            begun,
        )
        of_initial = [x.sum(0) + total for x, total in zip(found.way.sums.initial, sums.initial, strict=True)]
        of_xs = [x.reshape(like.shape) for x, like in zip(found.way.of_xs, zeros(self.block.xs), strict=True)]
        result = found.way.sums._replace(initial=of_initial), self._before_all(found.before, lam), of_xs
        exact = (found.sweeps >= blocks) & certificate.all_finite(found.before)
        good = (found.left <= tolerance) | exact
        return self._or_in_turn(result, good if forgets is None else good & forgets, sums, lam)

    def _guess(self, lam: list[Any]) -> list[Any]:
        """λ after the window for the blocks that it reaches over nothing but padding; nothing for all others.

        What is guessed must not be larger than what will be found: in dynamics that expand it would drown it.
        """
        last, guess = jnp.arange(self.blocks) == (0 if self.backward else self.blocks - 1), zeros(lam)
        valid = self._valid_blocks()
        if valid is not None:
            last = last.reshape(-1, *(1,) * (valid.ndim - 1))
            last = last | ~(valid if self.backward else jnp.concatenate((valid[1:], jnp.zeros_like(valid[:1]))))
        return where(last, [jnp.broadcast_to(x, (self.blocks, *x.shape)) for x in lam], guess)

    def _of_steps(self, lam: list[Any]) -> list[Any]:
        """λ before each block, of those that have steps before their sequence's end."""
        valid = self._valid_blocks()
        return lam if valid is None else where(valid, lam, zeros(lam))

    def _pullback(self) -> GatedPullback:
        """Of the same problem, with the blocks as the first axis of the batch."""
        problem, operands = self.outer.problem, self.outer.operands
        read = problem.read
        if read is not None:
            read = jax.vmap(read, in_axes=(None, 0, 0), axis_size=self.blocks)
        many = Problem(problem.cell, problem.select, read, self.size, problem.reverse)
        return GatedPullback(many, abreast(operands, self.block.xs, self.blocks), Scan())

    def _back(self, pullback: GatedPullback, way: _Way, number: Any, of_outputs: list[Any] | None) -> _Way:
        """Through the next chunk of every block; with what is lacking of λ alone, where there are no `of_outputs`."""
        start = (number if self.backward else self.size // self.chunk - 1 - number) * self.chunk
        block = self.block
        after, products, xs, valid, reset, detach = self._chunk_of(
            (block.after, block.products, block.xs, block.flags.valid, block.flags.reset, block.flags.detach), start
        )
        flags = Flags(start + jnp.arange(self.chunk), valid, reset, detach)
        first = jax.tree.map(lambda a, s: self._state_before(a, s, start), block.after, block.first)
        of_chunk = self._chunk_of(self.of_outputs if of_outputs is None else of_outputs, start)
        if of_outputs is None:
            of_chunk = [jnp.zeros_like(x) for x in of_chunk]
        sums, lam, of_xs = pullback.block(way.sums, way.lam, Block(first, after, products, xs, flags), of_chunk)

        def put(room: jax.Array, new: jax.Array) -> jax.Array:
            new = new.swapaxes(0, 1).reshape(self.blocks, self.chunk, new[0, 0].size).astype(room.dtype)
            if of_outputs is None:
                new = new + lax.dynamic_slice_in_dim(room, start, self.chunk, 1)
            return lax.dynamic_update_slice_in_dim(room, new, start, 1)

        return _Way(sums, lam, [put(room, new) for room, new in zip(way.of_xs, of_xs, strict=True)])

    def _correct(self, pullback: GatedPullback, found: _Corrected, scale: Any, tolerance: float) -> _Corrected:
        """Send what is lacking through the blocks, until nothing is left of it or it has come to the next block."""
        chunks = self.size // self.chunk

        def body(carry: tuple[_Way, Any, Any]) -> tuple[_Way, Any, Any]:
            way = self._back(pullback, carry[0], carry[1], None)
            return way, carry[1] + 1, certificate.difference(way.lam, zeros(way.lam), scale)

        def goes_on(carry: tuple[_Way, Any, Any]) -> jax.Array:
            return (carry[1] < chunks) & ~(carry[2] <= tolerance)

        begun = found.way, jnp.zeros_like(found.sweeps), found.left
        way, _, left = lax.while_loop(goes_on, body, begun)
        vanished = left <= tolerance
        before = [jnp.where(vanished, x, x + y) for x, y in zip(found.before, way.lam, strict=True)]
        lacking = self._of_the_next(way.lam)
        left = jnp.where(vanished, left, certificate.difference(lacking, zeros(lacking), scale))
        return _Corrected(way._replace(lam=lacking), before, found.sweeps + 1, left)

    def _or_in_turn(self, result: Any, good: jax.Array, sums: Sums, lam: list[Any]) -> Any:
        """The result, or what one step after another gives: a loop of one turn or none, as in `certificate`."""

        def body(carry: Any) -> Any:
            pending = ~carry[0]
            start = [jnp.where(pending, x, jnp.zeros_like(x)) for x in lam]
            again = self.outer.in_turn(sums, start, self.block, self.of_outputs)
            return varying(((jnp.ones_like(carry[0]), again), carry))[0]

        return lax.while_loop(lambda carry: ~carry[0], body, (good, result))[1]

    def _of_the_next(self, lam: list[Any]) -> list[Any]:
        """What each block gets from the one after it; nothing for the last one, and for a block of padding."""

        def shift(x: jax.Array) -> jax.Array:
            nothing = jnp.zeros_like(x[:1])
            return jnp.concatenate((nothing, x[:-1]) if self.backward else (x[1:], nothing))

        lam, valid = [shift(x) for x in lam], self._valid_blocks()
        return lam if valid is None else where(valid, lam, zeros(lam))

    def _before_all(self, before: list[Any], lam: list[Any]) -> list[Any]:
        """λ before the window: before the block that was stepped back through last, padding aside."""
        valid = self._valid_blocks()
        if not self.backward or valid is None:
            return [x[-1 if self.backward else 0] for x in before]
        count = valid.sum(0)
        index = jnp.maximum(count - 1, 0)

        def pick(x: jax.Array) -> jax.Array:
            return jnp.take_along_axis(x, index.reshape(1, *index.shape, *(1,) * (x.ndim - 1 - index.ndim)), 0)[0]

        return where(count > 0, [pick(x) for x in before], lam)

    def _valid_blocks(self) -> jax.Array | None:
        """Whether a block has a step before its sequence's end, (blocks, *batch)."""
        valid = self.block.flags.valid
        return None if valid is None else valid.reshape(self.blocks, self.size, *valid.shape[1:]).any(1)

    def _chunk_of(self, tree: Any, start: Any) -> Any:
        """Of every block the chunk that begins at `start`, time first."""

        def cut(a: jax.Array) -> jax.Array:
            rows = lax.dynamic_slice_in_dim(side_by_side(a, self.blocks), start, self.chunk, 1).swapaxes(0, 1)
            return rows.reshape(*rows.shape[:2], *a.shape[1:])

        return jax.tree.map(cut, tree)

    def _state_before(self, after: jax.Array, first: jax.Array, start: Any) -> jax.Array:
        """The state that each block's chunk starts from."""
        after, first, shape = side_by_side(after, self.blocks), first.reshape(-1), first.shape
        if self.backward:
            outside, previous = start + self.chunk == self.size, start + self.chunk
            ends = jnp.concatenate((after[1:, 0], first[None]))
        else:
            outside, previous = start == 0, start - 1
            ends = jnp.concatenate((first[None], after[:-1, -1]))
        inside = lax.dynamic_index_in_dim(after, jnp.clip(previous, 0, self.size - 1), 1, keepdims=False)
        return jnp.where(outside, ends, inside).reshape(self.blocks, *shape)
