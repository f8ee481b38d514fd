"""Convolution in NumPy, as the formula reads: the twin of `conv_numba`, its reference and its fallback.

    out[n, o, y, x] = b[o] + sum over c, i, j of w[o, c, i, j] * padded[n, c, S y + d i, S x + d j]

The windows of an image, laid side by side as columns, turn the triple sum into a matrix product (im2col); the two
gradients are the same product with the roles exchanged.
Reference: Chellapilla, Puri and Simard, "High performance convolutional neural networks for document processing", 2006.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .geometry import conv_sizes


def conv2d(x, w, b, stride, padding, dilation, groups):
    ho, wo = conv_sizes(x.shape, w.shape, stride, padding, dilation, groups)
    out = np.empty((len(x), w.shape[0], ho, wo), x.dtype)
    filters = _filters(w, groups)
    for part in _parts(len(x), w[0].size * groups * ho * wo):
        columns = _columns(x[part], w.shape, stride, padding, dilation, groups)
        # (G, O/G, K) @ (n, G, K, L) -> (n, G, O/G, L)
        out[part] = (filters @ columns).reshape(-1, *out.shape[1:])
    return out if b is None else np.add(out, b[:, None, None], out=out)


def conv2d_input(g, w, x_shape, stride, padding, dilation, groups):
    (kh, kw), (sh, sw), (dh, dw) = w.shape[2:], stride, dilation
    (n, c, h, width), (ph, pw), (ho, wo) = x_shape, padding, g.shape[2:]
    padded = np.zeros((n, c, h + 2 * ph, width + 2 * pw), g.dtype)
    filters = _filters(w, groups).swapaxes(1, 2)
    for part in _parts(n, w[0].size * groups * ho * wo):
        # (G, K, O/G) @ (n, G, O/G, L) -> (n, G, K, L)
        columns = filters @ _positions(g[part], groups)
        columns = columns.reshape(-1, c, kh, kw, ho, wo)
        for i, j in np.ndindex(kh, kw):  # every column goes back to where its window took it from
            rows = slice(i * dh, i * dh + sh * (ho - 1) + 1, sh)
            cols = slice(j * dw, j * dw + sw * (wo - 1) + 1, sw)
            padded[part, :, rows, cols] += columns[:, :, i, j]
    return np.ascontiguousarray(padded[:, :, ph : ph + h, pw : pw + width])


def conv2d_weight(g, x, w_shape, stride, padding, dilation, groups):
    o, per_group, kh, kw = w_shape
    total = np.zeros((groups, o // groups, per_group * kh * kw))  # float64: this sum runs over the whole batch
    for part in _parts(len(x), per_group * groups * kh * kw * g[0, 0].size if len(x) else 1):
        columns = _columns(x[part], w_shape, stride, padding, dilation, groups)
        # (n, G, O/G, L) @ (n, G, L, K) -> (n, G, O/G, K)
        total += (_positions(g[part], groups) @ columns.swapaxes(2, 3)).sum(axis=0, dtype=float)
    return total.reshape(w_shape).astype(x.dtype)


def _columns(x, w_shape, stride, padding, dilation, groups):
    """Every window of every image as a column: (N, G, K, L) with K = C/G * kh * kw and L = Ho * Wo."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = w_shape[2:], stride, padding, dilation
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    windows = sliding_window_view(padded, (dh * (kh - 1) + 1, dw * (kw - 1) + 1), axis=(2, 3))
    windows = windows[:, :, ::sh, ::sw, ::dh, ::dw]  # (N, C, Ho, Wo, kh, kw)
    ho, wo = windows.shape[2:4]
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(len(x), groups, w_shape[1] * kh * kw, ho * wo)


def _filters(w, groups):
    """The filters of each group as rows: (O, C/G, kh, kw) -> (G, O/G, K)."""
    return w.reshape(groups, w.shape[0] // groups, w[0].size)


def _positions(g, groups):
    """(N, O, Ho, Wo) -> (N, G, O/G, L)."""
    return g.reshape(len(g), groups, g.shape[1] // groups, g.shape[2] * g.shape[3])


def _parts(images, columns_per_image):
    """Slices of the batch whose columns take some megabytes each, so that memory does not grow with the batch."""
    step = max(1, 2**20 // max(1, columns_per_image))
    return (slice(start, start + step) for start in range(0, images, step))
