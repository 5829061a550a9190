"""A kernel for the LSTM: an example of how one plugs in."""

from dataclasses import dataclass

import jax
from jax import lax
from jax.experimental import pallas as pl

from jaxrnn.cells.base import Cell
from jaxrnn.cells.lstm import LSTM, LSTMParams, LSTMState
from jaxrnn.unfold.kernels.kernel import Kernel


@dataclass(frozen=True)
class PallasLSTM(Kernel):
    """The steps of an `LSTM` in one Pallas kernel: z(t) = u(t) + h(t-1) W, and what the cell makes of z(t).

    It shows where a kernel goes, and that values and gradients are then those of `Scan`. It is not made to be fast: it
    has one program for the whole batch. It was run interpreted on a CPU, where it is slower than `Scan`, and on no GPU.

    Args:
        interpret: run the kernel's program operation by operation, on any backend; else Pallas compiles it for a GPU
            or TPU.

    Example:
        run = unfold(cell, params, xs, method=Fused(PallasLSTM(interpret=True)))
    """

    interpret: bool = False

    def takes(self, cell: Cell, params: LSTMParams, state: LSTMState) -> bool:
        return type(cell) is LSTM and (self.interpret or jax.default_backend() != "cpu")

    def run(
        self, cell: LSTM, params: LSTMParams, state: LSTMState, us: jax.Array, backward: bool
    ) -> tuple[LSTMState, jax.Array]:
        steps, batch = us.shape[0], us.shape[1:-1]
        h, c = (s.reshape(-1, cell.hidden_size) for s in state)
        us = us.reshape(steps, -1, us.shape[-1])

        def kernel(us, W, h, c, hs, cs, zs):  # references to memory: read, and in the last three written
            def step(k, state):
                t = steps - 1 - k if backward else k
                z = us[t] + state.h @ W[...]
                state = cell.gate(params, state, z)
                hs[t], cs[t], zs[t] = *state, z
                return state

            lax.fori_loop(0, steps, step, LSTMState(h[...], c[...]))

        shapes = [jax.ShapeDtypeStruct((steps, *a.shape), a.dtype) for a in (h, c)]
        run = pl.pallas_call(kernel, [*shapes, jax.ShapeDtypeStruct(us.shape, us.dtype)], interpret=self.interpret)
        hs, cs, zs = (a.reshape(steps, *batch, a.shape[-1]) for a in run(us, params.W, h, c))
        return LSTMState(hs, cs), zs
