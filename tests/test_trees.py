"""`fold` against recursion in NumPy, finite differences, its own laws, and `unfold`."""

from functools import cache, partial
from typing import Any, NamedTuple

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import GRU, LSTM, Elman, LearnedInitialState, Readout, Stack, states, transition, trees, unfold
from jaxrnn.trees import RNTN, Chain, ChildSumTreeLSTM, NaryTreeLSTM, Tree, TreeCell, fold, schedule
from tests import grid, oracles, oracles_trees

D, H, N = 2, 3, 3  # entries of x, entries of h, children at most


class Entry(NamedTuple):
    """One cell of trees."""

    cell: TreeCell
    oracle: oracles_trees.TreeOracle
    arity: int = N


def _zeros(hidden: int) -> Any:
    return lambda p: np.zeros(hidden)


CELLS: dict[str, Entry] = {
    "child_sum": Entry(ChildSumTreeLSTM(D, H), oracles_trees.CHILD_SUM),
    "nary": Entry(NaryTreeLSTM(D, H, N), oracles_trees.NARY),
    "binary": Entry(NaryTreeLSTM(D, H), oracles_trees.NARY, 2),
    "rntn": Entry(RNTN(D, H), oracles_trees.RNTN, 2),
    "chain": Entry(
        Chain(transition(lambda p, s, x: jnp.tanh(s @ p + x), init=lambda key, dtype: jnp.eye(D, dtype=dtype) / 2,
                         initial_state=lambda p, batch: jnp.full((*batch, D), 0.5, p.dtype))),
        oracles_trees.chain(lambda p: np.full(D, 0.5), lambda p, s, x: np.tanh(p.T @ s + x), lambda p, s: s),
        1,
    ),
}  # fmt: skip
every_cell = pytest.mark.parametrize("entry", CELLS.values(), ids=CELLS)


def random_tree(rng: np.random.Generator, nodes: int, arity: int, gaps: bool = False, features: int = D) -> Tree:
    """A tree of a random shape: every node after the root below an earlier one that has room."""
    parents, room = [-1], [arity]
    for node in range(1, nodes):
        open_ones = [k for k in range(node) if room[k]]
        parents.append(open_ones[int(rng.integers(len(open_ones)))])
        room[parents[-1]] -= 1
        room.append(arity)
    tree = trees.from_parents(parents, rng.normal(size=(nodes, features)))
    if gaps:  # a child may have any place
        children = [rng.permutation(np.pad(c, (0, arity - len(c)), constant_values=-1)) for c in tree.children]
        tree = tree._replace(children=np.array(children, np.int32).reshape(nodes, arity))
    return tree


def forest(seed: int, arity: int, sizes: tuple[int, ...] = (1, 2, 9, 5, 14), gaps: bool = False) -> list[Tree]:
    rng = np.random.default_rng(seed)
    return [random_tree(rng, nodes, arity, gaps) for nodes in sizes]


@cache
def drawn(cell: Any) -> Any:
    """Parameters in double precision, compiled once for all tests."""
    with jax.enable_x64(True):
        return grid.host(grid.quick(lambda key: cell.init(key, jnp.float64))(jax.random.key(1, impl="unsafe_rbg")))


def params_of(cell: Any, dtype: Any = jnp.float64) -> Any:
    return grid.cast(drawn(cell), dtype)


def close(found: Any, expected: Any, rtol: float = 1e-9) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol), found, expected)


@every_cell
@pytest.mark.usefixtures("x64")
def test_fold_is_the_recursion(entry: Entry) -> None:
    many = forest(0, entry.arity, gaps=entry.arity > 1)
    params = params_of(entry.cell)
    batch = trees.batch(many)
    run = fold(entry.cell, params, batch)
    expected = [oracles_trees.folded(entry.oracle, grid.host(params), tree) for tree in many]
    for found, nodes in zip(trees.unbatch(batch, run.states), expected, strict=True):
        close(found, jax.tree.map(lambda *s: np.stack(s), *nodes))
    outputs = [[entry.oracle.output(grid.host(params), s) for s in nodes] for nodes in expected]
    close(trees.unbatch(batch, run.outputs), [np.stack(each) for each in outputs])
    close(run.roots, np.stack([each[-1] for each in outputs]))


