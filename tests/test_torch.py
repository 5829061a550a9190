"""Elman, LSTM and GRU equal PyTorch's with the same weights: outputs, final states, gradients."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import GRU, LSTM, Cell, Elman, unfold
from tests import grid

with warnings.catch_warnings():  # of PyTorch's own imports
    warnings.simplefilter("ignore")
    import torch

T, B, D, H = 6, 3, 2, 4
CELLS = {"elman": (Elman(D, H), torch.nn.RNN), "lstm": (LSTM(D, H), torch.nn.LSTM), "gru": (GRU(D, H), torch.nn.GRU)}
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}


def _theirs(module: Any, params: Any, xs: np.ndarray, state: Any, weights: np.ndarray) -> Any:
    """Values and gradients of PyTorch, laid out as here: U, W, b, and the GRU's recurrent bias c."""
    with torch.no_grad():
        module.weight_ih_l0.copy_(torch.tensor(params.U.T))
        module.weight_hh_l0.copy_(torch.tensor(params.W.T))
        module.bias_ih_l0.copy_(torch.tensor(params.b))
        module.bias_hh_l0.zero_()
        if hasattr(params, "c"):
            module.bias_hh_l0[2 * H :] = torch.tensor(params.c)
    x: Any = torch.tensor(xs, requires_grad=True)
    start: list[Any] = [torch.tensor(s[None], requires_grad=True) for s in state]
    out, final = module(x, tuple(start) if len(start) > 1 else start[0])
    final = final if isinstance(final, tuple) else (final,)
    loss = (out * torch.tensor(weights)).sum() + sum((f**2).sum() for f in final)
    loss.backward()
    by_params = [module.weight_ih_l0.grad.T, module.weight_hh_l0.grad.T, module.bias_ih_l0.grad]
    if hasattr(params, "c"):
        by_params.append(module.bias_hh_l0.grad[2 * H :])
    values = [out.detach().numpy(), *(f.detach().numpy()[0] for f in final)]
    gradients = [g.numpy() for g in by_params], [s.grad.numpy()[0] for s in start], [x.grad.numpy()]
    return values, gradients


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("cell", "module"), CELLS.values(), ids=CELLS.keys())
def test_equals_torch(cell: Cell, module: Any, dtype: Any, rng: np.random.Generator) -> None:
    params = cell.init(jax.random.key(0), dtype)
    state = jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape), dtype), cell.initial_state(params, (B,)))
    xs, weights = rng.normal(size=(T, B, D)).astype(dtype), rng.normal(size=(T, B, H)).astype(dtype)
    theirs = module(D, H, dtype=torch.float64 if dtype == np.float64 else torch.float32)
    values, gradients = _theirs(theirs, grid.host(params), xs, grid.host(state), weights)

    def loss(params: Any, state: Any, xs: Any) -> Any:
        run = unfold(cell, params, xs, state=state)
        return (run.outputs * weights).sum() + sum((s**2).sum() for s in run.final), (run.outputs, *run.final)

    found, slopes = jax.jit(lambda *operands: grid.gradients(loss, *operands))(params, state, jnp.asarray(xs))
    assert all(v.dtype == dtype for v in jax.tree.leaves((found, slopes)))
    grid.close(found, values, TOLERANCE[dtype], TOLERANCE[dtype])
    grid.close(slopes, gradients, TOLERANCE[dtype], 10 * TOLERANCE[dtype])
