# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A language model of characters
#
# A recurrent network reads a text and says, after every character, what may come next. From the text to samples, in
# about a minute of training. Losses are negative log-likelihoods, in nats where they are trained on and in bits
# (nats / log 2) a character where they are reported.

# %%
import bz2
import dataclasses
import json
import math
import re
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from IPython.display import display
from jax.flatten_util import ravel_pytree
from matplotlib import colormaps

from jaxrnn import GRU, TruncatedBPTT, unfold
from jaxrnn.data import Alphabet, chunks, padded_chunks, shakespeare, split
from jaxrnn.losses import reduce
from jaxrnn.models import LanguageModel
from jaxrnn.plotting import curves
from jaxrnn.training import (
    compile_evaluation,
    fit,
    init_train_state,
    load_parameters,
    make_optimizer,
    make_train_step,
    save_parameters,
)

plt.rcParams.update({"figure.figsize": (8, 3), "figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})

# %% [markdown]
# ## 1. The text
#
# Nine plays of Shakespeare come with the package. The last tenth is held out: nothing is learned from it.

# %%
text = shakespeare()
training, held_out = split(text)
alphabet = Alphabet.from_text(text)
print(f"{len(training):,} characters to train on, {len(held_out):,} held out, {len(alphabet)} symbols:")
print(repr(alphabet.symbols))
print()
print(held_out[:300])

# %%
tokens, unseen = alphabet.encode(training), alphabet.encode(held_out)
assert alphabet.decode(unseen) == held_out

frequency = np.bincount(tokens, minlength=len(alphabet)) / len(tokens)
order = np.argsort(-frequency)
plt.figure(figsize=(10, 2.5))
plt.bar(range(len(order)), frequency[order])
plt.xticks(range(len(order)), [{" ": "␣", "\n": "↵"}.get(alphabet.symbols[k], alphabet.symbols[k]) for k in order])
plt.yscale("log")
plt.ylabel("frequency")
plt.show()

# %% [markdown]
# What a model must beat, in bits a character of the held-out text:
#
# - all symbols equally likely, $\log_2 64 = 6$;
# - the frequencies above, $-\frac1n \sum_t \log_2 p(y^{(t)})$, which is near the entropy $-\sum_k p_k \log_2 p_k$;
# - a table of pairs, $p(y^{(t)} \mid y^{(t-1)})$: one character of memory;
# - bzip2, a program that knows nothing of language but finds what repeats: what the last tenth adds to the size of the
#   whole.

# %%
pairs = np.ones((len(alphabet), len(alphabet)))  # one each, so that no pair is impossible
np.add.at(pairs, (tokens[:-1], tokens[1:]), 1)
pairs /= pairs.sum(1, keepdims=True)
single = (np.bincount(tokens, minlength=len(alphabet)) + 1) / (len(tokens) + len(alphabet))

baselines = {
    "equally likely": math.log2(len(alphabet)),
    "single symbols": -np.log2(single[unseen]).mean(),
    "pairs": -np.log2(pairs[unseen[:-1], unseen[1:]]).mean(),
    "bzip2": 8 * (len(bz2.compress(text.encode())) - len(bz2.compress(training.encode()))) / len(held_out),
}
entropy = -(frequency[frequency > 0] * np.log2(frequency[frequency > 0])).sum()
print(f"entropy of single symbols in the training text: {entropy:.3f} bits\n")
for name, bits in baselines.items():
    print(f"{name:15} {bits:.3f} bits per character")
assert abs(baselines["single symbols"] - entropy) < 0.1
assert baselines["bzip2"] < baselines["pairs"] < baselines["single symbols"]

# %% [markdown]
# ## 2. Chunks
#
# To train, the text is cut into `batch` streams that are read side by side, and each stream into chunks of `seq_len`
# characters. A target is the character after its input. Here with the alphabet for a text, two streams, and chunks of
# four steps; a column is a stream.

# %%
letters = Alphabet("abcdefghijklmnopqrstuvwxyz")
small = chunks(letters.encode(letters.symbols), batch=2, seq_len=4)
print("inputs", small.inputs.shape, "= (chunks, time, batch)")
for k, chunk in enumerate(small.inputs):
    print(f"chunk {k}:", [letters.decode(stream) for stream in chunk.T], "->", end=" ")
    print([letters.decode(stream) for stream in small.targets[k].T])

# %% [markdown]
# Every stream goes on in chunk 1 where it ended in chunk 0: the state of the network can be carried over. What does not
# fill a chunk is left out, which is no loss in training. To evaluate, every character must count: `padded_chunks`
# pads the streams and says how long they are.

# %%
BATCH, SEQ_LEN = 32, 64
pieces = chunks(tokens, BATCH, SEQ_LEN)
to_evaluate = padded_chunks(unseen, batch=64, seq_len=SEQ_LEN)
print("to train on:", pieces.inputs.shape, "to evaluate on:", to_evaluate.inputs.shape)
assert np.array_equal(pieces.inputs[1:, 0], pieces.targets[:-1, -1])  # the next input is the last target
assert to_evaluate.lengths.sum() == len(held_out) - 1  # all but the first are targets, once

# %% [markdown]
# ## 3. The model and its loss
#
# $$x^{(t)} = E_{\text{token}(t)}, \qquad h^{(t)} = \text{GRU}(h^{(t-1)}, x^{(t)}), \qquad
# p(\text{token}(t+1) \mid \text{token}(1), \dots, \text{token}(t)) = \text{softmax}(c + h^{(t)} V)$$

# %%
model = LanguageModel(len(alphabet), embedding_size=32, cell=GRU(32, 128))
start = model.init(jax.random.key(0))
for path, array in jax.tree.leaves_with_path(start):
    print(f"{jax.tree_util.keystr(path, simple=True, separator='.'):18} {array.shape}")
print(f"{sum(a.size for a in jax.tree.leaves(start)):,} parameters")

# %% [markdown]
# Several layers are one more word: `cell=Stack([GRU(32, 128), GRU(128, 128)])`.
#
# The loss is the sum over time $L = \sum_t L^{(t)}$, $L^{(t)} = -\log p(y^{(t)} \mid x^{(1)}, \dots, x^{(t)})$.
# `model.losses` gives every $L^{(t)}$, `model.loss` their mean over the steps and the batch.

# %%
losses = jax.jit(model.losses)
first = (pieces.inputs[0], pieces.targets[0])
L = losses(start, None, first).outputs  # L(t) in nats, (time, batch); None: from the initial state
value, (state, metrics) = model.loss(start, None, first)
np.testing.assert_allclose(value, reduce(L).sum / L.size, rtol=1e-5)
print(f"L = {L.sum():.0f} nats over {L.size} steps: {metrics['bits_per_character']:.2f} bits per character")
assert abs(metrics["bits_per_character"] - baselines["equally likely"]) < 0.3

# %% [markdown]
# Before training the network is near the first baseline: it knows nothing.
#
# ## 4. One step by hand
#
# A train state holds all that a step reads and renews: parameters, the optimizer's own state, and the recurrent state
# in which the next chunk begins. A step is a pure function; the caller jits it. Any optax optimizer will do.

# %%
optimizer = optax.adam(4e-3)
step = jax.jit(make_train_step(model.loss, optimizer))
before = init_train_state(start, model.initial_state(start, (BATCH,)), jax.random.key(1), optimizer)
after, metrics = step(before, first)
print(f"loss of chunk 0: {metrics['loss']:.3f} nats")
np.testing.assert_allclose(after.state.h, state.h, atol=1e-5)  # carried on: the state at the end of chunk 0
assert jnp.all(before.state.h == 0)

after, metrics = step(after, (pieces.inputs[1], pieces.targets[1]))
print(f"loss of chunk 1: {metrics['loss']:.3f} nats, from the state that chunk 0 left")

# %% [markdown]
# The state is carried from chunk to chunk, the gradient is not: within a step the state that comes in is a constant.
# That is truncated back-propagation through time, and it has a name of its own for longer sequences:
# `TruncatedBPTT(64)` leaves all values as they are and cuts gradients every 64 steps. Two chunks after one another (with
# the same parameters) and both as one sequence, cut there: the same gradient. Full back-propagation differs by what
# crosses the cut.

# %%
second = (pieces.inputs[1], pieces.targets[1])
both = tuple(np.concatenate(parts) for parts in zip(first, second, strict=True))


@jax.jit
def three_gradients(params):
    gradient = jax.grad(model.loss, has_aux=True)
    g0, (state, _) = gradient(params, model.initial_state(params, (BATCH,)), first)
    g1, _ = gradient(params, state, second)
    truncated, _ = gradient(params, None, both, adjoint=TruncatedBPTT(SEQ_LEN))
    full, _ = gradient(params, None, both)
    return jax.tree.map(lambda a, b: (a + b) / 2, g0, g1), truncated, full


by_chunks, truncated, full = (ravel_pytree(g)[0] for g in three_gradients(after.params))
np.testing.assert_allclose(by_chunks, truncated, atol=1e-5)
share = jnp.linalg.norm(full - truncated) / jnp.linalg.norm(full)
print(f"what crosses the cut: {share:.1%} of the gradient's norm")

# %% [markdown]
# ## 5. Training
#
# `fit` is a loop around that step, with evaluation; it returns the parameters that were best on the held-out text.
# `make_optimizer` is Adam with a warm-up, a cosine and clipped gradients.

# %%
STEPS = 1800
evaluate, _ = compile_evaluation(model.loss, start, model.initial_state(start, (64,)), to_evaluate)
result = fit(
    model.loss,
    start,
    model.initial_state(start, (BATCH,)),
    pieces,
    optimizer=make_optimizer(8e-3, STEPS),
    steps=STEPS,
    evaluate=evaluate,
    progress=False,
)
params = result.params
for line in result.metrics:
    training_bits, held_out_bits = (line[name] / math.log(2) for name in ("training_loss", "validation_loss"))
    print(f"step {line['step']:5}: training {training_bits:.3f}, held out {held_out_bits:.3f} bits per character")

# %%
figure = curves(result.metrics)
for name in ("pairs", "bzip2"):
    figure.axes[0].axhline(baselines[name], color="k", linestyle=":")
    figure.axes[0].text(STEPS, baselines[name], name, ha="right", va="bottom")
display(figure)

# %%
bits = evaluate(params) / math.log(2)
print(f"held out: {bits:.3f} bits per character; bzip2 {baselines['bzip2']:.3f}")
assert bits < baselines["bzip2"]

# %% [markdown]
# ## 6. Samples
#
# `generate` reads a prompt, draws a character, reads it, and so on, in one compiled loop. One key gives one text.
# The temperature divides the logits: below 1 it sharpens the distribution, at 0 only the likeliest is left. `top_k`
# leaves the k likeliest characters, `top_p` the likeliest ones that together have this probability. Eight texts are
# written side by side; of their words we count those that the training text has, and how many of a text differ.

# %%
WORD = r"[\w'’]+"
prompts = np.repeat(alphabet.encode("\n\n")[:, None], 8, axis=1)  # (time, batch)
vocabulary = set(re.findall(WORD, training.lower()))


def write(**choices):
    """Eight texts of 400 characters."""
    written = model.generate(params, jax.random.key(2), prompt=prompts, steps=400, **choices)
    return [alphabet.decode(column) for column in np.asarray(written).T]


ways = [{"temperature": t} for t in (0.0, 0.5, 1.0, 1.5)] + [{"top_k": 5}, {"top_p": 0.9}]
known, different = {}, {}
for choices in ways:
    texts = write(**choices)
    words = [re.findall(WORD, one.lower())[:-1] for one in texts]  # the last may be cut short
    name = ", ".join(f"{key} = {value}" for key, value in choices.items())
    known[name] = np.mean([word in vocabulary for one in words for word in one])
    different[name] = np.mean([len(set(one)) / len(one) for one in words])
    print(f"----- {name}: {known[name]:.0%} of the words are known, {different[name]:.0%} of a text's words differ")
    print(texts[0].strip()[:220] + "\n")

assert write(temperature=1.0) == write(temperature=1.0)
assert known["temperature = 0.5"] > known["temperature = 1.0"] > known["temperature = 1.5"]
assert known["top_p = 0.9"] > known["temperature = 1.0"]
assert different["temperature = 0.0"] < different["temperature = 0.5"] < different["temperature = 1.5"]

# %% [markdown]
# At temperature 0 it repeats itself; at 1.5 half of its words are none.
#
# ## 7. What it has learned
#
# ### Surprise
#
# $L^{(t)}$ in bits is how much the character that came was a surprise. A passage of the held-out text, each character
# on a ground as dark as it surprised:


# %%
def show(passage, values, title, colours="Reds", low=None, high=None):
    """Text on coloured ground, one value a character."""
    lines = passage.split("\n")
    _, axes = plt.subplots(figsize=(10, 0.26 * len(lines) + 0.5))
    low, high = np.min(values) if low is None else low, np.max(values) if high is None else high
    position = 0
    for row, line in enumerate(lines):
        for column, character in enumerate(line + "↵"):
            if position < len(values):
                shade = (values[position] - low) / (high - low)
                axes.add_patch(plt.Rectangle((column, -row), 1, 1, color=colormaps[colours](0.7 * shade), linewidth=0))
                axes.text(column + 0.5, 0.5 - row, character, family="monospace", ha="center", va="center", fontsize=9)
            position += 1
    axes.set(xlim=(0, 66), ylim=(1 - len(lines), 1), title=title)
    axes.axis("off")
    plt.show()


count = 20_000
inputs, targets = unseen[:count], unseen[1 : count + 1]
surprise = np.asarray(losses(params, None, (inputs, targets)).outputs) / math.log(2)  # of the next character
begin = held_out.index("\n\n", 1000) + 2
shown = slice(begin, begin + 420)
show(held_out[shown], surprise[begin - 1 : begin + 419], "Surprise: white 0 bits, darkest 10", low=0, high=10)

# %% [markdown]
# The first letters of words surprise most. Over all of the twenty thousand characters, by the place of a letter in its
# word:

# %%
place, places = 0, []
for character in held_out[1 : count + 1]:
    place = place + 1 if character.isalpha() else 0
    places.append(place)
places = np.array(places)
mean_bits = [surprise[places == k].mean() for k in range(1, 9)]
plt.bar(range(1, 9), mean_bits)
plt.xlabel("place of the letter in its word")
plt.ylabel("surprise (bits)")
plt.show()
assert mean_bits[0] > mean_bits[3] + 1

# %% [markdown]
# ### A unit
#
# `unfold` over the cell alone gives $h^{(t)}$, 128 units for every character. Is there one that follows how far along
# the line we are? We take the unit whose correlation with the column is largest in the first ten thousand characters,
# and measure it again in the next ten thousand.

# %%
h = np.asarray(unfold(model.cell, params.readout.cell, params.embedding[inputs]).outputs)  # (time, hidden)
column, columns = 0, []
for character in held_out[:count]:
    column = 0 if character == "\n" else column + 1
    columns.append(column)
columns = np.array(columns)
half = count // 2


def correlation(units, values):
    """Of each unit (time, units) with the values (time,)."""
    units, values = units - units.mean(0), values - values.mean()
    return (units * values[:, None]).mean(0) / np.maximum(units.std(0) * values.std(), 1e-9)


found = correlation(h[:half], columns[:half])
unit = np.abs(found).argmax()
again = correlation(h[half:], columns[half:])[unit]
print(f"unit {unit}: correlation {found[unit]:+.2f}, on the other half {again:+.2f}")
assert abs(again) > 0.4

show(held_out[shown], np.sign(found[unit]) * h[shown, unit], f"Unit {unit}", colours="Blues")

# %% [markdown]
# ### How far back it remembers
#
# `resets` sets the state back to the start before a step. Set back every k steps, the network has read 1 to k
# characters when it says what comes next. We measure it on the same characters for every k: the second half of streams
# of 512, so that without resets at least 256 characters have been read.

# %%
streams = chunks(unseen, batch=128, seq_len=512)
long_inputs, long_targets = streams.inputs[0], streams.targets[0]  # (512, 128)
time = np.arange(512)


def losses_with(resets):
    """L(t) of every step and stream in nats, the state set back where `resets` (512,) says."""
    everywhere = np.broadcast_to(resets[:, None], long_inputs.shape)
    return np.asarray(losses(params, None, (long_inputs, long_targets), resets=everywhere).outputs)


def bits_with(resets):
    """Bits per character in the second half."""
    return losses_with(resets)[256:].mean() / math.log(2)


every = 2 ** np.arange(9)  # 1, 2, 4, ..., 256
remembered = [bits_with(time % k == 0) for k in every]
never = bits_with(time < 0)

plt.semilogx(every, remembered, "o-", base=2, label="set back every k characters")
plt.axhline(never, color="C0", linestyle=":", label="never set back")
plt.axhline(baselines["pairs"], color="k", linestyle=":", label="table of pairs")
plt.xticks(every, every)
plt.xlabel("k")
plt.ylabel("bits per character")
plt.legend()
plt.show()
for k, value in zip(every, remembered, strict=True):
    print(f"every {k:3}: {value:.3f} bits per character")
print(f"never    : {never:.3f}")
assert remembered[0] > remembered[2] > remembered[4] > remembered[6] > never
assert remembered[0] > baselines["pairs"]

# %% [markdown]
# Set back at every step, it could still be a table of pairs, and is worse. Training carried the state on, so the network
# met the start state once in 497 chunks and never learned to begin well. (Training with `resets` would teach it.)
# The curve shows both: what is forgotten, and how long it takes to find the way back.
#
# One reset alone shows how long. On the same characters, with and without a reset before character 256:

# %%
once = losses_with(time == 256)[256:] - losses_with(time < 0)[256:]  # (steps since, stream)
excess = once.mean(1) / math.log(2)
groups = [slice(2**j - 1, 2 ** (j + 1) - 1) for j in range(8)]  # 1, 2 to 3, 4 to 7, ..., 128 to 255 characters read
costs = [excess[group].mean() for group in groups]
plt.bar(range(8), costs)
plt.xticks(range(8), [f"{g.start + 1}–{g.stop}" for g in groups])
plt.xlabel("characters read since the reset")
plt.ylabel("excess (bits per character)")
plt.show()
print(f"one reset costs {excess.sum():.1f} bits in all, {excess[:32].sum():.1f} of them in the first 32 characters")
print(f"from character 128 on it costs {costs[-1]:.3f} bits a character")
assert costs[0] > costs[2] > costs[4] > costs[6]
assert excess[:32].sum() > excess.sum() / 2
assert abs(costs[-1]) < 0.03

# %% [markdown]
# Most of the loss comes at once, in the first line after the reset; in the end, what was read before it no longer
# matters.
#
# ## 8. Save and load
#
# Parameters are saved as safetensors, arrays with names. What else is needed is small: the sizes of the model and the
# alphabet, which is JSON. To load, `jax.eval_shape` says what the file must hold, without drawing any parameters.

# %%
with tempfile.TemporaryDirectory() as folder:
    save_parameters(Path(folder) / "parameters.safetensors", params)
    (Path(folder) / "alphabet.json").write_text(json.dumps(dataclasses.asdict(alphabet)))

    same_alphabet = Alphabet(**json.loads((Path(folder) / "alphabet.json").read_text()))
    like = jax.eval_shape(model.init, jax.random.key(0))
    loaded = load_parameters(Path(folder) / "parameters.safetensors", like)

assert same_alphabet == alphabet
assert all(jnp.array_equal(a, b) for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(loaded), strict=True))
assert evaluate(loaded) == evaluate(params)

# %% [markdown]
# The command `jaxrnn train` does all this with a larger network, and `jaxrnn generate` writes.
