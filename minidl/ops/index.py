"""Indexing and its adjoint, scattering: where one reads several times the same place, the other adds up."""

from __future__ import annotations

import numpy as np

from ..arrays import shape_of
from ..engine import Tensor, primitive

BASIC = (int, slice, type(None), type(Ellipsis))


@primitive
def _getitem(x, index):
    return x[index]
_getitem.vjp(lambda g, x_shape, index: _scatter(g, x_shape, index))


@primitive
def _scatter(g, shape, index):
    out = np.zeros(shape, g.dtype)
    if all(isinstance(i, BASIC) for i in index):
        out[index] = g  # slices never name a place twice
    else:
        np.add.at(out, index, g)
    return out
_scatter.vjp(lambda g, index: _getitem(g, index))


def getitem(x, index):
    """x[index], for every kind of NumPy index: integers, slices, None, ..., integer arrays, masks.

    The gradient of an element that is read several times is the sum over the readings.
    """
    index = index if isinstance(index, tuple) else (index,)
    return _getitem(x, tuple(i if isinstance(i, BASIC) else _as_index(i) for i in index))


def _as_index(i):
    """Integer or boolean array of our own: backward needs it unchanged."""
    array = np.array(i._array if isinstance(i, Tensor) else i)
    if array.dtype.kind not in "iub" and array.size:
        raise IndexError(f"an index is made of integers, slices, None, ... or masks; this one has dtype {array.dtype}")
    return int(array) if array.ndim == 0 and array.dtype.kind in "iu" else array.astype(
        bool if array.dtype.kind == "b" else np.intp
    )


@primitive
def _take_along(x, index, axis):
    return np.take_along_axis(x, index, axis)
_take_along.vjp(lambda g, x_shape, index, axis: _put_along(g, x_shape, index, axis))


@primitive
def _put_along(g, shape, index, axis):
    out = np.zeros(shape, g.dtype)
    if index.shape[axis] == 1:
        np.put_along_axis(out, index, g, axis)
    else:
        places = list(np.ogrid[tuple(slice(n) for n in index.shape)])
        places[axis] = index
        np.add.at(out, tuple(places), g)
    return out
_put_along.vjp(lambda g, index, axis: _take_along(g, index, axis))


def take_along_axis(x, index, axis: int):
    """out[i, j, ...] = x[i, index[i, j, ...], ...], along one axis; index has x's shape but for that axis."""
    index = np.array(index._array if isinstance(index, Tensor) else index, dtype=np.intp)
    shape = shape_of(x)
    if index.ndim != len(shape) or any(
        a != b for i, (a, b) in enumerate(zip(index.shape, shape, strict=True)) if i != axis % len(shape)
    ):
        raise ValueError(f"take_along_axis: index of shape {index.shape} must equal {shape} in all axes but {axis}")
    index.flags.writeable = False
    return _take_along(x, index, axis)
