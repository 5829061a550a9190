"""Functions of a batch on all devices at once, for a training loop of one's own: every device takes its share."""

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import core
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxrnn.training.devices import (
    AXIS,
    BY_ROW,
    EVERYWHERE,
    Device,
    average,
    choose,
    make_mesh,
    on_each,
    on_first,
    options,
    place,
    refuse_collectives,
    shares,
    wait_for_none,
)
from jaxrnn.training.state import Params

Axes = int | None | Sequence[Any]
Program = tuple[Callable[..., Any], Callable[[Any], Any]]  # what devices run, and what is made of what they find


def value_and_grad(
    loss: Callable[..., jax.Array], *, in_axes: Axes = 1, devices: Sequence[Device] | None = None
) -> Callable[..., tuple[jax.Array, Params]]:
    """`jax.value_and_grad` of a mean over a batch, the batch divided among the devices.

        L(θ) = 1/n Σ_k L_k(θ),    ∂L/∂θ = 1/n Σ_k ∂L_k/∂θ

    with n devices and L_k the loss of the k-th share; after `use_all_cores()` a device is a core. On CPU each device
    finds its part without hearing of the others, and the parts are added when all are there.

    Args:
        loss: `loss(params, *batch)`, a scalar: the mean, over the sequences of a batch, of a number for each. Of
            another reduction (a sum, a mean over all steps where lengths differ) the mean over shares is another number
            than that of the whole batch.
        in_axes: the axis, counted from 0, along which each argument after params holds the batch, as in `jax.vmap`: a
            number for all of them, or one for each; None for what every device gets whole, such as class weights or a
            key (all devices then draw the same); for an argument with several arrays also a tree of these. Default: 1,
            for `(time, batch, ...)`.
        devices: default: those of this process; as many are used as divide the batch.

    Returns:
        `f(params, *batch) -> (value, gradients)`, on the first device. It compiles anew for other shapes: keep it, and
        call it again.

    Raises:
        TypeError: when called, under `jax.jit`, or with arguments that are traced; axes that are no whole numbers.
        ValueError: when called, with arrays that hold no batch, or batches of different sizes; under `jax.set_mesh`; on
            several devices of a CPU, with a loss in which devices speak to one another.

    Example:
        use_all_cores()  # before anything else uses JAX
        gradient = value_and_grad(loss, in_axes=(1, 0))  # of loss(params, xs, lengths)
        value, grads = gradient(params, xs, lengths)
    """
    divided = _Divided("value_and_grad", jax.value_and_grad(loss), _mean, in_axes, devices)

    def gradient(params: Params, *batch: Any) -> tuple[jax.Array, Params]:
        return divided(params, batch)

    return gradient


