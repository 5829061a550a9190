"""Unfolding blocks of time side by side, until they fit together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from jaxrnn.cells import checks
from jaxrnn.cells.base import Inputs, State
from jaxrnn.unfold import certificate, sizes
from jaxrnn.unfold.columns import carried_in_columns
from jaxrnn.unfold.method import Method, Solved, Step
from jaxrnn.unfold.probe import probe
from jaxrnn.unfold.problem import Flags, Operands, Problem, abreast
from jaxrnn.unfold.scan import Scan
from jaxrnn.unfold.sharding import line
from jaxrnn.unfold.steps import steps_of
from jaxrnn.unfold.sweeps import Sweeps

_OF_CERTIFICATE: Any = False
# Which parts of an answer have time, and stay divided over devices.
_DIVIDED = Solved(False, True, True, _OF_CERTIFICATE)


@dataclass(frozen=True)
class Shooting(Method):
    """Blocks of time side by side, as rows of one batch, swept until each starts where the one before it ends.

    The first sweep runs every block from s(0). Every further sweep runs the blocks again, each from where the one
    before it ended, and stops as soon as every block is back on the path that it took in the last sweep: where the net
    has forgotten what it started from. Within a block each step is the transition itself, so that the one-step residual

        |s(t) - f(s(t-1), x(t))| / max |s|

    can differ from zero only where a sweep stopped; `info.residual` is the largest, and certifies the answer. A sweep
    stops where it is within the tolerance even in terms of the largest |s| up to t: a path that grew large from a wrong
    start is no measure of itself. After k sweeps the first k blocks are exact. What has not come together after
    `max_sweeps` is done again one step after another, and `info.fell_back` counts it. λ is found in the same way, from
    the end. Where the dynamics forget within a block, this takes a `blocks`th of the steps, and a little.

    Args:
        blocks: blocks of time side by side; None chooses from sizes and backend.
        tolerance: the residual that will do, in terms of the largest |s| of the same sequence; None: 64 units of
            rounding of the state's type (4 for 16-bit types).
        max_sweeps: sweeps before it falls back; with as many as there are blocks, and no probe, it never does.
        window: steps that are found at once, before the next are begun; None: as many as memory allows.
        axis: a mesh axis, over which time is divided; each device holds and sweeps its share of the blocks, and passes
            on the state that it ends with. The mesh is the one that `jax.set_mesh` gives, with automatic axes. All of
            time is found at once, and gradients are those of `BPTT()` without blocks.
        probe: steps within which two paths from different starts are to meet, in a look at each window before its first
            sweep, and again at its λ; where they do not, the net does not forget, and the window is done one step after
            another without a sweep. None: no look.

    Raises:
        ValueError: `blocks`, `max_sweeps`, `window` or `probe` below 1; more blocks than steps; a tolerance below one
            unit of rounding; `axis` with a window or a probe, or of no mesh that is set; steps or blocks that cannot be
            divided among its devices.

    Example:
        run = unfold(cell, params, xs, method=Shooting(blocks=16))
        run.info  # Certificate(sweeps, residual, fell_back, depth)

        with jax.set_mesh(mesh):  # time over devices: xs of sharding NamedSharding(mesh, PartitionSpec("time"))
            run = unfold(cell, params, xs, method=Shooting(axis="time"))

    Source: multiple shooting: Bellen and Zennaro, *Parallel algorithms for initial-value problems for difference and
    differential equations* (1989).
    """

    blocks: int | None = None
    tolerance: float | None = None
    max_sweeps: int = 4
    window: int | None = None
    axis: str | None = None
    probe: int | None = None

    def __post_init__(self):
        checks.positive(self, max_sweeps=self.max_sweeps)
        for name in ("blocks", "window", "probe"):
            if getattr(self, name) is not None:
                checks.positive(self, **{name: getattr(self, name)})
        certificate.check_tolerance(self, self.tolerance)
        if self.axis is not None and self.window is not None:
            raise ValueError(
                f"Shooting: window = {self.window} finds time a part at once, and axis = {self.axis!r} all of it: pass "
                "one of them"
            )
        if self.axis is not None and self.probe is not None:
            raise ValueError(
                f"Shooting: probe = {self.probe} looks where time begins, and axis = {self.axis!r} has that on one "
                "device alone: pass one of them"
            )

    @property
    def certifies(self) -> bool:
        """It sweeps until the residual is small."""
        return True

    def at_once(self, problem: Problem, operands: Operands) -> int | None:
        """As many steps as memory allows."""
        if self.blocks is not None and self.blocks > problem.steps > 0:
            raise ValueError(
                f"Shooting: blocks = {self.blocks}, but there are {problem.steps} steps: pass fewer, or None"
            )
        if self.axis is not None:
            return problem.steps
        return self.window or sizes.shooting_window(problem, operands)

    def states(
        self, problem: Problem, operands: Operands, state: State, xs: Inputs, flags: Flags, products: bool = False
    ) -> Solved:
        """The states of a window that starts from `state`; the extras are its recurrent products, if asked for."""
        over = line(self.axis)
        blocks = self.blocks_of(state, flags.time.size)
        step, items, driven = steps_of(problem, operands, xs, products, blocks)
        many, all_blocks = None, abreast(operands, xs, blocks)
        if self.axis is None and sizes.columns_pay(problem, all_blocks, products):
            many = carried_in_columns(problem, all_blocks, driven, products)

        def local(state: State, divided: tuple[Inputs, Any, Flags]) -> Solved:
            xs, items, flags = divided

            def in_turn(state: State, xs: Inputs, room: tuple[Any, Any]) -> Solved:
                return Scan().in_blocks(problem, operands, state, xs, flags, room)

            sweeps = Sweeps(step, (items, flags), flags.valid, blocks, problem.reverse, over, many)
            return self._run(sweeps, state, in_turn, xs)

        return over.run(local, _DIVIDED, state, (xs, items, flags))

    def recur(
        self, step: Step, first: Any, items: Any, backward: bool, valid: jax.Array | None = None, axes: int = 0
    ) -> Solved:
        """The states of any recurrence."""
        over = line(self.axis)
        blocks = self.blocks_of(first, jax.tree.leaves(items)[0].shape[0])

        def local(first: Any, divided: tuple[Any, jax.Array | None]) -> Solved:
            items, valid = divided
            sweeps = Sweeps(step, items, valid, blocks, backward, over)
            return self._run(sweeps, first, lambda first, items, _: Scan().recur(step, first, items, backward), items)

        return over.run(local, _DIVIDED, first, (items, valid))

    def _run(self, sweeps: Sweeps, first: Any, in_turn: Callable[..., Solved], given: Any) -> Solved:
        tolerance, probed = certificate.tolerance(self.tolerance, first), None
        if self.probe is not None and sweeps.blocks > 1:
            probed = probe(sweeps.one, first, *sweeps.given, self.probe, tolerance, sweeps.backward)
        return sweeps.run(first, in_turn, given, tolerance, self.max_sweeps, probed)

    def solve(self, a: Any, b: Any, first: Any, backward: bool) -> Any:
        """The states after each step of s(t) = a(t) s(t-1) + b(t), or of the same backward in time."""

        def step(s: Any, now: tuple[Any, Any]) -> tuple[Any, None]:
            return jax.tree.map(lambda s, a, b: a * s + b, s, *now), None

        return self.recur(step, first, (a, b), backward).states

    def blocks_of(self, first: Any, steps: int) -> int:
        """Blocks that a window of `steps` steps is cut into."""
        if self.axis is None:
            return min(self.blocks, steps) if self.blocks else sizes.shooting_blocks(first, steps)
        over = line(self.axis)
        over.check(self, steps)
        devices = over.size
        if self.blocks is None:
            most = sizes.shooting_blocks(first, steps // devices)
            return devices * max(n for n in range(1, most + 1) if steps // devices % n == 0)
        if steps % self.blocks or self.blocks % devices:
            raise ValueError(
                f"Shooting: blocks = {self.blocks} of {steps} steps cannot be divided among the {devices} devices of "
                f"the mesh axis {self.axis!r}: pass a multiple of {devices} that divides the steps, or None"
            )
        return self.blocks
