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
# # The chapter in code
#
# Chapter 10 of *Deep Learning* (Goodfellow, Bengio, Courville, 2016,
# [deeplearningbook.org](https://www.deeplearningbook.org)) is about recurrent networks. Here its equations stand beside
# their lines of code, each one checked where it stands: a cell that goes wrong stops the notebook. Vectors are rows
# here, so the book's $W h$ is `h @ W`.

# %%
import math

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

from jaxrnn import BPTT, GRU, LSTM, Autodiff, Elman, Readout, Supervised, transition, unfold
from jaxrnn.losses import negative_log_likelihood

plt.rcParams.update({"figure.figsize": (8, 3), "figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})


def close(a, b, tolerance=1e-5):
    """Assert that two trees of arrays hold the same numbers, up to rounding in float32."""
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), a, b)


# %% [markdown]
# ## 1. Unfolding (10.1)
#
# The classical dynamical system has no input:
#
# $$s^{(t)} = f(s^{(t-1)}; \theta) \tag{10.1}$$
#
# Unfolded for $\tau = 3$ it is an expression without recurrence:
#
# $$s^{(3)} = f(s^{(2)}; \theta) = f(f(s^{(1)}; \theta); \theta) \tag{10.2, 10.3}$$
#
# `transition` makes a cell of any pure function $f$, and `unfold` applies it. Ours is the logistic map.


# %%
def f(r, s, x=None):
    return r * s * (1 - s)


r, s1 = 3.7, jnp.array(0.2)
run = unfold(transition(f), r, steps=2, state=s1)  # from s(1), two steps: s(2) and s(3)
close(run.final, f(r, f(r, s1)))
print(run.outputs, run.final)

# %% [markdown]
# The same two lines, for four hundred values of $\theta$ side by side: `unfold` is an ordinary function, so `jax.vmap`
# works on it.

# %%
rs = jnp.linspace(2.5, 4, 400)
orbits = jax.vmap(lambda r: unfold(transition(f), r, steps=300, state=s1).outputs)(rs)
plt.plot(rs, orbits[:, 200:], "k,", alpha=0.4)
plt.xlabel("θ")
plt.ylabel("s(t), t > 200")
plt.title("One transition, unfolded 300 times for each θ")
plt.show()

# %% [markdown]
# With a signal from outside, $x^{(t)}$, and hidden units $h$ for a state:
#
# $$s^{(t)} = f(s^{(t-1)}, x^{(t)}; \theta) \tag{10.4}$$
# $$h^{(t)} = f(h^{(t-1)}, x^{(t)}; \theta) \tag{10.5}$$
#
# What comes out is a function of the whole past, $h^{(t)} = g^{(t)}(x^{(t)}, \dots, x^{(1)})$ (10.6), and though every
# $g^{(t)}$ is another function, they are all made of one $f$ (10.7). Three things follow, and each can be tested.

# %%
cell = Elman(input_size=3, hidden_size=5)
params = cell.init(jax.random.key(0))
xs = jax.random.normal(jax.random.key(1), (8, 3))  # (time, features)
h = unfold(cell, params, xs).outputs  # (time, hidden)

# 1. unfold is the loop
state = cell.initial_state(params)
for t, x in enumerate(xs):
    state = cell.step(params, state, x)
    close(cell.output(params, state), h[t])

# 2. h(t) depends on x(1), ..., x(t) and on nothing after
changed = unfold(cell, params, xs.at[5].add(1.0)).outputs
close(changed[:5], h[:5])
assert not np.allclose(changed[5:], h[5:])

# 3. the same parameters run a sequence of any length
for length in (1, 2, 100):
    assert unfold(cell, params, jnp.ones((length, 3))).outputs.shape == (length, 5)

