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
# # Past linear time
#
# Of a recurrent network unfolded over $\tau$ steps the textbook says that both time and memory are O(τ), and that the time
# "cannot be reduced by parallelization" (*Deep Learning*, Sec. 10.2.2). Here each of these is measured where it need not be
# so: memory below O(τ), fewer than τ steps one after another, gradients from a stream that does not end. What a method
# loses is measured, too.
#
# Times are medians of a few runs on two cores that others use at the same time: a tenth more or less means nothing.

# %%
import math
import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from matplotlib.ticker import NullFormatter

from jaxrnn import (
    BPTT,
    GRU,
    LSTM,
    RTRL,
    Associative,
    Autodiff,
    Elman,
    IndRNN,
    MinGRU,
    Newton,
    Online,
    Readout,
    Scan,
    Shooting,
    SnAp1,
    transition,
    unfold,
)
from jaxrnn.data import Alphabet, chunks, shakespeare, split
from jaxrnn.models import LanguageModel
from jaxrnn.training import fit, make_optimizer

plt.rcParams.update(
    {"figure.figsize": (8, 3.2), "figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False}
)

# %% [markdown]
# ## 1. Memory against τ
#
# The gradient of a loss on the final state. `Autodiff()` is JAX's own derivative, which keeps what every step made.
# `BPTT()` keeps one state in √τ where there are many steps, and runs the blocks between them again; `levels=2` and
# `levels=3` nest blocks within blocks, O(τ^(1/3)) and O(τ^(1/4)); `memory` is a number of bytes, within which it chooses
# what has to be computed again least. `RTRL()` goes forward in time and keeps nothing of the past but the influence of
# the parameters on the state: for an `IndRNN`, one number a parameter.
#
# The compiler knows what a program needs beside its inputs and results before it has run; so nothing is run here.


# %%
def working_memory(cell, steps, adjoint):
    """MiB of temporaries of the compiled gradient."""
    theta = jax.eval_shape(cell.init, jax.random.key(0))
    gradient = jax.grad(lambda p, x: unfold(cell, p, x, emit=None, adjoint=adjoint).final.h.sum())
    compiled = jax.jit(gradient).lower(theta, jax.ShapeDtypeStruct((steps, 8), jnp.float32)).compile()
    return compiled.memory_analysis().temp_size_in_bytes / 2**20


gru = GRU(8, 64)
ways = {
    "GRU, Autodiff()": (gru, Autodiff()),
    "GRU, BPTT()": (gru, BPTT()),
    "GRU, BPTT(levels=2)": (gru, BPTT(levels=2)),
    "GRU, BPTT(levels=3)": (gru, BPTT(levels=3)),
    'GRU, BPTT(memory="1MB")': (gru, BPTT(memory="1MB")),
    "IndRNN, BPTT()": (IndRNN(8, 64), BPTT()),
    "IndRNN, RTRL()": (IndRNN(8, 64), RTRL()),
}
taus = [1_000, 10_000, 1_000_000]
memory = {name: [working_memory(cell, tau, adjoint) for tau in taus] for name, (cell, adjoint) in ways.items()}

print("MiB, τ =", "".join(f"{tau:16,}" for tau in taus))
for name, found in memory.items():
    print(f"{name:24}", "".join(f"{m:16.3f}" for m in found)[9:])

# %%
for name, found in memory.items():
    plt.loglog(taus, found, "o:" if "IndRNN" in name else "o-", markersize=4, label=name)
plt.xlabel("τ")
plt.ylabel("working memory (MiB)")
plt.legend(bbox_to_anchor=(1, 1), frameon=False)
plt.show()
assert memory["GRU, Autodiff()"][-1] > 100 * memory["GRU, BPTT()"][-1]
assert max(memory['GRU, BPTT(memory="1MB")']) < 1.3
assert memory["IndRNN, RTRL()"][0] == memory["IndRNN, RTRL()"][-1]

# %% [markdown]
# The lines of `BPTT()` and of `memory` do not rise everywhere: short sequences keep every state, because that saves
# computing and costs little; from some length on they no longer do. Levels have a price, one more forward pass each.
# What is left of `levels=3` at a thousand steps is not states: it is the sums of the gradients.
#
# ## 2. Time against τ
#
# Four methods find the same states, for one sequence:
#
# - `Scan()`, one step after another: the definition;
# - `Shooting()` cuts time into blocks and runs them side by side, as rows of a batch;
# - `Newton()` solves $s(t) - f(s(t-1), x(t)) = 0$ for all t at once;
# - `Associative()` composes the maps of a linear cell by a prefix scan.
#
# Each where it is meant to be used: `Shooting` on a net with matrices larger than the cache, where a product of one row
# waits for memory; `Newton` on a small net, because its Jacobians are n×n; `Associative` on a `MinGRU`.


# %%
def median_ms(runs, rounds):
    """The median of each compiled function, in milliseconds; they take turns."""
    seconds = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            jax.block_until_ready(run())
            seconds[name].append(time.perf_counter() - began)
    return {name: 1e3 * float(np.median(found)) for name, found in seconds.items()}


def prepare(cell, method, training, theta, xs):
    """The forward pass, or the gradient, compiled and run once; and what the forward pass reports."""

    def loss(theta, xs):
        run = unfold(cell, theta, xs, method=method, emit=None)
        return (run.final.h**2).sum(), run.info

    run = jax.jit(jax.grad(loss, has_aux=True) if training else loss)
    info = jax.block_until_ready(run(theta, xs))[1]
    return (lambda: run(theta, xs)), info


cases = {
    GRU(8, 512): {"Scan": Scan(), "Shooting": Shooting()},
    GRU(8, 4): {"Scan": Scan(), "Newton": Newton()},
    MinGRU(8, 256): {"Scan": Scan(), "Associative": Associative()},
}
lengths = [512, 2048, 4096]
forward, reports = {}, {}
for cell, methods in cases.items():
    theta = cell.init(jax.random.key(0))
    for tau in lengths:
        xs = jax.random.normal(jax.random.key(1), (tau, 8))
        ready = {name: prepare(cell, method, False, theta, xs) for name, method in methods.items()}
        forward[cell, tau] = median_ms({name: run for name, (run, _) in ready.items()}, rounds=3)
        reports |= {(name, tau): info for name, (_, info) in ready.items()}

# %%
_, panels = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for axes, (cell, methods) in zip(panels, cases.items(), strict=True):
    for name in methods:
        axes.loglog(lengths, [forward[cell, tau][name] for tau in lengths], "o-", markersize=4, label=name)
    axes.set_title(f"{type(cell).__name__}, {cell.hidden_size} units")
    axes.set_xticks(lengths, [str(tau) for tau in lengths])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("τ")
    axes.legend(frameon=False)
panels[0].set_ylabel("forward (ms)")
plt.show()

# %% [markdown]
# `Scan`'s time over the method's: above 1 the method is faster.

# %%
TRAINING = 2048
print("                         forward, τ =                      training step, τ =")
print(f"{'':24}" + "".join(f"{tau:8}" for tau in lengths) + f"{TRAINING:24}")
for cell, methods in cases.items():
    theta, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (TRAINING, 8))
    trained = median_ms({n: prepare(cell, m, True, theta, xs)[0] for n, m in methods.items()}, rounds=3)
    for name in list(methods)[1:]:
        ratios = [forward[cell, tau]["Scan"] / forward[cell, tau][name] for tau in lengths]
        line = "".join(f"{ratio:8.2f}" for ratio in ratios) + f"{trained['Scan'] / trained[name]:24.2f}"
        print(f"{type(cell).__name__:6} {cell.hidden_size:4} {name:12}" + line)

