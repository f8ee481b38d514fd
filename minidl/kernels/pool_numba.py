"""Pooling in numba, plane by plane, in long plain loops that the compiler turns into vector instructions.

Reference: Scherer, Mueller and Behnke, "Evaluation of pooling operations in convolutional architectures", 2010.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from . import threads
from .compiling import jit, part
from .geometry import first_inside, pool_counts, pool_sizes
from .registers import at, lanes, shift, take
from .reuse import empty


def max_pool2d(x, kernel, stride, padding, dilation, ceil_mode):
    sizes = pool_sizes(x.shape, kernel, stride, padding, dilation, ceil_mode)
    out, index = (empty((*x.shape[:2], *sizes), kind) for kind in (x.dtype, np.dtype(np.int32)))
    pairs = kernel == stride == (2, 2) and padding == (0, 0) and dilation == (1, 1)
    if pairs and sizes[0] <= x.shape[2] // 2 and 2 * sizes[1] == x.shape[3]:  # what most networks do
        _run(halve, x.size / 2, 2 * sizes[0] * x.shape[3], x.dtype, _planes(x), _planes(out), _planes(index))
        return out, index
    tables = _taps(x.shape[2:], sizes, kernel, stride, padding, dilation)
    _run(largest, x.size, sizes[0] * sizes[1], x.dtype, _planes(x), *tables, *stride, _planes(out), _planes(index))
    return out, index


def pool_gather(x, index):
    out = empty(index.shape, x.dtype)
    _run(gather, out.size, 0, None, _flat(x), _flat(index), _flat(out))
    return out


def pool_scatter(g, index, x_shape):
    out = empty(x_shape, g.dtype)
    _run(scatter, out.size, 0, None, _flat(g), _flat(index), _flat(out))
    return out


def avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad):
    sizes = pool_sizes(x.shape, kernel, stride, padding, (1, 1), ceil_mode)
    tables = _windows(x.shape[2:], sizes, kernel, stride, padding, count_include_pad)
    out = empty((*x.shape[:2], *sizes), x.dtype)
    _run(average, x.size, x.shape[3], x.dtype, _planes(x), *tables, _planes(out))
    return out


def avg_pool2d_input(g, x_shape, kernel, stride, padding, ceil_mode, count_include_pad):
    tables = _windows(x_shape[2:], g.shape[2:], kernel, stride, padding, count_include_pad)
    out = empty(x_shape, g.dtype)
    _run(spread, out.size, x_shape[3], g.dtype, _planes(g), *tables, _planes(out))
    return out


def _run(kernel, numbers, scratch, dtype, *args):
    threads.run(kernel, len(args[0]), 2 * numbers, args, scratch, dtype)


def _planes(array):
    """(N, C, H, W) -> (N C, H, W)."""
    n, c, h, w = array.shape
    return array.reshape(n * c, h, w)


def _flat(array):
    """(N, C, H, W) -> (N C, H W)."""
    n, c, h, w = array.shape
    return array.reshape(n * c, h * w)


@lru_cache(maxsize=256)
def _taps(sizes, places, kernel, stride, padding, dilation):
    """For rows and columns, per tap: first place and end of the places where it lies in the image, position at place 0.
    Then, per window: position under tap (0, 0), and first position in the image. Read-only."""
    tables, axes = [], list(zip(sizes, places, kernel, stride, padding, dilation, strict=True))
    for size, n, k, s, p, d in axes:
        starts = [i * d - p for i in range(k)]
        tables.append(np.array([(max(0, -(a // s)), max(0, min(n, -((a - size) // s))), a) for a in starts]))
    (ho, wo), (sh, sw), width = places, stride, sizes[1]
    row, col = (first_inside(n, k, s, p, d) for _, n, k, s, p, d in axes)
    origin = np.arange(ho)[:, None] * sh * width + np.arange(wo) * sw
    inside = row[:, None] * width + col
    return [_frozen(table) for table in (*tables, origin.astype(np.int32), inside.astype(np.int32))]


@lru_cache(maxsize=256)
def _windows(sizes, places, kernel, stride, padding, count_include_pad):
    """For rows and columns, per window: its first position and end in the image. Then what to divide by. Read-only."""
    tables, counts = [], []
    for size, n, k, s, p in zip(sizes, places, kernel, stride, padding, strict=True):
        start = np.arange(n) * s - p
        tables.append(_frozen(np.stack([np.maximum(start, 0), np.minimum(start + k, size)], axis=1)))
        counts.append(pool_counts(size, n, k, s, p, count_include_pad))
    return *tables, _frozen(counts[0][:, None] * counts[1])


def _frozen(table):
    table.flags.writeable = False
    return table


# --- The kernels: planes first to last ------------------------------------------------------------------------------


@jit
def largest(x, rows, cols, origin, inside, step_h, step_w, out, index, scratch, first, last):
    """All windows of a plane advance together, tap by tap."""
    (_, height, width), (_, ho, wo) = x.shape, out.shape
    value, origin, inside, n = at(scratch, 0), at(origin, 0), at(inside, 0), ho * wo
    for plane in range(first, last):
        best, where = at(out, plane * n), at(index, plane * n)
        for p in range(n):
            best[p], where[p] = -np.inf, inside[p]
        for i in range(len(rows)):
            for j in range(len(cols)):
                if rows[i, 1] - rows[i, 0] < ho or cols[j, 1] - cols[j, 0] < wo:
                    for p in range(n):
                        value[p] = -np.inf  # the padding
                for y in range(rows[i, 0], rows[i, 1]):
                    q = cols[j, 0]
                    line = at(x, (plane * height + y * step_h + rows[i, 2]) * width + cols[j, 2] + q * step_w)
                    take(line, step_w, shift(value, y * wo + q), cols[j, 1] - q)
                here = np.int32(rows[i, 2] * width + cols[j, 2])
                for p in range(n):
                    # Strictly greater, so that the first maximum stays; or the first NaN, which stays too.
                    better = (not value[p] <= best[p]) & (best[p] == best[p])
                    best[p] = value[p] if better else best[p]
                    where[p] = origin[p] + here if better else where[p]


@jit
def halve(x, out, index, scratch, first, last):
    """`largest` for windows of 2x2 side by side: rows in pairs, then, over all rows at once, columns in pairs."""
    (_, height, width), (_, ho, wo) = x.shape, out.shape
    value, row = at(scratch, 0), at(scratch, ho * width)
    for plane in range(first, last):
        for y in range(ho):
            upper = at(x, (plane * height + 2 * y) * width)
            larger_row(upper, shift(upper, width), shift(value, y * width), shift(row, y * width), width)
        where = at(index, plane * ho * wo)
        larger_column(value, row, width, at(out, plane * ho * wo), where, ho * wo)
        for y in range(ho):
            for q in range(wo):
                where[y * wo + q] += 2 * (y * width + q)


@part
def larger_row(upper, lower, value, row, count):
    """value = the larger of two rows, and the row it is from: 0, or 1 where the lower one is larger or the only NaN."""
    lanes(upper)
    for i in range(count):
        a, b = upper[i], lower[i]
        better = (not b <= a) & (a == a)
        value[i] = b if better else a
        row[i] = better


@part
def larger_column(value, row, width, best, where, count):
    """best = the larger of value[2 i] and value[2 i + 1], and where in the window; of equal ones, the upper one."""
    lanes(value)
    for i in range(count):
        a, b, row_a, row_b = value[2 * i], value[2 * i + 1], row[2 * i], row[2 * i + 1]
        a_nan, b_nan = a != a, b != b
        better = (b > a) | (b_nan & (not a_nan)) | (((a == b) | (a_nan & b_nan)) & (row_b < row_a))
        best[i] = b if better else a
        where[i] = np.int32(row_b if better else row_a) * width + better


@jit
def gather(x, index, out, first, last):
    for plane in range(first, last):
        for i in range(index.shape[1]):
            at = index[plane, i]
            if not 0 <= at < x.shape[1]:
                raise IndexError("index holds positions outside the image: it is from another shape")
            out[plane, i] = x[plane, at]


@jit
def scatter(g, index, out, first, last):
    for plane in range(first, last):
        out[plane] = 0
        for i in range(index.shape[1]):
            at = index[plane, i]
            if not 0 <= at < out.shape[1]:
                raise IndexError("index holds positions outside the image: it is from another shape")
            out[plane, at] += g[plane, i]


@jit
def average(x, rows, cols, counts, out, scratch, first, last):
    """The rows of a window are summed column by column, then the columns."""
    total = at(scratch, 0)
    for plane in range(first, last):
        for y in range(len(rows)):
            for c in range(x.shape[2]):
                total[c] = 0
            for r in range(rows[y, 0], rows[y, 1]):
                line = at(x, (plane * x.shape[1] + r) * x.shape[2])
                for c in range(x.shape[2]):
                    total[c] += line[c]
            for q in range(len(cols)):
                s = total[cols[q, 0]]
                for c in range(cols[q, 0] + 1, cols[q, 1]):
                    s += total[c]
                out[plane, y, q] = s / counts[y, q]


@jit
def spread(g, rows, cols, counts, out, scratch, first, last):
    """`average` backwards: every row of windows is spread over the columns, then over the rows."""
    share = at(scratch, 0)
    for plane in range(first, last):
        out[plane] = 0
        for y in range(len(rows)):
            for c in range(out.shape[2]):
                share[c] = 0
            for q in range(len(cols)):
                s = g[plane, y, q] / counts[y, q]
                for c in range(cols[q, 0], cols[q, 1]):
                    share[c] += s
            for r in range(rows[y, 0], rows[y, 1]):
                line = at(out, (plane * out.shape[1] + r) * out.shape[2])
                for c in range(out.shape[2]):
                    line[c] += share[c]