# %% [markdown]
# ## 2. Forward propagation (10.2)
#
# $$\begin{aligned}
# a^{(t)} &= b + W h^{(t-1)} + U x^{(t)} && (10.8) \\
# h^{(t)} &= \tanh(a^{(t)}) && (10.9) \\
# o^{(t)} &= c + V h^{(t)} && (10.10) \\
# \hat y^{(t)} &= \mathrm{softmax}(o^{(t)}) && (10.11)
# \end{aligned}$$
#
# In NumPy, one line an equation; in jaxrnn, an `Elman` cell read by a `Readout`, with parameters of the book's names.

# %%
steps, inputs, hidden, symbols = 12, 3, 5, 4
net = Readout(Elman(inputs, hidden), output_size=symbols)
params = net.init(jax.random.key(2))
x = jax.random.normal(jax.random.key(3), (steps, inputs))
y = jax.random.randint(jax.random.key(4), (steps,), 0, symbols)

(U, W, b), V, c = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
X, Y = np.asarray(x, np.float64), np.asarray(y)


def softmax(o):
    e = np.exp(o - o.max())
    return e / e.sum()


h = np.zeros((steps + 1, hidden))  # h[t] is h(t); h[0] the start
o, y_hat = np.zeros((steps + 1, symbols)), np.zeros((steps + 1, symbols))
for t in range(1, steps + 1):
    a = b + h[t - 1] @ W + X[t - 1] @ U  # 10.8
    h[t] = np.tanh(a)  # 10.9
    o[t] = c + h[t] @ V  # 10.10
    y_hat[t] = softmax(o[t])  # 10.11

run = unfold(net, params, x)
close(run.outputs, o[1:])
close(jax.nn.softmax(run.outputs), y_hat[1:])

# %% [markdown]
# The loss of a sequence is the sum of the losses of its steps, each the negative log-likelihood of the target given the
# inputs so far:
#
# $$L = \sum_t L^{(t)} = -\sum_t \log p_{\text{model}}\left(y^{(t)} \mid x^{(1)}, \dots, x^{(t)}\right) \tag{10.12–10.14}$$
#
# `Supervised` makes the loss of a step what the cell puts out, so that `unfold` gives $L^{(t)}$.

# %%
supervised = Supervised(net, negative_log_likelihood)


def loss(params):
    return unfold(supervised, params, (x, y)).outputs.sum()


L = -sum(np.log(y_hat[t, Y[t - 1]]) for t in range(1, steps + 1))  # 10.12
close(loss(params), L)
print(f"L = {L:.4f} nats over {steps} steps")

# %% [markdown]
# ## 3. The gradient: back-propagation through time (10.2.2)
#
# Backwards through the unfolded graph. First the nodes, from the last step to the first:
#
# $$\begin{aligned}
# \frac{\partial L}{\partial L^{(t)}} &= 1 && (10.17) \\
# (\nabla_{o^{(t)}} L)_i &= \hat y_i^{(t)} - \mathbf 1_{i = y^{(t)}} && (10.18) \\
# \nabla_{h^{(\tau)}} L &= V^\top \nabla_{o^{(\tau)}} L && (10.19) \\
# \nabla_{h^{(t)}} L &= W^\top \mathrm{diag}\left(1 - (h^{(t+1)})^2\right) \nabla_{h^{(t+1)}} L + V^\top \nabla_{o^{(t)}} L && (10.20, 10.21)
# \end{aligned}$$
#
# then the parameters, each a sum over all the steps at which it was used:
#
# $$\begin{aligned}
# \nabla_c L &= \sum_t \nabla_{o^{(t)}} L && (10.22) &
# \nabla_b L &= \sum_t \mathrm{diag}\left(1 - (h^{(t)})^2\right) \nabla_{h^{(t)}} L && (10.23) \\
# \nabla_V L &= \sum_t (\nabla_{o^{(t)}} L)\, h^{(t)\top} && (10.24) &
# \nabla_W L &= \sum_t \mathrm{diag}\left(1 - (h^{(t)})^2\right) (\nabla_{h^{(t)}} L)\, h^{(t-1)\top} && (10.25, 10.26) \\
# &&& &
# \nabla_U L &= \sum_t \mathrm{diag}\left(1 - (h^{(t)})^2\right) (\nabla_{h^{(t)}} L)\, x^{(t)\top} && (10.27, 10.28)
# \end{aligned}$$

