"""A vector that chooses where a recurrence starts; and how vectors reach the cells that read them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Cell, Inputs, Outputs, Params, State, Wrapped
from jaxrnn.cells.conditioned import ConditionedParams, checked_vector
from jaxrnn.cells.initializers import uniform


class ConditionedInitialStateParams(NamedTuple):
    """θ of a cell whose start depends on a vector."""

    cell: Params  # of the inner cell
    Q: State  # a tree like s(0), each array with an axis for v before its own: (size, hidden)
    q: State  # s(0) for v = 0, without batch axes
    vector: jax.Array | None = None  # v (size,), or (*batch, size); None is v = 0


@dataclass(frozen=True)
class ConditionedInitialState(Wrapped):
    """A cell that starts where a vector says: s(0) = q + v Q, for each array of the state.

    It takes no part in the recurrence, so the inner cell runs as fast as it does alone. Q starts uniform in ±1/√size, q
    as the inner cell's own s(0). The vector is put into the parameters: `given(params, v)`.

    Shapes: v `(size,)`, or `(*batch, size)`, one for each sequence; Q and q are trees like the state, of arrays
    `(size, hidden)` and `(hidden,)`.

    Args:
        inner: any cell whose state is of real floating-point numbers; `conditioned(cell, size)`, for a vector that is
            read at every step too.
        size: entries of v.

    Raises:
        ValueError: a size below 1; a vector of another size, or whose batch axes are not those of the state.
        TypeError: an inner that is not a cell; in `init`, a state of integers or complex numbers.

    Example:
        cell = ConditionedInitialState(conditioned(GRU(8 + 3, 64), 3), size=3)
        params = cell.init(jax.random.key(0))
        run = unfold(cell, given(params, jnp.ones((32, 3))), jnp.ones((100, 32, 8)))

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.4: the vector as the initial state h(0).
    """

    inner: Cell
    size: int

    def __post_init__(self):
        checks.cell(self, self.inner)
        checks.positive(self, size=self.size)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> ConditionedInitialStateParams:
        key_cell, key_Q = jax.random.split(key)
        cell = self.inner.init(key_cell, dtype)
        q = self.inner.initial_state(cell)
        checks.learnable(self, self.inner, q)
        leaves, structure = jax.tree.flatten(q)
        shapes = [(self.size, *leaf.shape) for leaf in leaves]
        Q = jax.tree.unflatten(structure, uniform(key_Q, self.size**-0.5, *shapes, dtype=dtype))
        return ConditionedInitialStateParams(cell, Q, q)

    def initial_state(self, params: ConditionedInitialStateParams, batch_shape: tuple[int, ...] = ()) -> State:
        vector = checked_vector(self, params.vector)
        axes = vector.shape[:-1]
        if axes != batch_shape[len(batch_shape) - len(axes) :]:
            raise ValueError(
                f"ConditionedInitialState: the vector has batch axes {axes}, but the state {batch_shape}: pass "
                f"given(params, v) with v (*batch, {self.size}) of the same batch, or one for all, ({self.size},)"
            )

        def start(Q: jax.Array, q: jax.Array) -> jax.Array:
            moved = jnp.tensordot(vector.astype(q.dtype), Q, axes=1)
            return jnp.broadcast_to(moved + q.reshape((1,) * len(axes) + q.shape), (*batch_shape, *q.shape))

        return jax.tree.map(start, params.Q, params.q)

    def inner_params(self, params: ConditionedInitialStateParams) -> Params:
        return params.cell

    def inner_state(self, state: State) -> State:
        return state

    def inner_input(self, x: Inputs) -> Inputs:
        return x

    def extend(self, state: State, x: Inputs) -> State:
        return state

    def output(self, params: ConditionedInitialStateParams, state: State) -> Outputs:
        return self.inner.output(params.cell, state)


def given(params: Params, vector: Any) -> Params:
    """The parameters with a vector: what conditioned cells within them read at every step, or start from.

    `params` may be those of a cell, a stack, a layer or a model: every conditioned cell in it is given the same vector.

    Args:
        params: as `init` gives them.
        vector: v `(size,)`, or `(*batch, size)`, of a floating type; None takes it away again.

    Returns:
        Parameters of the same structure, but for the vector.

    Raises:
        ValueError: no conditioned cell within.

    Example:
        model = LanguageModel(65, 16, conditioned(GRU(16 + 3, 64), 3))
        params = model.init(jax.random.key(0))
        text = model.generate(given(params, jnp.array([1.0, 0, 0])), jax.random.key(1), prompt=jnp.array([0]), steps=9)

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.2.4: of the parameters θ the vector makes ω.
    """
    found = 0
    vector = None if vector is None else jnp.asarray(vector)

    def conditional(node: Any) -> bool:
        return isinstance(node, ConditionedParams | ConditionedInitialStateParams)

    def put(node: Any) -> Any:
        nonlocal found
        if not conditional(node):
            return node
        found += 1
        return node._replace(cell=jax.tree.map(put, node.cell, is_leaf=conditional), vector=vector)

    whole = jax.tree.map(put, params, is_leaf=conditional)
    if not found:
        raise ValueError(
            f"given: no conditioned cell in params, got {type(params).__name__}: make the cell with conditioned(cell, "
            "size), or ConditionedInitialState(cell, size)"
        )
    return whole