@hypothesis.given(data=st.data())
def test_random_trees_are_the_recursion(data: Any) -> None:
    name = data.draw(st.sampled_from(sorted(CELLS)))
    entry = CELLS[name]
    sizes = data.draw(st.lists(st.integers(1, 12), min_size=4, max_size=4))
    many = forest(data.draw(st.integers(0, 999)), entry.arity, tuple(sizes), data.draw(st.booleans()))
    with jax.enable_x64(True):
        params = params_of(entry.cell)
        room = trees.Sizes(tuple(max(4, 48 // (k + 1)) for k in range(12)), (0, *[entry.arity] * 11))  # one program
        run = fold(entry.cell, params, trees.batch(many, room))
        roots = [oracles_trees.folded(entry.oracle, grid.host(params), tree)[-1] for tree in many]
        close(run.roots, np.stack([entry.oracle.output(grid.host(params), root) for root in roots]))


@every_cell
@pytest.mark.usefixtures("x64")
def test_gradients_are_finite_differences(entry: Entry, rng: np.random.Generator) -> None:
    """Of the recursion in NumPy, with respect to parameters and inputs."""
    many = forest(1, entry.arity, (1, 7, 4), gaps=entry.arity > 1)
    batch, params = trees.batch(many), params_of(entry.cell)
    weights = trees.unbatch(batch, np.cos(1.0 + np.arange(len(batch.nodes) * 4)).reshape(-1, 4))

    def oracle(both: Any) -> float:
        total = 0.0
        for tree, x, weight in zip(many, both[1], weights, strict=True):
            nodes = oracles_trees.folded(entry.oracle, both[0], tree._replace(x=x))
            outputs = np.stack([entry.oracle.output(both[0], s) for s in nodes])
            total += (weight[:, : outputs.shape[1]] * outputs).sum()
        return total

    def found(params: Any, batch: Any) -> jax.Array:
        outputs = fold(entry.cell, params, batch).outputs
        padded = np.cos(1.0 + np.arange(len(batch.nodes) * 4)).reshape(-1, 4)[:, : outputs.shape[1]]
        return (jnp.where((jnp.asarray(batch.nodes) >= 0)[:, None], outputs, 0) * padded).sum()

    of_params, of_batch = grid.quick(jax.grad(found, argnums=(0, 1), allow_int=True))(params, batch)
    along, slopes = oracles.differences(oracle, (grid.host(params), [tree.x for tree in many]), rng)
    grads = jax.tree.leaves((of_params, trees.unbatch(batch, of_batch.xs)))
    for gradient, direction, slope in zip(grads, along, slopes, strict=True):
        np.testing.assert_allclose((np.asarray(gradient) * direction).sum(), slope, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["child_sum", "rntn"])
@pytest.mark.usefixtures("x64")
def test_gradients_are_those_of_jax(name: str) -> None:
    """Also of whole states, and the second derivative, in reverse over reverse."""
    entry = CELLS[name]
    room = trees.Sizes((8, 4, 3, 3), (0, *[entry.arity] * 3))  # a single level, and a loop over levels
    batch, params = trees.batch(forest(2, entry.arity, (6, 3)), room), params_of(entry.cell)

    def of_states(run: Any, params: Any, xs: Any) -> jax.Array:
        found = run(entry.cell, params, batch.children, xs)
        real = batch.nodes >= 0
        return grid.weigh(jax.tree.map(lambda s: jnp.where(real[:, None], s, 0), found))

    for order in (1, 2):
        grads = []
        for run in (schedule.states, schedule.forward):
            first: Any = jax.grad(partial(of_states, run), argnums=(0, 1))
            both = first if order == 1 else jax.grad(lambda *a, first=first: grid.weigh(first(*a)), argnums=(0, 1))
            grads.append(grid.quick(both)(params, batch.xs))
        grid.close(*grads, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["child_sum", "nary", "rntn"])
@pytest.mark.usefixtures("x64")
def test_a_batch_is_its_trees_one_by_one(name: str) -> None:
    """Also in more room than it needs, and with its trees in another order."""
    entry = CELLS[name]
    many, params = forest(3, entry.arity, (5, 1, 8)), params_of(entry.cell)
    room = trees.largest([trees.sizes(many), trees.Sizes((14, 7, 7, 5, 5, 5, 5, 5, 5), (0, *[entry.arity] * 8))])
    ones = [trees.batch([tree], room) for tree in many]
    alone = [trees.unbatch(one, fold(entry.cell, params, one).outputs)[0] for one in ones]
    for order, sizes in (((0, 1, 2), None), ((2, 0, 1), None), ((1, 2, 0), room)):
        batch = trees.batch([many[k] for k in order], sizes)
        run = fold(entry.cell, params, batch)
        grid.close(trees.unbatch(batch, run.outputs), [alone[k] for k in order], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(run.roots, np.stack([alone[k][-1] for k in order]), rtol=1e-12)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run))
    gradient = grid.quick(jax.grad(partial(value_of_roots, entry.cell)))
    each = [gradient(params, trees.batch([tree], room)) for tree in many]
    summed = jax.tree.map(lambda *g: sum(g), *each)
    grid.close(gradient(params, trees.batch(many, room)), summed, rtol=1e-10, atol=1e-12)


def value_of_roots(cell: TreeCell, params: Any, batch: Any) -> jax.Array:
    return (fold(cell, params, batch).roots ** 3).sum()


@hypothesis.given(seed=st.integers(0, 999), nodes=st.integers(2, 15))
def test_child_sum_does_not_see_the_order_of_children(seed: int, nodes: int) -> None:
    rng = np.random.default_rng(seed)
    tree = random_tree(rng, nodes, N)
    shuffled = tree._replace(children=np.stack([rng.permutation(row) for row in tree.children]))
    with jax.enable_x64(True):
        for name, same in (("child_sum", True), ("nary", (shuffled.children == tree.children).all())):
            cell = CELLS[name].cell
            room = trees.Sizes((15,) * 15, (0, *[N] * 14))  # one program for all
            one, other = (
                np.asarray(fold(cell, params_of(cell), trees.batch([t], room)).roots) for t in (tree, shuffled)
            )
            assert (np.abs(one - other).max() < 1e-12) == same


SEQUENCES: dict[str, Any] = {
    "gru": GRU(D, H),
    "learned_start": LearnedInitialState(LSTM(D, H)),
    "readout_stack": Readout(Stack([Elman(D, H), GRU(H, 2)]), 2),
}


@pytest.mark.parametrize("cell", SEQUENCES.values(), ids=SEQUENCES)
@pytest.mark.usefixtures("x64")
def test_the_chain_is_the_tree_that_unfold_runs(cell: Any, rng: np.random.Generator) -> None:
    """Values of every step, and gradients, of sequences of unlike lengths."""
    lengths, params = [7, 1, 4], params_of(cell)
    xs = rng.normal(size=(7, 3, D))
    batch = trees.batch([
        trees.from_children([() if t == 0 else (t - 1,) for t in range(n)], xs[:n, k]) for k, n in enumerate(lengths)
    ])  # fmt: skip
    run = unfold(cell, params, jnp.asarray(xs), lengths=jnp.array(lengths), emit=states)
    found = trees.unbatch(batch, fold(Chain(cell), params, batch).states)
    for k, n in enumerate(lengths):
        grid.close(found[k], jax.tree.map(lambda a, k=k, n=n: a[:n, k], run.outputs), rtol=1e-12, atol=1e-12)

    def along_time(params: Any) -> jax.Array:
        return (unfold(cell, params, jnp.asarray(xs), lengths=jnp.array(lengths)).outputs ** 3).sum()

    def along_the_tree(params: Any) -> jax.Array:
        outputs = fold(Chain(cell), params, batch).outputs
        return (jnp.where((batch.nodes >= 0)[:, None], outputs, 0) ** 3).sum()

    grid.close(*(grid.quick(jax.grad(f))(params) for f in (along_the_tree, along_time)), rtol=1e-10, atol=1e-12)


def test_new_values_are_not_traced_again(rng: np.random.Generator) -> None:
    """Other trees, of other shapes and heights, in one size."""
    cell, traces = ChildSumTreeLSTM(D, H), 0

    @jax.jit
    def gradient(params: Any, batch: Any) -> Any:
        nonlocal traces
        traces += 1
        return jax.grad(partial(value_of_roots, cell))(params, batch)

    params = params_of(cell, jnp.float32)
    many = [random_tree(rng, int(n), N)._replace(x=rng.normal(size=(n, D)).astype(np.float32)) for n in (9, 3, 14, 5)]
    found = [gradient(params, batch.trees).W for batch in trees.batches(many, 2, seed=0)]
    assert traces == 1
    assert not np.allclose(*found)


def test_a_program_does_not_grow_with_the_height(rng: np.random.Generator) -> None:
    """Ten times the nodes in a chain are the same program; also a tree of such height is no recursion of Python."""

    def lines(nodes: int) -> int:
        chain = trees.from_parents([*range(1, nodes), -1], rng.normal(size=(nodes, D)).astype(np.float32))
        batch = trees.batch([chain])
        program = jax.jit(jax.grad(lambda params: value_of_roots(Chain(GRU(D, H)), params, batch)))
        return len(program.lower(params).as_text().splitlines())

    params = params_of(GRU(D, H), jnp.float32)
    assert lines(3000) == lines(300)


def test_steps_are_those_of_the_highest_tree(rng: np.random.Generator) -> None:
    many = forest(5, N, (30,) * 40)
    batch = trees.batch(many)
    assert sum(run.shape[0] for run in batch.children) == len(trees.sizes(many).widths) - 1
    assert len(trees.sizes(many).widths) == max(len(trees.sizes([tree]).widths) for tree in many)
    assert len(batch.children) <= np.log2(batch.children[0].shape[1]) + 1  # few runs of levels
    assert (np.asarray(batch.nodes) >= 0).sum() == 30 * 40


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
@every_cell
def test_types_are_those_of_the_parameters(entry: Entry, dtype: Any) -> None:
    batch = trees.batch(forest(4, entry.arity, (4, 6)))
    batch = batch._replace(xs=jnp.asarray(batch.xs, dtype))
    params = params_of(entry.cell, dtype)
    run, grads = jax.eval_shape(
        lambda p, b: (fold(entry.cell, p, b), jax.grad(partial(value_of_roots, entry.cell))(p, b)), params, batch
    )
    assert {leaf.dtype for leaf in jax.tree.leaves((run, grads))} == {jnp.dtype(dtype)}


@pytest.mark.usefixtures("x64")
def test_under_vmap() -> None:
    """Three sets of parameters, as of an ensemble: values and gradients."""
    cell, batch = ChildSumTreeLSTM(D, H), trees.batch(forest(6, N, (5, 9)))
    params = jax.vmap(lambda key: cell.init(key, jnp.float64))(jax.random.split(jax.random.key(0), 3))
    gradient = jax.value_and_grad(lambda params: value_of_roots(cell, params, batch))
    together = grid.quick(jax.vmap(gradient))(params)
    one_by_one = [gradient(jax.tree.map(lambda a, k=k: a[k], params)) for k in range(3)]
    grid.close(together, jax.tree.map(lambda *a: np.stack(a), *one_by_one), rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_integers_have_no_gradient_and_closures_have_theirs(rng: np.random.Generator) -> None:
    """A cell whose state counts and whose input is a tree of arrays; then one whose function reads a traced array."""
    xs = {"gain": rng.normal(size=(4, 1)), "in": rng.normal(size=(4, D))}
    batch = trees.batch([trees.from_children([(), (0,), (1,), (2,)], xs)])
    params = params_of(grid.COUNTING)
    run = fold(Chain(grid.COUNTING), params, batch)
    assert run.states["number"].tolist() == [1, 2, 3, 4]
    found = jax.grad(lambda p: fold(Chain(grid.COUNTING), p, batch).roots.sum())(params)
    expected = jax.grad(lambda p: unfold(grid.COUNTING, p, jax.tree.map(jnp.asarray, xs)).outputs[-1].sum())(params)
    grid.close(found, expected, rtol=1e-10, atol=1e-12)

    def closing(A: jax.Array) -> jax.Array:
        cell = transition(lambda p, s, x: jnp.tanh(s @ A + x["in"]), initial_state=lambda p, b: jnp.ones((*b, D)))
        return fold(Chain(cell), None, batch).roots.sum()

    def looped(A: jax.Array) -> jax.Array:
        s = jnp.ones(D)
        for x in xs["in"]:
            s = jnp.tanh(s @ A + x)
        return s.sum()

    grid.close(*(jax.grad(f)(params["A"]) for f in (closing, looped)), rtol=1e-10, atol=1e-12)


TREE = Tree(np.array([[-1, -1], [-1, -1], [0, 1]]), np.ones((3, D), np.float32))
WIDE = trees.from_children([(), (), (), (0, 1, 2)], np.ones((4, D), np.float32))
LONG = trees.batch([trees.from_children([(), (0,)], np.ones((2, 4, D), np.float32))])
CELL = NaryTreeLSTM(D, H)
WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "a class": (lambda p: fold(NaryTreeLSTM, p, trees.batch([TREE])), TypeError, "cell must be a TreeCell"),  # pyright: ignore
    "a cell of sequences": (lambda p: fold(GRU(D, H), p, trees.batch([TREE])), TypeError, "Chain(cell)"),  # pyright: ignore
    "a tree": (lambda p: fold(CELL, p, TREE), TypeError, "got Tree: pass trees.batch([tree, ...])"),  # pyright: ignore
    "children beyond the arity": (lambda p: fold(CELL, p, trees.batch([WIDE])), ValueError, "a node has 3 children"),
    "a chain of two": (lambda p: fold(Chain(GRU(D, H)), p, trees.batch([TREE])), ValueError, "takes at most 1"),
    "other parameters": (
        lambda p: fold(CELL, p._replace(b=p.b[1:]), trees.batch([TREE])),
        ValueError,
        "params must be like",
    ),
    "other features": (
        lambda p: fold(CELL, p, trees.batch([TREE._replace(x=np.ones((3, 5), np.float32))])),
        ValueError,
        "the last axis of x must be input_size = 2",
    ),
    "axes between": (
        lambda p: fold(CELL, p, trees.batch([TREE._replace(x=np.ones((3, 4, D), np.float32))])),
        ValueError,
        "NaryTreeLSTM: x must be (nodes, 2), got shape (1, 4, 2)",
    ),
    "axes between, in a chain": (
        lambda p: fold(ChildSumTreeLSTM(D, H), ChildSumTreeLSTM(D, H).init(jax.random.key(0)), LONG),
        ValueError,
        "ChildSumTreeLSTM: x must be (nodes, 2), got shape (1, 4, 2)",
    ),
    "integers": (
        lambda p: fold(CELL, p, trees.batch([TREE._replace(x=np.ones((3, D), int))])),
        TypeError,
        "x must be of a floating type",
    ),
    "labels": (
        lambda p: trees.batch([trees.from_nested(("a", "b"))]),
        TypeError,
        "x must hold numbers, got object: make labels numbers first, such as by Labels",
    ),
    "xs of another batch": (
        lambda p: fold(CELL, p, trees.batch([TREE])._replace(xs=np.ones((2, D)))),
        ValueError,
        "every array of xs must be (3, ...), one for each place, got (2, 2)",
    ),
    "a state that changes": (lambda p: fold(Growing(), None, trees.batch([TREE])), TypeError, "must give states alike"),
    "no trees": (lambda p: trees.batch([]), ValueError, "batch: no trees: pass at least one"),
    "no trees in batches": (lambda p: trees.batches([], 4), ValueError, "batches: no trees"),
    "one tree": (lambda p: trees.batch(TREE), TypeError, "pass [tree]"),  # pyright: ignore
    "batches of none": (lambda p: trees.batches([TREE], 0), ValueError, "batches: size must be at least 1, got 0"),
    "unlike x": (
        lambda p: trees.batch([TREE, TREE._replace(x=np.ones((3, 5)))]),
        ValueError,
        "tree 1 has float64[5], the first float32[2]",
    ),
    "too little room": (
        lambda p: trees.batch([WIDE], trees.sizes([TREE])),
        ValueError,
        "the trees need Sizes(widths=(3, 1), arities=(0, 3))",
    ),
    "levels that widen": (lambda p: trees.batch([TREE], trees.Sizes((2, 3), (0, 2))), ValueError, "no level is wider"),
    "no room": (lambda p: trees.batch([TREE], (3, 2)), TypeError, "sizes must be Sizes(widths, arities)"),  # pyright: ignore
    "values of other places": (
        lambda p: trees.unbatch(trees.batch([TREE]), np.ones(2)),
        ValueError,
        "unbatch: values must be (3, ...), one for each place, got (2,)",
    ),
    "no hidden": (lambda p: ChildSumTreeLSTM(D, 0), ValueError, "ChildSumTreeLSTM: hidden_size must be at least 1"),
    "no arity": (lambda p: NaryTreeLSTM(D, H, 0), ValueError, "NaryTreeLSTM: arity must be at least 1"),
    "no cell": (lambda p: Chain(H), TypeError, "Chain: expected a cell, got 3"),  # pyright: ignore
    "no sizes": (lambda p: trees.largest([]), ValueError, "largest: no sizes"),
}


class Growing(TreeCell):
    """A cell whose inner nodes have larger states than its leaves."""

    arity = 2

    def init(self, key: Any, dtype: Any = jnp.float32) -> Any:
        return None

    def leaf(self, params: Any, x: Any) -> Any:
        return x

    def combine(self, params: Any, children: Any, mask: Any, x: Any) -> Any:
        return children.reshape(len(x), -1)

    def output(self, params: Any, state: Any) -> Any:
        return state


@pytest.mark.parametrize(("act", "kind", "says"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit(act: Any, kind: type[Exception], says: str) -> None:
    params = jax.eval_shape(lambda: CELL.init(jax.random.key(0)))
    with pytest.raises(kind) as caught:
        act(jax.tree.map(lambda a: jnp.zeros(a.shape), params))
    assert says in str(caught.value)


def test_forward_mode_is_refused() -> None:
    params = params_of(CELL, jnp.float32)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda p: fold(CELL, p, trees.batch([TREE])).roots, (params,), (params,))