# %%
d_loss = 1.0  # 10.17
d_o = d_loss * (y_hat[1:] - np.eye(symbols)[Y])  # 10.18; row t-1 is step t
d_h = np.zeros((steps, hidden))
d_h[-1] = d_o[-1] @ V.T  # 10.19
for t in range(steps - 2, -1, -1):
    d_h[t] = (d_h[t + 1] * (1 - h[t + 2] ** 2)) @ W.T + d_o[t] @ V.T  # 10.21

d_a = (1 - h[1:] ** 2) * d_h  # diag(1 - h²) ∇h L, which the next four share
by_hand = {
    "c": d_o.sum(0),  # 10.22
    "b": d_a.sum(0),  # 10.23
    "V": h[1:].T @ d_o,  # 10.24: the sum over t is a matrix product
    "W": h[:-1].T @ d_a,  # 10.26
    "U": X.T @ d_a,  # 10.28
}

grads = jax.grad(loss)(params)
by_jax = {"c": grads.c, "b": grads.cell.b, "V": grads.V, "W": grads.cell.W, "U": grads.cell.U}
close(by_hand, by_jax)
for name in by_hand:
    print(f"∇{name} L: largest difference {np.abs(by_hand[name] - by_jax[name]).max():.1e}")

# %% [markdown]
# ### Shared parameters, untied
#
# In (10.25) the book writes $W^{(t)}$ for copies of $W$, one a step, to say what "the gradient of $W$" at one step can
# mean. Here the copies are real: $W^{(t)}$ comes in as part of the input. The gradient of the shared $W$ is the sum of
# theirs.


# %%
def untied(params, h, now):
    x, W_t = now
    return jnp.tanh(params.b + h @ W_t + x @ params.U)


def loss_of_copies(copies):
    h = unfold(transition(untied), params.cell, (x, copies), state=jnp.zeros(hidden)).outputs
    return negative_log_likelihood(h @ params.V + params.c, y).sum()


copies = jnp.broadcast_to(params.cell.W, (steps, hidden, hidden))
of_copies = jax.grad(loss_of_copies)(copies)  # (time, hidden, hidden)
close(of_copies.sum(0), grads.cell.W)

plt.bar(range(1, steps + 1), jnp.linalg.norm(of_copies, axis=(1, 2)))
plt.axhline(jnp.linalg.norm(grads.cell.W), color="k", linestyle=":", label="their sum, the gradient of the shared W")
plt.xlabel("t")
plt.ylabel("norm of the gradient of W(t)")
plt.ylim(0, 1.3 * jnp.linalg.norm(grads.cell.W))
plt.legend(loc="upper left")
plt.show()

# %% [markdown]
# ### How far back a gradient reaches (10.7)
#
# If only $L^{(\tau)}$ counts, (10.21) multiplies by $W^\top \mathrm{diag}(1 - h^2)$ at every step on the way back.
# Scaling $W$ to another spectral radius makes the gradient vanish, or live long. Perturbations added to each $h^{(t)}$
# read it off: a cell whose input is $(x^{(t)}, \epsilon^{(t)})$.

# %%
deep, width = 60, 32
far = Elman(inputs, width)
base = far.init(jax.random.key(5))
signal = 0.1 * jax.random.normal(jax.random.key(6), (deep, inputs))
radius = np.abs(np.linalg.eigvals(np.asarray(base.W, np.float64))).max()


def perturbed(params, state, now):
    x, epsilon = now
    return far.step(params, state, x)._replace(h=far.step(params, state, x).h + epsilon)


@jax.jit
def reach(W):
    def last(epsilons):
        p = base._replace(W=W, b=jnp.zeros(width))
        return unfold(transition(perturbed), p, (signal, epsilons), state=far.initial_state(p)).final.h.sum()

    return jnp.linalg.norm(jax.grad(last)(jnp.zeros((deep, width))), axis=-1)


