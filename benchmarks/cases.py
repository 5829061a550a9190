"""What methods are compared on: a net, its inputs and a loss, each made only when its turn comes."""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxrnn
from benchmarks.task import Shape
from jaxrnn import Associative, Elman, Newton, Readout, Scan, Shooting, Stack, data, losses, models, training, unfold

BASE = "Scan"  # what every method is measured against
METHODS: dict[str, Any] = {
    BASE: Scan(),
    "Shooting": Shooting(),
    "auto": "auto",
    "Newton, full": Newton(),
    "Newton, diagonal": Newton(jacobian="diagonal"),
    "Newton, block": Newton(jacobian="block"),
    "Associative": Associative(),
}
PARTS = ("shooting", "grid", "eigenworms", "associative")
FULL = 64  # the largest hidden size at which whole Jacobians are formed
MOST_OPERATIONS = 1.2e11  # of a forward pass of `grid`: about 2 seconds
MOST_BYTES = 1 << 29  # of the outputs of a case of `grid` or `associative`
HIDDEN, BATCHES, STEPS = (32, 128, 512, 1024), (1, 4, 8, 32), (1024, 16_384, 131_072)  # of `grid`


class Work(NamedTuple):
    """Arrays, and functions `(params, data, method)` of them."""

    params: Any
    data: Any
    forward: Callable[[Any, Any, Any], tuple[Any, Any]]  # outputs and info
    loss: Callable[[Any, Any, Any], tuple[jax.Array, Any]]  # loss and info
    note: str = ""


class Case(NamedTuple):
    """One row of a table."""

    label: str
    shape: Shape
    methods: tuple[str, ...]
    build: Callable[[], Work]


def cases(part: str, trained: Path) -> tuple[list[Case], list[str]]:
    """The cases of a part, the cheapest first, and what is left out. Trained nets are kept in the folder `trained`."""
    found = {
        "shooting": lambda: (list(_text(trained)), []),
        "grid": _grid,
        "eigenworms": lambda: ([_eigenworms()], []),
        "associative": _associative,
    }[part]()
    return sorted(found[0], key=lambda case: math.prod(case.shape) * case.shape.hidden), found[1]


def plain(cell: Any, shape: Shape, seed: int = 0) -> Work:
    """A cell at initialisation on normal inputs; the loss is the mean of the squares of its outputs."""
    params = cell.init(jax.random.key(seed))
    xs = jax.random.normal(jax.random.key(seed + 1), (shape.time, shape.batch, shape.input))

    def forward(params: Any, xs: jax.Array, method: Any) -> tuple[Any, Any]:
        run = unfold(cell, params, xs, method=method)
        return run.outputs, run.info

    def loss(params: Any, xs: jax.Array, method: Any) -> tuple[jax.Array, Any]:
        outputs, info = forward(params, xs, method)
        return jnp.mean(jnp.square(outputs)), info

    return Work(params, xs, forward, loss)


def _grid() -> tuple[list[Case], list[str]]:
    found, left_out = [], []
    sizes = itertools.product(((Elman, 2.0), (jaxrnn.GRU, 6.0)), HIDDEN, BATCHES, STEPS)
    for (make, products), hidden, batch, steps in sizes:
        shape, name = Shape(steps, batch, 8, hidden), make.__name__
        operations = products * steps * batch * hidden * (hidden + shape.input)
        if operations > MOST_OPERATIONS:
            left_out.append(f"{name} {shape} ({operations:.0e} operations)")
        elif 4 * steps * batch * hidden > MOST_BYTES:
            left_out.append(f"{name} {shape} ({4 * steps * batch * hidden >> 20:,} MiB of outputs)")
        else:
            build = lambda make=make, shape=shape: plain(make(shape.input, shape.hidden), shape)  # noqa: E731
            swept = hidden >= 512 and batch <= 4  # where "auto" may sweep; else it is Scan
            found.append(Case(name, shape, (BASE, "Shooting", "auto") if swept else (BASE, "Shooting"), build))
    return found, left_out


def _associative() -> tuple[list[Case], list[str]]:
    found, left_out = [], []
    for make in (jaxrnn.MinGRU, jaxrnn.MinLSTM, jaxrnn.LRU):
        for hidden in (32, 512):
            for batch in (1, 32):
                for steps in (128, 32_768):
                    shape = Shape(steps, batch, 16, hidden)
                    if 4 * steps * batch * hidden > MOST_BYTES:
                        left_out.append(f"{make.__name__} {shape}")
                        continue
                    build = lambda make=make, shape=shape: plain(make(shape.input, shape.hidden), shape)  # noqa: E731
                    found.append(Case(make.__name__, shape, (BASE, "Associative"), build))
    return found, left_out


