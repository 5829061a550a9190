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
# # Trees
#
# Section 10.6 of *Deep Learning* in code: a recursive net goes from the leaves of a tree to its root (Fig. 10.14), where a
# recurrent net goes from the first step to the last.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jaxrnn import GRU, LSTM, Chain, ChildSumTreeLSTM, Embedding, Recurrent, Sequential, fold, trees, unfold
from jaxrnn.data import first_word, listops, python_functions
from jaxrnn.data.listops import LABELS, TOKENS, flat, value
from jaxrnn.models import Classifier, TreeClassifier
from jaxrnn.training import init_train_state, make_optimizer, make_train_step

# %% [markdown]
# ## 1. Trees
#
# From brackets, nested tuples and Python code. Children come before their parents, the root last.

# %%
print(trees.from_brackets("(3 (2 It) (4 works))").x["word"])
print(trees.from_ast("a + 1").x)
nested = ("MAX", 2, ("MIN", 4, 7, ("MED", 8, 1, 5)), 0)
tree = trees.from_nested(nested)
for node, (label, children) in enumerate(zip(tree.x, tree.children, strict=True)):
    print(node, label, [int(child) for child in children if child >= 0])

# %% [markdown]
# ## 2. What fold does
#
# Nodes of one height are computed at once, whatever tree they belong to: a batch takes as many steps as its highest tree has
# levels, not as many as it has nodes.

# %%
data = listops(5000, seed=0, most_nodes=15)
labels = trees.Labels(LABELS)
drawn = [trees.from_nested(each.nested) for each in data]
drawn = [each._replace(x=labels.encode(each.x)) for each in drawn]
widths = trees.sizes(drawn[:64]).widths
print(f"64 trees, {sum(widths)} nodes, {len(widths)} steps of {widths} nodes")

# %% [markdown]
# A tree in which every node has one child is a chain, and folding it gives what `unfold` gives.

# %%
gru = GRU(3, 8)
params = gru.init(jax.random.key(0))
xs = jax.random.normal(jax.random.key(1), (20, 3))
chain = trees.from_children([(), *((t,) for t in range(19))], np.asarray(xs))
apart = jnp.abs(fold(Chain(gru), params, trees.batch([chain])).roots[0] - unfold(gru, params, xs).outputs[-1]).max()
print(f"largest difference {apart:.1e}")
assert apart < 1e-5

# %% [markdown]
# ## 3. ListOps, as trees and as text
#
# The value of an expression of at most 15 nodes, digits and MIN, MAX, MED (the median) and SM (the sum modulo 10). A
# child-sum Tree-LSTM reads the tree, an LSTM of as many units the flat text. Both see the same 4,000 expressions eight
# times, and 1,000 others are the test. The target is known at the root alone.

# %%
TRAIN, BATCH, EPOCHS, UNITS = 4000, 50, 8, 32
values = np.array([each.value for each in data], np.int32)


def trained(model, batches, test):
    """Parameters after training, and whether each answer of the test is right."""
    optimizer = make_optimizer(1e-2, EPOCHS * len(batches))
    step = jax.jit(make_train_step(model.loss, optimizer))
    state = init_train_state(model.init(jax.random.key(0)), None, jax.random.key(1), optimizer)
    for epoch in range(EPOCHS):
        for k in np.random.default_rng(epoch).permutation(len(batches)):
            state, _ = step(state, batches[k])
    right = float(model.loss(state.params, None, test)[1][1]["accuracy"])
    return state.params, right


tree_model = TreeClassifier(len(labels), UNITS, ChildSumTreeLSTM(UNITS, UNITS), classes=10)
cut = [(part.trees, values[part.places]) for part in trees.batches(drawn[:TRAIN], BATCH, seed=0)]
tree_params, tree_right = trained(tree_model, cut, (trees.batch(drawn[TRAIN:]), values[TRAIN:]))

text = [[TOKENS.index(token) for token in flat(each.nested)] for each in data]
lengths = np.array([len(each) for each in text], np.int32)
tokens = np.zeros((lengths.max(), len(text)), np.int32)
for k, each in enumerate(text):
    tokens[: len(each), k] = each