norms = {rho: reach(base.W * (rho / radius)) for rho in (0.6, 0.9, 1.1)}
for rho, norm in norms.items():
    plt.semilogy(range(1, deep + 1), norm, label=f"spectral radius {rho}")
plt.xlabel("t")
plt.ylabel("norm of ∇h(t) L(τ)")
plt.legend()
plt.show()
assert norms[0.6][0] < 1e-6 * norms[0.6][-1]
assert norms[1.1][0] > 1e-2 * norms[1.1][-1]

# %% [markdown]
# ## 4. What it costs
#
# Section 10.2 says that the run time is O(τ), and that memory is O(τ) too: the states of the forward pass must be kept
# until they are used again on the way back. The second need not be so. `BPTT(block)` keeps only the state before every
# block of steps; on the way back a block is computed again, then stepped back through. That is O(τ / block + block),
# and O(√τ) with blocks of √τ steps. (Where no block is named, as in all the cells above, it is chosen from the sizes:
# small problems keep every state, since memory is no matter there.) `Autodiff` is the same gradient as JAX derives it,
# with everything kept. The compiler says what each needs, before anything has run.

# %%
gru = GRU(8, 64)
theta = gru.init(jax.random.key(7))


def working_memory(steps, adjoint):
    """Megabytes that the compiled gradient needs beside its inputs and its result."""
    gradient = jax.grad(lambda p, x: unfold(gru, p, x, emit=None, adjoint=adjoint).final.h.sum())
    compiled = jax.jit(gradient).lower(theta, jax.ShapeDtypeStruct((steps, 8), jnp.float32)).compile()
    return compiled.memory_analysis().temp_size_in_bytes / 1e6


taus = [1_000, 8_000, 64_000]
blocks = [working_memory(tau, BPTT(block=math.isqrt(tau))) for tau in taus]
everything = [working_memory(tau, Autodiff()) for tau in taus]
plt.loglog(taus, everything, "o-", label="Autodiff: everything is kept")
plt.loglog(taus, blocks, "o-", label="BPTT: one state in √τ is kept")
plt.xlabel("τ")
plt.ylabel("working memory (MB)")
plt.legend()
plt.show()
for tau, mine, all_of_it in zip(taus, blocks, everything, strict=True):
    print(f"τ = {tau:6}: {mine:8.2f} MB in blocks, {all_of_it:8.2f} MB for everything")
assert blocks[-1] < everything[-1] / 10

signal = jax.random.normal(jax.random.key(8), (1_000, 8))
gradient = [
    jax.grad(lambda p, adjoint=adjoint: unfold(gru, p, signal, emit=None, adjoint=adjoint).final.h.sum())(theta)
    for adjoint in (BPTT(block=32), Autodiff())
]
close(*gradient, tolerance=1e-4)

# %% [markdown]
# ## 5. Gated cells (10.10)
#
# The LSTM. The forget gate $f$ decides what stays of the state, the input gate $g$ what comes in, the output gate $q$
# what is seen:
#
# $$\begin{aligned}
# f^{(t)} &= \sigma\left(b^f + U^f x^{(t)} + W^f h^{(t-1)}\right) && (10.40) \\
# s^{(t)} &= f^{(t)} \odot s^{(t-1)} + g^{(t)} \odot \sigma\left(b + U x^{(t)} + W h^{(t-1)}\right) && (10.41) \\
# g^{(t)} &= \sigma\left(b^g + U^g x^{(t)} + W^g h^{(t-1)}\right) && (10.42) \\
# h^{(t)} &= \tanh(s^{(t)}) \odot q^{(t)} && (10.43) \\
# q^{(t)} &= \sigma\left(b^o + U^o x^{(t)} + W^o h^{(t-1)}\right) && (10.44)
# \end{aligned}$$
#
# `jaxrnn.LSTM` follows what most use today: the new content in (10.41) passes through tanh rather than σ. Its gates lie
# side by side in the order i, f, g, o; the book's names for the same are $g$, $f$, (the content), $q$.


