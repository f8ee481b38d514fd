"""Group norm, its gate: statistics per group of each sample, forward and backward, checked and sent to the chosen body.

All arrays x, g and results are (N, C) or (N, C, ...), seen as (N, C, L). The C channels of a sample are G groups of
neighbours with M = C/G L values each. Layer norm is the case of one group and L = 1, instance norm that of C groups.
"""

from __future__ import annotations

import numpy as np

from .backend import body, check_shape, ready
from .norm import SMALL, as_channels, per_channel


def group_norm(
    x: np.ndarray, groups: int, weight: np.ndarray | None, bias: np.ndarray | None, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every group of every sample to mean 0 and variance 1, then every channel scaled and shifted; with the statistics.

        out[n, c] = weight[c] (x[n, c] - mean[n, j]) / sqrt(variance[n, j] + eps) + bias[c],    j the group of c

    The variance is taken from the deviations, in a pass of its own. x as above; weight and bias (C,), None for ones and
    zeros -> out like x, mean and variance (N, G).
    Raises TypeError unless x is float32 or float64, ValueError for shapes that do not fit or empty groups.
    Reference: Wu and He, "Group normalization", 2018, section 3.1.
    """
    (x,) = ready("group_norm", x=x)
    rows = _checked("group_norm", x, groups)
    weight, bias = per_channel("group_norm", rows, weight=(weight, 1), bias=(bias, 0))
    out, mean, variance = _body(rows).group_norm(rows, groups, weight, bias, eps)
    return out.reshape(x.shape), mean, variance


def group_norm_backward(
    g: np.ndarray, x: np.ndarray, groups: int, mean: np.ndarray, inverse: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients to x, weight and bias; `inverse` is 1 / sqrt(variance + eps).

        z = inverse[n, j] (x[n, c] - mean[n, j]),    h = weight[c] g[n, c]
        dbias[c] = sum over n of g[n, c],    dweight[c] = sum over n of g[n, c] z
        dx[n, c] = inverse[n, j] (h - mean of h - z mean of (h z))        the means over the group

    g and x alike, mean and inverse (N, G), weight (C,) or None -> dx like x, dweight (C,), dbias (C,).
    Errors as for `group_norm`. Reference: the same.
    """
    g, x = ready("group_norm_backward", g=g, x=x)
    check_shape("group_norm_backward", "g", g, x.shape, "x")
    rows = _checked("group_norm_backward", x, groups)
    for name, statistic in (("mean", mean), ("inverse", inverse)):
        check_shape("group_norm_backward", name, statistic, (len(x), groups), "the groups of x")
    mean, inverse = ready("group_norm_backward", mean=mean.astype(x.dtype), inverse=inverse.astype(x.dtype))
    (weight,) = per_channel("group_norm_backward", rows, weight=(weight, 1))
    dx, dweight, dbias = _body(rows).group_norm_backward(g.reshape(rows.shape), rows, groups, mean, inverse, weight)
    return dx.reshape(x.shape), dweight, dbias


def _body(x):
    return body("group_norm", small=x.size < SMALL)


def _checked(who, x, groups):
    rows = as_channels(who, x)
    _, channels, size = rows.shape
    if groups < 1 or channels % groups:
        raise ValueError(f"{who}: {groups} groups do not divide the {channels} channels of x {x.shape}")
    if channels * size == 0:
        raise ValueError(f"{who}: the groups of x {x.shape} have no values to take a mean of")
    return rows
