"""A cell as a layer."""

from dataclasses import dataclass, field, fields

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import checks
from jaxrnn.cells.base import Cell, Gated, Inputs, Params, State
from jaxrnn.cells.dropconnect import weight_dropout
from jaxrnn.cells.perturbation import Perturbation, perturbed
from jaxrnn.cells.variational_dropout import VariationalDropout, VariationalDropoutParams, sequence_dropout
from jaxrnn.layers.base import Layer, Pass, one_array
from jaxrnn.unfold import Unfolding, unfold, validate


@dataclass(frozen=True)
class Recurrent(Layer):
    """A cell run over whole sequences: s(t) = f(s(t-1), x(t); θ), y(t) = output(s(t)).

    Parameters and state are the cell's. In reverse, s(t) = f(s(t+1), x(t); θ) from the last valid step to the first,
    outputs stay beside the inputs of their time, and `final` is the state after x(1).

    Where `apply` is given a key, the recurrence is regularised, in up to four ways that leave parameters and state the
    cell's own:

        s(t) = P(s(t-1), f(s(t-1), m_x ⊙ x(t); θ), d(t)),   in f: (m_h ⊙ h(t-1)) (m_W ⊙ W) in place of h(t-1) W

    P is the perturbation. Each call draws anew the masks m_x and m_h for every sequence, m_W once for all of them, and
    d(t) for every step of every sequence; a mask is divided by 1 - rate. Without a key nothing is dropped, and P is
    what it is in evaluation: of zoneout, the expectation.

    Args:
        cell: what to run.
        reverse: from the last valid step to the first.
        input_dropout: the share of entries of x that a sequence loses in all its steps.
        state_dropout: the share of entries of h that a sequence loses in all its steps, on the way to the recurrent
            products alone: `VariationalDropout`.
        weight_dropout: the share of entries of the recurrent matrix W that is dropped.
        perturbation: what happens to each new state: `Zoneout(rate)`, `StateNoise(scale)`, or None.

    Raises:
        ValueError: a rate outside [0, 1).
        TypeError: a cell that is not one, or, with state_dropout, not one that `VariationalDropout` takes, or, with
            weight_dropout, without a matrix W; a rate that is no number; what is no perturbation; with input_dropout,
            an input that is not one array of floating-point numbers.

    Example:
        layer = Recurrent(GRU(8, 32), input_dropout=0.2, state_dropout=0.2, perturbation=Zoneout(0.1))
        params, xs = layer.init(jax.random.key(0)), jnp.ones((20, 4, 8))
        training = layer.apply(params, xs, lengths=jnp.array([20, 3, 0, 7]), key=jax.random.key(1))
        evaluation = layer.apply(params, xs, lengths=jnp.array([20, 3, 0, 7]))

    Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), Sec. 10.1; m_x and m_h: Gal and Ghahramani (2016);
    m_W: Merity et al. (2018); P: Krueger et al. (2017).
    """

    cell: Cell
    reverse: bool = False
    input_dropout: float = field(default=0.0, kw_only=True)
    state_dropout: float = field(default=0.0, kw_only=True)
    weight_dropout: float = field(default=0.0, kw_only=True)
    perturbation: Perturbation | None = field(default=None, kw_only=True)

    def __post_init__(self):
        if not isinstance(self.cell, Cell):
            raise TypeError(f"Recurrent: cell must be a Cell, got {self.cell!r}: pass one such as GRU(8, 32)")
        if not isinstance(self.reverse, bool):
            raise TypeError(f"Recurrent: reverse must be True or False, got {self.reverse!r}")
        for name in ("input_dropout", "state_dropout", "weight_dropout"):
            checks.number(self, name, getattr(self, name), least=0, below=1)
        one_cell = "in a Sequential, give it to the Recurrent of each such cell"
        if self.state_dropout and not isinstance(self.cell, Gated):
            raise TypeError(
                f"Recurrent: state_dropout needs a Gated cell, such as GRU(8, 32), got {self.cell!r}: {one_cell}"
            )
        if isinstance(self.cell, Gated) and self.state_dropout:
            VariationalDropout(self.cell, self.state_dropout)  # for its checks
        if self.weight_dropout and not _has_matrix(self.cell):
            raise TypeError(
                "Recurrent: weight_dropout needs a cell whose parameters have a recurrent matrix W, such as "
                f"GRU(8, 32), got {self.cell!r}: {one_cell}"
            )
        if self.perturbation is not None and not isinstance(self.perturbation, Perturbation):
            raise TypeError(
                f"Recurrent: perturbation must be an instance such as Zoneout(0.1), or None, got {self.perturbation!r}"
            )

    def __repr__(self) -> str:
        """As it would be written: without the choices that were not made."""
        made = (f.name for f in fields(self) if getattr(self, f.name) != f.default)
        return f"Recurrent({', '.join(f'{name}={getattr(self, name)!r}' for name in made)})"

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        return self.cell.init(key, dtype)

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        return self.cell.initial_state(params, batch_shape)

    def run(self, params: Params, state: State, xs: Inputs, key: jax.Array | None, over: Pass) -> Unfolding:
        reverse = self.reverse != over.reverse
        resets = over.resets
        if resets is not None and reverse:  # from the end, a segment begins with the step before the next one
            resets = jnp.concatenate([resets[1:], jnp.zeros_like(resets[:1])])
        cell, params, xs = self._regularised(params, state, xs, key, over)
        return unfold(
            cell,
            params,
            xs,
            state=state,
            lengths=over.lengths,
            resets=resets,
            reverse=reverse,
            method=over.method,
            adjoint=over.adjoint,
        )

    def _regularised(
        self, params: Params, state: State, xs: Inputs, key: jax.Array | None, over: Pass
    ) -> tuple[Cell, Params, Inputs]:
        """The cell that is run, its parameters and its inputs."""
        cell = self.cell
        if self.input_dropout:
            xs = one_array(self, xs)
        if key is None:
            if self.perturbation is not None:
                cell, xs = perturbed(cell, self.perturbation), (xs, None)
            return cell, params, xs
        validate.parameters(cell, params)
        steps, batch = jax.tree.leaves(xs)[0].shape[0], validate.batch_shape(cell, xs, over.lengths, over.resets)
        key_x, key_h, key_W, key_d = jax.random.split(key, 4)
        if self.input_dropout:
            xs = sequence_dropout(key_x, xs, self.input_dropout)
        if self.weight_dropout:
            params = weight_dropout(key_W, params, self.weight_dropout)
        if self.state_dropout:
            assert isinstance(cell, Gated)
            cell = VariationalDropout(cell, self.state_dropout)
            params = VariationalDropoutParams(params, None)
            params = params._replace(mask=cell.draw_mask(key_h, params, batch))
        if self.perturbation is not None:
            cell = perturbed(cell, self.perturbation)
            xs = xs, cell.draw(key_d, params, steps, batch, state)
        return cell, params, xs


def _has_matrix(cell: Cell) -> bool:
    """Whether parameters have a field W; if the caller makes them, `weight_dropout` will see."""
    try:
        params = jax.eval_shape(lambda: cell.init(jax.random.key(0)))
    except (ValueError, NotImplementedError):
        return True
    return getattr(params, "W", None) is not None


def as_layer(owner: object, layer: Layer | Cell) -> Layer:
    """A layer as it is, a cell as `Recurrent(cell)`. The owner takes it, or is the name of what does."""
    if isinstance(layer, Layer):
        return layer
    if isinstance(layer, Cell):
        return Recurrent(layer)
    name = owner if isinstance(owner, str) else type(owner).__name__
    raise TypeError(
        f"{name}: expected a layer or a cell, got {layer!r}: pass an instance such as Recurrent(GRU(8, 32))"
    )
