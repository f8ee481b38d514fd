"""Normalisation: zero mean and unit variance over some axes."""

from __future__ import annotations

import numpy as np

from ..engine import primitive
from .reduce import mean, var


@primitive
def normalize(x, axis, eps):
    """(x - mean) / sqrt(variance + eps), the variance with divisor N, over the axes (kept)."""
    centred = x - np.mean(x, axis=axis, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, axis=axis, keepdims=True) + eps)
normalize.vjp(
    # mean and variance depend on x too: what they take back are the two means
    lambda g, out, x, axis, eps: (g - mean(g, axis, True) - out * mean(g * out, axis, True))
        / (var(x, axis, True, correction=0) + eps) ** 0.5
)  # fmt: skip