def _eigenworms() -> Case:
    shape, classes = Shape(17_984, 4, 6, 32), 5
    net = Readout(Stack([jaxrnn.GRU(shape.input, 32), *[jaxrnn.GRU(32, 32)] * 4]), classes)

    def build() -> Work:
        xs = jax.random.normal(jax.random.key(1), (shape.time, shape.batch, shape.input))
        ys = jnp.arange(shape.batch) % classes

        def forward(params: Any, given: Any, method: Any) -> tuple[Any, Any]:
            run = unfold(net, params, given[0], method=method)
            return run.outputs, run.info

        def loss(params: Any, given: Any, method: Any) -> tuple[jax.Array, Any]:
            outputs, info = forward(params, given, method)
            return losses.negative_log_likelihood(outputs.mean(0), given[1]).mean(), info

        return Work(net.init(jax.random.key(0)), (xs, ys), forward, loss)

    names = (BASE, "Shooting", "Newton, full", "Newton, diagonal")
    return Case("five GRU layers", shape, names, build)


def _text(folder: Path) -> Iterator[Case]:
    """Language models of one character after another, at initialisation and trained."""
    shape = Shape(16_384, 1, 16, 512)
    nets = (
        (Elman, "initialisation", 0.0, 0),
        (Elman, "trained", 2e-3, 600),
        (jaxrnn.GRU, "initialisation", 0.0, 0),
        (jaxrnn.GRU, "trained", 2e-3, 600),
        (jaxrnn.GRU, "trained at twice the rate", 4e-3, 500),  # a net that does not forget
    )
    for make, state, rate, steps in nets:

        def build(make: Any = make, rate: float = rate, steps: int = steps) -> Work:
            text = data.shakespeare()
            alphabet = data.Alphabet.from_text(text)
            model = models.LanguageModel(len(alphabet), shape.input, make(shape.input, shape.hidden))
            before, after = (alphabet.encode(part) for part in data.split(text))
            params = model.init(jax.random.key(0))
            if steps:
                params = _trained(
                    model, params, before, folder / f"{make.__name__}-{rate}-{steps}.safetensors", rate, steps
                )
            tokens = jnp.asarray(after[: shape.time + 1])[:, None]

            def forward(params: Any, tokens: Any, method: Any) -> tuple[Any, Any]:
                xs = params.embedding[tokens[:-1]]
                run = unfold(model.cell, params.readout.cell, xs, method=method)
                return run.outputs, run.info

            def loss(params: Any, tokens: Any, method: Any) -> tuple[jax.Array, Any]:
                run = model.losses(params, None, (tokens[:-1], tokens[1:]), method=method)
                return run.outputs.mean(), run.info

            bits = float(jax.jit(lambda p, t: loss(p, t, Scan())[0])(params, tokens)) / math.log(2)
            note = f"{bits:.2f} bits a character" + (f" after {steps} steps" if steps else "")
            return Work(params, tokens, forward, loss, note)

        yield Case(f"{make.__name__}, {state}", shape, (BASE, "Shooting", "auto"), build)


def _trained(model: Any, params: Any, tokens: np.ndarray, path: Path, rate: float, steps: int) -> Any:
    """Parameters after `steps` steps of Adam on 32 streams of 64 characters; from the file, if it is there."""
    if path.exists():
        return training.load_parameters(path, params)
    optimizer = training.make_optimizer(rate, steps)
    inputs, targets = data.chunks(tokens, batch=32, seq_len=64)

    @jax.jit
    def step(params: Any, optimizer_state: Any, state: Any, batch: Any) -> Any:
        grads, (state, _) = jax.grad(model.loss, has_aux=True)(params, state, batch)
        updates, optimizer_state = optimizer.update(grads, optimizer_state, params)
        return optax.apply_updates(params, updates), optimizer_state, state

    optimizer_state, state = optimizer.init(params), model.initial_state(params, (32,))
    begin = time.perf_counter()
    for k in range(steps):
        batch = inputs[k % len(inputs)], targets[k % len(inputs)]
        params, optimizer_state, state = step(params, optimizer_state, state, batch)
    jax.block_until_ready(params)
    print(f"{path.stem}: trained in {time.perf_counter() - begin:.0f} s")
    path.parent.mkdir(parents=True, exist_ok=True)
    training.save_parameters(path, params)
    return params
