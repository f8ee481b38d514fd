"""Convolution. Its three passes are each other's rules, so one pair of rules serves every order of derivative.

With x (N, C, H, W), w (O, C/groups, kh, kw) and g like the output, the scalar <g, conv(x, w)> is linear in each of the
three; its derivatives with respect to g, x and w are the three functions below.
"""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..arrays import describe, shape_of
from ..engine import primitive
from .reduce import sum
from .shape import pad

Pair = int | tuple[int, int]


@primitive
def _conv2d(x, w, b, stride, padding, dilation, groups):
    return kernels.conv2d(x, w, b, stride, padding, dilation, groups)
_conv2d.vjp(
    lambda g, x_shape, w, stride, padding, dilation, groups:
        _conv2d_input(g, w, None, x_shape, stride, padding, dilation, groups),
    lambda g, x, w_shape, stride, padding, dilation, groups:
        _conv2d_weight(g, x, w_shape, stride, padding, dilation, groups),
    lambda g: kernels.channel_sum(g) if isinstance(g, np.ndarray) else sum(g, (0, 2, 3)),
)  # fmt: skip


@primitive
def _conv2d_input(g, w, b, x_shape, stride, padding, dilation, groups):
    x = kernels.conv2d_input(g, w, x_shape, stride, padding, dilation, groups)
    return x if b is None else x + b[:, None, None]
_conv2d_input.vjp(
    lambda h, w, stride, padding, dilation, groups: _conv2d(h, w, None, stride, padding, dilation, groups),
    lambda h, g, w_shape, stride, padding, dilation, groups:
        _conv2d_weight(g, h, w_shape, stride, padding, dilation, groups),
    lambda h: sum(h, (0, 2, 3)),
)  # fmt: skip


@primitive
def _conv2d_weight(g, x, w_shape, stride, padding, dilation, groups):
    return kernels.conv2d_weight(g, x, w_shape, stride, padding, dilation, groups)
_conv2d_weight.vjp(
    lambda h, x, stride, padding, dilation, groups: _conv2d(x, h, None, stride, padding, dilation, groups),
    lambda h, g, x_shape, stride, padding, dilation, groups:
        _conv2d_input(g, h, None, x_shape, stride, padding, dilation, groups),
)  # fmt: skip


def pair(value: Pair, name: str, least: int = 0) -> tuple[int, int]:
    """An integer stands for both directions."""
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or any(not isinstance(v, int | np.integer) or isinstance(v, bool) or v < least for v in both):
        raise ValueError(f"{name} must be an integer >= {least}, or two of them (height, width); got {value!r}")
    return int(both[0]), int(both[1])


def conv2d(x, weight, bias=None, stride: Pair = 1, padding: Pair | str = 0, dilation: Pair = 1, groups: int = 1):
    """2-D convolution (cross-correlation, as in every framework).

    out[n, o, i, j] = bias[o] + sum over c, a, b of weight[o, c, a, b] * xpad[n, c, i*stride + a*dilation, j*...]
    x (N, C, H, W), weight (O, C/groups, kh, kw), bias (O) -> (N, O, H', W') with
    H' = floor((H + 2*padding - dilation*(kh - 1) - 1) / stride) + 1. padding="same" (stride 1) keeps H and W.
    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.
    """
    stride, dilation = pair(stride, "stride", 1), pair(dilation, "dilation", 1)
    sx, sw = _checked("conv2d", x, weight, groups)
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f"conv2d: padding='same' needs stride 1, not {stride}: H and W could not stay the same")
        spans = [d * (k - 1) for d, k in zip(dilation, sw[2:], strict=True)]
        x = _extended(x, [s % 2 for s in spans])  # what is odd goes below and to the right
        padding = (spans[0] // 2, spans[1] // 2)
    padding = (0, 0) if padding == "valid" else pair(padding, "padding")
    if sx[1] != sw[1] * groups:
        raise ValueError(
            f"conv2d: input {describe(x)} has {sx[1]} channels, but the weight {describe(weight)} with groups={groups} "
            f"expects {sw[1] * groups}; images are (N, C, H, W), weights (out_channels, in_channels/groups, kh, kw)"
        )
    _check_bias("conv2d", bias, sw[0])
    return _conv2d(x, weight, bias, stride, padding, dilation, groups)


def conv_transpose2d(
    x, weight, bias=None, stride: Pair = 1, padding: Pair = 0, output_padding: Pair = 0, groups: int = 1,
    dilation: Pair = 1,
):  # fmt: skip
    """Transposed convolution: the gradient of conv2d with respect to its input, used as a layer of its own.

    x (N, C, H, W), weight (C, O/groups, kh, kw), bias (O) -> (N, O, H', W') with
    H' = (H - 1)*stride - 2*padding + dilation*(kh - 1) + output_padding + 1.
    Source: Dumoulin and Visin 2016, chapter 4.
    """
    stride, dilation = pair(stride, "stride", 1), pair(dilation, "dilation", 1)
    padding, extra = pair(padding, "padding"), pair(output_padding, "output_padding")
    sx, sw = _checked("conv_transpose2d", x, weight, groups)
    if sx[1] != sw[0]:
        raise ValueError(
            f"conv_transpose2d: input {describe(x)} has {sx[1]} channels, but the weight {describe(weight)} expects "
            f"{sw[0]}; weights of a transposed convolution are (in_channels, out_channels/groups, kh, kw)"
        )
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueError(f"output_padding {extra} must be smaller than stride {stride} or dilation {dilation}")
    size = [
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(sx[2:], stride, padding, dilation, sw[2:], extra, strict=True)
    ]
    if min(size) < 1:
        raise ValueError(f"conv_transpose2d: the result would have size {size}; use less padding or larger images")
    _check_bias("conv_transpose2d", bias, sw[1] * groups)
    x = _extended(x, [e // s for e, s in zip(extra, stride, strict=True)])  # as many as a convolution would make
    return _conv2d_input(x, weight, bias, (sx[0], sw[1] * groups, *size), stride, padding, dilation, groups)


def _extended(x, below_and_right: list[int]):
    """With so many rows and columns of zeros more."""
    return pad(x, ((0, 0), (0, 0), *((0, n) for n in below_and_right))) if any(below_and_right) else x


def _checked(name: str, x, weight, groups: int) -> tuple[tuple, tuple]:
    sx, sw = shape_of(x), shape_of(weight)
    if len(sx) != 4 or len(sw) != 4:
        raise ValueError(
            f"{name}: input {describe(x)} and weight {describe(weight)} must have four axes, (N, C, H, W) and "
            "(O, C/groups, kh, kw); a single image needs x.unsqueeze(0)"
        )
    if not isinstance(groups, int) or groups < 1 or sw[0] % groups or sx[1] % groups:
        raise ValueError(f"{name}: groups={groups} must divide the {sx[1]} input and {sw[0]} weight channels")
    return sx, sw


def _check_bias(name: str, bias, channels: int) -> None:
    if bias is not None and shape_of(bias) != (channels,):
        raise ValueError(f"{name}: bias {describe(bias)} must have shape ({channels},), one number per output channel")