# %%
def sigma(a):
    return 1 / (1 + np.exp(-a))


def book_lstm(params, xs, content):
    U, W, b = (np.asarray(p, np.float64) for p in params)
    size = W.shape[0]
    h, s, outputs = np.zeros(size), np.zeros(size), []
    for x in np.asarray(xs, np.float64):
        a_g, a_f, a, a_q = np.split(b + x @ U + h @ W, 4)
        f, g, q = sigma(a_f), sigma(a_g), sigma(a_q)  # 10.40, 10.42, 10.44
        s = f * s + g * content(a)  # 10.41
        h = np.tanh(s) * q  # 10.43
        outputs.append(h)
    return np.stack(outputs)


lstm = LSTM(inputs, hidden)
theta = lstm.init(jax.random.key(9))
close(unfold(lstm, theta, x).outputs, book_lstm(theta, x, content=np.tanh))

# %% [markdown]
# To the letter, with σ in (10.41), it is a transition like any other:


# %%
def step_of_the_book(params, state, x):
    g, f, a, q = jnp.split(params.b + x @ params.U + state.h @ params.W, 4, axis=-1)
    s = jax.nn.sigmoid(f) * state.c + jax.nn.sigmoid(g) * jax.nn.sigmoid(a)
    return state._replace(h=jnp.tanh(s) * jax.nn.sigmoid(q), c=s)


to_the_letter = transition(step_of_the_book, output=lambda params, state: state.h)
run = unfold(to_the_letter, theta, x, state=lstm.initial_state(theta))
close(run.outputs, book_lstm(theta, x, content=sigma))

# %% [markdown]
# The GRU has one gate $u$ for both forgetting and taking in, and a reset gate $r$:
#
# $$\begin{aligned}
# h^{(t)} &= u^{(t)} \odot h^{(t-1)} + (1 - u^{(t)}) \odot \sigma\left(b + U x^{(t)} + W (r^{(t)} \odot h^{(t-1)})\right) && (10.45) \\
# u^{(t)} &= \sigma\left(b^u + U^u x^{(t)} + W^u h^{(t-1)}\right) && (10.46) \\
# r^{(t)} &= \sigma\left(b^r + U^r x^{(t)} + W^r h^{(t-1)}\right) && (10.47)
# \end{aligned}$$
#
# (with the time indices of the gates as everyone reads them). `jaxrnn.GRU` again follows today's use, PyTorch's and
# cuDNN's: tanh for the content, and the reset after the product, $r \odot (W h + c)$, which lets all three products be
# one.

# %%
gru = GRU(inputs, hidden)
theta = gru.init(jax.random.key(10))
U3, W3, b3, c3 = (np.asarray(p, np.float64) for p in theta)
h = np.zeros(hidden)
for t, x_t in enumerate(X):
    (x_r, x_u, x_n), (h_r, h_u, h_n) = np.split(b3 + x_t @ U3, 3), np.split(h @ W3, 3)
    r, u = sigma(x_r + h_r), sigma(x_u + h_u)  # 10.47, 10.46
    h = u * h + (1 - u) * np.tanh(x_n + r * (h_n + c3))  # 10.45
    close(unfold(gru, theta, x[: t + 1]).final.h, h) if t in (0, steps - 1) else None

# %% [markdown]
# ## 6. Parameter sharing, on the chapter's own example
#
# "I went to India in 2019" and "In 2019, I went to India": a model that is asked for the year should find it whether it
# is the sixth word or the second (so the opening of the chapter; there it is Nepal, and 2009). A fully connected
# network has other weights for every position, and must learn the rules of the language at each one anew. A recurrent
# network shares them. We let both read generated sentences in which the year stands at *some* positions, and ask about
# the others.

