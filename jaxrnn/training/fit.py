"""Training for people: progress, evaluation, the best parameters kept."""

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from jaxrnn.cells.checks import whole_number
from jaxrnn.training import metrics as metrics_file
from jaxrnn.training.checkpoints import PARAMETERS, save_parameters
from jaxrnn.training.devices import (
    BY_COLUMN,
    BY_ROW,
    Device,
    choose,
    compile_step,
    make_mesh,
    on_first,
    place,
    place_train_state,
)
from jaxrnn.training.interruption import deferred
from jaxrnn.training.state import Loss, Params, State, init_train_state, initial_state

METRICS = "metrics.jsonl"
IN_FLIGHT = 4  # steps handed to the devices before their losses are read


class Fit(NamedTuple):
    """What `fit` found."""

    params: Params  # the best by evaluation; without evaluation the last
    metrics: list[dict[str, Any]]  # the lines of the metrics file
    steps: int  # steps taken
    characters_per_second: float  # symbols trained on a second of training, compilation and evaluation apart
    compile_seconds: float
    seconds: float  # all of it
    interrupted: int | None  # the signal that ended it early
    diverged: bool  # a loss that was not finite ended it early


def fit(
    loss: Loss,
    params: Params,
    state: State,
    chunks: tuple[Any, Any],
    *,
    optimizer: optax.GradientTransformation,
    steps: int,
    evaluate: Callable[[Params], float] | None = None,
    evaluate_every: int | None = None,
    key: jax.Array | None = None,
    folder: str | PathLike | None = None,
    devices: Sequence[Device] | None = None,
    progress: bool = True,
) -> Fit:
    """Train on chunks of a text, in order, again and again, the recurrent state carried from each to the next.

    At the start of the text the state is set back to its start. The batch is divided among the devices: among the
    largest number of them that divides it. Evaluation comes every `evaluate_every` steps and at the end. Ctrl-C and
    SIGTERM end the training after the step at hand, with a last evaluation; a second one ends it at once.

    Args:
        loss: `loss(params, state, batch, key) -> (value, (state, metrics))`, the value in nats, a mean over the batch.
        params: θ at the start. It is not changed.
        state: the recurrent state at the start of the text, leaves `(batch, ...)`; None for the initial state of the
            model, which the loss must then take None for. No gradient reaches it.
        chunks: `(inputs, targets)`, each `(chunks, time, batch)`.
        optimizer: any optax transformation, such as `make_optimizer`'s.
        steps: steps to take, one chunk each.
        evaluate: `evaluate(params)`, smaller is better, such as `compile_evaluation`'s.
        evaluate_every: steps from one evaluation to the next; default: a tenth of `steps`.
        key: for dropout; default `jax.random.key(0)`.
        folder: where to write "metrics.jsonl", a line for each evaluation, and "parameters.safetensors", the best
            parameters so far (without `evaluate`: the latest), at every moment a whole file.
        devices: default: those there are.
        progress: show a progress bar on standard error.

    Returns:
        `Fit(params, metrics, ...)`. A line of metrics has step, training_loss (the mean of the loss since the line
        before, in its unit), validation_loss (what `evaluate` gave), characters_per_second and seconds.

    Raises:
        ValueError: sizes that do not fit, `steps` or `evaluate_every` below 1, a folder that does not exist.
        TypeError: `steps` or `evaluate_every` that is not a whole number.

    Example:
        result = fit(model.loss, params, None, chunks(tokens, 32, 128), optimizer=make_optimizer(4e-3, 1000),
                     steps=1000)
    """
    began = time.perf_counter()
    every = max(1, steps // 10) if evaluate_every is None else evaluate_every
    count, batch = _sizes(chunks, state, steps, every)
    folder = None if folder is None else Path(folder)
    if folder is not None and not folder.is_dir():
        raise ValueError(f"fit: there is no folder {folder}: make it first")
    keeper = _Keeper(folder, evaluate, params)
    key = jax.random.key(0) if key is None else key
    mesh = make_mesh(choose(batch, devices))
    first = jax.tree.map(lambda a: a[0], tuple(chunks))
    start = jax.jit(lambda params: initial_state(loss, params, first)) if state is None else lambda params: state
    train_state = place_train_state(mesh, init_train_state(params, start(params), key, optimizer))
    symbols = int(np.prod(np.shape(chunks[1])[1:3]))

    def batch_at(step: int) -> Any:
        return place(mesh, jax.tree.map(lambda a: a[step % count], tuple(chunks)), BY_COLUMN)

    take, compile_seconds = compile_step(loss, optimizer, mesh, train_state, batch_at(0))
    clock, losses, done = _Clock(), _Losses(), 0
    with (
        deferred() as interrupted,
        tqdm(total=steps, unit="step", disable=not progress, mininterval=0.2 if sys.stderr.isatty() else 10) as bar,
    ):
        last = False
        while not last:
            if done and done % count == 0:
                train_state = train_state._replace(state=place(mesh, start(on_first(train_state.params)), BY_ROW))
            train_state, found = take(train_state, batch_at(done))
            done += 1
            losses.add(found["loss"])
            speed = symbols * done / clock.seconds()
            known = "" if losses.latest is None else f"loss {losses.latest:.3f} nats, "
            bar.set_postfix_str(f"{known}{speed:,.0f} characters/s", refresh=False)
            bar.update()
            last = done == steps or interrupted() is not None or losses.diverged
            if last or done % every == 0:
                training_loss = losses.mean()
                speed = symbols * done / clock.seconds()
                with clock.paused():
                    line = {"step": done, "training_loss": training_loss, "characters_per_second": speed}
                    keeper.keep(train_state.params, line | {"seconds": time.perf_counter() - began})
    return Fit(
        keeper.params,
        keeper.lines,
        done,
        keeper.lines[-1]["characters_per_second"],
        compile_seconds,
        time.perf_counter() - began,
        interrupted(),
        losses.diverged,
    )


def _sizes(chunks: tuple[Any, Any], state: State, steps: int, every: int) -> tuple[int, int]:
    """How many chunks there are, and the size of the batch; raise if anything does not fit."""
    for name, value in {"steps": steps, "evaluate_every": every}.items():
        whole_number(f"fit: {name}", value, 1)
    shapes = {np.shape(a)[:3] for a in jax.tree.leaves(tuple(chunks))}
    shape = min(shapes, default=())
    if len(shapes) != 1 or len(shape) != 3 or 0 in shape:
        raise ValueError(f"fit: inputs and targets must be (chunks, time, batch) and not empty, got {sorted(shapes)}")
    wrong = [np.shape(a) for a in jax.tree.leaves(state) if np.shape(a)[:1] != shape[2:]]
    if wrong:
        raise ValueError(f"fit: every array of state must be (batch, ...) with batch = {shape[2]}, got {wrong[0]}")
    return shape[0], shape[2]


class _Clock:
    """Seconds since it was made, without pauses."""

    def __init__(self):
        self._began = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._began

    @contextmanager
    def paused(self) -> Iterator[None]:
        before = self.seconds()
        yield
        self._began = time.perf_counter() - before


class _Losses:
    """Losses of steps, read late so that the devices never wait for the host."""

    def __init__(self):
        self._coming: deque[jax.Array] = deque()
        self._read: list[float] = []
        self.latest: float | None = None  # the first come late
        self.diverged = False

    def add(self, loss: jax.Array) -> None:
        self._coming.append(loss)
        if len(self._coming) > IN_FLIGHT:
            self._take()

    def _take(self) -> None:
        loss = float(np.asarray(self._coming.popleft()).mean())
        self._read.append(loss)
        self.latest = loss
        self.diverged |= not math.isfinite(loss)

    def mean(self) -> float:
        """The mean of the losses since the last time."""
        while self._coming:
            self._take()
        mean = float(np.mean(self._read))
        self._read.clear()
        return mean


class _Keeper:
    """Evaluates, and keeps the lines of metrics and the best parameters, also on disk if there is a folder."""

    def __init__(self, folder: Path | None, evaluate: Callable[[Params], float] | None, params: Params):
        self._folder = folder
        self._evaluate = evaluate
        self._best = math.inf
        self.params = params
        self.lines: list[dict[str, Any]] = []

    def keep(self, params: Params, line: dict[str, Any]) -> None:
        params = jax.tree.map(lambda a: jnp.asarray(np.array(a)), on_first(params))  # the training donates its own
        better = True
        if self._evaluate is not None:
            value = self._evaluate(params)
            line["validation_loss"] = value
            better = value < self._best
            self._best = value if better else self._best
        if better:
            self.params = params
        self.lines.append(line)
        if self._folder is not None:
            if better:
                save_parameters(self._folder / PARAMETERS, self.params)
            metrics_file.append(self._folder / METRICS, line)
