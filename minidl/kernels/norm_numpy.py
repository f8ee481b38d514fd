"""Batch norm in NumPy, as the formulas read. The twin of `norm_numba`.

Reference: Ioffe and Szegedy, "Batch normalization", 2015.
"""

from __future__ import annotations

import numpy as np


def batch_norm(x, weight, bias, eps):
    mean = _mean(x)
    out = x - mean[:, None]
    variance = _mean(out * out)
    out *= (weight / np.sqrt(variance + eps))[:, None]
    out += bias[:, None]
    return out, mean, variance


def normalize(x, mean, inverse, weight, bias):
    out = x - mean[:, None]
    out *= (inverse * weight)[:, None]
    out += bias[:, None]
    return out


def batch_norm_backward(g, x, mean, inverse, weight, training):
    z = x - mean[:, None]
    z *= inverse[:, None]
    dweight, dbias = channel_sum(g * z), channel_sum(g)
    scale = (weight * inverse)[:, None]
    if not training:
        return g * scale, dweight, dbias
    m = x.shape[0] * x.shape[2]
    z *= (dweight / -m)[:, None]
    z += g
    z -= (dbias / m)[:, None]
    z *= scale
    return z, dweight, dbias


def channel_sum(x):
    return _total(x).astype(x.dtype)


def _mean(x):
    return (_total(x) / (x.shape[0] * x.shape[2])).astype(x.dtype)


def _total(x):
    """Sum of every channel: along the rows in x's own float type, then across them in float64."""
    rows = x[:, :, 0] if x.shape[2] == 1 else x.sum(2)
    return rows.sum(0, dtype=np.float64)
