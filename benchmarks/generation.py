"""Symbols a second that a language model writes, one after another, batch 1: LSTMs, in turns with rivals.

    python -m benchmarks.generation --out benchmarks/results/NAME-generation.json

Every entrant draws from softmax(logits) with its own random numbers. That they compute one network is checked on what
each writes where the likeliest symbol is always taken, beside the same in float64 NumPy.
"""

import argparse
import contextlib
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import machine, report, turns
from jaxrnn import LSTM, LSTMParams, ReadoutParams, Stack
from jaxrnn.models import LanguageModel
from jaxrnn.models.language import LanguageModelParams

OWN = "jaxrnn"


class Net(NamedTuple):
    """Weights of a language model, in float32."""

    embedding: np.ndarray  # (vocabulary, embedding)
    layers: tuple[LSTMParams, ...]
    V: np.ndarray  # (hidden, vocabulary)
    c: np.ndarray  # (vocabulary,)


# (steps, greedy) -> symbols after symbol 0; it returns only when they are there.
Write = Callable[[int, bool], np.ndarray]


def draw(vocabulary: int, embedding: int, hidden: int, layers: int, seed: int = 0) -> Net:
    """Weights large enough that the likeliest symbols differ from step to step."""
    rng = np.random.default_rng(seed)

    def uniform(*size: int) -> np.ndarray:
        return (3 * hidden**-0.5 * rng.uniform(-1, 1, size)).astype(np.float32)

    sizes = [embedding] + [hidden] * (layers - 1)
    cells = tuple(
        LSTMParams(uniform(n, 4 * hidden), uniform(hidden, 4 * hidden), uniform(4 * hidden))  # pyright: ignore[reportArgumentType]
        for n in sizes
    )
    E = rng.standard_normal((vocabulary, embedding)).astype(np.float32)
    return Net(E, cells, uniform(hidden, vocabulary), uniform(vocabulary))


def greedy(net: Net, steps: int) -> np.ndarray:
    """What the net writes after symbol 0, always the likeliest, in float64."""
    net = jax.tree.map(lambda a: a.astype(np.float64), net)
    hidden, token, written = net.V.shape[0], 0, []
    h = [np.zeros(hidden) for _ in net.layers]
    c = [np.zeros(hidden) for _ in net.layers]
    for _ in range(steps):
        x = net.embedding[token]
        for k, p in enumerate(net.layers):
            i, f, g, o = np.split(x @ p.U + h[k] @ p.W + p.b, 4)
            c[k] = c[k] / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            x = h[k] = np.tanh(c[k]) / (1 + np.exp(-o))
        token = int(np.argmax(x @ net.V + net.c))
        written.append(token)
    return np.array(written)


def own(net: Net) -> Write:
    """`LanguageModel.generate`."""
    hidden, (vocabulary, embedding) = net.V.shape[0], net.embedding.shape
    stack = Stack([LSTM(p.U.shape[0], hidden) for p in net.layers])
    model = LanguageModel(vocabulary, embedding, stack)
    net = jax.tree.map(jnp.asarray, net)
    params = LanguageModelParams(net.embedding, ReadoutParams(net.layers, net.V, net.c))  # pyright: ignore[reportArgumentType]
    prompt = jnp.zeros(1, jnp.int32)

    def write(steps: int, greedy: bool) -> np.ndarray:
        tokens = model.generate(
            params, jax.random.key(0), prompt=prompt, steps=steps, temperature=0.0 if greedy else 1.0
        )
        return np.asarray(tokens)

    return write


def by_hand(net: Net) -> Write:
    """The fastest loop that we know to write in JAX.

    The first layer's x U + b is a table of a row for each symbol; the layers above have one product of (x, h); the
    random numbers of all steps are drawn at once; symbols are one `argmax` of logits and Gumbel noise.
    """
    net = jax.tree.map(jnp.asarray, net)
    first, *above = net.layers

    @partial(jax.jit, static_argnums=(2, 3))
    def loop(net: Net, key: jax.Array, steps: int, greedy: bool) -> jax.Array:
        table = net.embedding @ first.U + first.b[None]
        joined = [jnp.concatenate([p.U, p.W]) for p in above]
        noise = jnp.zeros((steps, *net.c.shape)) if greedy else jax.random.gumbel(key, (steps, *net.c.shape))

        def step(carry: Any, noise: jax.Array) -> Any:
            token, h, c = carry
            new_h, new_c = [], []
            for k in range(len(net.layers)):
                if k == 0:
                    z = table[token] + h[0] @ first.W
                else:
                    z = jnp.concatenate([new_h[-1], h[k]]) @ joined[k - 1] + above[k - 1].b
                i, f, g, o = jnp.split(z, 4)
                new_c.append(jax.nn.sigmoid(f) * c[k] + jax.nn.sigmoid(i) * jnp.tanh(g))
                new_h.append(jax.nn.sigmoid(o) * jnp.tanh(new_c[-1]))
            token = jnp.argmax(new_h[-1] @ net.V + net.c + noise).astype(jnp.int32)
            return (token, new_h, new_c), token

        zeros = [jnp.zeros(net.V.shape[0]) for _ in net.layers]
        return jax.lax.scan(step, (jnp.int32(0), zeros, zeros), noise)[1]

    return lambda steps, greedy: np.asarray(loop(net, jax.random.key(0), steps, greedy))


