"""PyTorch: nn.RNN, nn.LSTM, nn.GRU, with its default threads."""

import copy
from typing import Any

import numpy as np
import torch

from benchmarks import reference
from benchmarks.rivals import adam
from benchmarks.rivals.entrant import Entrant
from benchmarks.task import Task, Weights

PACKAGE = "torch"


def build(task: Task, device: str) -> Entrant:
    """Forward without gradients, forward with `torch.autograd.grad` of Σ h², and a step of fused Adam on that."""
    if device == "gpu" and not torch.cuda.is_available():
        raise ImportError("this build of torch has no GPU")
    place = torch.device("cuda" if device == "gpu" else "cpu")
    layers = {"elman": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    layer = layers[task.cell](task.shape.input, task.shape.hidden)
    U, W, b, c = task.weights
    second = np.zeros_like(b)
    if c is not None:
        second[2 * task.shape.hidden :] = c
    with torch.no_grad():
        for name, array in (("weight_ih", U.T), ("weight_hh", W.T), ("bias_ih", b), ("bias_hh", second)):
            getattr(layer, f"{name}_l0").copy_(torch.tensor(np.ascontiguousarray(array)))
    layer = layer.to(place)
    layer.flatten_parameters()

    def forward(params: list[torch.Tensor], xs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return layer(xs)[0]

    def gradient(params: list[torch.Tensor], xs: torch.Tensor) -> Any:
        return torch.autograd.grad(layer(xs)[0].square().sum(), params)

    learner = copy.deepcopy(layer)
    optimizer = torch.optim.Adam(learner.parameters(), adam.RATE, (adam.FIRST, 0.999), fused=True)

    def training(params: list[torch.Tensor], xs: torch.Tensor) -> Any:
        optimizer.zero_grad()
        learner(xs)[0].square().sum().backward()
        optimizer.step()
        return [optimizer.state[p]["exp_avg"] for p in learner.parameters()]

    def weights(result: Any) -> Weights:
        U, W, b, second = (g.cpu().numpy() for g in result)
        return Weights(U.T, W.T, b, second[2 * task.shape.hidden :] if task.cell == "gru" else None)

    def wait(result: Any) -> Any:
        if place.type == "cuda":
            torch.cuda.synchronize()
        return result

    return Entrant(
        params=list(layer.parameters()),
        xs=torch.tensor(task.xs, device=place),
        forward=forward,
        gradient=gradient,
        training=training,
        wait=wait,
        outputs=lambda result: result.cpu().numpy(),
        weights=weights,
        trained=lambda result: weights([m / (1 - adam.FIRST) for m in result]),
        reference=reference.own,
        note=f"time first, {torch.get_num_threads()} threads; two biases, of which one takes part in the GRU alone",
    )
