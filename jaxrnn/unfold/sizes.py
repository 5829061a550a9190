"""Choices made from sizes: how many steps make a block, what is kept, what is computed ahead.

The numbers were measured on a CPU (docs/design-notes.md); they change time and memory, never a value.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax

from jaxrnn.cells.base import Affine, Cell, Driven, Gated, Linear
from jaxrnn.unfold import structure
from jaxrnn.unfold.problem import Keep, Operands, Problem, row_shapes

CACHE = 1 << 19  # bytes of a block's working set on a CPU: half of a core's second-level cache
LAUNCHES = 1 << 26  # the same on an accelerator, where small blocks are many launches; a guess, not measured
PREFIX = 1 << 22  # bytes of states that a prefix scan finds at once
JOINED_FEATURES = 16  # of x: with fewer, x U of blocks side by side costs less than a wider product
SHOOTING_ROWS = 16  # rows of a sweep: blocks side by side times rows of the batch
SHOOTING_STEPS = 32  # steps of a block, at least
SHOOTING_CHUNK = 16  # steps of every block that are stepped back through at once
SHOOTING_LOOK = 8  # and of a look at whether λ vanishes
SHOOTING_WINDOW = 3 << 26  # bytes of states, products and outputs that a window of a sweep holds
SHOOTING_PAYS = {1: 1 << 20, 2: 3 << 20, 3: 3 << 20, 4: 3 << 20}  # rows: bytes of parameters from which it pays
SHOOTING_PAYS_STEPS = 1024  # and steps
SHOOTING_PROBE = 64  # a net that does not forget within this part of a window is not swept
SHOOTING_PROBE_STEPS = 48  # but no fewer steps than an untrained net takes, and a little
NEWTON_LONGEST = 1 << 14  # steps of a window of Newton's method
NEWTON_WINDOW = 1 << 24  # bytes of its Jacobians on a CPU; a prefix scan holds about four times as much
NEWTON_LAUNCHES = 1 << 29  # the same on an accelerator; a guess, not measured
NEWTON_COLUMNS = 1 << 22  # bytes of the Jacobian-vector products that are there at once, of which a diagonal is kept
COLUMNS = 8, 64  # rows of a batch that lie side by side as columns: at least, at most
COLUMNS_FORWARD = 256  # at most, where no products are kept as rows, and gates are wider than a state
SHARED = 12, 3 << 19  # columns, and multiplications, of a product from which on cores are to share it
TURNED = 8, 16  # rows of λ whose product with Wᵀ is turned round: at least, at most
SHARED_BACK = 24, 64  # rows of λ whose product with Wᵀ cores share: at least, at most
KEEP_PRODUCTS = 128 << 20  # bytes of recurrent products that may be kept for every step
KEEP_STATES = 64 << 20  # bytes of states that may be kept for every step
KEEP_BESIDE = 3  # times what lives anyway: xs, outputs, and √τ steps that are recomputed at once


def tree_bytes(tree: Any) -> int:
    """Bytes of a tree of arrays or shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree) if hasattr(leaf.dtype, "itemsize"))


def working_set() -> int:
    """Bytes that a block of steps may take."""
    return CACHE if jax.default_backend() == "cpu" else LAUNCHES


def keep(problem: Problem, operands: Operands, block: int | None, levels: int) -> Keep:
    """What backpropagation keeps, with blocks of `block` steps and more than one level of them if that was asked for.

    For a gated or linear cell every state, where all of them take little, or not much beside the outputs; and the
    recurrent products where they take little. Else one state every √τ steps, so that what is kept and what is
    recomputed at once are of one size.

    Under `jax.vmap` the sizes are those of one example, and nothing says how many there are: "little" is therefore also
    measured by what each example holds in any case.
    """
    state, products, outputs = problem.step_shapes(operands)
    if block is not None or levels > 1:
        return nested(problem.steps, block or even_block(problem.steps, levels), levels)
    steps, root = problem.steps, max(2, math.isqrt(problem.steps))
    a_state, a_step, emitted = tree_bytes(state), _step_bytes(state, products), steps * tree_bytes(outputs)
    little = KEEP_BESIDE * (tree_bytes(operands.xs) + emitted + root * (2 * a_state + 6 * a_step))
    if isinstance(problem.cell, Gated) and steps * a_step <= KEEP_PRODUCTS and steps * (a_state + a_step) <= little:
        return Keep(1, True)
    if isinstance(problem.cell, Gated | Linear) and steps * a_state <= min(max(KEEP_STATES, 2 * emitted), little):
        return Keep(1, False)
    return Keep(root, False)


def nested(steps: int, block: int, levels: int) -> Keep:
    """One state kept every block^levels steps; on the way back, of these, every block^(levels - 1) steps; and so on."""
    every, *within = *spans_within([block**level for level in range(levels, 1, -1)], steps), block
    return Keep(every, False, tuple(within))


def spans_within(spans: Sequence[int], steps: int) -> tuple[int, ...]:
    """The spans that cut so many steps into parts."""
    return tuple(span for span in spans if span < steps)


