"""Group norm in NumPy, as the formulas read. The twin of `group_norm_numba`.

Reference: Wu and He, "Group normalization", 2018.
"""

from __future__ import annotations

import numpy as np

from .norm_numpy import channel_sum


def group_norm(x, groups, weight, bias, eps):
    rows = _rows(x, groups)
    mean = rows.mean(2)
    out = rows - mean[:, :, None]
    variance = np.mean(out * out, 2)
    out *= (1.0 / np.sqrt(variance + eps))[:, :, None]
    out = out.reshape(x.shape)
    out *= weight[:, None]
    out += bias[:, None]
    return out, mean, variance


def group_norm_backward(g, x, groups, mean, inverse, weight):
    z = _rows(x, groups) - mean[:, :, None]
    z *= inverse[:, :, None]
    dweight, dbias = channel_sum(g * z.reshape(x.shape)), channel_sum(g)
    h = _rows(g * weight[:, None], groups)
    slope = np.mean(h * z, 2, keepdims=True)
    h -= h.mean(2, keepdims=True)
    z *= slope
    h -= z
    h *= inverse[:, :, None]
    return h.reshape(x.shape), dweight, dbias


def _rows(x, groups):
    n, channels, size = x.shape
    return x.reshape(n, groups, channels // groups * size)
