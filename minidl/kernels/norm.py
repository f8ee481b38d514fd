"""Batch norm, its gate: statistics per channel, forward and backward, checked and sent to the chosen body.

All arrays x, g and results are (N, C) or (N, C, ...), seen as (N, C, L): L positions of a channel in each of N samples,
M = N L values of a channel in all. Everything per channel is (C,) and is taken in the float type of x.
"""

from __future__ import annotations

import math

import numpy as np

from .backend import body, check_shape, frozen, ready

SMALL = 4096  # numbers below which NumPy serves, so that small networks do not import numba


def batch_norm(
    x: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every channel to mean 0 and variance 1, then scaled and shifted; with the mean and variance found.

        mean[c] = sum of x[:, c] / M,    variance[c] = sum of (x[:, c] - mean[c])^2 / M
        out[:, c] = weight[c] (x[:, c] - mean[c]) / sqrt(variance[c] + eps) + bias[c]

    The variance is taken from the deviations, in a pass of its own, so that a large mean costs it no accuracy.
    x as above with M > 0; weight and bias (C,), None for ones and zeros -> out like x, mean (C,), variance (C,).
    Raises TypeError unless x is float32 or float64, ValueError for shapes that do not fit or no values.
    Reference: Ioffe and Szegedy, "Batch normalization", 2015, algorithm 1.
    """
    (x,) = ready("batch_norm", x=x)
    flat = as_channels("batch_norm", x, training=True)
    weight, bias = per_channel("batch_norm", flat, weight=(weight, 1), bias=(bias, 0))
    out, mean, variance = _body(flat).batch_norm(flat, weight, bias, eps)
    return out.reshape(x.shape), mean, variance


def normalize(
    x: np.ndarray, mean: np.ndarray, inverse: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None
) -> np.ndarray:
    """The same with statistics that are given; `inverse` is 1 / sqrt(variance + eps).

        out[:, c] = weight[c] inverse[c] (x[:, c] - mean[c]) + bias[c]

    Shapes and errors as for `batch_norm`, except that x may be empty. Reference: the same, algorithm 2.
    """
    (x,) = ready("normalize", x=x)
    flat = as_channels("normalize", x)
    given = {"mean": (mean, 0), "inverse": (inverse, 1), "weight": (weight, 1), "bias": (bias, 0)}
    return _body(flat).normalize(flat, *per_channel("normalize", flat, **given)).reshape(x.shape)


def batch_norm_backward(
    g: np.ndarray, x: np.ndarray, mean: np.ndarray, inverse: np.ndarray, weight: np.ndarray | None, training: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients to x, weight and bias, of `batch_norm` if `training` and else of `normalize`.

        z = inverse[c] (x[:, c] - mean[c])
        dbias[c] = sum of g[:, c],    dweight[c] = sum of g[:, c] z
        dx[:, c] = weight[c] inverse[c] (g[:, c] - dbias[c] / M - z dweight[c] / M)       training
        dx[:, c] = weight[c] inverse[c] g[:, c]                                           not training

    g and x alike, the others (C,), weight may be None -> dx like x, dweight (C,), dbias (C,).
    Errors as for `batch_norm`. Reference: the same, section 3.
    """
    g, x = ready("batch_norm_backward", g=g, x=x)
    check_shape("batch_norm_backward", "g", g, x.shape, "x")
    flat = as_channels("batch_norm_backward", x, training)
    given = {"mean": (mean, 0), "inverse": (inverse, 1), "weight": (weight, 1)}
    given = per_channel("batch_norm_backward", flat, **given)
    dx, dweight, dbias = _body(flat).batch_norm_backward(g.reshape(flat.shape), flat, *given, training)
    return dx.reshape(x.shape), dweight, dbias


def channel_sum(x: np.ndarray) -> np.ndarray:
    """sum[c] = sum of x[:, c], the gradient of a bias per channel.

    x as above -> (C,). Float32 is added up along rows, and float64 across them, where a long sum loses digits.
    Errors as for `batch_norm`. Reference: Higham, "The accuracy of floating point summation", 1993.
    """
    (x,) = ready("channel_sum", x=x)
    flat = as_channels("channel_sum", x)
    return _body(flat).channel_sum(flat)


def _body(x):
    return body("norm", small=x.size < SMALL or x.shape[2] == 1)  # (N, C): NumPy has whole rows of channels


def as_channels(who, x, training=False):
    if x.ndim < 2:
        raise ValueError(f"{who}: x {x.shape} must be (N, C) or (N, C, ...)")
    n, c, *plane = x.shape
    if training and n * math.prod(plane) == 0:
        raise ValueError(f"{who}: x {x.shape} has no values to take a mean of; is the batch empty?")
    return x.reshape(n, c, math.prod(plane))  # not -1, which an empty array leaves open


def per_channel(who, x, **given):
    """Each (C,) array as the kernels take it; None stands for the number beside it, for every channel."""
    arrays = []
    for name, (array, default) in given.items():
        if array is None:
            array = np.full(x.shape[1], default, x.dtype)
        check_shape(who, name, array, x.shape[1:2], "the channels of x")
        arrays.append(frozen(array.astype(x.dtype, copy=False)))
    return arrays
