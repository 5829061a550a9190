"""`fold` over 1,000 unlike trees of 30 nodes, beside a Python loop over their nodes.

python -m benchmarks.trees > benchmarks/results/trees.md

The loop calls one jitted function for each node, and keeps the states in a list. Its gradient is JAX's own of that.
It is timed over some of the trees, which are the same for both in the comparison of values and gradients.
"""

import argparse
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.turns import spread, take_turns
from jaxrnn import ChildSumTreeLSTM, fold, trees
from jaxrnn.trees import Tree

FEATURES, NODES = 8, 30


def random_trees(count: int, seed: int = 0) -> list[Tree]:
    """Trees of 30 nodes, no two alike but by chance: each node's parent is any of those before it."""
    rng = np.random.default_rng(seed)

    def one() -> Tree:
        parents = [-1, *(int(rng.integers(node)) for node in range(1, NODES))]
        return trees.from_parents(parents, rng.normal(size=(NODES, FEATURES)).astype(np.float32))

    return [one() for _ in range(count)]


def loop(cell: ChildSumTreeLSTM, chosen: list[Tree]) -> Callable[[Any], jax.Array]:
    """Σ h(root)² by a call a node; compiled once for each number of children."""
    leaf, combine = jax.jit(cell.leaf), jax.jit(cell.combine)

    def total(params: Any) -> jax.Array:
        value = jnp.zeros(())
        for tree in chosen:
            states: list[Any] = []
            for node, x in zip(tree.children, tree.x, strict=True):
                of = [states[child] for child in node if child >= 0]
                if of:
                    stacked = jax.tree.map(lambda *a: jnp.stack(a, axis=1), *of)
                    states.append(combine(params, stacked, np.ones((1, len(of)), bool), x[None]))
                else:
                    states.append(leaf(params, x[None]))
            value += (states[-1].h ** 2).sum()
        return value

    return total


def folded(cell: ChildSumTreeLSTM, chosen: list[Tree]) -> Callable[[Any], jax.Array]:
    """The same by `fold`."""
    batch = jax.tree.map(jnp.asarray, trees.batch(chosen))
    return lambda params: (fold(cell, params, batch).roots ** 2).sum()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trees", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="trees to fold (default: 1,000)")
    parser.add_argument("--loop", type=int, default=20, help="trees that the loop goes over (default: 20)")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    cell = ChildSumTreeLSTM(FEATURES, chosen.hidden)
    params, many = cell.init(jax.random.key(0)), random_trees(chosen.count)
    few = many[: chosen.loop]
    runs: dict[Hashable, Callable[[], Any]] = {}
    for name, make in (("value", lambda f: f), ("value and gradient", jax.value_and_grad)):
        slow, fast, same = make(loop(cell, few)), jax.jit(make(folded(cell, many))), make(folded(cell, few))
        ours, theirs = (jnp.concatenate([a.ravel() for a in jax.tree.leaves(f(params))]) for f in (same, slow))
        difference = float(jnp.abs(ours - theirs).max() / jnp.abs(theirs).max())
        print(f"{name}: largest difference from the loop {difference:.0e} of the largest entry.", flush=True)
        jax.block_until_ready(fast(params))
        runs[name, "loop"] = lambda f=slow: jax.block_until_ready(f(params))
        runs[name, "fold"] = lambda f=fast: jax.block_until_ready(f(params))
    measured = take_turns(runs, seconds=1, rounds=chosen.rounds)
    print(
        f"\n{chosen.count:,} trees of {NODES} nodes, child-sum Tree-LSTM({FEATURES}, {chosen.hidden}), microseconds a "
        f"tree, medians of {chosen.rounds} rounds; the loop goes over {chosen.loop} of them.\n"
    )
    print("| | loop | fold | times faster |\n| --- | ---: | ---: | ---: |")
    for name in ("value", "value and gradient"):
        slow = 1e6 * spread(measured[name, "loop"]).median / chosen.loop
        fast = 1e6 * spread(measured[name, "fold"]).median / chosen.count
        print(f"| {name} | {slow:,.0f} | {fast:.1f} | {slow / fast:,.0f} |")


if __name__ == "__main__":
    main()
