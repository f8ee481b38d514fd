"""Bilinear sampling in NumPy: the four neighbours of every position, one after the other. The twin of `sample_numba`.

Reference: Jaderberg et al., "Spatial transformer networks", 2015.
"""

from __future__ import annotations

import math

import numpy as np


def bilinear(x, source, value, orders):
    n, c, h, w = x.shape
    out = np.zeros((n, c, *source.shape[2:]), x.dtype)
    for index, inside, weight in _taps(source, h, w, orders):
        out += weight * np.where(inside, np.take(x, _everywhere(index, x.shape)), x.dtype.type(value))
    return out


def bilinear_input(g, source, x_shape, orders):
    total = np.zeros(math.prod(x_shape))
    for index, inside, weight in _taps(source, *x_shape[2:], orders):
        total += np.bincount(_everywhere(index, x_shape).ravel(), (weight * inside * g).ravel(), len(total))
    return total.reshape(x_shape).astype(g.dtype)


def _taps(source, h, w, orders):
    """For each of the four neighbours of all positions: its index in the plane (in the image, even where it is not),
    whether it is inside, and its weight; all (N, 1, H', W')."""
    u, v = source[:, :1], source[:, 1:]
    near = (u >= -1) & (u < w) & (v >= -1) & (v < h)  # else no neighbour is inside; False for NaN
    columns, rows = (
        _neighbours(np.where(near, p, -2), size, order) for p, size, order in ((u, w, orders[0]), (v, h, orders[1]))
    )
    for i, row_inside, row_weight in rows:
        for j, column_inside, column_weight in columns:
            yield i * w + j, row_inside & column_inside, row_weight * column_weight


def _neighbours(p, size, order):
    """The two pixels around p along one axis: (index, inside, weight)."""
    low = np.floor(p)
    f, first = p - low, low.astype(np.intp)
    weights = (1 - f, f) if order == 0 else (-np.ones_like(f), np.ones_like(f))
    pixels = first, first + 1
    return [(i.clip(0, size - 1), (i >= 0) & (i < size), a) for i, a in zip(pixels, weights, strict=True)]


def _everywhere(index, x_shape):
    """Positions within each plane -> positions within the whole array (N, C, H, W)."""
    n, c, h, w = x_shape
    return index + np.arange(n * c).reshape(n, c, 1, 1) * (h * w)
