"""Spelling to phonemes on CMUdict by CTC: which phonemes, without saying which letter each belongs to.

python -m benchmarks.ctc > benchmarks/results/ctc.md

Each letter is `--frames` frames, each with an embedding of its own, since a letter may stand for several phonemes; two
layers of bidirectional GRU read them, and each frame is a phoneme or a blank. Given the spelling, frames are
independent of each other, which the phonemes of the encoder-decoder in `benchmarks.phonemes` are not. Words are split,
and errors counted, as there. A word with more phonemes than its frames can hold has no path: it is not trained on, and
tested like the others.
"""

import argparse
import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from jaxrnn import GRU, Bidirectional, Sequential, losses
from jaxrnn.data import (
    LETTERS,
    PHONEMES,
    cmudict,
    decode_phonemes,
    encode_phonemes,
    encode_spelling,
    pad,
    pair_buckets,
    split_words,
)
from jaxrnn.decoding import ErrorRates, ctc_beam_search, ctc_greedy, error_rates
from jaxrnn.layers import Dropout, Embedding
from jaxrnn.models import Pairs, Tagger
from jaxrnn.training import fit_batches, make_optimizer, use_all_cores

BLANK = 0  # phonemes are 1 + their places, as in the targets of the encoder-decoder
AT_ONCE = 1000  # words that are decoded side by side


def make_model(embedding: int, hidden: int, frames: int, dropout: float) -> Tagger:
    """Two layers of `hidden` units each way."""
    below = Bidirectional(GRU(embedding, hidden), GRU(embedding, hidden))
    above = Bidirectional(GRU(2 * hidden, hidden), GRU(2 * hidden, hidden))
    layers = [Embedding(frames * len(LETTERS), embedding), below, Dropout(dropout), above, Dropout(dropout)]
    return Tagger(Sequential(layers), 1 + len(PHONEMES))


def encode(word: str, frames: int) -> np.ndarray:
    """The frames of a spelling: `(frames · letters,)`."""
    return (frames * encode_spelling(word)[:, None] + np.arange(frames, dtype=np.int32)).reshape(-1)


def has_path(word: str, phonemes: Sequence[str], frames: int) -> bool:
    """Whether there are frames for all phonemes, and for a blank between equal ones."""
    equal = sum(a == b for a, b in itertools.pairwise(phonemes))
    return len(phonemes) + equal <= frames * len(word)


def make_loss(model: Tagger) -> Callable[..., Any]:
    """Nats a word."""

    def loss(params: Any, state: None, pairs: Pairs, key: Any) -> Any:
        source, lengths, target, counts = pairs
        o = model.apply(params, None, source, lengths=lengths, key=key).outputs
        return losses.ctc(o, target, lengths=lengths, label_lengths=counts, blank=BLANK).mean(), (None, {})

    return loss


def errors(
    model: Tagger, params: Any, dictionary: dict[str, Any], words: list[str], frames: int, beam: int | None
) -> ErrorRates:
    """The errors of the labels that are found, by a beam or, with None, by the likeliest path."""
    apply = jax.jit(lambda params, xs, n: model.apply(params, None, xs, lengths=n).outputs)
    found = []
    for k in range(0, len(words), AT_ONCE):
        some = words[k : k + AT_ONCE]
        xs, lengths = pad([encode(word, frames) for word in [*some, *["a"] * (AT_ONCE - len(some))]], multiple=16)
        logits = apply(params, xs, lengths)
        if beam is None:
            tokens = ctc_greedy(logits, lengths=lengths, blank=BLANK).tokens
        else:
            tokens = ctc_beam_search(logits, beam, lengths=lengths, blank=BLANK).tokens[0]
        found += [decode_phonemes(row) for row in np.asarray(tokens).T]
    return error_rates(found[: len(words)], [dictionary[word] for word in words])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ctc", description=__doc__)
    parser.add_argument("--embedding", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=96, help="units of each direction (default: 96)")
    parser.add_argument("--frames", type=int, default=2, help="of each letter (default: 2)")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=float, default=6)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--beam", type=int, default=8)
    parser.add_argument("--words", type=int, default=25_000, help="to train on, of 110,426 (default: 25,000)")
    parser.add_argument("--tested", choices=["validation", "test"], default="test")
    parser.add_argument("--test-words", type=int, help="only so many of them (default: all)")
    chosen = parser.parse_args(arguments)
    use_all_cores()
    dictionary, began = cmudict(), time.perf_counter()
    parts = split_words(dictionary)
    pairs = [(word, said) for word in parts.training[: chosen.words] for said in dictionary[word]]
    fitting = [(word, said) for word, said in pairs if has_path(word, said, chosen.frames)]
    sources = [encode(word, chosen.frames) for word, _ in fitting]
    targets = [encode_phonemes(said)[:-1] for _, said in fitting]
    steps = math.ceil(chosen.epochs * (len(fitting) // chosen.batch))

    def batches(epoch: int) -> Iterable[Pairs]:
        for bucket in pair_buckets(sources, targets, chosen.batch, seed=epoch, multiple=8):
            if len(bucket.places) == chosen.batch:
                yield Pairs(*bucket[:4])

    model = make_model(chosen.embedding, chosen.hidden, chosen.frames, chosen.dropout)
    params = model.init(jax.random.key(0))
    optimizer = make_optimizer(chosen.learning_rate, steps, clip=5.0)
    key = jax.random.key(1)
    found = fit_batches(make_loss(model), params, batches, optimizer=optimizer, steps=steps, key=key)
    trained = time.perf_counter() - began
    words = (parts.test if chosen.tested == "test" else parts.validation)[: chosen.test_words]
    without = sum(not any(has_path(word, said, chosen.frames) for said in dictionary[word]) for word in words)
    parameters, trained_on = sum(a.size for a in jax.tree.leaves(params)), len(parts.training[: chosen.words])
    print(
        f"# Spelling to phonemes by CTC, CMUdict\n\nTwo layers of bidirectional GRU, {chosen.hidden} units each way, "
        f"{parameters:,} parameters, {chosen.frames} frames a letter; {len(fitting):,} pronunciations of "
        f"{trained_on:,} words ({len(pairs) - len(fitting)} more have no path), {steps:,} steps of {chosen.batch}. "
        f"Training {trained:.0f} s, of them {found.compile_seconds:.0f} s of compilation.\n\n{len(words):,} "
        f"{chosen.tested} words, none of them trained on; of {without} no pronunciation has a path. In percent:\n\n"
        "| decoding | phoneme error | word error | phoneme error, first alone | word error, first alone | seconds |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        flush=True,
    )
    for name, beam in (("greedy", None), (f"beam of {chosen.beam} prefixes", chosen.beam)):
        began = time.perf_counter()
        rates = errors(model, found.params, dictionary, words, chosen.frames, beam)
        figures = " | ".join(f"{100 * rate:.2f}" for rate in rates)
        print(f"| {name} | {figures} | {time.perf_counter() - began:.0f} |", flush=True)


if __name__ == "__main__":
    main()