def _torch_net(net: Net, cells: bool) -> Any:
    import torch

    def fill(module: Any, params: Any, suffix: str) -> Any:
        pairs = (("weight_ih", params.U.T), ("weight_hh", params.W.T), ("bias_ih", params.b), ("bias_hh", 0 * params.b))
        for name, array in pairs:
            getattr(module, name + suffix).copy_(torch.tensor(np.ascontiguousarray(array)))
        return module

    hidden = net.V.shape[0]
    with torch.no_grad():
        if cells:
            return [fill(torch.nn.LSTMCell(p.U.shape[0], hidden), p, "") for p in net.layers]
        layers = torch.nn.LSTM(net.embedding.shape[1], hidden, len(net.layers))
        for k, p in enumerate(net.layers):
            fill(layers, p, f"_l{k}")
        layers.flatten_parameters()
        return layers


def in_torch(net: Net, cells: bool) -> Write:
    """The loop of a tutorial in PyTorch: one step of `nn.LSTM`, or one of each `nn.LSTMCell`, and a draw."""
    import torch

    network = _torch_net(net, cells)
    E, V, bias = (torch.tensor(a) for a in (net.embedding, net.V, net.c))

    @torch.inference_mode()
    def write(steps: int, greedy: bool) -> np.ndarray:
        torch.manual_seed(0)
        token, state, written = 0, None, []
        states: list[Any] = [None] * len(net.layers)
        for _ in range(steps):
            x = E[token][None]
            if cells:
                for k, cell in enumerate(network):
                    states[k] = cell(x, states[k])
                    x = states[k][0]
            else:
                x, state = network(x, state)
            logits = torch.addmm(bias, x, V)[0]
            token = int(logits.argmax() if greedy else torch.multinomial(torch.softmax(logits, 0), 1))
            written.append(token)
        return np.array(written)

    return write


def entrants(net: Net) -> dict[str, Write]:
    """All that are installed."""
    found = {OWN: own(net), "JAX by hand": by_hand(net)}
    with contextlib.suppress(ImportError):
        found |= {"torch, nn.LSTM": in_torch(net, False), "torch, nn.LSTMCell": in_torch(net, True)}
    return found


def measure(net: Net, steps: int, check: int, seconds: float, rounds: int | None = None) -> dict[str, dict[str, Any]]:
    """Seconds a symbol of each entrant, and how many of the first symbols are those of float64."""
    expected, writes = greedy(net, check), entrants(net)
    found: dict[str, dict[str, Any]] = {}
    for name, write in writes.items():
        same = write(check, True) == expected
        found[name] = {"same": int(check if same.all() else np.argmin(same)), "of": check}
        found[name]["first_call_s"] = turns.timed(partial(write, steps, False))
    runs: dict[Hashable, Callable[[], Any]] = {name: partial(write, steps, False) for name, write in writes.items()}
    measured = turns.take_turns(runs, seconds=seconds, rounds=rounds)
    for name, times in measured.items():
        entry = {f"{part}_s": value / steps for part, value in turns.spread(times)._asdict().items()}
        entry |= {"ratio": turns.ratio(times, measured[OWN]), "rounds": len(times)}
        found[str(name)] |= entry
    return found


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generation", description="Symbols a second that a language model writes, batch 1."
    )
    parser.add_argument("--vocabulary", type=int, default=65)
    parser.add_argument("--embedding", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200, help="symbols written in a turn")
    parser.add_argument("--check", type=int, default=100, help="symbols compared with float64")
    parser.add_argument("--seconds", type=float, default=30, help="time for the rounds (at least 5 are made)")
    parser.add_argument("--rounds", type=int, help="rounds; default: what --seconds allows")
    parser.add_argument("--out", type=Path, help="write the result here, as JSON")
    chosen = parser.parse_args(arguments)
    net = draw(chosen.vocabulary, chosen.embedding, chosen.hidden, chosen.layers)
    result = {
        "kind": "generation",
        **machine.describe(["jaxrnn", "torch"]),
        "clock": "wall",
        "net": f"LSTM, {chosen.layers} x {chosen.hidden}, embedding {chosen.embedding}, {chosen.vocabulary} symbols",
        "steps": chosen.steps,
        "entrants": measure(net, chosen.steps, chosen.check, chosen.seconds, chosen.rounds),
    }
    report.write(result, chosen.out)
    print(report.markdown(result))
    return result


if __name__ == "__main__":
    main()
