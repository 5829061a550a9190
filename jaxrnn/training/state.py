"""One step of training, as pure functions of a state that holds everything the next step needs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

Params = Any
State = Any
Batch = Any
Metrics = dict[str, jax.Array]
# loss(params, state, batch, key) -> (value, (state, metrics))
Loss = Callable[[Params, State, Batch, jax.Array | None], tuple[jax.Array, tuple[State, Metrics]]]


class TrainState(NamedTuple):
    """Everything that a step of training reads and renews."""

    params: Params  # θ
    opt_state: optax.OptState
    state: State  # the recurrent state at the end of the chunk before, leaves (batch, ...)
    key: jax.Array  # for dropout, split anew at each step
    step: jax.Array  # (), steps taken


def init_train_state(
    params: Params, state: State, key: jax.Array, optimizer: optax.GradientTransformation
) -> TrainState:
    """The state before the first step."""
    return TrainState(params, optimizer.init(params), state, key, jnp.zeros((), jnp.int32))


def initial_state(loss: Loss, params: Params, batch: Batch) -> State:
    """The recurrent state in which a loss begins where it is given None: what it leaves after a batch of no steps.

    None for a loss that keeps no state.
    """
    _, (after, _) = jax.eval_shape(loss, params, None, batch, None)
    if not jax.tree.leaves(after):
        return after
    no_steps = jax.tree.map(lambda a: a[:0], batch)
    return loss(params, None, no_steps, None)[1][0]


def gradients(loss: Loss, train_state: TrainState, batch: Batch) -> tuple[Params, TrainState, Metrics]:
    """∂L/∂θ on a batch, the train state with the recurrent state and the key carried on, and the metrics.

    The recurrent state is a constant here: no gradient flows into the chunk before.
    """
    key, now = jax.random.split(train_state.key)
    given = (train_state.params, train_state.state, batch, now)
    (value, (state, metrics)), grads = jax.value_and_grad(loss, has_aux=True)(*given)
    return grads, train_state._replace(state=state, key=key), {"loss": value, **metrics}


def update(optimizer: optax.GradientTransformation, train_state: TrainState, grads: Params) -> TrainState:
    """The train state with θ moved by the optimizer."""
    updates, opt_state = optimizer.update(grads, train_state.opt_state, train_state.params)
    params = optax.apply_updates(train_state.params, updates)
    return train_state._replace(params=params, opt_state=opt_state, step=train_state.step + 1)


def make_train_step(
    loss: Loss, optimizer: optax.GradientTransformation
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """One step of truncated training: θ moves along the gradient of one chunk, and the recurrent state is carried on.

    Args:
        loss: `loss(params, state, batch, key) -> (value, (state, metrics))`: the value to make small, the recurrent
            state at the end of the chunk, and a dict of scalars to report.
        optimizer: any optax transformation.

    Returns:
        `step(train_state, batch) -> (train_state, metrics)`, pure: jit it, with `donate_argnums=0` to reuse the memory
        of the old state. The metrics are those of the loss and its value, "loss".

    Example:
        step = jax.jit(make_train_step(model.loss, optax.adam(1e-3)), donate_argnums=0)
        train_state = init_train_state(params, model.initial_state(params, (32,)), key, optax.adam(1e-3))
        train_state, metrics = step(train_state, (inputs, targets))
    """

    def step(train_state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        grads, train_state, metrics = gradients(loss, train_state, batch)
        return update(optimizer, train_state, grads), metrics

    return step
