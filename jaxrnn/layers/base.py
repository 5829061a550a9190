"""What a layer is: a network that needs the whole sequence, as a cell needs one step."""

import abc
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells.base import Inputs, Params, State
from jaxrnn.unfold import BPTT, Scan, Unfolding, validate
from jaxrnn.unfold.problem import where


class Pass(NamedTuple):
    """One pass over a sequence: what is the same for every layer within a layer."""

    lengths: jax.Array | None  # (*batch,), integers
    resets: jax.Array | None  # (time, *batch), booleans: a segment begins here
    reverse: bool  # from the last valid step to the first
    method: Any  # how values are computed
    adjoint: Any  # how gradients are computed

    def masked(self, tree: Any) -> Any:
        """A tree with leaves `(time, *batch, ...)`, zero past the lengths."""
        if self.lengths is None:
            return tree
        lengths = self.lengths[None]

        def mask(a: jax.Array) -> jax.Array:
            time = jnp.arange(a.shape[0]).reshape(-1, *(1 for _ in lengths.shape[1:]))
            return where(time < lengths, a, jnp.zeros_like(a))

        return jax.tree.map(mask, tree)


class Layer(abc.ABC):
    """A network over whole sequences. It holds sizes and choices and no arrays; it is hashable.

    `apply` is what callers use; a new layer says what it does in `run`.
    """

    @abc.abstractmethod
    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw new parameters of the floating type `dtype`."""

    @abc.abstractmethod
    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        """What `apply` starts from where it is given no state."""

    @abc.abstractmethod
    def run(self, params: Params, state: State, xs: Inputs, key: jax.Array | None, over: Pass) -> Unfolding:
        """Run over checked inputs, time first. Outputs are zero past the lengths, whatever xs holds there.

        Args:
            params: as `init` gives them.
            state: like `final`; None, also in place of a part of it, for the initial state.
            xs: leaves `(time, *batch, ...)`.
            key: for what is random in training; None in evaluation.
            over: lengths, resets, direction, method and adjoint.
        """

    def apply(
        self,
        params: Params,
        xs: Inputs,
        *,
        lengths: Any = None,
        resets: Any = None,
        state: State = None,
        key: jax.Array | None = None,
        time_axis: int = 0,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
    ) -> Unfolding:
        """Run over whole sequences.

        Args:
            params: as `init` gives them.
            xs: inputs `(time, *batch, features)`, or a pytree of such, with time on `time_axis`.
            lengths: integers of the shape of the batch: outputs past the length are zero, and what stands there in xs
                reaches nothing; `final` is the state at the true length.
            resets: booleans `(time, *batch)`: a new segment begins with x(t), and nothing passes from one segment to
                another, in either direction.
            state: what to start from, nested like `final`; None, also in place of a part of it, for the initial state.
            key: for what is random in training (dropout); None, in evaluation, for none of it.
            time_axis: the axis of time in xs, resets and outputs.
            method: how values are computed, as in `unfold`.
            adjoint: how gradients are computed, as in `unfold`.

        Returns:
            `Unfolding(outputs, final, info)`; `final` and `info` are nested like the layer.

        Raises:
            ValueError: parameters, states or sizes that do not fit, lengths beyond the time axis.
            TypeError: types that do not fit.
        """
        if not jax.tree.leaves(xs):
            raise ValueError(f"{type(self).__name__}: xs holds no arrays: pass inputs (time, *batch, features)")
        if key is not None and not hasattr(key, "dtype"):
            raise TypeError(f"{type(self).__name__}: key must be one key, such as jax.random.key(1), got {key!r}")
        validate.choices(None, method, adjoint, False, time_axis)
        time_axis = validate.axis_of_time(xs, time_axis)
        steps = validate.length_of_time(xs, None, time_axis)
        xs = jax.tree.map(lambda a: jnp.moveaxis(jnp.asarray(a), time_axis, 0), xs)
        if resets is not None and jnp.ndim(resets) > 1:
            resets = jnp.moveaxis(jnp.asarray(resets), time_axis, 0)
        axes = jax.tree.leaves(xs)[0].shape[1:]  # which of them are features only a cell knows, and checks
        lengths, resets = validate.lengths_and_resets(lengths, resets, steps, axes, xs)
        run = self.run(params, state, xs, key, Pass(lengths, resets, False, method, adjoint))
        validate.outputs_have_axis(run.outputs, time_axis)
        return run._replace(outputs=jax.tree.map(lambda a: jnp.moveaxis(a, 0, time_axis), run.outputs))


def one_array(owner: object, xs: Inputs) -> jax.Array:
    """The inputs of a layer that reads one array of floating-point numbers."""
    name = type(owner).__name__
    if not hasattr(xs, "dtype"):
        raise TypeError(f"{name}: the input must be one array (time, *batch, features), got {type(xs).__name__}")
    if not jnp.issubdtype(xs.dtype, jnp.floating):
        raise TypeError(f"{name}: the input must be of a floating type, got {xs.dtype}: pass xs.astype(jnp.float32)")
    return xs
