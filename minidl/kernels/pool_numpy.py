"""Pooling in NumPy: all windows advance together, one tap of the kernel at a time. The twin of `pool_numba`.

Reference: Scherer, Mueller and Behnke, "Evaluation of pooling operations in convolutional architectures", 2010.
"""

from __future__ import annotations

import math

import numpy as np

from .geometry import first_inside, pool_counts, pool_sizes


def max_pool2d(x, kernel, stride, padding, dilation, ceil_mode):
    sizes = pool_sizes(x.shape, kernel, stride, padding, dilation, ceil_mode)
    rows, cols = (first_inside(*axis) for axis in zip(sizes, kernel, stride, padding, dilation, strict=True))
    width = x.shape[3]
    best = np.full((*x.shape[:2], *sizes), -np.inf, x.dtype)
    index = np.broadcast_to((rows[:, None] * width + cols).astype(np.int32), best.shape).copy()
    padded = _padded(x, sizes, kernel, stride, padding, dilation, fill=-np.inf)
    for i, j, tap in _taps(sizes, kernel, stride, dilation):
        value = padded[tap]
        # Strictly greater: the first maximum stays, and padding (-inf) is never chosen. A NaN beats every number.
        better = (value > best) | (np.isnan(value) & ~np.isnan(best))
        row = np.arange(sizes[0]) * stride[0] - padding[0] + i * dilation[0]
        col = np.arange(sizes[1]) * stride[1] - padding[1] + j * dilation[1]
        np.copyto(best, value, where=better)
        np.copyto(index, (row[:, None] * width + col).astype(np.int32), where=better)
    return best, index


def pool_gather(x, index):
    return np.take(x, _everywhere(index, x.shape))


def pool_scatter(g, index, x_shape):
    total = np.bincount(_everywhere(index, x_shape).ravel(), weights=g.ravel(), minlength=math.prod(x_shape))
    return total.reshape(x_shape).astype(g.dtype)


def avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad):
    sizes = pool_sizes(x.shape, kernel, stride, padding, (1, 1), ceil_mode)
    padded = _padded(x, sizes, kernel, stride, padding, (1, 1))
    total = np.zeros((*x.shape[:2], *sizes), x.dtype)
    for _, _, tap in _taps(sizes, kernel, stride, (1, 1)):
        total += padded[tap]
    return np.divide(total, _divisor(x.shape, sizes, kernel, stride, padding, count_include_pad, x.dtype), out=total)


def avg_pool2d_input(g, x_shape, kernel, stride, padding, ceil_mode, count_include_pad):
    sizes, (h, w), (ph, pw) = g.shape[2:], x_shape[2:], padding
    share = g / _divisor(x_shape, sizes, kernel, stride, padding, count_include_pad, g.dtype)
    padded = _padded(np.zeros(x_shape, g.dtype), sizes, kernel, stride, padding, (1, 1))
    for _, _, tap in _taps(sizes, kernel, stride, (1, 1)):
        padded[tap] += share
    return np.ascontiguousarray(padded[:, :, ph : ph + h, pw : pw + w])


def _everywhere(index, x_shape):
    """Positions within each plane -> positions within the whole array (N, C, H, W)."""
    n, c, h, w = x_shape
    if index.size and (index.min() < 0 or index.max() >= h * w):
        raise IndexError("index holds positions outside the image: it is from another shape")
    return index + np.arange(n * c).reshape(n, c, 1, 1) * (h * w)


def _taps(sizes, kernel, stride, dilation):
    """(i, j, index of the padded input that gives tap (i, j) of every window)."""
    for i, j in np.ndindex(*kernel):
        start = i * dilation[0], j * dilation[1]
        ends = (a + s * (places - 1) + 1 for a, s, places in zip(start, stride, sizes, strict=True))
        yield i, j, (..., *(slice(a, end, s) for a, end, s in zip(start, ends, stride, strict=True)))


def _padded(x, sizes, kernel, stride, padding, dilation, fill=0.0):
    """x with its padding, and as much more below and to the right as the last window of `ceil_mode` needs."""
    axes = zip(x.shape[2:], sizes, kernel, stride, padding, dilation, strict=True)
    after = (max(p, s * (places - 1) + d * (k - 1) + 1 - size - p) for size, places, k, s, p, d in axes)
    return np.pad(x, ((0, 0), (0, 0), *zip(padding, after, strict=True)), constant_values=fill)


def _divisor(x_shape, sizes, kernel, stride, padding, count_include_pad, dtype):
    rows, cols = (
        pool_counts(*axis, count_include_pad) for axis in zip(x_shape[2:], sizes, kernel, stride, padding, strict=True)
    )
    return (rows[:, None] * cols).astype(dtype)
