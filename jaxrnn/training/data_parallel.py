"""Functions of a batch on all devices at once, for a training loop of one's own: every device takes its share."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import core
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxrnn.training.devices import (
    AXIS,
    BY_ROW,
    EVERYWHERE,
    Device,
    choose,
    make_mesh,
    on_each,
    on_first,
    options,
    place,
    wait_for_none,
    without_collectives,
)
from jaxrnn.training.state import Params

WHOLE: Any = object()  # in place of an axis, of what every device gets all of
Compiled = Callable[..., Any]


def value_and_grad(
    loss: Callable[..., jax.Array], *, in_axes: Sequence[Any] | None = None, devices: Sequence[Device] | None = None
) -> Callable[..., tuple[jax.Array, Params]]:
    """`jax.value_and_grad` of a mean over a batch, the batch divided among the devices.

        L(θ) = 1/n Σ_k L_k(θ),    ∂L/∂θ = 1/n Σ_k ∂L_k/∂θ

    with n devices and L_k the loss of the k-th share; after `use_all_cores()` a device is a core. On CPU each device
    finds its part without hearing of the others, and the parts are added when all are there.

    Args:
        loss: `loss(params, *batch)`, a scalar: the mean, over the sequences of a batch, of a number for each. Of
            another reduction (a sum, a mean over all steps where lengths differ) the mean over shares is another number
            than that of the whole batch.
        in_axes: for each argument after params the axis along which its arrays hold the batch, or None where every
            device gets all of it, such as a key (all devices then draw the same), as in `jax.vmap`. Default: 1 for
            arrays of two axes or more, such as `(time, batch, features)`, 0 for those of one, such as lengths.
        devices: default: those there are; as many are used as divide the batch.

    Returns:
        `f(params, *batch) -> (value, gradients)`, on the first device. It compiles anew for other shapes.

    Raises:
        TypeError: when called, under `jax.jit` or another transformation.
        ValueError: when called, without an array that holds a batch, or with batches of different sizes; with a loss
            in which devices speak to one another, on CPU.

    Example:
        use_all_cores()  # before anything else uses JAX
        value, grads = value_and_grad(loss)(params, xs, ys)
    """
    divided = _Divided("value_and_grad", jax.value_and_grad(loss), _gradient, in_axes, devices)
    return lambda params, *batch: divided(params, batch)


def map_batch(
    function: Callable[..., Any],
    *,
    in_axes: Sequence[Any] | None = None,
    gather: bool = True,
    devices: Sequence[Device] | None = None,
) -> Callable[..., Any]:
    """`function(params, *batch)` with the batch divided among the devices, such as a forward pass on all cores.

    Args:
        function: it gives arrays, each of which holds the batch along one of its axes; what it gives for a sequence
            must not depend on the others.
        in_axes: as of `value_and_grad`.
        gather: whether to bring what the devices find to the first of them. That takes a copy of it; without it every
            share stays where it was found, in arrays divided along the batch: for `np.asarray`, or for `map_batch` and
            `value_and_grad` again, where nothing moves. A program that adds such arrays up across the batch has CPU
            devices wait for one another, which they may do for good.
        devices: default: those there are; as many are used as divide the batch.

    Returns:
        `f(params, *batch)`: the same as the function gives. It compiles anew for other shapes.

    Raises:
        TypeError: when called, under `jax.jit` or another transformation.
        ValueError: when called, without an array that holds a batch, or with batches of different sizes; on
            several devices, with a function that gives an array without a batch, or, on CPU, in which devices speak to
            one another.

    Example:
        outputs = map_batch(lambda params, xs: unfold(net, params, xs).outputs)(params, xs)
    """
    divided = _Divided("map_batch", function, partial(_map, gather), in_axes, devices)
    return lambda params, *batch: divided(params, batch)


class _Divided:
    """A function of parameters and a batch, compiled for the shapes that it meets."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        make: Callable[..., Compiled],
        in_axes: Sequence[Any] | None,
        devices: Sequence[Device] | None,
    ):
        self.name, self.function, self.make, self.in_axes, self.devices = name, function, make, in_axes, devices
        self.alone: Compiled | None = None  # on one device
        self.programs: dict[Any, Compiled] = {}

    def __call__(self, params: Params, batch: tuple[Any, ...]) -> Any:
        if any(isinstance(a, core.Tracer) for a in jax.tree.leaves((params, batch))):
            raise TypeError(
                f"{self.name}: it runs a program on each device and cannot be part of another: call it outside of "
                "jax.jit and other transformations"
            )
        axes = self._axes(batch)
        first, *others = devices = choose(self._size(batch, axes), self.devices)
        if not others:
            self.alone = self.alone or jax.jit(self.function, compiler_options=options(first))
            params, batch = jax.device_put((params, batch), first)
            return self.alone(params, *batch)
        mesh = make_mesh(devices)
        specs = jax.tree.map(_spec, axes)
        params, batch = _everywhere(mesh, params), jax.tree.map(partial(_put, mesh), batch, specs)
        leaves, structure = jax.tree.flatten((params, batch))
        known = mesh, structure, *map(jax.typeof, leaves)
        if known not in self.programs:
            self.programs[known] = self.make(self.function, mesh, specs, params, batch)
        return self.programs[known](params, *batch)

    def _axes(self, batch: tuple[Any, ...]) -> Any:
        """Where every array of the batch holds its sequences."""
        if self.in_axes is None:
            return jax.tree.map(_usual, batch)
        if len(self.in_axes) != len(batch):
            raise ValueError(
                f"{self.name}: in_axes has an entry for each argument after params, got {self.in_axes!r} for "
                f"{len(batch)} arguments"
            )
        axes = jax.tree.broadcast(tuple(self.in_axes), batch, is_leaf=lambda axis: axis is None)
        return jax.tree.map(lambda axis: WHOLE if axis is None else axis, axes, is_leaf=lambda axis: axis is None)

    def _size(self, batch: tuple[Any, ...], axes: Any) -> int:
        """How many sequences there are."""
        held = [(np.shape(a), axis) for a, axis in zip(*map(jax.tree.leaves, (batch, axes)), strict=True)]
        held = [(shape, axis) for shape, axis in held if axis is not WHOLE]
        sizes = {shape[axis] if 0 <= axis < len(shape) else 0 for shape, axis in held}
        if len(sizes) != 1 or 0 in sizes:
            given = ", ".join(f"{shape} with {axis}" for shape, axis in held) or "none"
            raise ValueError(
                f"{self.name}: every array of a batch must hold as many sequences, at least one, along its axis in "
                f"in_axes (default: 1, and 0 of arrays with one axis), got {given}"
            )
        return sizes.pop()


