"""Convolution layers."""

from __future__ import annotations

import numpy as np

from .. import random
from ..ops.conv import Pair, pair
from . import functional as F
from . import init
from .linear import positive
from .module import Module
from .parameter import Parameter, check_dtype


class _Conv2d(Module):
    """What the two layers share: checked sizes, parameters and their repr."""

    def __init__(
        self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, dtype, rng, transposed
    ):
        super().__init__()
        self.in_channels = positive("in_channels", in_channels)
        self.out_channels = positive("out_channels", out_channels)
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride, self.dilation = pair(stride, "stride", 1), pair(dilation, "dilation", 1)
        self.padding = padding if isinstance(padding, str) else pair(padding, "padding")
        self.groups = positive("groups", groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}")
        first, second = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        self.weight = Parameter(np.empty((first, second // groups, *self.kernel_size), dtype))
        self.bias = Parameter(np.empty(out_channels, dtype)) if bias else None
        init.reset_(self.weight, self.bias, rng)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        defaults = {"padding": (0, 0), "output_padding": (0, 0), "dilation": (1, 1), "groups": 1}
        parts += [f"{k}={getattr(self, k)}" for k, v in defaults.items() if vars(self).get(k, v) != v]
        return ", ".join(parts + ["bias=False"] * (self.bias is None))


class Conv2d(_Conv2d):
    """Convolution (as cross-correlation) of images: every filter looks at all places of its group's channels.

        out[n, o, i, j] = bias[o] + sum over c, a, b of weight[o, c, a, b] * xpad[n, c, i*stride + a*dilation, j*...]

    x (N, C, H, W) -> (N, O, H', W'), H' = floor((H + 2*padding - dilation*(F - 1) - 1) / stride) + 1; weight
    (O, C/groups, F, F), bias (O). padding: zeros on each side; "same" keeps H and W (stride 1), "valid" is
    0. groups = C is the depthwise convolution. Weights and biases start as U(-b, b), b = 1/sqrt(C/groups * F * F), as
    in PyTorch, from `rng` or the stream "init". The input must have the parameters' dtype (TypeError).
    Source: LeCun, Bottou, Bengio, Haffner 1998; Dumoulin and Visin 2016 for the sizes.

    >>> import minidl
    >>> from minidl import nn
    >>> nn.Conv2d(1, 8, 5, stride=2, padding=2)(minidl.zeros(10, 1, 28, 28)).shape
    (10, 8, 14, 14)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype=np.float32,
        rng: random.Rng = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f"padding_mode={padding_mode!r}: only 'zeros' is built in; pad before the layer")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"padding must be 'same', 'valid', an integer or two of them, not {padding!r}")
        if padding == "same" and pair(stride, "stride", 1) != (1, 1):
            raise ValueError(f"padding='same' keeps the size of the image, which needs stride 1, not {stride}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, dtype, rng, False
        )

    def forward(self, x):
        check_dtype(self, x, self.weight)
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ConvTranspose2d(_Conv2d):
    """Transposed convolution: spreads every pixel over a window, the adjoint of Conv2d; used to enlarge images.

    x (N, C, H, W) -> (N, O, H', W'), H' = (H - 1)*stride - 2*padding + dilation*(F - 1) + output_padding + 1; weight
    (C, O/groups, F, F), bias (O). Start: U(-b, b) with b = 1/sqrt(O/groups * F * F), as in PyTorch.
    Source: Zeiler, Krishnan, Taylor, Fergus, "Deconvolutional networks", 2010; Dumoulin and Visin 2016, chapter 4.

    >>> import minidl
    >>> from minidl import nn
    >>> nn.ConvTranspose2d(8, 1, 2, stride=2)(minidl.zeros(10, 8, 14, 14)).shape
    (10, 1, 28, 28)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        output_padding: Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Pair = 1,
        dtype=np.float32,
        rng: random.Rng = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, dtype, rng, True
        )
        self.output_padding = pair(output_padding, "output_padding")

    def forward(self, x):
        check_dtype(self, x, self.weight)
        return F.conv_transpose2d(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )
