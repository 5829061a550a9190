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
# # Long-term dependencies
#
# Sections 10.7 to 10.12 of *Deep Learning* in code: gradients that vanish and explode, seen over time, and what is done
# about it: reservoirs, leaky units, skip connections, gates, clipped gradients, a regulariser, and a memory beside the
# recurrence.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from IPython.display import display

from jaxrnn import (
    GRU,
    LSTM,
    NTM,
    Elman,
    LeakyElman,
    Readout,
    Reservoir,
    Skip,
    initializers,
    plotting,
    ridge_readout,
    states,
    unfold,
)
from jaxrnn.data import copy_task
from jaxrnn.diagnostics import (
    gradient_norms,
    information_flow,
    sensitivity,
    singular_values,
    spectral_radius,
)
from jaxrnn.training import make_optimizer

plt.rcParams.update(
    {"figure.figsize": (8, 3.2), "figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False}
)
plt.close(plt.figure())  # from here on, display shows figures as pictures

# %% [markdown]
# ## 1. Vanishing and exploding
#
# $\partial h(t)/\partial h(s)$ is the product of the Jacobians of the steps between. Without an activation each of them is
# W, and the product $W^{t-s}$ goes as the powers of W's eigenvalues: its largest modulus, the spectral radius, decides. Here
# are all pairs of times for a net of 24 units without activation, its W scaled to three spectral radii. White keeps the
# length of a gradient, blue shortens it, red lengthens it; the numbers are powers of ten.

# %%
TAU = 60
elman = Elman(1, 24)
xs = 0.1 * jax.random.normal(jax.random.key(1), (TAU, 1))
theta = elman.init(jax.random.key(0))


def scaled(radius):
    """The same W, with another spectral radius."""
    return theta._replace(W=theta.W * (radius / spectral_radius(theta.W)))


linear = Elman(1, 24, "identity")
radii = (0.7, 1.0, 1.4)
norms = {radius: jax.jit(lambda p: sensitivity(linear, p, xs))(scaled(radius)) for radius in radii}
for radius in radii:
    figure = plotting.sensitivity(norms[radius])
    figure.suptitle(f"spectral radius {radius}")
    display(figure)
    print(f"spectral radius {radius}: ‖∂h({TAU})/∂h(0)‖ = {norms[radius][0, -1]:.2g}")
assert norms[0.7][0, -1] < 1e-6 < 1e-2 < norms[1.0][0, -1] < 1e2 < 1e6 < norms[1.4][0, -1]

# %% [markdown]
# With a tanh, units saturate and hold the growth back. All singular values of $\partial h(t)/\partial h(0)$ over time, of the
# net with tanh and without, at a spectral radius of 1.6: most directions vanish while one is kept.

# %%
figure, (left, right) = plt.subplots(1, 2, sharey=True)
for axes, activation in ((left, "tanh"), (right, "identity")):
    values = singular_values(Elman(1, 24, activation), scaled(1.6), xs)
    axes.semilogy(np.arange(1, TAU + 1), values, color="tab:blue", linewidth=0.7)
    axes.set_title(activation)
    axes.set_xlabel("t")
    axes.set_ylim(1e-8, 1e14)
left.set_ylabel("singular values")
plt.show()
growth = float(values[-1, 0] / values[-11, 0]) ** 0.1
print(f"without activation the largest grows by {growth:.2f} a step")
assert abs(growth - 1.6) < 0.2

# %% [markdown]
# ## 2. Units that remember
#
# Leaky units with a small rate (Sec. 10.9.2), skip connections through time (10.9.1) and gates (10.10) give the gradient a
# way back that is not multiplied by W each time. The loss is on the last output alone; what reaches each earlier state, over
# 100 steps, before any training. The forget gate of the LSTM starts with a bias of 3. The GRU, as it is drawn, keeps about
# half of its state in each step: it is not gates that remember, but gates that are open.

# %%
TAU = 100
xs = jax.random.normal(jax.random.key(2), (TAU, 1))
lstm = LSTM(1, 24)
cells = {
    "Elman": (elman, scaled(0.7)),
    "LeakyElman(rate=0.05)": (LeakyElman(1, 24, rate=0.05), None),
    "Skip(Elman, 10)": (Skip(elman, 10), None),
    "GRU": (GRU(1, 24), None),
    "LSTM, forget gate open": (lstm, initializers.forget_bias(lstm.init(jax.random.key(0)), 3.0)),
}
reached = {}
for name, (cell, given) in cells.items():
    given = cell.init(jax.random.key(0)) if given is None else given
    reached[name] = gradient_norms(cell, given, xs, lambda run: run.outputs[-1].sum())
    print(f"{name:24} {reached[name][0] / reached[name][-1]:8.1e} of ‖∂L/∂s(τ)‖ are left at s(1)")
display(plotting.over_time(reached, "‖∂L/∂s(t)‖"))
assert reached["Elman"][0] < 1e-6 * reached["LeakyElman(rate=0.05)"][0]

# %% [markdown]
# ## 3. A cliff, and clipping
#
# The loss of a single unit after 50 steps, over its weight and bias: flat, and then a wall, where the fixed point that the
# state falls into changes (Pascanu et al. 2013, Fig. 6). A step of gradient descent from the wall is thrown far away; here
# it starts at the steepest point of the picture.
# Clipped by its norm, the gradient keeps its direction; clipped by value, each entry by itself, it may not. Both are in
# `make_optimizer(clip=..., clip_value=...)`, and are `optax.clip_by_global_norm` and `optax.clip`.

# %%
unit = Elman(1, 1, "sigmoid")


def cliff(point):
    """(σ-unit after 50 steps - 0.7)², of weight and bias."""
    w, b = point
    params = unit.init(jax.random.key(0))._replace(U=jnp.zeros((1, 1)), W=w.reshape(1, 1), b=b.reshape(1))
    start = unit.initial_state(params)._replace(h=jnp.full(1, 0.5))
    return (unfold(unit, params, jnp.zeros((50, 1)), state=start, emit=None).final.h[0] - 0.7) ** 2


grid = np.stack(np.meshgrid(np.linspace(4, 8, 150), np.linspace(-4.5, -1.5, 150)), -1).astype(np.float32)
surface = jax.jit(jax.vmap(jax.vmap(cliff)))(grid)
slopes = jnp.linalg.norm(jax.jit(jax.vmap(jax.vmap(jax.grad(cliff))))(grid), axis=-1)
steepest = jnp.asarray(grid.reshape(-1, 2)[slopes.argmax()])
print(f"the steepest slope is {slopes.max():.1f}, the median {jnp.median(slopes):.3f}")


def descend(optimizer, steps=30):
    """The points of gradient descent."""
    slope = jax.jit(jax.grad(cliff))
    point = steepest
    opt_state, points = optimizer.init(point), [point]
    for _ in range(steps):
        updates, opt_state = optimizer.update(slope(point), opt_state)
        point = optax.apply_updates(point, updates)
        points.append(point)
    return np.array(points)


paths = {
    "not clipped": descend(optax.sgd(0.5)),
    "norm ≤ 0.1": descend(optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.5))),
    "entries ≤ 0.1": descend(optax.chain(optax.clip(0.1), optax.sgd(0.5))),
}
plt.figure(figsize=(8, 4))
plt.contourf(grid[..., 0], grid[..., 1], surface, 30, cmap="Greys")
plt.colorbar(label="loss")
for name, path in paths.items():
    plt.plot(*path.T, ".-", linewidth=0.8, label=name)
    print(
        f"{name:14} longest step {np.linalg.norm(np.diff(path, axis=0), axis=1).max():7.3f}, last loss {cliff(path[-1]):.4f}"
    )
plt.xlim(4, 8)
plt.ylim(-4.5, -1.5)
plt.xlabel("w")
plt.ylabel("b")
plt.legend(frameon=False)
plt.show()

# %% [markdown]
# ## 4. A regulariser for the flow of information
#
# $\Omega = \sum_t \left(\frac{\|\lambda(t)\,\partial h(t)/\partial h(t-1)\|}{\|\lambda(t)\|} - 1\right)^2$ with
# $\lambda(t) = \partial L/\partial h(t)$ asks of each step back that it keeps the length of the gradient. The task: say at
# the end which sign the first input had; all other inputs are noise. Two Elman nets from the same start, one with Ω added
# to its loss.

# %%
TAU, BATCH = 40, 32
net = Readout(Elman(1, 24), 1)


def sequences(key):
    """Inputs and the signs to be remembered."""
    key_sign, key_noise = jax.random.split(key)
    signs = jax.random.rademacher(key_sign, (BATCH,), jnp.float32)
    noise = 0.2 * jax.random.normal(key_noise, (TAU, BATCH, 1))
    return noise.at[0, :, 0].set(signs), signs


def trained(weight, steps=500):
    """Parameters after training with Ω times weight, and the share of right answers over the steps."""
    optimizer = make_optimizer(3e-3, steps, clip=1.0)
    params = net.init(jax.random.key(0))

    def objective(params, xs, signs):
        def loss(run):
            return optax.sigmoid_binary_cross_entropy(run.outputs[-1, :, 0], (signs + 1) / 2).mean()

        run = unfold(net, params, xs)
        omega = information_flow(net, params, xs, loss) if weight else 0.0
        return loss(run) + weight * omega, (run.outputs[-1, :, 0] * signs > 0).mean()

    @jax.jit
    def train(params):
        def step(carry, key):
            params, opt_state = carry
            gradient, right = jax.grad(objective, has_aux=True)(params, *sequences(key))
            updates, opt_state = optimizer.update(gradient, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), right

        (params, _), right = jax.lax.scan(
            step, (params, optimizer.init(params)), jax.random.split(jax.random.key(1), steps)
        )
        return params, right

    return train(params)


some, signs = sequences(jax.random.key(5))
left_over, right_answers = {}, {}
for weight in (0.0, 0.05):
    params, right = trained(weight)
    name = f"Ω times {weight}"
    right_answers[name] = float(right[-100:].mean())
    left_over[name] = gradient_norms(net, params, some, lambda run: run.outputs[-1].sum()).mean(1)
    print(
        f"{name}: {right_answers[name]:.1%} right in the last 100 steps, {left_over[name][0] / left_over[name][-1]:.1e} of the gradient left at h(1)"
    )
display(plotting.over_time(left_over, "‖∂L/∂h(t)‖"))

# %% [markdown]
# ## 5. A recurrence that is not trained
#
# An echo-state network (Sec. 10.8) leaves W as it was drawn, with a spectral radius that is chosen, and trains the readout
# alone, in closed form. The Mackey-Glass equation is a series with memory of its own:
# $\dot y = 0.2\,y(t-17)/(1 + y(t-17)^{10}) - 0.1\,y(t)$. The net learns to say the next value, and then runs on its own
# answers.


# %%
def mackey_glass(count, delay=17.0, step=0.1):
    """Values one unit of time apart, by Euler's rule, without the first 300."""
    back, per = round(delay / step), round(1 / step)
    y = np.full(back + per * (count + 300), 1.2)
    for t in range(back, len(y) - 1):
        late = y[t - back]
        y[t + 1] = y[t] + step * (0.2 * late / (1 + late**10) - 0.1 * y[t])
    return y[back::per][-count:].astype(np.float32)


series = mackey_glass(3500) - 1.0
TRAIN, AHEAD, WASHOUT = 3000, 300, 200
esn = Readout(Reservoir(1, 400, spectral_radius=0.95, leak=0.5, density=0.05, input_scale=0.5), 1)
params = esn.init(jax.random.key(0))
inputs, targets = series[:TRAIN, None], series[1 : TRAIN + 1, None]
run = unfold(esn.inner, params.cell, inputs)
params = ridge_readout(params, run.outputs, targets, 1e-6, washout=WASHOUT)
fitted = unfold(esn, params, inputs).outputs[WASHOUT:]
print(f"one step ahead, NRMSE {np.sqrt(np.mean((fitted - targets[WASHOUT:]) ** 2)) / series.std():.1e}")


@jax.jit
def free(params, state):
    """The net on its own answers."""

    def step(state, _):
        y = esn.output(params, state)
        return esn.step(params, state, y), y[0]

    return jax.lax.scan(step, state, length=AHEAD)[1]


answers, truth = free(params, run.final), series[TRAIN : TRAIN + AHEAD]
wrong = np.abs(answers - truth) > 0.1
print(
    f"on its own, NRMSE of the first 84 steps {np.sqrt(np.mean((answers[:84] - truth[:84]) ** 2)) / series.std():.1e}"
)
print(f"steps before the first error above 0.1: {int(np.argmax(wrong)) if wrong.any() else f'all {AHEAD}'}")
plt.plot(truth, color="black", linewidth=1, label="series")
plt.plot(answers, "--", linewidth=1, color="tab:orange", label="net on its own answers")
plt.xlabel("steps past the training data")
plt.legend(frameon=False)
plt.show()

# %% [markdown]
# ## 6. A memory beside the recurrence
#
# A neural Turing machine (Sec. 10.12) reads and writes a memory through heads that attend to slots, by content and by
# moving from slot to slot. It learns to copy sequences of 1 to 8 random vectors, and is then asked for 16, which it never
# saw: a rule, where a net that keeps the vectors in its state has only room.

# %%
BITS, LONGEST = 6, 8
machine = Readout(NTM(LSTM(BITS + 1 + 10, 48), slots=32, width=10), BITS)


def copy_loss(params, key):
    """Nats a bit of the answers."""
    task = copy_task(key, 16, LONGEST, bits=BITS)
    nats = optax.sigmoid_binary_cross_entropy(unfold(machine, params, task.xs).outputs, task.ys).mean(-1)
    return jnp.where(task.mask, nats, 0).sum() / task.mask.sum()


optimizer = make_optimizer(1e-2, 2000, clip=10.0)


@jax.jit
def train(params, key):
    """2,000 steps."""

    def step(carry, key):
        params, opt_state = carry
        loss, gradient = jax.value_and_grad(copy_loss)(params, key)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    (params, _), losses = jax.lax.scan(step, (params, optimizer.init(params)), jax.random.split(key, 2000))
    return params, losses


params, losses = train(machine.init(jax.random.key(0)), jax.random.key(1))
for length in (LONGEST, 2 * LONGEST):
    task = copy_task(jax.random.key(2), 100, length, shortest=length, bits=BITS)
    wrong = ((unfold(machine, params, task.xs).outputs > 0) != (task.ys > 0.5)) & task.mask[..., None]
    print(
        f"{length} vectors: {wrong.sum() / (task.mask.sum() * BITS):.3%} of the bits wrong, {wrong.any((0, 2)).mean():.0%} of the sequences"
    )

# %%
task = copy_task(jax.random.key(3), 1, 2 * LONGEST, shortest=2 * LONGEST, bits=BITS)
where = unfold(machine, params, task.xs, emit=states).outputs.w[:, 0]
figure, axes = plt.subplots(1, 4, figsize=(10, 3.4), width_ratios=(1, 1, 2, 2))
shown = {
    "input": task.xs[:, 0],
    "answer": jax.nn.sigmoid(unfold(machine, params, task.xs).outputs[:, 0]),
    "where it writes": where[:, 1],
    "where it reads": where[:, 0],
}
for panel, (name, values) in zip(axes, shown.items(), strict=True):
    panel.imshow(values, aspect="auto", cmap="Greys", vmin=0, vmax=1)
    panel.set_title(name, fontsize=9)
    panel.set_xlabel("slot" if "where" in name else "bit")
axes[0].set_ylabel("t")
plt.tight_layout()
plt.show()

# %% [markdown]
# It writes one vector to a slot and moves on; at the sign that the sequence is over, the reading head goes back to where
# writing began, and follows the same way. `python -m benchmarks.copy_task` trains it longer, with an LSTM alone and two
# other memories beside it.
