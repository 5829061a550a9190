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
# # A sequence to a sequence
#
# The encoder-decoder of *Deep Learning*, Fig. 10.12, learns how English words are spoken: it reads letters and writes
# phonemes, and as it writes it looks back at the letters. The words are those of the CMU Pronouncing Dictionary, which
# ships with the package.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

from jaxrnn import GRU, AttendAfter, Bidirectional, MultiplicativeAttention, plotting
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
from jaxrnn.decoding import error_rates
from jaxrnn.models import EncoderDecoder, Pairs
from jaxrnn.training import fit_batches, make_optimizer, use_all_cores

use_all_cores()
plt.rcParams.update({"figure.dpi": 80})
plt.close(plt.figure())  # from here on, display shows figures as pictures
dictionary = {word: said for word, said in cmudict().items() if len(word) <= 12 and max(map(len, said)) < 12}
training, _, test = split_words(dictionary)
print(f"{len(training):,} words to train on, {len(test):,} to test on")
print("tomato:", *(" ".join(said) for said in dictionary["tomato"]), sep="\n  ")

# %% [markdown]
# ## The model
#
# The encoder runs over the letters in both directions. The decoder is a cell: a GRU that, after each step, compares its
# state with what the encoder gave for each letter, and reads a mean of these, weighted by how well they fit. Phoneme 0
# ends a word.

# %%
encoder = Bidirectional(GRU(48, 96), GRU(48, 96))
decoder = AttendAfter(GRU(48, 128), MultiplicativeAttention(query_size=128, value_size=192))
model = EncoderDecoder(len(LETTERS), 1 + len(PHONEMES), 48, encoder, decoder)
params = model.init(jax.random.key(0))

pairs = [(encode_spelling(word), encode_phonemes(said)) for word in training for said in dictionary[word]]
sources, targets = zip(*pairs, strict=True)


# %% [markdown]
# Words of similar length make a batch, so that little is computed for padding. The decoder is given the truth as it
# learns (teacher forcing): because what it sees does not feed back into its GRU, all its steps look at the letters at once.


# %%
def batches(epoch):
    for bucket in pair_buckets(sources, targets, 128, seed=epoch, multiple=6):
        if len(bucket.places) == 128:
            yield Pairs(*bucket[:4])


steps = 800
found = fit_batches(
    model.loss, params, batches, optimizer=make_optimizer(4e-3, steps, clip=5.0), steps=steps, progress=False
)
for step in range(0, steps, 200):
    print(f"steps {step} to {step + 199}: {found.losses[step : step + 200].mean():.2f} nats a word")

# %% [markdown]
# ## Errors on words it has not seen
#
# A word counts as wrong where it is none of its pronunciations in the dictionary; the phoneme error is the edits to the
# closest of them, for each of its phonemes.


# %%
def search(words, width):
    source, lengths = pad([encode_spelling(word) for word in words], multiple=12)
    return model.beam_search(found.params, source, lengths=lengths, width=width, steps=14)


some = test[:1000]
for width in (1, 4):
    beams = search(some, width)
    said = [decode_phonemes(row) for row in np.asarray(beams.tokens[..., 0]).T]
    rates = error_rates(said, [dictionary[word] for word in some])
    print(f"beam of {width}: phoneme error {100 * rates.symbols:.1f} %, word error {100 * rates.sequences:.1f} %")

wrong = [(w, y) for w, y in zip(some, said, strict=True) if y not in dictionary[w]]
for word, y in wrong[:8]:
    print(f"  {word}: {' '.join(y)}, in the dictionary {' '.join(dictionary[word][0])}")

# %% [markdown]
# This is a small network, and trained for half a minute. `python -m benchmarks.phonemes --epochs 14` trains a larger one on
# all words: 6.7 % of phonemes and 28.0 % of words are then wrong.
#
# ## What else it might have said
#
# A beam search keeps the likeliest beginnings, not only the best one, and so has a list of answers with their
# log-probabilities.

# %%
words = ["read", "colonel", "jaxon", "phonology"]
beams = search(words, 4)
for k, word in enumerate(words):
    print(word)
    for n in range(4):
        said = " ".join(decode_phonemes(np.asarray(beams.tokens[:, k, n])))
        print(f"  {np.exp(beams.log_probs[k, n]):.3f}  {said}")

# %% [markdown]
# ## Where it looks
#
# A row for each phoneme that it writes, a column for each letter: dark is where it looks. It goes through the word from
# left to right, though nobody told it to. Of the two letters of F it looks at the first, and passes over the other: what
# the encoder gives for a letter, it gives with those around it in view.

# %%
word = "phonology"
source, lengths = pad([encode_spelling(word)])
beams = search([word], 4)
target, n = beams.tokens[:, :, 0], int(beams.lengths[0, 0])
weights = model.attention(found.params, Pairs(source, lengths, target[:n], None))[:, 0]
display(plotting.attention(weights, [*decode_phonemes(np.asarray(target[:n, 0])), "end"], word))
