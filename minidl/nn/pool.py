"""Pooling layers."""

from __future__ import annotations

from ..ops.conv import Pair, pair
from . import functional as F
from .module import Module


class MaxPool2d(Module):
    """The largest value of each window: x (N, C, H, W) -> (N, C, H', W').

    H' = floor((H + 2*padding - dilation*(F - 1) - 1) / stride) + 1 (ceil with ceil_mode); stride is the kernel's size
    if left out, smaller strides overlap. The gradient goes to the first maximum in scan order.
    Source: Scherer, Mueller, Behnke 2010.

    >>> import minidl
    >>> from minidl import nn
    >>> nn.MaxPool2d(2)(minidl.zeros(10, 8, 28, 28)).shape
    (10, 8, 14, 14)
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        dilation: Pair = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.padding, self.dilation = kernel_size, padding, dilation
        self.stride, self.ceil_mode = kernel_size if stride is None else stride, ceil_mode
        _check_windows(self)
        pair(dilation, "dilation", 1)

    def forward(self, x):
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of each window: x (N, C, H, W) -> (N, C, H', W'), sizes as in MaxPool2d.

    count_include_pad: the zeros of the padding count in the mean. Source: LeCun et al. 1998 (subsampling).
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        _check_windows(self)

    def forward(self, x):
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """The mean over output_size windows that cover the image: x (N, C, H, W) -> (N, C, *output_size).

    Window i of n covers the rows floor(i H / n) to ceil((i + 1) H / n). output_size 1 is global average pooling.
    Source: Lin, Chen, Yan, "Network in network", 2014.

    >>> import minidl
    >>> from minidl import nn
    >>> nn.AdaptiveAvgPool2d(1)(minidl.zeros(10, 8, 7, 5)).shape
    (10, 8, 1, 1)
    """

    def __init__(self, output_size: Pair) -> None:
        super().__init__()
        pair(output_size, "output_size", 1)
        self.output_size = output_size

    def forward(self, x):
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


def _check_windows(layer: MaxPool2d | AvgPool2d) -> None:
    kernel, padding = pair(layer.kernel_size, "kernel_size", 1), pair(layer.padding, "padding")
    pair(layer.stride, "stride", 1)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"padding {padding} may be at most half of the kernel {kernel}")
