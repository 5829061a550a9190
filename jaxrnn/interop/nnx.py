"""Cells and layers of this library within models of Flax nnx."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxrnn.cells.base import Cell, Inputs, Params, State
from jaxrnn.interop import arrays, sequences
from jaxrnn.layers import Layer
from jaxrnn.unfold import BPTT, Scan


class Recurrent(nnx.Module):
    """Any cell or layer as an `nnx.Module`, called as `nnx.RNN` is; `sequences.call` says where it differs.

    The parameters are a tree of `nnx.Param` like the one that `layer.init` gives, at `params`, so that optimizers,
    `nnx.grad`, `nnx.split` and checkpoints find them. `nnx.as_pure(module.params)` is what `layer.apply` takes.

    Args:
        layer: a cell or a layer.
        time_major: what a call does that does not say it, as in `sequences.call`; likewise the next three.
        return_carry: as in `sequences.call`.
        reverse: as in `sequences.call`.
        keep_order: as in `sequences.call`.
        method: how values are computed, as in `unfold`.
        adjoint: how gradients are computed, as in `unfold`.
        params: parameters to start from, as `layer.init` gives them, of this library or of `from_torch` and the like;
            None to draw them.
        param_dtype: the floating type of parameters that are drawn.
        rngs: where they are drawn from (the stream `params`).

    Raises:
        TypeError: what is neither a cell nor a layer, or holds a `Spatial` cell, such as `ConvLSTM`; rngs that are no
            `nnx.Rngs`.
        ValueError: neither params nor rngs; params that are not the layer's.

    Example:
        rnn = Recurrent(LSTM(65, 256), rngs=nnx.Rngs(0))  # for nnx.RNN(nnx.LSTMCell(65, 256, rngs=nnx.Rngs(0)))
        rnn(jnp.ones((32, 100, 65))).shape  # (32, 100, 256)

    Source: the arguments are those of `flax.nnx.RNN`.
    """

    def __init__(
        self,
        layer: Layer | Cell,
        *,
        time_major: bool = False,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = False,
        method: Any = Scan(),  # noqa: B008  frozen, without state
        adjoint: Any = BPTT(),  # noqa: B008
        params: Params = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs | None = None,
    ):
        self.layer = sequences.as_layer("nnx.Recurrent", layer)
        self.time_major = time_major
        self.return_carry = return_carry
        self.reverse = reverse
        self.keep_order = keep_order
        self.method = method
        self.adjoint = adjoint
        if params is not None:
            params = arrays.to_jax("nnx.Recurrent", arrays.of_layer("nnx.Recurrent", layer, params))
        elif isinstance(rngs, nnx.Rngs):
            params = self.layer.init(rngs.params(), param_dtype)
        elif rngs is not None:
            raise TypeError(
                f"nnx.Recurrent: rngs must be an nnx.Rngs, got {type(rngs).__name__}: pass rngs=nnx.Rngs(0)"
            )
        else:
            raise ValueError("nnx.Recurrent: neither params nor rngs: pass rngs=nnx.Rngs(0) to draw parameters")
        self.params = nnx.data(jax.tree.map(nnx.Param, params))

    def __call__(
        self,
        inputs: Inputs,
        *,
        initial_carry: State = None,
        seq_lengths: Any = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ) -> Any:
        """Run over whole sequences, as `sequences.call` says; what is None here is as the module was made.

        In training, dropout within the layer draws from the stream `dropout` of rngs, or from their default one. None,
        or only streams of other names: no dropout.
        """
        return sequences.call(
            self,
            self.layer,
            nnx.as_pure(self.params),
            inputs,
            initial_carry=initial_carry,
            seq_lengths=seq_lengths,
            return_carry=return_carry,
            time_major=time_major,
            reverse=reverse,
            keep_order=keep_order,
            key=_dropout_key(rngs),
        )


def _dropout_key(rngs: nnx.Rngs | nnx.RngStream | None) -> jax.Array | None:
    if isinstance(rngs, nnx.RngStream):  # nnx.Bidirectional passes that of the carry
        return rngs() if rngs.tag == "dropout" else None
    if rngs is not None and not isinstance(rngs, nnx.Rngs):
        name = type(rngs).__name__
        raise TypeError(f"nnx.Recurrent: rngs must be an nnx.Rngs, got {name}: pass rngs=nnx.Rngs(dropout=0)")
    return rngs.dropout() if rngs is not None and ("dropout" in rngs or "default" in rngs) else None