# %% [markdown]
# On two cores only `Shooting` wins, on the wide net. It saves none of the work: but a product of several rows costs hardly
# more than one of a single row where the matrix has to be fetched for either. `Newton` does many times the work of
# `Scan`, and so loses by far forward; on the way back λ is linear, which takes it one Newton step.
# `Associative` is no faster: on a CPU it takes a linear recurrence step by step, as `Scan` does, because composing maps is
# twice the work. Both are for machines with processors to spare, which two cores are not. What they have to offer such a
# machine is counted in section 5.
#
# ## 3. Shooting, looked into
#
# The first sweep starts every block from s(0), which is wrong for all but the first. The second starts each from where
# the one before it ended, and stops at the step at which every block is back on the path that it took before, up to the
# tolerance: by then the net has forgotten what it started from. `info` is a `Certificate`:
#
# - `sweeps`;
# - `residual`, the largest $|s(t) - f(s(t-1), x(t))|$, in terms of the largest $|s|$;
# - `fell_back`, how many windows were done again one step after another, because blocks did not come together;
# - `depth`, the steps that were taken one after another.


# %%
def look(name, info, tau):
    print(
        f"{name:28} sweeps {int(info.sweeps)}, residual {float(info.residual):.1e}, fell back {int(info.fell_back)},"
        f" depth {int(info.depth)} of {tau}"
    )


