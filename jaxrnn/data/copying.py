"""The copy task: say again what was said, after the end of it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells.checks import whole_number


class CopyTask(NamedTuple):
    """A batch of the copy task; time is 2·longest + 1 steps."""

    xs: jax.Array  # (time, batch, bits + 1): n vectors of bits, then 1 in the last channel, then zeros
    ys: jax.Array  # (time, batch, bits): the same vectors in the last n steps, zeros before
    mask: jax.Array  # (time, batch), booleans: the steps in which an answer is due
    lengths: jax.Array  # (batch,), the 2n + 1 steps of each sequence


def copy_task(
    key: jax.Array, batch: int, longest: int, *, shortest: int = 1, bits: int = 8, dtype: jnp.dtype | type = jnp.float32
) -> CopyTask:
    """Sequences of n random vectors of bits, to be repeated after a sign that they are over.

    n is uniform from `shortest` to `longest`, for each sequence. Nothing is read during the answer, so the state must
    hold all n vectors. It is a pure function of the key, and may run within `jax.jit`.

    Args:
        key: of the lengths and the bits.
        batch: sequences.
        longest: vectors, at most.
        shortest: vectors, at least.
        bits: of a vector, each 0 or 1 with the same probability.
        dtype: of xs and ys.

    Returns:
        `CopyTask(xs, ys, mask, lengths)`, the lengths for `unfold`.

    Raises:
        ValueError: `batch` below 0, `shortest` or `bits` below 1, `longest` below `shortest`.
        TypeError: sizes that are not whole numbers.

    Example:
        task = copy_task(jax.random.key(0), batch=16, longest=20)  # task.xs: (41, 16, 9)

    Source: Graves, Wayne, Danihelka, *Neural Turing machines* (2014), Sec. 4.1; Hochreiter and Schmidhuber (1997) for
    the kind.
    """
    whole_number("copy_task: batch", batch, 0)
    whole_number("copy_task: shortest", shortest, 1)
    whole_number("copy_task: longest", longest, shortest)
    whole_number("copy_task: bits", bits, 1)
    key_n, key_bits = jax.random.split(key)
    n = jax.random.randint(key_n, (batch,), shortest, longest + 1)
    vectors = jax.random.bernoulli(key_bits, 0.5, (longest, batch, bits)).astype(dtype)
    time = jnp.arange(2 * longest + 1)[:, None]
    said = jnp.concatenate([vectors, jnp.zeros((longest + 1, batch, bits), dtype)])
    said = jnp.where((time < n[None])[..., None], said, 0)
    over = (time == n[None]).astype(dtype)[..., None]
    mask = (time > n[None]) & (time <= 2 * n[None])
    which = jnp.clip(time - n[None] - 1, 0, longest - 1)
    ys = jnp.where(mask[..., None], jnp.take_along_axis(vectors, which[..., None], axis=0), 0)
    return CopyTask(jnp.concatenate([said, over], axis=-1), ys, mask, 2 * n + 1)
