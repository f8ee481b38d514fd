"""Shapes: the same elements laid out otherwise. Each function's rule is the one that undoes it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..arrays import common_floats, describe, shape_of, unbroadcast
from ..engine import primitive
from ..op import takes_dim
from .index import getitem

Axis = int | tuple[int, ...] | None


def as_axes(axis: Axis, ndim: int, who: str = "") -> tuple[int, ...]:
    """The axes that are meant, each from 0 to ndim - 1; None means all. `who` asks, for the error message."""
    if axis is None:
        return tuple(range(ndim))
    found: list[int] = []
    for a in axis if isinstance(axis, tuple | list) else (axis,):
        if not isinstance(a, int | np.integer):
            raise TypeError(f"{who}: axis must be an integer or a tuple of integers, not {axis!r}".lstrip(": "))
        if not -ndim <= a < ndim:
            allowed = f"[{-ndim}, {ndim - 1}]" if ndim else "nothing: a single number has no axes"
            message = f"axis {a} is out of range for {ndim} dimensions; it lies in {allowed}"
            raise ValueError(f"{who}: {message}".lstrip(": "))
        if a % ndim in found:
            raise ValueError(f"{who}: axis {axis} names one of the {ndim} axes twice".lstrip(": "))
        found.append(int(a) % ndim)
    return tuple(found)


@primitive
def _reshape(x, shape):
    return np.reshape(x, shape)
_reshape.vjp(lambda g, x_shape: _reshape(g, x_shape))


def _as_shape(shape: tuple) -> tuple:
    """reshape(x, 2, 3) and reshape(x, (2, 3)) mean the same."""
    return tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], Sequence) else shape


def reshape(x, *shape):
    """The elements in scan order under a new shape; one dimension may be -1."""
    return _reshape(x, _as_shape(shape))


def flatten(x, start_dim: int = 0, end_dim: int = -1):
    """Join the dimensions start_dim..end_dim into one."""
    shape = shape_of(x)
    n = len(shape) or 1
    if not (-n <= start_dim < n and -n <= end_dim < n and start_dim % n <= end_dim % n):
        raise ValueError(f"flatten: start_dim={start_dim}, end_dim={end_dim} do not fit {describe(x)}")
    a, b = start_dim % n, end_dim % n + 1
    return _reshape(x, (*shape[:a], math.prod(shape[a:b]), *shape[b:]))


@primitive
def _permute(x, axes):
    return np.transpose(x, axes)
_permute.vjp(lambda g, axes: _permute(g, tuple(sorted(range(len(axes)), key=axes.__getitem__))))


def permute(x, *axes):
    """The axes in a new order."""
    axes, ndim = _as_shape(axes), len(shape_of(x))
    order = as_axes(axes, ndim, "permute")
    if len(order) != ndim:
        raise ValueError(f"permute: {axes} is not an order of the {ndim} axes of {describe(x)}")
    return _permute(x, order)


def transpose(x, *axes):
    """Two integers: exchange these axes (PyTorch). None: reverse all. A tuple: a new order (NumPy)."""
    if len(axes) == 2 and not isinstance(axes[0], Sequence):
        return swapaxes(x, *axes)
    return permute(x, *axes) if axes else permute(x, tuple(range(len(shape_of(x))))[::-1])


def swapaxes(x, axis1: int, axis2: int):
    """Exchange two axes."""
    ndim = len(shape_of(x))
    (a,), (b,) = as_axes((axis1,), ndim, "swapaxes"), as_axes((axis2,), ndim, "swapaxes")
    order = list(range(ndim))
    order[a], order[b] = b, a
    return _permute(x, tuple(order))


@takes_dim
def squeeze(x, axis: int | tuple[int, ...] | None = None):
    """Without the axes of length 1; those named must have it."""
    shape = shape_of(x)
    drop = [a for a in as_axes(axis, len(shape), "squeeze") if axis is not None or shape[a] == 1]
    if any(shape[a] != 1 for a in drop):
        raise ValueError(f"squeeze: axis {axis} is not of length 1 in {describe(x)}")
    return _reshape(x, tuple(n for i, n in enumerate(shape) if i not in drop))


@takes_dim
def unsqueeze(x, axis: int):
    """With a new axis of length 1 at this place."""
    shape = shape_of(x)
    (place,) = as_axes((axis,), len(shape) + 1, "unsqueeze")
    return _reshape(x, (*shape[:place], 1, *shape[place:]))


@primitive
def _broadcast_to(x, shape):
    return np.broadcast_to(x, shape)
_broadcast_to.vjp(lambda g, x_shape: unbroadcast(g, x_shape))


def broadcast_to(x, *shape):
    """Repeat along axes of length 1 and new leading axes, without copying."""
    return _broadcast_to(x, _as_shape(shape))


def expand(x, *shape):
    """broadcast_to in which -1 keeps a dimension."""
    shape, own = _as_shape(shape), shape_of(x)
    lead = len(shape) - len(own)
    if lead < 0 or any(n == -1 for n in shape[:lead]):
        raise ValueError(f"expand: {shape} does not fit {describe(x)}; -1 keeps a dimension that is there already")
    return _broadcast_to(x, tuple(own[i - lead] if n == -1 else n for i, n in enumerate(shape)))


@primitive
def _join(x, y, axis):
    return np.concatenate((x, y), axis)
_join.vjp(
    lambda g, x_shape, axis: getitem(g, _along(axis, slice(None, x_shape[axis]))),
    lambda g, x_shape, axis: getitem(g, _along(axis, slice(x_shape[axis], None))),
)


def _along(axis: int, part: slice) -> tuple:
    return (*(slice(None),) * axis, part)


@takes_dim
def concat(tensors, axis: int = 0):
    """Joined along an existing axis. Done pairwise, as a tree, so that many parts cost n log n."""
    parts = common_floats(list(tensors))
    if not parts:
        raise ValueError("concat needs at least one tensor")
    shapes = [shape_of(p) for p in parts]
    ndim = len(shapes[0])
    if not -ndim <= axis < ndim:
        raise ValueError(f"concat: axis {axis} is out of range for shapes {shapes}")
    axis %= ndim
    if any(len(s) != ndim or s[:axis] + s[axis + 1 :] != shapes[0][:axis] + shapes[0][axis + 1 :] for s in shapes):
        raise ValueError(f"concat along axis {axis}: shapes {shapes} differ in another axis")
    if len(parts) == 1:  # joined with nothing: a copy, not the tensor itself
        parts.append(getitem(parts[0], _along(axis, slice(0, 0))))
    while len(parts) > 1:
        pairs = [_join(a, b, axis) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + parts[len(parts) // 2 * 2 :]
    return parts[0]


@takes_dim
def stack(tensors, axis: int = 0):
    """Joined along a new axis."""
    parts = list(tensors)
    if not parts or any(shape_of(p) != shape_of(parts[0]) for p in parts):
        raise ValueError(f"stack needs at least one tensor, and all of one shape; got {[shape_of(p) for p in parts]}")
    return concat([unsqueeze(p, axis) for p in parts], axis)


@takes_dim
def split(x, split_size: int | Sequence[int], axis: int = 0) -> tuple:
    """Cut into parts of this length (the last may be shorter), or of these lengths."""
    ndim = len(shape_of(x))
    if not -ndim <= axis < ndim:
        raise ValueError(f"split: axis {axis} is out of range for {describe(x)}")
    axis %= ndim
    n = shape_of(x)[axis]
    if isinstance(split_size, int | np.integer):
        if split_size < 1:
            raise ValueError(f"split: parts of length {split_size} are not possible")
        sizes = [min(split_size, n - start) for start in range(0, n, split_size)] or [0]
    else:
        sizes = list(split_size) if isinstance(split_size, Sequence) else [-1]
        if sum(sizes) != n or min(sizes, default=0) < 0:
            raise ValueError(f"split: the lengths {split_size} do not add up to the {n} of axis {axis}")
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(getitem(x, _along(axis, slice(a, a + s))) for a, s in zip(starts, sizes, strict=True))


@primitive
def _pad(x, width, value):
    out = np.full([b + n + a for n, (b, a) in zip(x.shape, width, strict=True)], value, x.dtype)
    out[tuple(slice(b, b + n) for n, (b, _) in zip(x.shape, width, strict=True))] = x
    return out
_pad.vjp(lambda g, x_shape, width: getitem(g, tuple(slice(b, b + n) for n, (b, _) in zip(x_shape, width, strict=True))))


def pad(x, width, value: float = 0.0):
    """A border of `value`. width: an integer, or (before, after) for each axis."""
    pairs = [(width, width)] * len(shape_of(x)) if isinstance(width, int | np.integer) else list(width)
    if np.shape(pairs) != (len(shape_of(x)), 2) or np.min(pairs, initial=0) < 0:
        raise ValueError(f"pad: width {width} must hold a (before, after) pair >= 0 for each axis of {describe(x)}")
    return _pad(x, tuple((int(before), int(after)) for before, after in pairs), value)


@primitive
def _flip(x, axis):
    return np.flip(x, axis)
_flip.vjp(lambda g, axis: _flip(g, axis))


def flip(x, axis: int | tuple[int, ...] | None = None):
    """The order reversed along these axes (all)."""
    return _flip(x, tuple(axis) if isinstance(axis, list) else axis)


@primitive
def _roll(x, shift, axis):
    return np.roll(x, shift, axis)
_roll.vjp(lambda g, shift, axis: _roll(g, tuple(-s for s in shift) if isinstance(shift, tuple) else -shift, axis))


def roll(x, shift, axis=None):
    """Shifted along an axis; what leaves at one end comes in at the other. Without an axis: in scan order."""
    return _roll(x, tuple(shift) if isinstance(shift, list) else shift, tuple(axis) if isinstance(axis, list) else axis)


def tile(x, *reps):
    """Repeated side by side, reps[i] times along axis i (PyTorch's `repeat`)."""
    reps, shape = _as_shape(reps), shape_of(x)
    if any(not isinstance(r, int | np.integer) or r < 0 for r in reps):
        raise ValueError(f"tile: {reps} must be integers >= 0, the repetitions along each axis of {describe(x)}")
    reps, shape = (1,) * (len(shape) - len(reps)) + tuple(reps), (1,) * (len(reps) - len(shape)) + tuple(shape)
    pairs = list(zip(reps, shape, strict=True))
    split = _reshape(x, tuple(m for n in shape for m in (1, n)))
    repeated = _broadcast_to(split, tuple(m for pair in pairs for m in pair))
    return _reshape(repeated, tuple(r * n for r, n in pairs))