# %%
YEARS = [str(year) for year in range(2000, 2020)]
SUBJECTS = ["i", "we", "she", "my sister", "our neighbours", "the old professor"]
VERBS = ["went to", "moved to", "flew to", "wrote about", "came home from"]
PLACES = ["india", "peru", "kenya", "iceland", "japan", "canada", "new zealand"]
OPENINGS = ["", "so", "well ,", "in fact ,", "as you know ,", "believe it or not ,", "if i remember right ,"]
ENDINGS = ["", "alone", "by train", "with two friends", "for the first time", "and stayed for a while"]


def sentence(rng):
    """A sentence as a list of words, and where in it the year stands (counted from 1)."""
    opening, subject, verb, place, ending = (
        rng.choice(words) for words in (OPENINGS, SUBJECTS, VERBS, PLACES, ENDINGS)
    )
    year, where = rng.choice(YEARS), rng.integers(3)
    before, middle, after = (f"in {year}" if where == k else "" for k in range(3))
    comma = "," if where == 0 else ""
    words = f"{opening} {before} {comma} {subject} {verb} {place} {middle} {ending} {after}".split()
    return words, words.index(year) + 1


rng = np.random.default_rng(0)
sentences = [sentence(rng) for _ in range(20_000)]
for words, position in sentences[4:12]:
    print(f"{position:3}  {' '.join(words)}")

# %%
longest = max(len(words) for words, _ in sentences)
vocabulary = sorted({word for words, _ in sentences for word in words})
index = {word: number for number, word in enumerate(vocabulary)}


def arrays(sentences):
    """Words (sentence, position), lengths, years, positions; unused places at the end hold word 0, and are masked."""
    words = np.zeros((len(sentences), longest), np.int32)
    for row, (text, _) in zip(words, sentences, strict=True):
        row[: len(text)] = [index[word] for word in text]
    lengths = np.array([len(text) for text, _ in sentences])
    years = np.array([int(text[position - 1]) - 2000 for text, position in sentences])
    return words, lengths, years, np.array([position for _, position in sentences])


words, lengths, years, positions = arrays(sentences)
counts = np.bincount(positions)
SEEN = [2, 5, 8, 9, 12, 14]
UNSEEN = [p for p in range(2, len(counts)) if counts[p] >= 100 and p not in SEEN]
of_position = {p: np.flatnonzero(positions == p) for p in SEEN + UNSEEN}
test = np.concatenate([rows[:100] for rows in of_position.values()])  # the first hundred of each position
train = np.concatenate([of_position[p][100:] for p in SEEN])
print(f"{len(vocabulary)} words; {len(train)} sentences to learn from, {len(test)} to test")
print(f"the year stands at {SEEN} in training, and never at {UNSEEN}")

# %% [markdown]
# The two networks see the same sentences, as one-hot words, and are trained alike. The recurrent one reads word after
# word, to the sentence's own length, and its last state is read. The fully connected one sees all places at once, each
# with its own matrix.

# %%
rnn = GRU(len(vocabulary), 32)


def rnn_init(key):
    return Readout(rnn, len(YEARS)).init(key)


def rnn_logits(params, words, lengths):
    x = jax.nn.one_hot(words, len(vocabulary)).swapaxes(0, 1)  # (time, sentence, word)
    return unfold(rnn, params.cell, x, lengths=lengths, emit=None).final.h @ params.V + params.c


def dense_init(key):
    first, second = jax.random.split(key)
    W1 = jax.random.normal(first, (longest, len(vocabulary), 32)) * longest**-0.5  # a matrix for each position
    W2 = jax.random.normal(second, (32, len(YEARS))) * 32**-0.5
    return {"W1": W1, "b1": jnp.zeros(32), "W2": W2, "b2": jnp.zeros(len(YEARS))}


def dense_logits(params, words, lengths):
    x = jax.nn.one_hot(words, len(vocabulary)) * (jnp.arange(longest) < lengths[:, None])[..., None]
    h = jax.nn.relu(jnp.einsum("npw,pwh->nh", x, params["W1"]) + params["b1"])
    return h @ params["W2"] + params["b2"]


def count(init):
    return sum(p.size for p in jax.tree.leaves(jax.eval_shape(init, jax.random.key(0))))


