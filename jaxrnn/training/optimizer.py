"""The optimizer that `jaxrnn train` uses."""

import optax


def make_optimizer(
    learning_rate: float,
    steps: int,
    *,
    warm_up: float = 0.02,
    clip: float | None = 1.0,
    clip_value: float | None = None,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay, a schedule, and the gradient clipped, by its norm, by value, or both.

        g ← min(max(g, -clip_value), clip_value)    each entry by itself, which may change the direction
        g ← g min(1, clip / ‖g‖)                    the whole gradient, whose direction stays

    The learning rate rises linearly from zero to `learning_rate` over the first `warm_up` of the steps and falls to
    zero along a half cosine over the rest.

    Args:
        learning_rate: the largest rate of the schedule.
        steps: steps of the whole training.
        warm_up: the part of the steps, in [0, 1), over which the rate rises.
        clip: the largest global norm of the gradient; a longer one is shortened to it. None leaves the norm as it is.
        clip_value: the largest modulus of an entry of the gradient; a larger one is cut to it, before the norm is
            found. None leaves entries as they are.
        weight_decay: decay of the weights for each step, as a factor of the learning rate.

    Raises:
        ValueError: a rate, clip or number of steps that is not positive, `warm_up` outside [0, 1).

    Example:
        optimizer = make_optimizer(4e-3, steps=2000)

    Source: Kingma and Ba (2015); Loshchilov and Hutter (2019); clipping the norm: Pascanu, Mikolov, Bengio (2013), by
    value: Mikolov (2012); *Deep Learning*, Sec. 10.11.1.
    """
    given = {"learning_rate": learning_rate, "steps": steps, "clip": clip, "clip_value": clip_value}
    for name, value in given.items():
        if value is None and name.startswith("clip"):
            continue
        if value is None or not 0 < value < float("inf"):
            raise ValueError(f"make_optimizer: {name} must be a positive number, got {value!r}")
    if not 0 <= warm_up < 1:
        raise ValueError(f"make_optimizer: warm_up must be at least 0 and below 1, got {warm_up!r}")
    rising = round(warm_up * steps)
    schedule = optax.warmup_cosine_decay_schedule(0.0 if rising else learning_rate, learning_rate, rising, steps)
    clipping = [optax.clip(clip_value)] if clip_value is not None else []
    clipping += [optax.clip_by_global_norm(clip)] if clip is not None else []
    return optax.chain(*clipping, optax.adamw(schedule, weight_decay=weight_decay))