def _usual(a: Any) -> Any:
    """The axis of a batch, where none is named."""
    return min(np.ndim(a) - 1, 1) if np.ndim(a) else WHOLE


def _spec(axis: Any) -> PartitionSpec:
    return EVERYWHERE if axis is WHOLE else PartitionSpec(*[None] * axis, AXIS)


def _everywhere(mesh: Mesh, tree: Any) -> Any:
    """Copies of the arrays on every device; what is there already stays."""
    sharding = NamedSharding(mesh, EVERYWHERE)
    leaves, structure = jax.tree.flatten(tree)
    if all(isinstance(a, jax.Array) and a.sharding == sharding for a in leaves):
        return tree
    leaves = [jnp.asarray(a) for a in leaves]
    copies = zip(*(jax.device_put(leaves, device) for device in mesh.devices.flat), strict=True)
    put = [jax.make_array_from_single_device_arrays(c[0].shape, sharding, list(c)) for c in copies]
    return jax.tree.unflatten(structure, put)


def _put(mesh: Mesh, a: Any, spec: PartitionSpec) -> Any:
    """An array of the batch on the devices; what is there already stays."""
    if spec == EVERYWHERE:
        return _everywhere(mesh, a)
    return a if isinstance(a, jax.Array) and a.sharding == NamedSharding(mesh, spec) else place(mesh, a, spec)


def _compile(f: Callable[..., Any], out: Any, mesh: Mesh, specs: Any, params: Params, batch: tuple[Any, ...]) -> Any:
    """The program that each device runs on its share."""
    program = (
        jax.jit(on_each(f, mesh, (EVERYWHERE, *specs), out))
        .lower(params, *batch)
        .compile(options(mesh.devices.flat[0]))
    )
    return without_collectives(program) if wait_for_none(mesh) else program


def _shares(mesh: Mesh, tree: Any) -> list[Any]:
    """What each device has of the arrays, on the first device."""
    leaves, structure = jax.tree.flatten(tree)
    shares = ([a.addressable_data(k) for a in leaves] for k in range(mesh.size))
    own, *others = (jax.tree.unflatten(structure, share) for share in shares)
    return [own, *(jax.device_put(share, mesh.devices.flat[0]) for share in others)]


def _gradient(f: Callable[..., Any], mesh: Mesh, specs: Any, params: Params, batch: tuple[Any, ...]) -> Compiled:
    """The mean of the devices' values and gradients."""
    unravel: list[Any] = []

    def mean_of_all(params: Params, *batch: Any) -> Any:
        return jax.lax.pmean(f(params, *batch), AXIS)

    def own(params: Params, *batch: Any) -> jax.Array:
        flat, back = ravel_pytree(f(params, *batch))
        unravel[:] = [back]
        return flat[None]

    if not wait_for_none(mesh):
        inside = _compile(mean_of_all, EVERYWHERE, mesh, specs, params, batch)
        return lambda *given: on_first(inside(*given))
    outside = _compile(own, BY_ROW, mesh, specs, params, batch)
    mean = jax.jit(lambda shares: unravel[0](sum(share[0] for share in shares) / len(shares)))
    return lambda *given: mean(_shares(mesh, outside(*given)))


def _map(
    gather: bool, f: Callable[..., Any], mesh: Mesh, specs: Any, params: Params, batch: tuple[Any, ...]
) -> Compiled:
    """What the devices find, put together."""
    share = jax.tree.map(partial(_share, mesh.size), batch, specs)
    axes = jax.tree.map(_differing, *(jax.eval_shape(f, params, *given) for given in (batch, share)))
    program = _compile(f, jax.tree.map(_spec, axes), mesh, specs, params, batch)
    if not gather:
        return program
    join = jax.jit(lambda shares: jax.tree.map(lambda axis, *a: jnp.concatenate(a, axis), axes, *shares))
    return lambda *given: join(_shares(mesh, program(*given)))


def _share(devices: int, a: jax.Array, spec: PartitionSpec) -> jax.ShapeDtypeStruct:
    """What a device has of an array."""
    shape = [size // devices if k < len(spec) and spec[k] == AXIS else size for k, size in enumerate(a.shape)]
    return jax.ShapeDtypeStruct(shape, a.dtype)


def _differing(whole: jax.ShapeDtypeStruct, share: jax.ShapeDtypeStruct) -> int:
    """The axis along which what a function gives for a share is shorter: that of the batch."""
    axes = [k for k, (many, few) in enumerate(zip(whole.shape, share.shape, strict=True)) if many != few]
    if len(axes) != 1:
        raise ValueError(
            "map_batch: the function must give arrays that hold the batch along one of their axes, got shape "
            f"{whole.shape} for the whole batch and {share.shape} for a device's share"
        )
    return axes[0]
