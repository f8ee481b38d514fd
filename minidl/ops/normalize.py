"""Normalisation: zero mean and unit variance over some axes, then scale and shift."""

from __future__ import annotations

import weakref

import numpy as np

from .. import kernels
from ..arrays import describe, raw_of, shape_of
from ..engine import Tensor, primitive
from .reduce import count, mean, sum
from .shape import reshape


@primitive
def _standardize(x, axis, eps):
    return standardized(x, axis, eps)[0]
_standardize.vjp(lambda g, x, axis, eps: through_statistics(g, *standardized(x, axis, eps), axis))


def standardized(x, axis, eps) -> tuple:
    """(x - mean) / sqrt(variance + eps), and 1 / sqrt(variance + eps)."""
    deviation = x - mean(x, axis, True)
    inverse = (mean(deviation * deviation, axis, True) + eps) ** -0.5
    return deviation * inverse, inverse


def through_statistics(g, out, inverse, axis):
    """Mean and variance depend on x too: what they take back are the two means."""
    return (g - mean(g, axis, True) - out * mean(g * out, axis, True)) * inverse


def standardize(x, axis, eps: float = 1e-5):
    """(x - mean) / sqrt(variance + eps) over the axes, the variance with divisor N; the dtype is kept.

    Derivatives of any order are exact, mean and variance included. Source: Ioffe and Szegedy 2015.
    """
    return _standardize(x, axis, eps)


@primitive
def _batch_norm(x, weight, bias, call):
    return call.forward(x, weight, bias)
_batch_norm.vjp(
    lambda g, x, weight, call: call.to_input(g, x, weight),
    lambda g, x, call: call.to_weight(g, x),
    lambda g, call: call.to_bias(g),
)  # fmt: skip


class _BatchNorm:
    """One call of batch norm: its statistics, found in the batch or given, and how gradients pass through it.

    Plain arrays go to the kernels. Tensors, which come where a derivative is itself differentiated, meet the formulas;
    there the statistics of the batch are functions of x again.
    """

    def __init__(self, ndim: int, eps: float, mean=None, inverse=None) -> None:
        self.axis, self.per_channel = (0, *range(2, ndim)), (1, -1) + (1,) * (ndim - 2)
        self.eps, self.training = eps, mean is None
        self.mean, self.variance, self.inverse = mean, None, inverse
        self.left = lambda: None, None, None  # g, and the gradients to weight and bias that belong to it

    def forward(self, x, weight, bias):
        if not self.training:
            return kernels.normalize(x, self.mean, self.inverse, weight, bias)
        out, mean, variance = kernels.batch_norm(x, weight, bias, self.eps)
        if self.mean is None:  # a check may compute the same call again, for another x
            self.mean, self.variance, self.inverse = mean, variance, 1.0 / np.sqrt(variance + self.eps)
        return out

    def to_input(self, g, x, weight):
        """The kernel finds all three gradients in one pass over g and x; the other two wait for their turn."""
        if not isinstance(g, Tensor):
            dx, *others = kernels.batch_norm_backward(g, x, self.mean, self.inverse, weight, self.training)
            self.left = weakref.ref(g), *others
            return dx
        if weight is not None:
            g = g * reshape(weight, self.per_channel)
        if self.training:
            return through_statistics(g, *standardized(x, self.axis, self.eps), self.axis)
        return g * self.inverse.reshape(self.per_channel)

    def to_weight(self, g, x):
        left, of_weight, _ = self.left  # once: another thread may be in the same backward
        if left() is g:
            return of_weight
        if not isinstance(g, Tensor):  # x wants no gradient
            return kernels.batch_norm_backward(g, x, self.mean, self.inverse, None, self.training)[1]
        if self.training:
            z, _ = standardized(x, self.axis, self.eps)
        else:
            z = (x - self.mean.reshape(self.per_channel)) * self.inverse.reshape(self.per_channel)
        return sum(g * z, self.axis)

    def to_bias(self, g):
        left, _, of_bias = self.left
        if left() is g:
            return of_bias
        return sum(g, self.axis) if isinstance(g, Tensor) else kernels.channel_sum(g)


def check_float(name: str, x) -> None:
    """TypeError unless the kernels have a body for x's dtype."""
    if raw_of(x).dtype not in (np.float32, np.float64):
        raise TypeError(f"{name}: input {describe(x)} must be float32 or float64; use .astype('float32')")


def update_running(running, batch, momentum: float, factor: float = 1.0) -> None:
    """running = (1 - momentum) running + momentum factor batch, in place."""
    kept = running._writable() if isinstance(running, Tensor) else running
    kept *= 1.0 - momentum
    kept += (momentum * factor) * batch


def batch_norm(
    x, running_mean=None, running_var=None, weight=None, bias=None, training: bool = False, momentum: float = 0.1,
    eps: float = 1e-5,
):  # fmt: skip
    """weight (x - mean) / sqrt(var + eps) + bias, with a mean and a variance for each channel (axis 1).

    x (N, C) or (N, C, ...); the others (C,) or None. training: mean and var (divisor M = values per channel) are the
    batch's, their derivative is part of the gradient, and the running statistics, if given, are updated in place:
    running = (1 - momentum) running + momentum batch, the variance there with divisor M - 1. Otherwise the running
    statistics are used, as constants. They may be Tensors or writable arrays; no graph passes through them.
    x is float32 or float64 (TypeError otherwise) and stays so. Raises ValueError for shapes that do not fit, and in
    training for a single value per channel.
    Source: Ioffe and Szegedy, "Batch normalization", 2015.
    """
    shape = shape_of(x)
    if len(shape) < 2:
        raise ValueError(f"batch_norm: input {describe(x)} must be (N, C) or (N, C, ...)")
    check_float("batch_norm", x)
    named = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for name, v in named.items():
        if v is not None and shape_of(v) != shape[1:2]:
            raise ValueError(f"batch_norm: {name} is {describe(v)}, but input {describe(x)} has {shape[1]} channels")
    if (running_mean is None) != (running_var is None) or (running_mean is None and not training):
        raise ValueError("batch_norm: give running_mean and running_var both; only with training=True both may be None")
    x, weight, bias = (v if v is None or isinstance(v, Tensor) else raw_of(v) for v in (x, weight, bias))
    if not training:  # copies: training may change the running statistics before backward
        inverse = (1.0 / np.sqrt(raw_of(running_var) + eps)).astype(x.dtype)
        call = _BatchNorm(len(shape), eps, raw_of(running_mean).astype(x.dtype), inverse)
        return _batch_norm(x, weight, bias, call)
    call = _BatchNorm(len(shape), eps)
    m = count(shape, call.axis)
    if m < 2:
        raise ValueError(
            f"batch_norm: input {describe(x)} has {m} value(s) per channel, whose variance means nothing; train on "
            "more than one sample (drop a last batch of one), or use eval()"
        )
    out = _batch_norm(x, weight, bias, call)
    if running_mean is not None:
        update_running(running_mean, call.mean, momentum)
        update_running(running_var, call.variance, momentum, m / (m - 1.0))
    return out
