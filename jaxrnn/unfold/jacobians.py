"""Jacobians of a step, whole or of its diagonals alone, and the linear recurrences δ(t) = J(t) δ(t-1) + b(t)."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Arrays = list[jax.Array]
Step = Callable[[Arrays, Any], Arrays]  # parts of s(t-1) and x(t) -> parts of s(t)


class Layout:
    """Arrays `(*batch, ...)` as parts, real matrices `(rows, width)`: one for a real array, two for a complex one.

    All parts are of one type, of at least 32 bits.
    """

    def __init__(self, arrays: Sequence[Any], axes: int):
        self.shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arrays]
        self.rows = math.prod(arrays[0].shape[:axes])
        self.dtype = jnp.result_type(jnp.float32, *(jnp.finfo(a.dtype).dtype for a in arrays))
        self.widths = [math.prod(a.shape[axes:]) for a in arrays for _ in range(1 + _is_complex(a))]
        self.size = sum(self.widths)  # n, the real numbers of one row
        self.cuts = list(itertools.accumulate(self.widths))[:-1]

    def pack(self, arrays: Arrays) -> Arrays:
        """The parts of arrays, which may have time before the axes of the batch."""
        parts = []
        for a, shape in zip(arrays, self.shapes, strict=True):
            for piece in (a.real, a.imag) if _is_complex(shape) else (a,):
                lead = a.shape[: a.ndim - len(shape.shape)]
                piece = piece.reshape(*lead, self.rows, self.widths[len(parts)])
                parts.append(piece.astype(self.dtype))
        return parts

    def unpack(self, parts: Arrays) -> Arrays:
        """The arrays of parts."""
        source, arrays = iter(parts), []
        for shape in self.shapes:
            part = next(source)
            whole = lax.complex(part, next(source)) if _is_complex(shape) else part
            arrays.append(whole.astype(shape.dtype).reshape(*part.shape[:-2], *shape.shape))
        return arrays

    def spread(self, reals: Arrays) -> Arrays:
        """Parts from one real array for each array, which broadcasts to its shape."""
        parts = []
        for a, shape in zip(reals, self.shapes, strict=True):
            part = jnp.broadcast_to(a, shape.shape).reshape(self.rows, self.widths[len(parts)]).astype(self.dtype)
            parts += [part] * (1 + _is_complex(shape))
        return parts


class Full:
    """∂f/∂s whole, `(time, rows, n, n)`. A prefix scan multiplies such matrices: O(n³) a step."""

    def __init__(self, layout: Layout):
        self.layout = layout
        self.bytes = layout.rows * layout.size**2 * layout.dtype.itemsize  # of the Jacobian of one step
        self.depth = 1  # evaluations one after another

    def linearize(self, step: Step, before: Arrays, items: Any) -> tuple[Arrays, jax.Array]:
        """The values f and ∂f/∂s at all steps, from n Jacobian-vector products side by side."""
        basis = jnp.eye(self.layout.size, dtype=self.layout.dtype)

        def at(before: Arrays, item: Any) -> tuple[Arrays, jax.Array]:
            # Within a step the directions are the same for every t: a product h @ W is differentiated once for all.
            def along(direction: jax.Array) -> tuple[Arrays, jax.Array]:
                tangents = [
                    jnp.broadcast_to(d[None], s.shape) for d, s in zip(self._split(direction), before, strict=True)
                ]
                after, columns = jax.jvp(lambda s: step(s, item), (before,), (tangents,))
                return after, jnp.concatenate(columns, axis=-1)

            return jax.vmap(along, out_axes=(None, -1))(basis)

        return jax.vmap(at)(before, items)

    def solve(self, jacobian: jax.Array, b: Arrays, backward: bool) -> Arrays:
        """δ(t) = J(t) δ(t-1) + b(t), from zero."""

        def compose(earlier: tuple[jax.Array, jax.Array], later: tuple[jax.Array, jax.Array]) -> Any:
            (A, b), (C, d) = earlier, later
            return _product(C, A), _product(C, b) + d

        column = jnp.concatenate(b, axis=-1)[..., None]
        _, solution = lax.associative_scan(compose, (jacobian, column), reverse=backward)
        return self._split(solution[..., 0])

    def _split(self, whole: jax.Array) -> Arrays:
        return jnp.split(whole, self.layout.cuts, axis=-1)


class Diagonals:
    """Of ∂f/∂s only the diagonals: within each part, or (`coupled`) between all parts of one width too.

    Exact, from n Jacobian-vector products, a few at a time and of each one entry kept: O(n) memory a step. With k parts
    coupled a prefix scan multiplies k×k matrices, one for each entry: O(n k²) a step.
    """

    def __init__(self, layout: Layout, coupled: bool, at_once: int):
        self.layout, self.at_once = layout, at_once
        parts = range(len(layout.widths))
        together = {layout.widths[p]: [q for q in parts if layout.widths[q] == layout.widths[p]] for p in parts}
        self.groups = list(together.values()) if coupled else [[p] for p in parts]
        entries = sum(len(group) ** 2 * layout.widths[group[0]] for group in self.groups)
        self.bytes = layout.rows * entries * layout.dtype.itemsize
        self.depth = 1 + sum(math.ceil(layout.widths[p] / at_once) for p in parts)

    def linearize(self, step: Step, before: Arrays, items: Any) -> tuple[Arrays, Any]:
        """The values f and, for each group, the diagonals of its parts by its parts, `(time, rows, width)`."""

        def along(group: list[int], p: int, i: jax.Array) -> Arrays:
            """Entry i of the parts of a group, differentiated by entry i of the part p."""

            def at(before: Arrays, item: Any) -> Arrays:
                tangents = [jnp.zeros_like(s) for s in before]
                tangents[p] = tangents[p].at[:, i].set(1)
                _, after = jax.jvp(lambda s: step(s, item), (before,), (tangents,))
                return [lax.dynamic_index_in_dim(after[q], i, axis=-1, keepdims=False) for q in group]

            return jax.vmap(at)(before, items)

        jacobian = []
        for group in self.groups:
            columns = []
            for p in group:
                entries = jnp.arange(self.layout.widths[p])
                batch = min(self.at_once, entries.size)
                found = lax.map(lambda i, group=group, p=p: along(group, p, i), entries, batch_size=batch)
                columns.append([jnp.moveaxis(a, 0, -1) for a in found])
            jacobian.append([list(row) for row in zip(*columns, strict=True)])
        return jax.vmap(step)(before, items), jacobian

    def solve(self, jacobian: Any, b: Arrays, backward: bool) -> Arrays:
        """δ(t) = J(t) δ(t-1) + b(t), from zero."""

        def compose(earlier: Any, later: Any) -> Any:
            (A, b), (C, d) = earlier, later
            across = list(zip(*A, strict=True))
            return (
                [[_dot(row, column) for column in across] for row in C],
                [_dot(row, b) + c for row, c in zip(C, d, strict=True)],
            )

        solution: list[Any] = [None] * len(b)
        for group, matrix in zip(self.groups, jacobian, strict=True):
            _, found = lax.associative_scan(compose, (matrix, [b[p] for p in group]), reverse=backward)
            for p, delta in zip(group, found, strict=True):
                solution[p] = delta
        return solution


def _product(A: jax.Array, B: jax.Array) -> jax.Array:
    return jnp.matmul(A, B, precision=lax.Precision.HIGHEST)


def _dot(row: Sequence[jax.Array], column: Sequence[jax.Array]) -> jax.Array:
    products = [a * b for a, b in zip(row, column, strict=True)]
    return sum(products[1:], products[0])


def _is_complex(array: Any) -> bool:
    return jnp.issubdtype(array.dtype, jnp.complexfloating)
