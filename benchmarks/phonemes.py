"""Spelling to phonemes on CMUdict: an encoder-decoder with attention, trained and tested.

Words are split by chance, 12,000 to test on and 2,500 to look at meanwhile; a word is in one part with all its
pronunciations, and training has every pronunciation of its words. Stress is left out. Decoding is by beam search. Where
a word has several pronunciations, any of them is right in the word error, and the phoneme error is against the closest;
the figures against the first alone stand beside.
"""

import argparse
import json
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.machine import describe
from benchmarks.tables import head
from jaxrnn import GRU, AttendAfter, Bidirectional, MultiplicativeAttention
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
from jaxrnn.decoding import ErrorRates, error_rates
from jaxrnn.models import EncoderDecoder, Pairs
from jaxrnn.training import fit_batches, make_optimizer, save_parameters, use_all_cores


def make_model(embedding: int, encoder: int, decoder: int, dropout: float) -> EncoderDecoder:
    """A bidirectional GRU of `encoder` units each way, and a GRU that attends to it."""
    layer = Bidirectional(GRU(embedding, encoder), GRU(embedding, encoder))
    cell = AttendAfter(GRU(embedding, decoder), MultiplicativeAttention(decoder, 2 * encoder))
    return EncoderDecoder(len(LETTERS), 1 + len(PHONEMES), embedding, layer, cell, dropout=dropout)


def errors(
    model: EncoderDecoder, params: Any, dictionary: dict[str, Any], words: list[str], width: int, alpha: float = 0.0
) -> ErrorRates:
    """The errors of the best pronunciations that a beam finds."""
    found = []
    for k in range(0, len(words), 1000):
        some = words[k : k + 1000]
        some = [*some, *["a"] * (1000 - len(some))]  # one shape, one program
        source, lengths = pad([encode_spelling(word) for word in some], multiple=32)
        beams = model.beam_search(
            params, source, lengths=lengths, width=width, steps=32, n_best=1, length_penalty=alpha
        )
        found += [decode_phonemes(row) for row in np.asarray(beams.tokens[..., 0]).T]
    return error_rates(found[: len(words)], [dictionary[word] for word in words])


def main() -> None:
    """Trains, tests, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedding", type=int, default=64)
    parser.add_argument("--encoder", type=int, default=256, help="units of each direction")
    parser.add_argument("--decoder", type=int, default=256)
    parser.add_argument("--dropout", type=float, default=0.15)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--clip", type=float, default=5.0)
    parser.add_argument("--width", type=int, default=6, help="of the beam, on the test words")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--words", type=int, default=None, help="train on so many words only")
    parser.add_argument("--out", type=Path, help="a file NAME.json; NAME.md and NAME.safetensors come beside it")
    choices = parser.parse_args()
    use_all_cores()
    described = describe([])
    began = time.perf_counter()
    dictionary = cmudict()
    training, validation, test = split_words(dictionary)
    pairs = [(word, said) for word in training[: choices.words] for said in dictionary[word]]
    sources = [encode_spelling(word) for word, _ in pairs]
    targets = [encode_phonemes(said) for _, said in pairs]
    steps = math.ceil(choices.epochs * (len(pairs) // choices.batch))

    def batches(epoch: int) -> Iterable[Pairs]:
        for bucket in pair_buckets(sources, targets, choices.batch, seed=choices.seed + epoch, multiple=2):
            if len(bucket.places) == choices.batch:  # what is left over comes in another epoch
                yield Pairs(*bucket[:4])

    model = make_model(choices.embedding, choices.encoder, choices.decoder, choices.dropout)
    params = model.init(jax.random.key(choices.seed))
    lines: list[dict[str, Any]] = []

    def report(step: int, params: Any) -> None:
        greedy = errors(model, params, dictionary, validation, width=1)
        lines.append({"step": step, "seconds": time.perf_counter() - began, **greedy._asdict()})
        print(
            f"step {step}, {lines[-1]['seconds']:.0f} s: validation, greedy: phoneme error {greedy.symbols:.4f}, "
            f"word error {greedy.sequences:.4f}",
            flush=True,
        )

    found = fit_batches(
        model.loss,
        params,
        batches,
        optimizer=make_optimizer(choices.learning_rate, steps, clip=choices.clip),
        steps=steps,
        report=report,
        report_every=max(1, steps // 6),
        key=jax.random.key(choices.seed + 1),
    )
    trained = time.perf_counter() - began
    tested = {}
    for width, alpha in ((1, 0.0), (choices.width, 0.0), (choices.width, 1.0)):
        tested[f"width {width}, α = {alpha:g}"] = errors(model, found.params, dictionary, test, width, alpha)
    result = {
        "choices": {k: v for k, v in vars(choices).items() if k != "out"},
        **described,
        "parameters": sum(a.size for a in jax.tree.leaves(params)),
        "training_words": len(training[: choices.words]),
        "training_pairs": len(pairs),
        "test_words": len(test),
        "steps": steps,
        "compile_seconds": found.compile_seconds,
        "training_seconds": trained,
        "seconds": time.perf_counter() - began,
        "last_loss": float(found.losses[-min(500, steps) :].mean()),
        "validation": lines,
        "test": {name: rates._asdict() for name, rates in tested.items()},
    }
    text = table(result)
    print(text)
    if choices.out is not None:
        choices.out.parent.mkdir(parents=True, exist_ok=True)
        choices.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        choices.out.with_suffix(".md").write_text(text, encoding="utf-8")
        save_parameters(choices.out.with_suffix(".safetensors"), found.params)


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    asked = result["choices"]
    lines = [
        "# Spelling to phonemes, CMUdict",
        "",
        f"Bidirectional GRU of {asked['encoder']} units each way, GRU of "
        f"{asked['decoder']} that attends to it (multiplicative), {result['parameters']:,} parameters, dropout "
        f"{asked['dropout']}; {result['training_pairs']:,} pronunciations of {result['training_words']:,} words, "
        f"{result['steps']:,} steps of {asked['batch']}. {head(result)}",
        "",
        f"Training {result['training_seconds']:.0f} s, of them {result['compile_seconds']:.0f} s of compilation; with "
        f"the tests {result['seconds']:.0f} s.",
        "",
        f"The {result['test_words']:,} test words, none of them trained on, in percent:",
        "",
        "| beam | phoneme error | word error | phoneme error, first alone | word error, first alone |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, rates in result["test"].items():
        lines.append("| " + " | ".join([name, *(f"{100 * rate:.2f}" for rate in rates.values())]) + " |")
    lines += [
        "",
        "Where a word has several pronunciations, any of them is right in the word error, and the phoneme error is",
        "against the closest; the last two columns compare with the first pronunciation alone.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
