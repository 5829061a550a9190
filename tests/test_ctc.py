"""CTC against the sum over all paths of a tiny alphabet, PyTorch, and a beam that holds every prefix."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxrnn import decoding, losses
from tests import grid

C, T = 3, 5
LOGITS = 2 * np.random.default_rng(0).normal(size=(T, 4, C))
LENGTHS = np.array([T, 0, 3, 4])


def collapse(path: Any, blank: int) -> tuple[int, ...]:
    """Repeats joined, then blanks removed."""
    return tuple(k for k, _ in itertools.groupby(path) if k != blank)


def labellings(logits: np.ndarray, blank: int) -> dict[tuple[int, ...], float]:
    """P of every labelling: the sum over all paths that collapse to it."""
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(C), repeat=len(p)):
        labels = collapse(path, blank)
        found[labels] = found.get(labels, 0.0) + float(np.prod(p[np.arange(len(p)), list(path)]))
    return found


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("blank", range(C))
def test_a_loss_is_the_sum_over_all_alignments(blank: int) -> None:
    """For every labelling of each sequence, and those that no path has; the probabilities sum to one."""
    symbols = [k for k in range(C) if k != blank]
    every = [y for n in range(T + 1) for y in itertools.product(symbols, repeat=n)]
    labels, counts = np.full((T, len(every)), -7), np.array([len(y) for y in every])  # padding that is no class
    for k, y in enumerate(every):
        labels[: len(y), k] = y
    program = grid.quick(lambda o, n: losses.ctc(o, labels, lengths=n, label_lengths=counts, blank=blank))
    for row, n in enumerate(LENGTHS):
        o = np.broadcast_to(LOGITS[:, [row]], (T, len(every), C)).copy()
        o[n:] = np.nan
        expected = labellings(LOGITS[:n, row], blank)
        found = np.exp(-np.asarray(program(o, np.full(len(every), n))))
        np.testing.assert_allclose(found, [expected.get(y, 0.0) for y in every], rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(found.sum(), 1, atol=1e-9)


def test_a_loss_and_its_gradient_are_pytorchs() -> None:
    o, labels = np.random.default_rng(1).normal(size=(12, 3, 6)), np.array([[1, 5, 2], [1, 3, 4], [2, 3, 0], [4, 0, 0]])
    lengths, counts = np.array([12, 7, 9]), np.array([4, 3, 2])
    given = torch.tensor(o, requires_grad=True)
    expected = torch.nn.functional.ctc_loss(
        given.log_softmax(-1), torch.tensor(labels.T), torch.tensor(lengths), torch.tensor(counts), reduction="none"
    )
    expected.sum().backward()

    def total(o: Any) -> Any:
        value = losses.ctc(o, labels, lengths=lengths, label_lengths=counts)
        return value.sum(), value

    (_, value), slope = grid.quick(jax.value_and_grad(total, has_aux=True))(jnp.asarray(o, jnp.float32))
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-4)
    assert given.grad is not None
    np.testing.assert_allclose(slope, given.grad.numpy(), rtol=1e-3, atol=1e-5)


def test_what_no_path_has_is_impossible_and_has_no_gradient() -> None:
    o = jnp.asarray(LOGITS[:, 0], jnp.float32)
    same = jnp.ones(4, int)  # four equal labels need three blanks between them

    @grid.quick
    def program(o: jax.Array) -> Any:
        return jax.value_and_grad(losses.ctc)(o, same), losses.ctc(o[:0], same[:0])

    (value, slope), nothing = program(o)
    assert value == jnp.inf
    assert not slope.any()
    assert nothing == 0
    for frames, labels, shape in (((0, 2, C), (0, 2), (2,)), ((3, 0, C), (2, 0), (0,))):
        assert jax.eval_shape(losses.ctc, jnp.zeros(frames), jnp.zeros(labels, int)).shape == shape
    assert jax.eval_shape(losses.ctc, o.astype(jnp.bfloat16), same[:2]).dtype == jnp.float32


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("blank", [0, 2])
def test_a_beam_of_all_prefixes_finds_all_labellings(blank: int) -> None:
    """With their exact probabilities, in order, none twice; one row at a time and in a batch of two axes."""
    beam = sum(2**n for n in range(T + 1)) + 5
    logits = jnp.asarray(LOGITS).reshape(T, 2, 2, C)
    search = grid.quick(lambda o: decoding.ctc_beam_search(o, beam, lengths=LENGTHS.reshape(2, 2), blank=blank))
    found = search(logits)
    assert found.tokens.shape == (beam, T, 2, 2)
    assert found.tokens.dtype == jnp.int32
    for row, n in enumerate(LENGTHS):
        expected = labellings(LOGITS[:n, row], blank)
        at = (slice(None), *np.unravel_index(row, (2, 2)))
        p, counts = np.exp(np.asarray(found.log_probs[at])), np.asarray(found.lengths[at])
        tokens = np.asarray(found.tokens)[(slice(None), slice(None), *np.unravel_index(row, (2, 2)))]
        seen = {tuple(tokens[k, : counts[k]].tolist()): p[k] for k in range(beam) if p[k] > 0}
        assert len(seen) == (p > 0).sum() == len(expected)
        assert (np.diff(p) <= 0).all()
        for labels, value in expected.items():
            np.testing.assert_allclose(seen[labels], value, rtol=1e-10)


def hannun(p: np.ndarray, beam: int, blank: int) -> dict[tuple[int, ...], float]:
    """Algorithm 1 of the paper without a language model, with dictionaries."""
    prefixes: dict[tuple[int, ...], tuple[float, float]] = {(): (1.0, 0.0)}
    for frame in p:
        new: dict[tuple[int, ...], list[float]] = {}
        for labels, (b, nb) in prefixes.items():
            new.setdefault(labels, [0, 0])[0] += frame[blank] * (b + nb)
            if labels:
                new[labels][1] += frame[labels[-1]] * nb
            for c in range(len(frame)):
                if c != blank:
                    grown = new.setdefault((*labels, c), [0, 0])
                    grown[1] += frame[c] * (b if labels and labels[-1] == c else b + nb)
        best = sorted(new, key=lambda y: -sum(new[y]))[:beam]
        prefixes = {y: (new[y][0], new[y][1]) for y in best}
    return {y: sum(v) for y, v in prefixes.items()}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("beam", [1, 2, 7])
def test_a_narrow_beam_is_the_papers_algorithm(beam: int, rng: np.random.Generator) -> None:
    logits = 2 * rng.normal(size=(14, 5, 6))
    found = grid.quick(lambda o: decoding.ctc_beam_search(o, beam, blank=3))(logits)
    for row in range(5):
        p = np.exp(logits[:, row]) / np.exp(logits[:, row]).sum(-1, keepdims=True)
        expected = hannun(p, beam, 3)
        counts, tokens = np.asarray(found.lengths[:, row]), np.asarray(found.tokens[:, :, row])
        assert [tuple(tokens[k, : counts[k]].tolist()) for k in range(beam)] == list(expected)
        np.testing.assert_allclose(np.exp(found.log_probs[:, row]), list(expected.values()), rtol=1e-9)
        assert not tokens[np.arange(14) >= counts[:, None]].any()


@pytest.mark.parametrize("blank", range(C))
def test_greedy_is_the_best_path_collapsed(blank: int) -> None:
    found = grid.quick(lambda o, n: decoding.ctc_greedy(o, lengths=n, blank=blank))(LOGITS, LENGTHS)
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    for row, n in enumerate(LENGTHS):
        labels = collapse(LOGITS[:n, row].argmax(-1), blank)
        assert tuple(np.asarray(found.tokens[: found.lengths[row], row]).tolist()) == labels
        assert not found.tokens[found.lengths[row] :, row].any()
        np.testing.assert_allclose(found.log_probs[row], np.log(p[:n, row].max(-1)).sum(), rtol=1e-5, atol=1e-6)


def test_no_frames_and_no_labels() -> None:
    assert decoding.ctc_greedy(jnp.zeros((0, 2, C))).lengths.tolist() == [0, 0]
    assert decoding.ctc_beam_search(jnp.zeros((0, 2, C)), 2).log_probs[0].tolist() == [0, 0]
    assert decoding.ctc_beam_search(jnp.zeros((4, 2, 1)), 3).log_probs[:, 0].tolist() == [0, -np.inf, -np.inf]


def test_a_labelling_that_is_not_there_has_no_tokens() -> None:
    certain = jnp.log(jnp.eye(C)[jnp.array([1, 1, 0, 1])])  # of one path alone
    found = decoding.ctc_beam_search(certain, 3)
    assert found.log_probs.tolist() == [0, -np.inf, -np.inf]
    assert found.tokens.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_a_blank_of_numpy_is_a_blank() -> None:
    np.testing.assert_array_equal(
        losses.ctc(O, np.zeros((1, 2), int), blank=np.int64(2)),  # pyright: ignore[reportArgumentType]
        losses.ctc(O, np.zeros((1, 2), int), blank=2),
    )


O = jnp.zeros((4, 2, C))  # noqa: E741
WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "a blank beyond": (lambda: losses.ctc(O, np.ones((1, 2), int), blank=3), ValueError, "from 0 to 2, got 3"),
    "a blank beyond, greedy": (
        lambda: decoding.ctc_greedy(O, blank=-1),
        ValueError,
        "blank must be a class from 0 to 2",
    ),
    "a blank beyond, beam": (lambda: decoding.ctc_beam_search(O, 2, blank=9), ValueError, "got 9"),
    "a label that is the blank": (lambda: losses.ctc(O, np.zeros((1, 2), int)), ValueError, "other than the blank, 0"),
    "a label beyond": (lambda: losses.ctc(O, np.full((1, 2), 3)), ValueError, "classes from 0 to 2"),
    "labels of numbers": (lambda: losses.ctc(O, np.ones((1, 2))), TypeError, "labels must be integers"),
    "another batch": (lambda: losses.ctc(O, np.ones((1, 3), int)), ValueError, "batch axes (2,)"),
    "no batch": (lambda: losses.ctc(O, 1), ValueError, "labels must be (n, *batch)"),
    "many labels": (
        lambda: losses.ctc(O, np.ones((1, 2), int), label_lengths=np.array([1, 2])),
        ValueError,
        "label_lengths must be between 0 and 1, got 1 to 2",
    ),
    "many frames": (
        lambda: losses.ctc(O, np.ones((1, 2), int), lengths=np.array([5, 2])),
        ValueError,
        "between 0 and 4",
    ),
    "frames of one": (
        lambda: losses.ctc(O, np.ones((1, 2), int), lengths=3),
        ValueError,
        "lengths must have the batch",
    ),
    "half a frame": (
        lambda: losses.ctc(O, np.ones((1, 2), int), lengths=np.ones(2)),
        TypeError,
        "lengths must be integers",
    ),
    "integers": (lambda: decoding.ctc_greedy(O.astype(int)), TypeError, "logits must be of a floating type"),
    "no classes": (lambda: decoding.ctc_greedy(jnp.zeros(3)), ValueError, "(time, *batch, classes)"),
    "no beam": (lambda: decoding.ctc_beam_search(O, 0), ValueError, "beam must be at least 1"),
    "frames beyond": (lambda: decoding.ctc_beam_search(O, 2, lengths=np.array([5, 1])), ValueError, "the 4 steps"),
}


@pytest.mark.parametrize(("act", "kind", "says"), WRONG.values(), ids=WRONG.keys())
def test_wrong_frames_and_labels(act: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        act()
    assert says in str(caught.value)