print(f"parameters: recurrent {count(rnn_init)}, fully connected {count(dense_init)}")

# %%
optimizer = optax.adam(3e-3)
data = tuple(jnp.asarray(a[train]) for a in (words, lengths, years))


def fit(init, logits, key, updates=400, batch=128):
    """Train from a key; the loss of every update, and the parameters."""
    key, start = jax.random.split(key)
    params = init(start)

    def update(carry, key):
        params, opt_state = carry
        w, n, y = (a[jax.random.randint(key, (batch,), 0, len(a))] for a in data)
        value, grads = jax.value_and_grad(lambda p: negative_log_likelihood(logits(p, w, n), y).mean())(params)
        updates, opt_state = optimizer.update(grads, opt_state)
        return (optax.apply_updates(params, updates), opt_state), value

    (params, _), losses = jax.lax.scan(update, (params, optimizer.init(params)), jax.random.split(key, updates))
    return params, losses


keys = jax.random.split(jax.random.key(11), 3)  # three runs of each, side by side
nets = {"recurrent": (rnn_init, rnn_logits), "fully connected": (dense_init, dense_logits)}
trained, correct = {}, {}
for name, (init, logits) in nets.items():
    trained[name], losses = jax.jit(jax.vmap(lambda key, init=init, logits=logits: fit(init, logits, key)))(keys)
    plt.semilogy(losses.mean(0), label=name)
    guess = jax.jit(jax.vmap(lambda p, logits=logits: logits(p, words[test], lengths[test]).argmax(-1)))(trained[name])
    correct[name] = np.asarray(guess) == years[test]  # (run, sentence)
plt.xlabel("update")
plt.ylabel("loss (nats)")
plt.title("Both learn what they are shown")
plt.legend()
plt.show()

# %%
at = {p: positions[test] == p for p in sorted(SEEN + UNSEEN)}
accuracy = {name: np.stack([hits[:, at[p]].mean(1) for p in at]) for name, hits in correct.items()}  # (position, run)

for name, values in accuracy.items():
    lines = plt.plot(list(at), values.mean(1), "o-", label=name)
    plt.fill_between(list(at), values.min(1), values.max(1), color=lines[0].get_color(), alpha=0.2)
for p in SEEN:
    plt.axvspan(
        p - 0.4, p + 0.4, color="k", alpha=0.07, linewidth=0, label="seen in training" if p == SEEN[0] else None
    )
plt.axhline(1 / len(YEARS), color="k", linestyle=":", label="a guess")
plt.xticks(list(at))
plt.xlabel("position of the year in the sentence")
plt.ylabel("years found")
plt.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.title("Mean of three runs; shaded: their range")
plt.show()

seen = np.isin(list(at), SEEN)
for name, values in accuracy.items():
    print(f"{name:16} positions seen {values[seen].mean():6.1%}, never seen {values[~seen].mean():6.1%}")
assert accuracy["recurrent"][~seen].mean() > 0.9
assert accuracy["fully connected"][~seen].mean() < 0.2


# %% [markdown]
# At the positions it was shown, either network finds the year. Elsewhere the fully connected one is at a guess: the rows
# of its matrices for "2019 at position 6" never had a gradient. The recurrent network met 2019 at other positions, and
# there is only one $U$ to learn it with. The two sentences of the chapter, at last:

# %%
of_the_chapter = ["in 2019 , i went to india", "i went to india in 2019"]
read, until, _, _ = arrays([(text.split(), text.split().index("2019") + 1) for text in of_the_chapter])
for name, (_, logits) in nets.items():
    answers = jax.vmap(lambda p, logits=logits: logits(p, read, until).argmax(-1))(trained[name])  # (run, sentence)
    for text, answer in zip(of_the_chapter, answers.T, strict=True):
        print(f"{name:16} {text:26} {', '.join(YEARS[year] for year in answer.tolist())}")
assert jnp.all(jax.vmap(lambda p: rnn_logits(p, read, until).argmax(-1))(trained["recurrent"]) == 19)