text = shakespeare()
training, held_out = split(text)
alphabet = Alphabet.from_text(text)
model = LanguageModel(len(alphabet), embedding_size=32, cell=GRU(32, 64))
untrained = model.init(jax.random.key(0))
began = time.perf_counter()
result = fit(
    model.loss,
    untrained,
    model.initial_state(untrained, (32,)),
    chunks(alphabet.encode(training), 32, 64),
    optimizer=make_optimizer(8e-3, 400),
    steps=400,
    progress=False,
)
bits = result.metrics[-1]["training_loss"] / math.log(2)
print(f"trained for {time.perf_counter() - began:.0f} s, to {bits:.2f} bits per character\n")

TAU = 4096
passage = alphabet.encode(held_out[:TAU])


@jax.jit
def by_shooting(params):
    return unfold(model.cell, params.readout.cell, params.embedding[passage], method=Shooting(blocks=16))


by_scan = jax.jit(lambda params: unfold(model.cell, params.readout.cell, params.embedding[passage]).outputs)
found = {
    "GRU, untrained": (untrained, by_shooting(untrained)),
    "GRU, trained": (result.params, by_shooting(result.params)),
}
for name, (_, run) in found.items():
    look(name, run.info, TAU)
    assert run.info.fell_back == 0
    assert run.info.residual <= 64 * jnp.finfo(jnp.float32).eps
assert found["GRU, trained"][1].info.depth > found["GRU, untrained"][1].info.depth

# %% [markdown]
# What a net has learned it remembers for longer, and so the trained one takes more steps until its blocks meet.
#
# ### The certificate, checked from outside
#
# The GRU's equations in NumPy, in float64, applied to every state that `Shooting` gave: by how much does the next one
# differ? `info.residual` is what float32 makes of the largest of these. Inside a block a state *is* the step of the one
# before, so there the difference is float32's rounding; where a block has met its old path, it is what the tolerance let
# pass.


# %%
def sigma(a):
    return 1 / (1 + np.exp(-a))


