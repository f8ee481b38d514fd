"""Normalisation: zero mean and unit variance over some axes, then scale and shift."""

from __future__ import annotations

import numpy as np

from ..arrays import describe, raw_of, shape_of, unbroadcast
from ..engine import Tensor, primitive
from .reduce import count, mean
from .shape import reshape


@primitive
def _standardize(x, weight, bias, centre, inverse, axis, eps):
    out = x - centre
    out *= inverse
    if weight is not None:
        out *= weight
    if bias is not None:
        out += bias
    return out
_standardize.vjp(
    lambda g, x, weight, centre, inverse, axis, eps: _to_input(g, x, weight, centre, inverse, axis, eps),
    lambda g, x, weight_shape, centre, inverse, axis, eps:
        unbroadcast(g * _standardized(x, centre, inverse, axis, eps)[0], weight_shape),
    lambda g, bias_shape: unbroadcast(g, bias_shape),
)  # fmt: skip


def _to_input(g, x, weight, centre, inverse, axis, eps):
    """Mean and variance depend on x too: what they take back are the two means."""
    out, inverse = _standardized(x, centre, inverse, axis, eps)
    g = g if weight is None else g * weight
    return (g - mean(g, axis, True) - out * mean(g * out, axis, True)) * inverse


def _standardized(x, centre, inverse, axis, eps) -> tuple:
    """(x - centre) * inverse, and inverse.

    The forward pass has computed the two statistics, as arrays. Where x is a Tensor the derivative itself is being
    differentiated, and they have to be functions of x again.
    """
    if isinstance(x, Tensor):
        centre = mean(x, axis, True)
        deviation = x - centre
        inverse = (mean(deviation * deviation, axis, True) + eps) ** -0.5
        return deviation * inverse, inverse
    return (x - centre) * inverse, inverse


def _statistics(x: np.ndarray, axis, eps: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance with divisor N, and 1 / sqrt(variance + eps), the axes kept."""
    centre = np.mean(x, axis=axis, keepdims=True)
    variance = np.var(x, axis=axis, keepdims=True, mean=centre)
    inverse = 1.0 / np.sqrt(variance + eps)
    centre.flags.writeable = inverse.flags.writeable = False
    return centre, variance, inverse


def standardize(x, axis, eps: float = 1e-5):
    """(x - mean) / sqrt(variance + eps) over the axes, the variance with divisor N; the dtype is kept.

    Derivatives of any order are exact, mean and variance included. Source: Ioffe and Szegedy 2015.
    """
    centre, _, inverse = _statistics(raw_of(x), axis, eps)
    return _standardize(x, None, None, centre, inverse, axis, eps)


def batch_norm(
    x, running_mean=None, running_var=None, weight=None, bias=None, training: bool = False, momentum: float = 0.1,
    eps: float = 1e-5,
):  # fmt: skip
    """weight (x - mean) / sqrt(var + eps) + bias, with a mean and a variance for each channel (axis 1).

    x (N, C) or (N, C, ...); the others (C,) or None. training: mean and var (divisor M = values per channel) are the
    batch's, their derivative is part of the gradient, and the running statistics, if given, are updated in place:
    running = (1 - momentum) running + momentum batch, the variance there with divisor M - 1. Otherwise the running
    statistics are used, as constants. They may be Tensors or writable arrays; no graph passes through them.
    The dtype of x is kept. Raises ValueError for shapes that do not fit, in training for a single value per channel.
    Source: Ioffe and Szegedy, "Batch normalization", 2015.
    """
    shape = shape_of(x)
    if len(shape) < 2:
        raise ValueError(f"batch_norm: input {describe(x)} must be (N, C) or (N, C, ...)")
    named = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for name, v in named.items():
        if v is not None and shape_of(v) != shape[1:2]:
            raise ValueError(f"batch_norm: {name} is {describe(v)}, but input {describe(x)} has {shape[1]} channels")
    if (running_mean is None) != (running_var is None) or (running_mean is None and not training):
        raise ValueError("batch_norm: give running_mean and running_var both; only with training=True both may be None")
    per_channel = (1, -1) + (1,) * (len(shape) - 2)
    weight, bias = (None if v is None else reshape(v, per_channel) for v in (weight, bias))
    if not training:
        inverse = 1.0 / np.sqrt(raw_of(running_var) + eps)
        scale = inverse.reshape(per_channel)
        out = (x - raw_of(running_mean).reshape(per_channel)) * (scale if weight is None else weight * scale)
        return out if bias is None else out + bias
    axis = (0, *range(2, len(shape)))
    m = count(shape, axis)
    if m < 2:
        raise ValueError(
            f"batch_norm: input {describe(x)} has {m} value(s) per channel, whose variance means nothing; train on "
            "more than one sample (drop a last batch of one), or use eval()"
        )
    centre, variance, inverse = _statistics(raw_of(x), axis, eps)
    if running_mean is not None:
        for running, batch, factor in ((running_mean, centre, 1.0), (running_var, variance, m / (m - 1.0))):
            kept = running._writable() if isinstance(running, Tensor) else running
            kept *= 1.0 - momentum
            kept += (momentum * factor) * batch.reshape(-1)
    return _standardize(x, weight, bias, centre, inverse, axis, eps)
