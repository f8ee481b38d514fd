"""Batch normalisation layers."""

from __future__ import annotations

import numpy as np

from ..arrays import describe, shape_of
from . import functional as F
from .linear import positive
from .module import Module
from .parameter import Parameter, check_dtype


class Norm(Module):
    """Base of all normalisation layers, by which `nn.weights` knows that their parameters are no weights."""


class ChannelNorm(Norm):
    """What batch and instance norm share: a scale, a bias and running statistics for each channel, all optional.

    Subclasses say in `shapes` which inputs they take.
    """

    shapes: dict[int, str] = {}

    def __init__(self, num_features, eps, momentum, affine, track_running_stats, dtype) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = positive("num_features", num_features), eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine else None
        tracked = track_running_stats
        self.register_buffer("running_mean", np.zeros(num_features, dtype) if tracked else None)
        self.register_buffer("running_var", np.ones(num_features, dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", np.array(0, np.int64) if tracked else None)

    def _check(self, x) -> None:
        shape, name = shape_of(x), type(self).__name__
        if len(shape) not in self.shapes:
            raise ValueError(f"{name} takes inputs {' or '.join(self.shapes.values())}, not {describe(x)}")
        if shape[1] != self.num_features:
            raise ValueError(f"{name}({self.num_features}): the input {describe(x)} has {shape[1]} channels in axis 1")
        for tensor in (self.weight, self.running_mean):
            if tensor is not None:
                check_dtype(self, x, tensor)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(ChannelNorm):
    """Batch normalisation over the axis of channels."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype=np.float32,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype)

    def forward(self, x):
        self._check(x)
        counted, momentum = self.training and self.num_batches_tracked is not None, self.momentum
        if momentum is None:  # the plain average of all batches so far
            momentum = 1.0 / (self.num_batches_tracked.item() + 1) if counted else 0.0
        batch = self.training or self.running_mean is None
        out = F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, batch, momentum, self.eps)
        if counted:
            self.num_batches_tracked._writable()[...] += 1
        return out


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L): every channel to mean 0 and variance 1, then scaled and shifted.

        y = weight (x - mean) / sqrt(var + eps) + bias          (gamma and beta of the paper)

    Training: mean and var (divisor M, the number of values per channel) are those of the batch, over all axes but C,
    and the running statistics follow, running = (1 - momentum) running + momentum batch, with the unbiased variance
    (divisor M - 1); momentum=None averages all batches so far. Evaluation: the running statistics are used, so that
    a result does not depend on its neighbours. No gradient passes through running statistics; without them
    (track_running_stats=False) the batch is used always.
    State: weight, bias, running_mean, running_var, num_batches_tracked. The input must have their dtype (TypeError);
    ValueError for one value per channel in training, whose variance means nothing.
    Source: Ioffe and Szegedy, "Batch normalization", 2015.

    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.BatchNorm1d(1)(np.array([[1.0], [2.0], [3.0]], np.float32))
    tensor([[-1.2247],
            [ 0.    ],
            [ 1.2247]], from=batch_norm)
    """

    shapes = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (N, C, H, W): one mean and variance per channel, over N, H and W.

    Everything else is as in BatchNorm1d. Source: Ioffe and Szegedy, "Batch normalization", 2015, section 3.2.
    """

    shapes = {4: "(N, C, H, W)"}
