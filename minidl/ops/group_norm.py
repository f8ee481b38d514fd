"""Normalisation within a sample: layer, group and instance norm are one computation over different groups.

The values of a sample are put into G groups, and each group gets mean 0 and variance 1 by its own mean and variance:
all channels together (layer norm), some of them (group norm), or each by itself (instance norm). No sample depends on
another one, so training and evaluation are the same.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence

import numpy as np

from .. import kernels
from ..arrays import describe, raw_of, shape_of
from ..engine import Tensor, primitive
from .normalize import batch_norm, check_float, standardized, through_statistics, update_running
from .reduce import sum


@primitive
def _group_norm(x, weight, bias, call):
    return call.forward(x, weight, bias)
_group_norm.vjp(
    lambda g, x, weight, call: call.to_input(g, x, weight),
    lambda g, x, weight_shape, call: call.to_weight(g, x).reshape(weight_shape),
    lambda g, bias_shape, call: call.to_bias(g).reshape(bias_shape),
)  # fmt: skip


class _GroupNorm:
    """One call, with x seen as (N, C, L): G groups of C/G channels with L values each in every one of N samples.

    Plain arrays go to the kernels. Tensors, which come where a derivative is itself differentiated, meet the formulas.
    """

    def __init__(self, n: int, groups: int, channels: int, size: int, eps: float) -> None:
        self.groups, self.eps, self.mean, self.variance, self.inverse = groups, eps, None, None, None
        self.by_channel, self.by_group = (n, channels, size), (n, groups, channels // groups * size)
        self.left = lambda: None, None, None  # g, and the gradients to weight and bias that belong to it

    def forward(self, x, weight, bias):
        weight, bias = (v if v is None else v.reshape(-1) for v in (weight, bias))
        out, mean, variance = kernels.group_norm(x.reshape(self.by_channel), self.groups, weight, bias, self.eps)
        if self.mean is None:  # a check may compute the same call again, for another x
            self.mean, self.variance, self.inverse = mean, variance, 1.0 / np.sqrt(variance + self.eps)
        return out.reshape(x.shape)

    def to_input(self, g, x, weight):
        """The kernel finds all three gradients in one pass over g and x; the other two wait for their turn."""
        if not isinstance(g, Tensor):
            dx, *others = self._backward(g, x, weight)
            self.left = weakref.ref(g), *others
            return dx.reshape(x.shape)
        if weight is not None:
            g = g.reshape(self.by_channel) * weight.reshape(-1, 1)
        g, rows = g.reshape(self.by_group), x.reshape(self.by_group)
        return through_statistics(g, *standardized(rows, 2, self.eps), 2).reshape(x.shape)

    def to_weight(self, g, x):
        left, of_weight, _ = self.left  # once: another thread may be in the same backward
        if left() is g:
            return of_weight
        if not isinstance(g, Tensor):  # x wants no gradient
            return self._backward(g, x, None)[1]
        z, _ = standardized(x.reshape(self.by_group), 2, self.eps)
        return sum(g.reshape(self.by_channel) * z.reshape(self.by_channel), (0, 2))

    def to_bias(self, g):
        left, _, of_bias = self.left
        if left() is g:
            return of_bias
        g = g.reshape(self.by_channel)
        return sum(g, (0, 2)) if isinstance(g, Tensor) else kernels.channel_sum(g)

    def _backward(self, g, x, weight):
        g, x = g.reshape(self.by_channel), x.reshape(self.by_channel)
        weight = weight if weight is None else weight.reshape(-1)
        return kernels.group_norm_backward(g, x, self.groups, self.mean, self.inverse, weight)


def _normalized(name: str, x, view: tuple, weight, bias, eps: float) -> tuple:
    """The result for x seen with (N, G, C, L) = view, and the call that made it."""
    check_float(name, x)
    _, groups, channels, size = view
    if (m := channels // groups * size) < 2:
        raise ValueError(
            f"{name}: input {describe(x)} has {m} value(s) to take a mean and a variance of, so that the "
            "output would not depend on it; normalise over more of them (larger images or groups, or batch norm)"
        )
    x, weight, bias = (v if v is None or isinstance(v, Tensor) else raw_of(v) for v in (x, weight, bias))
    call = _GroupNorm(*view, eps)
    return _group_norm(x, weight, bias, call), call


def layer_norm(x, normalized_shape: int | Sequence[int], weight=None, bias=None, eps: float = 1e-5):
    """weight (x - mean) / sqrt(var + eps) + bias, the mean and variance taken over the last axes of each sample.

    x (..., *normalized_shape) -> the same; weight and bias of normalized_shape (an integer D stands for (D,)), or None.
    The variance has the divisor M, the number of values it is taken over. x is float32 or float64 (TypeError
    otherwise) and stays so; ValueError for shapes that do not fit and for M = 1, whose result would be the bias.
    Source: Ba, Kiros, Hinton, "Layer normalization", arXiv:1607.06450, 2016.

    >>> import minidl
    >>> from minidl.nn import functional as F
    >>> F.layer_norm(minidl.tensor([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]), 3)
    tensor([[-1.2247,  0.    ,  1.2247],
            [-1.2247,  0.    ,  1.2247]])
    """
    shape = shape_of(x)
    last = (int(normalized_shape),) if isinstance(normalized_shape, int | np.integer) else tuple(normalized_shape)
    if not last or shape[-len(last) :] != last:
        raise ValueError(f"layer_norm: input {describe(x)} does not end with the normalized_shape {last}")
    _check_affine("layer_norm", x, last, weight, bias)
    view = (math.prod(shape[: -len(last)]), 1, math.prod(last), 1)
    return _normalized("layer_norm", x, view, weight, bias, eps)[0]


def group_norm(x, num_groups: int, weight=None, bias=None, eps: float = 1e-5):
    """weight (x - mean) / sqrt(var + eps) + bias, with a mean and a variance for each group of channels of each sample.

    x (N, C) or (N, C, ...) -> the same; num_groups must divide C, group i holds the channels i C/G ... (i + 1) C/G - 1
    and all their positions; weight and bias (C,) or None. One group is layer norm over all axes but N, C groups are
    instance norm. Divisor of the variance, dtypes and errors as in layer_norm.
    Source: Wu and He, "Group normalization", arXiv:1803.08494, 2018.

    >>> import minidl
    >>> from minidl.nn import functional as F
    >>> F.group_norm(minidl.tensor([[1.0, 3.0, 10.0, 30.0]]), 2)
    tensor([[-1.,  1., -1.,  1.]])
    """
    shape = _images("group_norm", x)
    if not isinstance(num_groups, int | np.integer) or num_groups < 1 or shape[1] % num_groups:
        raise ValueError(f"group_norm: {num_groups!r} groups do not divide the {shape[1]} channels of {describe(x)}")
    _check_affine("group_norm", x, shape[1:2], weight, bias)
    view = (shape[0], num_groups, shape[1], math.prod(shape[2:]))
    return _normalized("group_norm", x, view, weight, bias, eps)[0]


def instance_norm(
    x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats: bool = True, momentum: float = 0.1,
    eps: float = 1e-5,
):  # fmt: skip
    """weight (x - mean) / sqrt(var + eps) + bias, with a mean and a variance for each channel of each sample.

    x (N, C, L) or (N, C, H, W) -> the same; the others (C,) or None. use_input_stats: mean and variance (divisor M, the
    positions of a channel) are those of x, and the running statistics, if given, are updated in place by their average
    over the samples, running = (1 - momentum) running + momentum average, the variance there with divisor M - 1.
    Otherwise the running statistics are used, as constants. Dtypes and errors as in layer_norm.
    Source: Ulyanov, Vedaldi, Lempitsky, "Instance normalization", arXiv:1607.08022, 2016.

    >>> import minidl
    >>> from minidl.nn import functional as F
    >>> F.instance_norm(minidl.tensor([[[1.0, 3.0], [10.0, 30.0]]]))
    tensor([[[-1.,  1.],
             [-1.,  1.]]])
    """
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    shape = _images("instance_norm", x)
    _check_affine("instance_norm", x, shape[1:2], weight, bias, running_mean, running_var)
    if (running_mean is None) != (running_var is None):
        raise ValueError("instance_norm: give running_mean and running_var both, or neither")
    size = math.prod(shape[2:])
    out, call = _normalized("instance_norm", x, (shape[0], shape[1], shape[1], size), weight, bias, eps)
    if running_mean is not None and shape[0]:
        mean, variance = (v.mean(0) for v in (call.mean, call.variance))
        update_running(running_mean, mean, momentum)
        update_running(running_var, variance, momentum, size / (size - 1.0))
    return out


def _images(name: str, x) -> tuple[int, ...]:
    shape = shape_of(x)
    if len(shape) < 2 or not shape[1]:
        raise ValueError(f"{name}: input {describe(x)} must be (N, C) or (N, C, ...) with C > 0 channels")
    return shape


def _check_affine(name: str, x, expected: tuple[int, ...], *values) -> None:
    names = ("weight", "bias", "running_mean", "running_var")
    for what, value in zip(names, values, strict=False):
        if value is not None and shape_of(value) != expected:
            raise ValueError(f"{name}: {what} is {describe(value)}, but the input {describe(x)} asks for {expected}")
        if value is not None and raw_of(value).dtype != raw_of(x).dtype:
            raise TypeError(f"{name}: {what} is {describe(value)}, but the input {describe(x)}; give both one dtype")