flat_model = Classifier(Sequential([Embedding(len(TOKENS), UNITS), Recurrent(LSTM(UNITS, UNITS))]), classes=10)
parts = [np.arange(k, k + BATCH) for k in range(0, TRAIN, BATCH)]
cut = [(tokens[:, part], values[part], lengths[part]) for part in parts]
flat_right = trained(flat_model, cut, (tokens[:, TRAIN:], values[TRAIN:], lengths[TRAIN:]))[1]
most = np.bincount(values[:TRAIN]).argmax()
print(f"always {most}: {(values[TRAIN:] == most).mean():.1%} right")
print(f"LSTM, flat text: {flat_right:.1%} right")
print(f"Tree-LSTM: {tree_right:.1%} right")

# %% [markdown]
# These are small nets, trained for seconds, from one start: figures of a demonstration, and neither has solved the task.
#
# ## 4. What it says at every node
#
# The readout of the root, applied to every node: the label, the net's answer, and the true value where it is another.

# %%
batch = trees.batch([tree._replace(x=labels.encode(tree.x))])
answers = trees.unbatch(batch, tree_model.apply(tree_params, batch).outputs)[0].argmax(-1)
below = [[int(child) for child in row if child >= 0] for row in tree.children]
truth, place, leaves = [], [], 0
for label, children in zip(tree.x, below, strict=True):
    truth.append(value((label, *(truth[child] for child in children))) if children else label)
    if children:
        place.append((np.mean([place[child][0] for child in children]), 1 + max(place[child][1] for child in children)))
    else:
        place.append((leaves, 0))
        leaves += 1
plt.figure(figsize=(8, 4), dpi=80)
for node, (x, y) in enumerate(place):
    for child in below[node]:
        plt.plot([x, place[child][0]], [y, place[child][1]], color="lightgrey", zorder=0)
    right = answers[node] == truth[node]
    note = f"{tree.x[node]}\n→ {answers[node]}" + ("" if right else f", not {truth[node]}")
    box = {"facecolor": "white", "edgecolor": "tab:green" if right else "tab:red"}
    plt.text(x, y, note, ha="center", va="center", bbox=box)
plt.xlim(-0.6, leaves - 0.4)
plt.ylim(-0.5, 3.5)
plt.axis("off")
plt.show()

# %% [markdown]
# ## 5. Real trees
#
# What does a function do, judged by nothing but the shape of its body? The functions are those of Python's standard library,
# and a net sees the kind of each node of the syntax tree: no name, no number, no string. To be told is the first word of the
# function's name. The files of the test functions are none of those trained on. `benchmarks/results/syntax.md` has more
# functions and a larger net, beside a logistic regression.

# %%
found = [(each.file, first_word(each.name), trees.from_ast(each.body)) for each in python_functions()]
words = ["init", "get", "set", "is", "repr", "close"]
found = [each for each in found if each[1] in words and len(each[2].x) <= 60]
files = np.array(sorted({file for file, _, _ in found}))
tested = set(np.random.default_rng(0).permutation(files)[: len(files) // 5])
parts = [[each for each in found if (each[0] in tested) == test] for test in (False, True)]
kinds = trees.Labels.of((tree.x for _, _, tree in parts[0]), unknown="?")
bodies = [[tree._replace(x=kinds.encode(tree.x)) for _, _, tree in part] for part in parts]
names = [np.array([words.index(word) for _, word, _ in part], np.int32) for part in parts]

syntax_model = TreeClassifier(len(kinds), UNITS, ChildSumTreeLSTM(UNITS, UNITS), classes=len(words))
cut = [(part.trees, names[0][part.places]) for part in trees.batches(bodies[0], BATCH, seed=0)]
cut = [each for each in cut if len(each[1]) == BATCH]
syntax_right = trained(syntax_model, cut, (trees.batch(bodies[1]), names[1]))[1]
most = np.bincount(names[0]).argmax()
print(f"{len(bodies[0]):,} functions to train on, {len(bodies[1])} to test on")
print(f"always {words[most]}: {(names[1] == most).mean():.0%} right")
print(f"Tree-LSTM: {syntax_right:.0%} right")