def even_block(steps: int, levels: int) -> int:
    """The least block, of two steps or more, with block^(levels + 1) >= steps."""
    block = max(2, round(steps ** (1 / (levels + 1))) - 1)
    while block ** (levels + 1) < steps:
        block += 1
    return block


def backward_block(problem: Problem, operands: Operands) -> int:
    """Steps that backpropagation takes at once from kept states: the derivatives of a block are to stay in cache."""
    state, products, outputs = problem.step_shapes(operands)
    block = max(8, working_set() // max(1, 6 * _step_bytes(state, products) + tree_bytes(outputs)))
    return min(block, emit_block(problem, operands) or block)


def block_of_kept(problem: Problem, operands: Operands) -> int:
    """Steps that backpropagation takes at once where every state was kept."""
    if isinstance(problem.cell, Gated):
        return backward_block(problem, operands)
    return linear_block(problem, operands) if isinstance(problem.cell, Linear) else 1


def _step_bytes(state: Any, products: Any) -> int:
    """Bytes of one step's products, or of its state, for a cell that has few products or none."""
    return max(tree_bytes(state), tree_bytes(products))


def rows(state: Any) -> int:
    """Rows of the largest array of a state: what multiplies a recurrent matrix."""
    return max((leaf.size // max(1, leaf.shape[-1]) for leaf in jax.tree.leaves(state) if leaf.ndim), default=1)


def drive_a_block(operands: Operands, copies: int = 1) -> bool:
    """Whether the drive of a block in one product beats a product in each step, of which `copies` are taken at once.

    On an accelerator every product is a launch. On a CPU a product of a step is as efficient as that of a block, and
    what it makes is still in cache when it is read, unless the matrix has to be read from beyond the cache for a row or
    two.
    """
    if jax.default_backend() != "cpu":
        return True
    return copies * rows(operands.state) <= 2 and tree_bytes(operands.params) > CACHE


def drive_block(problem: Problem, operands: Operands) -> int | None:
    """Steps whose drives are computed at once; None where each step computes its own."""
    if not isinstance(problem.cell, Driven) or not drive_a_block(operands):
        return None
    drive = jax.eval_shape(problem.cell.drive, operands.params, problem.select(row_shapes(operands.xs)))
    return max(8, working_set() // max(1, tree_bytes(drive)))


def join_products(operands: Operands, features: int, copies: int = 1) -> bool:
    """Whether one product of (x, h) beats x U and h W apart: where starting a kernel counts.

    In the steps of `copies` blocks at once it is the other core that is started, by each product of its own.
    """
    if jax.default_backend() != "cpu":
        return False
    if copies > 1:
        return features >= JOINED_FEATURES
    return rows(operands.state) <= 4 and tree_bytes(operands.params) <= CACHE


def columns_pay(problem: Problem, operands: Operands, products: bool) -> bool:
    """Whether states are to have their batch as the last axis: on a CPU, where each step multiplies some rows.

    With one gate it pays where cores share the product.
    """
    count = rows(operands.state)
    if jax.default_backend() != "cpu" or not COLUMNS[0] <= count <= COLUMNS_FORWARD:
        return False
    single = all(s.dtype == "float32" for s in jax.tree.leaves(operands.state))
    if not single or not structure.columns_fit(problem, operands):
        return False
    assert isinstance(problem.cell, Affine)  # what fits is
    if _wider_than_state(problem.cell, operands, problem.select(row_shapes(operands.xs))):
        return count <= COLUMNS[1] or not products
    U, W, _ = jax.eval_shape(problem.cell.weights, operands.params)
    return count <= COLUMNS[1] and _shared(count, U.size + W.size)


def _wider_than_state(cell: Driven, operands: Operands, x: Any) -> bool:
    """Whether what a step makes of x is larger than the state: of several gates."""
    drive = jax.eval_shape(cell.drive, operands.params, x)
    return tree_bytes(drive) > max(tree_bytes(leaf) for leaf in jax.tree.leaves(operands.state))


def sharing_pays(A: jax.Array, B: jax.Array) -> bool:
    """Whether cores are to share a product of two matrices of float32: on a CPU, where it is large."""
    single = A.dtype == B.dtype == "float32"
    return single and jax.default_backend() == "cpu" and _shared(B.shape[1], A.size)


def _shared(columns: int, entries: int) -> bool:
    """Whether a product with so many columns, by a matrix of so many entries, is large enough for that."""
    return columns >= SHARED[0] and columns * entries >= SHARED[1]


def turning_pays(cell: Gated, operands: Operands) -> bool:
    """Whether λ Wᵀ is to be found as (W λᵀ)ᵀ: on a CPU, where few rows are multiplied, but not one or two."""
    return _multiplies(cell, operands, TURNED)


def sharing_back_pays(cell: Gated, operands: Operands) -> bool:
    """Whether cores are to share λ Wᵀ: where W is within a core's cache, and XLA leaves the product to one of them."""
    matrices = jax.eval_shape(cell.recurrent, operands.params)
    return tree_bytes(matrices) <= CACHE and _multiplies(cell, operands, SHARED_BACK)


def _multiplies(cell: Gated, operands: Operands, count: tuple[int, int]) -> bool:
    """Whether so many rows are multiplied on a CPU by matrices of float32, none of them block-diagonal."""
    if jax.default_backend() != "cpu" or not count[0] <= rows(operands.state) <= count[1]:
        return False
    matrices = jax.tree.leaves(jax.eval_shape(cell.recurrent, operands.params))
    return all(W.ndim == 2 and W.dtype == "float32" for W in matrices)


def fetch_ahead(cell: Cell, operands: Operands, items: Any) -> bool:
    """Whether a CPU is to fetch the input of a step one step ahead: where pointwise kernels read it, for many gates.

    XLA makes x U pointwise for a single feature. With one gate the copy costs more than it gains.
    """
    leaves = jax.tree.leaves(items)
    if jax.default_backend() != "cpu" or not leaves or leaves[0].shape[-1:] != (1,):
        return False
    if not isinstance(cell, Driven):
        return True
    return _wider_than_state(cell, operands, row_shapes(items))


def linear_block(problem: Problem, operands: Operands) -> int:
    """Steps of a linear cell that are taken at once: on a CPU what stays in cache, else what a prefix scan needs."""
    state, _, _ = problem.step_shapes(operands)
    if prefix_scan_pays():
        return max(256, PREFIX // max(1, tree_bytes(state)))
    return max(8, working_set() // max(1, tree_bytes(state)))


def prefix_scan_pays() -> bool:
    """Whether a prefix scan is faster than one step after another.

    Not on a CPU: there a step of a linear recurrence is one small kernel, and a prefix scan reads and writes
    everything several times.
    """
    return jax.default_backend() != "cpu"


def emit_block(problem: Problem, operands: Operands) -> int | None:
    """Steps whose outputs are computed at once; None, all of them, where they are arrays of the state as they are."""
    if problem.read is None:
        return None
    jaxpr = jax.make_jaxpr(problem.read)(operands.emit_params, operands.state, row_shapes(operands.xs)).jaxpr
    picks = not jaxpr.eqns and all(any(v is given for given in jaxpr.invars) for v in jaxpr.outvars)
    if operands.lengths is None and picks:
        return None
    state, _, _ = problem.step_shapes(operands)
    return max(1, 2 * working_set() // max(1, tree_bytes(state) + widest(jaxpr)))


def widest(jaxpr: Any) -> int:
    """Bytes of the largest array that a program makes: of the logits, where what is emitted is a loss."""
    largest = tree_bytes([v.aval for v in jaxpr.outvars])
    for equation in jaxpr.eqns:
        largest = max(largest, tree_bytes([v.aval for v in equation.outvars]))
        for inner in jax.tree.leaves(list(equation.params.values())):  # branches come as tuples
            if hasattr(inner, "jaxpr"):
                largest = max(largest, widest(inner.jaxpr))
    return largest


def shooting_blocks(state: Any, steps: int) -> int:
    """Blocks of time that are swept side by side: about as many rows as a product needs to be efficient."""
    return max(1, min(SHOOTING_ROWS // max(1, rows(state)), steps // SHOOTING_STEPS))


def shooting_window(problem: Problem, operands: Operands) -> int:
    """Steps that are swept at once: what they hold is to fit in memory, and to be long beside the memory of a net."""
    state, products, outputs = problem.step_shapes(operands)
    emitted = tree_bytes(outputs)
    if problem.read is not None:
        jaxpr = jax.make_jaxpr(problem.read)(operands.emit_params, operands.state, row_shapes(operands.xs)).jaxpr
        emitted = max(emitted, widest(jaxpr))
    return max(1024, SHOOTING_WINDOW // max(1, tree_bytes(state) + tree_bytes(products) + emitted))


def shooting_probe(problem: Problem, operands: Operands) -> int:
    """Steps, at most, of a look at whether a net forgets: few beside those of a window."""
    window = min(problem.steps, shooting_window(problem, operands))
    return max(SHOOTING_PROBE_STEPS, window // SHOOTING_PROBE)


def shooting_pays(problem: Problem, operands: Operands) -> bool:
    """Whether blocks side by side were measured to be clearly faster than one step after another.

    On a CPU, for a gated cell and few rows, where the matrices are large enough for a step to be more than its kernels'
    start (benchmarks/results/methods.md).
    """
    if jax.default_backend() != "cpu" or not isinstance(problem.cell, Gated):
        return False
    least = SHOOTING_PAYS.get(rows(operands.state))
    return least is not None and problem.steps >= SHOOTING_PAYS_STEPS and tree_bytes(operands.params) >= least


def newton_window(jacobian: int, state: int) -> int:
    """Steps that Newton's method finds at once, given the bytes of a Jacobian and a state: all are in memory."""
    room = NEWTON_WINDOW if jax.default_backend() == "cpu" else NEWTON_LAUNCHES
    return max(2, min(NEWTON_LONGEST, room // max(1, jacobian + 8 * state)))


def newton_columns(column: int) -> int:
    """Columns of a Jacobian, of so many bytes each, that are found at once where only its diagonal is kept."""
    return max(1, NEWTON_COLUMNS // max(1, column))
