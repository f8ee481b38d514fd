"""Group and instance normalisation, and group normalisation whose scale and bias another input decides."""

from __future__ import annotations

import numpy as np

from ..arrays import describe, shape_of
from . import functional as F
from . import init
from .linear import Linear, positive
from .module import Module
from .norm import ChannelNorm, Norm
from .parameter import Parameter, check_dtype


class GroupNorm(Norm):
    """Group normalisation: in each sample every group of channels to mean 0 and variance 1, then a scale and a bias.

        y = weight (x - mean) / sqrt(var + eps) + bias

    x (N, C) or (N, C, ...) -> the same, C = num_channels, which num_groups must divide. mean and var (divisor M, the
    number of values) are over the C/num_groups neighbouring channels of a group and all their positions; weight (C,)
    (ones at first) and bias (C,) (zeros) are per channel. Training and evaluation are alike, and small batches do not
    matter. State: weight, bias. The input must have their dtype (TypeError); ValueError for shapes that do not fit.
    Source: Wu and He, "Group normalization", arXiv:1803.08494, 2018.

    >>> import minidl
    >>> from minidl import nn
    >>> nn.GroupNorm(2, 4)(minidl.tensor([[1.0, 3.0, 10.0, 30.0]]))
    tensor([[-1.,  1., -1.,  1.]], from=group_norm)
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, dtype=np.float32
    ) -> None:
        super().__init__()
        self.num_groups = positive("num_groups", num_groups)
        self.num_channels = positive("num_channels", num_channels)
        if num_channels % num_groups:
            raise ValueError(f"num_groups={num_groups} must divide num_channels={num_channels}")
        self.eps, self.affine = eps, affine
        self.weight = Parameter(np.ones(num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, dtype)) if affine else None

    def forward(self, x):
        if shape_of(x)[1:2] != (self.num_channels,):
            raise ValueError(
                f"GroupNorm({self.num_groups}, {self.num_channels}) takes inputs (N, {self.num_channels}, ...), not "
                f"{describe(x)}"
            )
        if self.weight is not None:
            check_dtype(self, x, self.weight)
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class _InstanceNorm(ChannelNorm):
    """Instance normalisation; by default without parameters and without a memory, as in PyTorch."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype=np.float32,
    ) -> None:
        if momentum is None:
            raise ValueError(f"{type(self).__name__}: momentum must be a number; only batch norm averages all batches")
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype)

    def forward(self, x):
        self._check(x)
        own = self.training or self.running_mean is None
        return F.instance_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, own, self.momentum, self.eps
        )


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of sequences (N, C, L): mean and variance over L. Otherwise as InstanceNorm2d."""

    shapes = {3: "(N, C, L)"}


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of images (N, C, H, W): every channel of every image to mean 0 and variance 1.

        y = weight (x - mean) / sqrt(var + eps) + bias

    mean and var (divisor H W) are over H and W. affine=True: a weight (C,) and a bias (C,), otherwise 1 and 0.
    track_running_stats=True: in training the running statistics follow the averages over the samples,
    running = (1 - momentum) running + momentum average (the variance with divisor H W - 1), and in evaluation they are
    used; otherwise the statistics are the image's own always. Unlike PyTorch it takes batches only.
    State: weight, bias, running_mean, running_var, num_batches_tracked (which stays 0, as in PyTorch), those there are.
    ValueError for shapes that do not fit and for a single position per channel; TypeError for dtypes.
    Source: Ulyanov, Vedaldi, Lempitsky, "Instance normalization", arXiv:1607.08022, 2016.

    >>> import minidl
    >>> from minidl import nn
    >>> nn.InstanceNorm2d(2)(minidl.tensor([[[[1.0, 3.0]], [[10.0, 30.0]]]])).reshape(4)
    tensor([-1.,  1., -1.,  1.])
    """

    shapes = {4: "(N, C, H, W)"}


class AdaGN(Module):
    """Adaptive group normalisation: a second input y, such as the embedding of a class or of a time, sets the scale
    and the bias of every channel.

        out = y_s GroupNorm(h) + y_b,    [y_s, y_b] = Linear(y)

    h (N, C) or (N, C, ...) with C = num_channels, y (N, D) with D = embedding_dim -> like h; y_s and y_b (N, C) are
    the same at all positions of a channel. The group norm has no scale and bias of its own, and the linear map starts
    with weights 0 and biases [1, 0], so that at first out = GroupNorm(h) whatever y is. State: linear.weight,
    linear.bias. ValueError for shapes that do not fit, TypeError for dtypes.
    Source: Dhariwal and Nichol, "Diffusion models beat GANs on image synthesis", arXiv:2105.05233, 2021, section 3.1.

    >>> import minidl
    >>> from minidl import nn
    >>> layer = nn.AdaGN(2, 4, embedding_dim=3)
    >>> layer(minidl.tensor([[1.0, 3.0, 10.0, 30.0]]), minidl.ones(1, 3)).shape
    (1, 4)
    """

    def __init__(
        self, num_groups: int, num_channels: int, embedding_dim: int, eps: float = 1e-5, dtype=np.float32
    ) -> None:
        super().__init__()
        self.norm = GroupNorm(num_groups, num_channels, eps, affine=False)
        self.linear = Linear(embedding_dim, 2 * num_channels, dtype=dtype)
        init.zeros_(self.linear.weight)
        self.linear.bias.data[:num_channels], self.linear.bias.data[num_channels:] = 1.0, 0.0

    def forward(self, h, y):
        shape, wanted = shape_of(h), self.linear.in_features
        if shape_of(y) != (*shape[:1], wanted):
            raise ValueError(f"AdaGN: beside h {describe(h)} y must be ({shape[0]}, {wanted}), not {describe(y)}")
        check_dtype(self, h, self.linear.weight)
        scale_bias = self.linear(y).reshape((shape[0], 2 * shape[1], *(1,) * (len(shape) - 2)))
        return self.norm(h) * scale_bias[:, : shape[1]] + scale_bias[:, shape[1] :]