def map_batch(
    function: Callable[..., Any],
    *,
    in_axes: Axes = 1,
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
        devices: default: those of this process; as many are used as divide the batch.

    Returns:
        `f(params, *batch)`: the same as the function gives. It compiles anew for other shapes: keep it, and call it
        again.

    Raises:
        TypeError: when called, under `jax.jit`, or with arguments that are traced; axes that are no whole numbers.
        ValueError: when called, with arrays that hold no batch, or batches of different sizes; under `jax.set_mesh`; on
            several devices, with a function that gives an array without an axis that is the batch (steps and sequences
            in one axis are none), or, on CPU, in which devices speak to one another.

    Example:
        forward = map_batch(lambda params, xs: unfold(net, params, xs).outputs)
        outputs = forward(params, xs)
    """
    divided = _Divided("map_batch", function, partial(_map, gather), in_axes, devices)

    def mapped(params: Params, *batch: Any) -> Any:
        return divided(params, batch)

    return mapped


class _Divided:
    """A function of parameters and a batch, with its programs for one device and for several."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        make: Callable[..., Program],
        in_axes: Axes,
        devices: Sequence[Device] | None,
    ):
        self.name, self.function, self.make, self.in_axes = name, function, make, in_axes
        self.devices = None if devices is None else tuple(devices)
        self.alone: Callable[..., Any] | None = None  # on one device
        self.programs: dict[Any, Program] = {}  # on several, by these and what is divided; `jax.jit` knows of shapes

    def __call__(self, params: Params, batch: tuple[Any, ...]) -> Any:
        self._refuse_tracers((params, batch, _zero()))
        if not jax.sharding.get_abstract_mesh().empty:
            raise ValueError(f"{self.name}: it has a mesh of its own: call it outside of jax.set_mesh")
        specs = self._specs(batch)
        size = self._size(batch, specs)
        first, *others = devices = choose(size, jax.local_devices() if self.devices is None else self.devices)
        if not others:
            if self.alone is None:
                self.alone = jax.jit(self.function, compiler_options=options(first))
            return self.alone(*jax.tree.map(partial(_on_one, first), (params, *batch)))
        mesh = make_mesh(devices)
        known = mesh, jax.tree.structure(batch), *_leaves(specs)
        if known not in self.programs:
            self.programs[known] = self.make(self.function, mesh, specs)
        program, finish = self.programs[known]
        found = program(_everywhere(mesh, params), *jax.tree.map(partial(_put, mesh), batch, specs))
        self._refuse_tracers(found)
        return finish(found)

    def _refuse_tracers(self, tree: Any) -> None:
        if any(isinstance(a, core.Tracer) for a in jax.tree.leaves(tree)):
            raise TypeError(
                f"{self.name}: it runs a program on each device and cannot be part of another: call it outside of "
                "jax.jit and other transformations"
            )

    def _specs(self, batch: tuple[Any, ...]) -> Any:
        """How every array of the batch is divided."""
        axes = self.in_axes
        if not isinstance(axes, tuple | list):
            axes = (axes,) * len(batch)
        if len(axes) != len(batch):
            raise ValueError(
                f"{self.name}: in_axes is one number, or has an entry for each argument after params, got "
                f"{self.in_axes!r} for {len(batch)} arguments"
            )
        specs = jax.tree.map(self._spec, tuple(axes), is_leaf=lambda axis: axis is None)
        try:
            return jax.tree.broadcast(specs, batch, is_leaf=_is_spec)
        except ValueError as error:
            raise ValueError(
                f"{self.name}: in_axes {self.in_axes!r} must be a tree like that of the arguments after params, or a "
                f"number in place of any part of it, got {jax.tree.structure(batch)}"
            ) from error

    def _spec(self, axis: Any) -> PartitionSpec:
        if axis is None:
            return EVERYWHERE
        try:
            whole = -1 if isinstance(axis, bool) else operator.index(axis)
        except TypeError:
            whole = -1
        if whole < 0:
            raise TypeError(
                f"{self.name}: in_axes has axes, whole numbers from 0 on, or None, got {axis!r} in {self.in_axes!r}"
            )
        return PartitionSpec(*[None] * whole, AXIS)

    def _size(self, batch: tuple[Any, ...], specs: Any) -> int:
        """How many sequences there are."""
        sizes = _sizes(batch, specs)
        if len(sizes) != 1 or 0 in sizes:
            held = _held(batch, specs)
            given = ", ".join(f"{shape} with {axis}" for shape, axis in held[:4]) or "none"
            raise ValueError(
                f"{self.name}: every array of a batch must hold as many sequences, at least one, along its axis in "
                f"in_axes (None: every device gets all of it), got {given}"
            )
        return sizes.pop()


@jax.jit
def _zero() -> jax.Array:
    """A number, which is a tracer where a program is being traced."""
    return jnp.zeros(())


def _is_spec(node: Any) -> bool:
    return isinstance(node, PartitionSpec)


def _held(batch: tuple[Any, ...], specs: Any) -> list[tuple[tuple[int, ...], int]]:
    """The shape of each array that holds a batch, and the axis."""
    pairs = zip(jax.tree.leaves(batch), _leaves(specs), strict=True)
    return [(np.shape(a), len(spec) - 1) for a, spec in pairs if spec != EVERYWHERE]


def _sizes(batch: tuple[Any, ...], specs: Any) -> set[int]:
    """How many sequences the arrays hold."""
    return {shape[axis] if axis < len(shape) else 0 for shape, axis in _held(batch, specs)}


def _leaves(specs: Any) -> list[PartitionSpec]:
    return jax.tree.leaves(specs, is_leaf=_is_spec)


def _on_one(device: Device, a: Any) -> jax.Array:
    """An array on a device, also from several."""
    if isinstance(a, jax.Array) and len(a.sharding.device_set) > 1:
        return place(make_mesh([device]), a, EVERYWHERE)
    return jax.device_put(a, device)


def _everywhere(mesh: Mesh, tree: Any) -> Any:
    """Copies of the arrays on every device; what is there already stays.

    Numbers stay numbers, which take the type of the array that they meet.
    """
    sharding = NamedSharding(mesh, EVERYWHERE)
    leaves, structure = jax.tree.flatten(tree)
    moving = [
        k
        for k, a in enumerate(leaves)
        if not isinstance(a, bool | int | float | complex) and getattr(a, "sharding", None) != sharding
    ]
    arrays = [jnp.asarray(leaves[k]) for k in moving]
    copies = zip(*(jax.device_put(arrays, device) for device in mesh.devices.flat), strict=True)
    for k, c in zip(moving, copies, strict=True):
        leaves[k] = jax.make_array_from_single_device_arrays(c[0].shape, sharding, list(c))
    return jax.tree.unflatten(structure, leaves)