def one_step_residuals(params, h):
    """|h(t) - f(h(t-1), x(t))| / max |h| for every t, in float64."""
    U, W, b, c = (np.asarray(p, np.float64) for p in params.readout.cell)
    x, h = np.asarray(params.embedding, np.float64)[passage], np.asarray(h, np.float64)
    previous = np.concatenate([np.zeros((1, h.shape[1])), h[:-1]])
    (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(x @ U + b, 3, axis=1), np.split(previous @ W, 3, axis=1)
    z = sigma(x_z + h_z)
    n = np.tanh(x_n + sigma(x_r + h_r) * (h_n + c))
    return np.abs(z * previous + (1 - z) * n - h).max(1) / np.abs(h).max()


_, panels = plt.subplots(1, 2, figsize=(11, 3), sharey=True, layout="constrained")
for axes, (name, (params, run)) in zip(panels, found.items(), strict=True):
    residuals = one_step_residuals(params, run.outputs)
    scanned = by_scan(params)
    of_scan = one_step_residuals(params, scanned).max()
    distance = jnp.abs(run.outputs - scanned).max() / jnp.abs(scanned).max()
    print(
        f"{name:15} info.residual {run.info.residual:.3e}, in float64 {residuals.max():.3e};"
        f" of Scan {of_scan:.3e}; distance from Scan {distance:.3e}"
    )
    assert abs(residuals.max() - run.info.residual) <= of_scan  # both but for rounding, which Scan has too
    axes.semilogy(range(1, TAU + 1), residuals, ".", markersize=2)
    axes.axhline(64 * jnp.finfo(jnp.float32).eps, color="k", linestyle=":")
    axes.set(title=name, xlabel="t")
panels[0].set_ylabel("one-step residual in float64")
panels[0].text(TAU, 64 * jnp.finfo(jnp.float32).eps, "tolerance", ha="right", va="bottom")
plt.show()

# %% [markdown]
# Of the untrained net one can see the steps at which blocks met: a few dots below the tolerance. The trained one has larger
# weights, and so more of float32's rounding in every step, `Scan`'s too. Both are about as far from `Scan`'s answer as
# the residual says: where a net forgets, a small error in one step stays small.
#
# ### From order to chaos
#
# How long a net remembers is, for a tanh net without much input, a matter of the spectral radius of W. Below 1 it
# forgets; far above 1 it is chaotic, and two paths that once differ never meet. An `Elman` net of 64 units, W scaled,
# weak noise for input:

# %%
elman, SHOTS = Elman(4, 64), 2048
base = elman.init(jax.random.key(2))
own_radius = np.abs(np.linalg.eigvals(np.asarray(base.W, np.float64))).max()
noise = 0.1 * jax.random.normal(jax.random.key(3), (SHOTS, 4))
radii = [0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0]


def scaled(radius):
    return base._replace(W=base.W * (radius / own_radius), b=jnp.zeros_like(base.b))


shoot = jax.jit(lambda p: unfold(elman, p, noise, method=Shooting(blocks=16)))
scan = jax.jit(lambda p: unfold(elman, p, noise).outputs)
shots = {radius: shoot(scaled(radius)) for radius in radii}
for radius, run in shots.items():
    look(f"spectral radius {radius}", run.info, SHOTS)

# %%
_, panels = plt.subplots(1, 2, figsize=(11, 3), layout="constrained")
fell_back = [bool(run.info.fell_back) for run in shots.values()]
colours = ["C3" if fell else "C0" for fell in fell_back]
panels[0].scatter(radii, [int(run.info.depth) for run in shots.values()], c=colours)
panels[0].axhline(SHOTS, color="k", linestyle=":")
panels[0].text(0.5, SHOTS, "Scan", va="bottom")
panels[0].axhline(SHOTS / 16, color="k", linestyle=":")
panels[0].text(3, SHOTS / 16, "one sweep", va="bottom", ha="right")
panels[0].set(yscale="log", xlabel="spectral radius", ylabel="depth (red: fell back)")
distances = [float(jnp.abs(run.outputs - scan(scaled(radius))).max()) for radius, run in shots.items()]
panels[1].plot(radii, [max(float(run.info.residual), 1e-8) for run in shots.values()], "o", label="residual")
panels[1].plot(radii, [max(d, 1e-8) for d in distances], "x", color="k", label="distance from Scan")
panels[1].axhline(64 * jnp.finfo(jnp.float32).eps, color="k", linestyle=":")
panels[1].set(yscale="log", xlabel="spectral radius", title="1e-8 stands for 0")
panels[1].legend(frameon=False)
plt.show()
for fell, distance in zip(fell_back, distances, strict=True):
    assert distance == 0 if fell else distance < 1e-3
assert not fell_back[0]
assert fell_back[-1]

# %% [markdown]
# From 1 on, four sweeps over blocks of 128 steps do not bring the blocks together (`max_sweeps=16`, as many as there are
# blocks, always would, but where they never meet with no fewer steps than `Scan`). Where it falls back the answer is that of `Scan`, at the price of the sweeps in vain on top of it. So is
# the logistic map at r = 4, where a difference doubles with each step:

# %%
logistic = transition(lambda r, s, x=None: r * s * (1 - s))
START = jnp.array(0.2)
chaos = jax.jit(lambda r: unfold(logistic, r, steps=1024, state=START, method=Shooting(blocks=16)))(4.0)
look("logistic map, r = 4", chaos.info, 1024)
assert chaos.info.fell_back == 1
assert jnp.array_equal(chaos.outputs, jax.jit(lambda r: unfold(logistic, r, steps=1024, state=START).outputs)(4.0))

# %% [markdown]
# ## 4. Newton's steps
#
# A Newton step linearises f at all times at once and solves the linear recurrence that comes of it. With the whole
# Jacobian ("full") it converges fast where f is smooth beside the errors; "diagonal" leaves out what units do to each
# other, and takes more, cheaper steps; "block" keeps, for an LSTM, the 2×2 derivatives of each unit's h and c. The
# residual certifies each in the same way. After 32 steps in vain, or where the trust region has shrunk to nothing, a
# window is left to `Scan`.

# %%
small, WINDOW = Elman(4, 16), 256
lstm = LSTM(4, 16)
theta = {cell: cell.init(jax.random.key(4)) for cell in (small, lstm)}
weak = 0.1 * jax.random.normal(jax.random.key(5), (WINDOW, 4))


def newton(cell, jacobian, factors):
    """Certificates, a number for each factor of W."""
    solve = jax.jit(lambda p: unfold(cell, p, weak, method=Newton(jacobian=jacobian), emit=None).info)
    return [solve(theta[cell]._replace(W=theta[cell].W * factor)) for factor in factors]


of_small = np.abs(np.linalg.eigvals(np.asarray(theta[small].W, np.float64))).max()
few = [0.5, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0, 3.0]
factors = [1, 2, 3, 4, 6, 8, 12]
steps = {
    small: {kind: newton(small, kind, [radius / of_small for radius in few]) for kind in ("full", "diagonal")},
    lstm: {kind: newton(lstm, kind, factors) for kind in ("full", "block", "diagonal")},
}

_, panels = plt.subplots(1, 2, figsize=(11, 3), sharey=True, layout="constrained")
for axes, cell, along in zip(panels, (small, lstm), (few, factors), strict=True):
    for kind, infos in steps[cell].items():
        (line,) = axes.plot(along, [int(info.sweeps) for info in infos], "o-", markersize=4, label=kind)
        fell = [(at, int(info.sweeps)) for at, info in zip(along, infos, strict=True) if info.fell_back]
        if fell:
            axes.plot(*zip(*fell, strict=True), "x", color="k", markersize=9)
    axes.legend(frameon=False)
panels[0].set(title="Elman, 16 units (×: fell back)", xlabel="spectral radius of W", ylabel="Newton steps")
panels[1].set(title="LSTM, 16 units", xlabel="W, times what it was drawn as")
plt.show()

# %%
print("Newton steps; * fell back")
for cell, along in ((small, few), (lstm, factors)):
    print(f"\n{type(cell).__name__:10}" + "".join(f"{at:7}" for at in along))
    for kind, infos in steps[cell].items():
        print(f"{kind:10}" + "".join(f"{int(i.sweeps):6}{'*' if i.fell_back else ' '}" for i in infos))
assert not steps[small]["full"][0].fell_back
assert steps[small]["full"][-1].fell_back

# %% [markdown]
# On these nets the whole Jacobian is worth its price: the diagonal alone fails in the Elman net from a radius of 0.8 on,
# and block and diagonal in the LSTM from three times its initial W. (For gated nets as drawn they do well, and for a
# trained GRU as well as the whole.) With the whole Jacobian Newton's method still converges at radii where `Shooting`
# falls back, but takes more and more steps.
#
# ## 5. Depth
#
# A clock tells of two cores. What a machine with as many processors as one likes could make of a method is how many steps
# have to be taken one after another; that is counted, not timed. `info.depth` has it for `Shooting` and `Newton`: of the
# nets of section 2, where 16 blocks were chosen, and of a small Elman net in √τ blocks. For `Associative` the count is
# that of the prefix scan itself, with a composition that adds one to the larger of two depths. (It is what an accelerator
# runs; on a CPU `Associative` takes as many steps as `Scan`.)

# %%
tiny = Elman(4, 8)
tiny_theta = tiny.init(jax.random.key(6))


def depth_of_shooting(tau):
    signal = jax.random.normal(jax.random.key(7), (tau, 4))
    return int(unfold(tiny, tiny_theta, signal, method=Shooting(blocks=math.isqrt(tau)), emit=None).info.depth)


def depth_of_prefix_scan(tau):
    return int(jax.lax.associative_scan(lambda a, b: jnp.maximum(a, b) + 1, jnp.zeros(tau, int)).max())


depths = {
    "Scan": lengths,
    "Shooting, 16 blocks": [int(reports["Shooting", tau].depth) for tau in lengths],
    "Shooting, √τ blocks": [depth_of_shooting(tau) for tau in lengths],
    "Newton": [int(reports["Newton", tau].depth) for tau in lengths],
    "Associative": [depth_of_prefix_scan(tau) for tau in lengths],
}
for name, found in depths.items():
    plt.loglog(lengths, found, "o-", markersize=4, label=name)
    print(f"{name:20}" + "".join(f"{d:8}" for d in found))
plt.xlabel("τ")
plt.ylabel("steps one after another")
plt.legend(bbox_to_anchor=(1, 1), frameon=False)
plt.show()
assert depths["Associative"][-1] <= 2 * math.log2(lengths[-1])
assert max(depths["Newton"][-1], depths["Shooting, √τ blocks"][-1]) < depths["Shooting, 16 blocks"][-1] < lengths[-1]

# %% [markdown]
# O(τ) for `Scan`; O(τ / blocks + the time it takes to forget) for `Shooting`; O(log τ) for `Newton`, times the steps it
# takes, and for `Associative`. For `Newton` that holds as long as all of time is one window, as here: what does not fit in
# memory at once is cut into windows, one after another, and from there on depth grows with τ.
#
# ## 6. Learning from a stream
#
# Back-propagation needs an end to begin from. `Online` has none: after every x(t) it gives a gradient, the weights change,
# and nothing is kept of the past but the influence of the parameters on the state. `RTRL()` carries all of it, `SnAp1()`
# only what a parameter does to its own unit. The task: a stream of random bits, and always the one that came four steps
# before is asked for.

# %%
DELAY, STREAM, BATCH = 4, 6000, 8
bits = jax.random.bernoulli(jax.random.key(8), shape=(STREAM + DELAY, BATCH, 1)).astype(jnp.float32)


def cross_entropy(logit, bit):
    return optax.sigmoid_binary_cross_entropy(logit, bit).sum(-1)


def learn(cell, adjoint):
    """A function of the stream and of what is asked for: the loss of each step, while the weights change after each."""
    net = Readout(cell, 1)
    learner, optimizer = Online(net, cross_entropy, adjoint), optax.adam(3e-3)

    def run(xs, targets):
        def one(carry, now):
            params, moments, state = carry
            state, grads = learner.learn_step(params, state, 2 * now[0] - 1, now[1])
            updates, moments = optimizer.update(jax.tree.map(lambda g: g / BATCH, grads), moments)
            return (optax.apply_updates(params, updates), moments, state), state.loss.mean()

        params = net.init(jax.random.key(9))
        first = learner.initial_state(params, xs[0], targets[0])
        return jax.lax.scan(one, (params, optimizer.init(params), first), (xs, targets))[1]

    return run


stream, at_the_end = (bits[DELAY:], bits[:-DELAY]), {}
learners = {
    "GRU, RTRL()": learn(GRU(1, 16), RTRL()),
    "GRU, SnAp1()": learn(GRU(1, 16), SnAp1()),
    "MinGRU, RTRL()": learn(MinGRU(1, 16), RTRL()),
}
print("                 bits at the end, μs a step, temporaries in KiB: this stream, a hundred times as long")
for name, run in learners.items():
    compiled = jax.jit(run).lower(*stream).compile()
    began = time.perf_counter()
    losses = np.asarray(compiled(*stream)) / math.log(2)
    seconds = time.perf_counter() - began
    long = jax.jit(run).lower(*[jax.ShapeDtypeStruct((100 * STREAM, BATCH, 1), jnp.float32)] * 2).compile()
    needed = [c.memory_analysis().temp_size_in_bytes / 1024 for c in (compiled, long)]
    plt.plot(np.convolve(losses, np.ones(100) / 100, "valid"), label=name)
    at_the_end[name] = losses[-500:].mean()
    print(f"{name:16} {at_the_end[name]:11.3f} {1e6 * seconds / STREAM:9.1f} {needed[0]:14.1f} {needed[1]:9.1f}")
    assert abs(needed[1] - needed[0]) < 1
plt.xlabel("t")
plt.ylabel("loss (bits), mean of 100 steps")
plt.legend(bbox_to_anchor=(1, 1), frameon=False)
plt.show()
assert at_the_end["GRU, RTRL()"] < 0.1

# %% [markdown]
# The exact gradient learns the task within the first part of the stream. `SnAp1()` costs a fraction of it, and learns more
# slowly and less steadily: what one unit does to another, which it leaves out, is how a bit is handed on from step to
# step. For the `MinGRU` `RTRL()` is exact and cheapest of all, and it is the cell that falls short: its gates do not see
# its state. Memory is the same for a stream a hundred times as long.
