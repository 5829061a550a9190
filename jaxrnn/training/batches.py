"""Training on batches of unlike shapes, such as padded sequences of similar lengths."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from jaxrnn.cells.checks import whole_number
from jaxrnn.training.devices import Device, Step, choose, compile_step, make_mesh, on_first, place_batch
from jaxrnn.training.devices import place_train_state as place_state
from jaxrnn.training.state import Batch, Loss, Params, init_train_state


class FitBatches(NamedTuple):
    """What `fit_batches` found."""

    params: Params  # after the last step
    losses: np.ndarray  # (steps,), the loss of each step
    compile_seconds: float
    seconds: float  # all of it


def fit_batches(
    loss: Loss,
    params: Params,
    batches: Callable[[int], Iterable[Batch]],
    *,
    optimizer: optax.GradientTransformation,
    steps: int,
    report: Callable[[int, Params], Any] | None = None,
    report_every: int | None = None,
    key: jax.Array | None = None,
    devices: Sequence[Device] | None = None,
    progress: bool = True,
) -> FitBatches:
    """Train on batches in the order in which they come, epoch after epoch; nothing is carried from one to the next.

    A program is compiled for each shape of a batch when it first comes. The batch is divided among the devices, its
    arrays `(time, batch, ...)` along the second axis and `(batch,)` along the first.

    Args:
        loss: `loss(params, None, batch, key) -> (value, (None, metrics))`, the value a mean over the batch.
        params: θ at the start. It is not changed.
        batches: `batches(epoch)` for epoch 0, 1, ...: the batches of one epoch, all of one batch size.
        optimizer: any optax transformation, such as `make_optimizer`'s.
        steps: steps to take, one batch each.
        report: `report(step, params)`, called every `report_every` steps; what it gives is not used.
        report_every: steps from one report to the next; default: a tenth of `steps`.
        key: for dropout; default `jax.random.key(0)`.
        devices: default: those there are.
        progress: show a progress bar on standard error.

    Raises:
        ValueError: `steps` or `report_every` below 1; an epoch without batches; a loss that carries a state.
        TypeError: `steps` or `report_every` that is not a whole number.

    Example:
        def batches(epoch):
            return [Pairs(*b[:4]) for b in pair_buckets(sources, targets, 128, seed=epoch) if len(b.places) == 128]

        found = fit_batches(model.loss, params, batches, optimizer=make_optimizer(2e-3, 5000), steps=5000)
    """
    began, compile_seconds = time.perf_counter(), 0.0
    steps = whole_number("fit_batches: steps", steps, 1)
    every = max(1, steps // 10) if report_every is None else report_every
    whole_number("fit_batches: report_every", every, 1)
    key = jax.random.key(0) if key is None else key
    coming = _endless(batches)
    first = next(coming)
    mesh = make_mesh(choose(_size(first), devices))
    train_state = place_state(mesh, init_train_state(params, None, key, optimizer))
    programs: dict[Any, Step] = {}
    losses: list[Any] = []
    with tqdm(total=steps, unit="step", disable=not progress, mininterval=10) as bar:
        batch = first
        for step in range(1, steps + 1):
            shape = str(jax.tree.map(lambda a: (np.shape(a), str(np.asarray(a).dtype)), batch))
            placed = place_batch(mesh, batch)
            if shape not in programs:
                programs[shape], seconds = compile_step(loss, optimizer, mesh, train_state, placed)
                compile_seconds += seconds
            train_state, metrics = programs[shape](train_state, placed)
            losses.append(metrics["loss"])
            if step > 2:  # read late, so that the devices never wait for the host
                losses[-3] = float(np.asarray(losses[-3]).mean())
                bar.set_postfix_str(f"loss {losses[-3]:.3f}", refresh=False)
            bar.update()
            if report is not None and (step % every == 0 or step == steps):
                report(step, _copied(train_state.params))
            if step < steps:
                batch = next(coming)
    found = np.array([float(np.asarray(value).mean()) for value in losses])
    return FitBatches(_copied(train_state.params), found, compile_seconds, time.perf_counter() - began)


def _endless(batches: Callable[[int], Iterable[Batch]]) -> Any:
    epoch = 0
    while True:
        some = False
        for batch in batches(epoch):
            some = True
            yield batch
        if not some:
            raise ValueError(f"fit_batches: batches({epoch}) has no batch: pass more data, or a smaller batch")
        epoch += 1


def _size(batch: Batch) -> int:
    """The size of a batch, as its arrays have it."""
    shapes = [np.shape(a) for a in jax.tree.leaves(batch)]
    sizes = {shape[0] if len(shape) == 1 else shape[1] for shape in shapes if shape}
    if len(sizes) != 1 or () in shapes:
        raise ValueError(f"fit_batches: arrays of a batch must be (time, batch, ...) or (batch,), got shapes {shapes}")
    return sizes.pop()


def _copied(params: Params) -> Params:
    """The parameters on the first device; the training donates its own."""
    return jax.tree.map(lambda a: jnp.asarray(np.array(a)), on_first(params))