def _put(mesh: Mesh, a: Any, spec: PartitionSpec) -> Any:
    """An array of the batch on the devices; what is there already stays."""
    sharding = NamedSharding(mesh, spec)
    if spec == EVERYWHERE:
        return _everywhere(mesh, a)
    if getattr(a, "sharding", None) == sharding:
        return a
    return place(mesh, a, spec) if wait_for_none(mesh) else jax.device_put(a, sharding)


def _on_all(f: Callable[..., Any], mesh: Mesh, specs: Any, out: Any, given: tuple[Any, ...]) -> Any:
    """What the devices find, put together as `out` says, within a program."""
    run = on_each(f, mesh, (EVERYWHERE, *specs), out)
    if wait_for_none(mesh):
        refuse_collectives(jax.make_jaxpr(run)(*given))
    return run(*given)


def _mean(f: Callable[..., Any], mesh: Mesh, specs: Any) -> Program:
    """The mean over the devices of what they find."""

    def inside(*given: Any) -> Any:
        return _on_all(lambda *share: jax.lax.pmean(f(*share), AXIS), mesh, specs, EVERYWHERE, given)

    def apart(*given: Any) -> Any:
        return _on_all(lambda *share: _row(f(*share)), mesh, specs, BY_ROW, given)

    if not wait_for_none(mesh):
        return _compiled(inside, mesh), on_first
    return _compiled(apart, mesh), lambda found: average(shares(mesh, found))


def _map(gather: bool, f: Callable[..., Any], mesh: Mesh, specs: Any) -> Program:
    """What the devices find, put together along the batch."""

    def divided(*given: Any) -> Any:
        everything = jax.tree.map(lambda _: EVERYWHERE, specs, is_leaf=_is_spec)
        whole, share = (_shapes(f, mesh, some, given) for some in (everything, specs))
        sizes = _sizes(given[1:], specs)
        out = jax.tree.map(partial(_along, sizes.pop(), mesh.size), whole, share)
        return _on_all(f, mesh, specs, out, given)

    def joined(found: Any) -> Any:
        specs = [a.sharding.spec for a in jax.tree.leaves(found)]
        axes = tuple(spec.index(AXIS) if AXIS in spec else None for spec in specs)  # JAX divides no empty array
        return _join(axes, shares(mesh, found))

    return _compiled(divided, mesh), joined if gather else lambda found: found


def _compiled(f: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    return jax.jit(f, compiler_options=options(mesh.devices.flat[0]))


def _row(tree: Any) -> Any:
    """Each array as a row of one that has a row for each device."""
    return jax.tree.map(lambda a: jnp.asarray(a)[None], tree)


def _shapes(f: Callable[..., Any], mesh: Mesh, specs: Any, given: tuple[Any, ...]) -> Any:
    """Shapes of what a device finds of that much of the batch."""
    rows = on_each(lambda *some: _row(f(*some)), mesh, (EVERYWHERE, *specs), BY_ROW)
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), jax.eval_shape(rows, *given))


def _along(batch: int, devices: int, whole: jax.ShapeDtypeStruct, share: jax.ShapeDtypeStruct) -> PartitionSpec:
    """The axis along which what a function gives holds the batch, and for a share as much less."""
    pairs = list(zip(whole.shape, share.shape, strict=False))
    axes = [k for k, (many, few) in enumerate(pairs) if many != few]
    if len(axes) != 1 or whole.ndim != share.ndim or pairs[axes[0]] != (batch, batch // devices):
        raise ValueError(
            f"map_batch: the function must give arrays that hold the batch, {batch}, along one of their axes, got "
            f"shape {whole.shape} for the whole batch and {share.shape} for a device's share"
        )
    return PartitionSpec(*[None] * axes[0], AXIS)


@partial(jax.jit, static_argnums=0)
def _join(axes: tuple[int | None, ...], parts: list[Any]) -> Any:
    leaves, structure = zip(*map(jax.tree.flatten, parts), strict=True)
    joined = [
        same[0] if axis is None else jnp.concatenate(same, axis) for axis, *same in zip(axes, *leaves, strict=True)
    ]
    return jax.tree.unflatten(structure[0], joined)
