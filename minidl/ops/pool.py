"""Pooling over windows of (N, C, H, W) images."""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..arrays import describe, raw_of, shape_of
from ..engine import Tensor, primitive
from .conv import Pair, pair
from .linalg import matmul


@primitive
def _gather(x, index, found=None):
    return kernels.pool_gather(x, index) if found is None else found  # max_pool2d has found them already
_gather.vjp(lambda g, x_shape, index: _spread(g, index, x_shape))


@primitive
def _spread(g, index, x_shape):
    return kernels.pool_scatter(g, index, x_shape)
_spread.vjp(lambda h, index: _gather(h, index))


def max_pool2d(
    x, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1, ceil_mode: bool = False
):
    """The largest value of each window; the gradient goes to the first maximum in scan order.

    x (N, C, H, W) -> (N, C, H', W'), H' = floor((H + 2*padding - dilation*(k - 1) - 1) / stride) + 1; stride is the
    kernel's size if it is left out. Padding counts as minus infinity. NaN wins.
    """
    kernel, stride, padding = _windows("max_pool2d", x, kernel_size, stride, padding)
    out, index = kernels.max_pool2d(raw_of(x), kernel, stride, padding, pair(dilation, "dilation", 1), ceil_mode)
    if not isinstance(x, Tensor):
        return out
    index.flags.writeable = False
    return _gather(x, index, out)


@primitive
def _avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad):
    return kernels.avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad)
_avg_pool2d.vjp(
    lambda g, x_shape, kernel, stride, padding, ceil_mode, count_include_pad:
        _avg_pool2d_input(g, x_shape, kernel, stride, padding, ceil_mode, count_include_pad)
)  # fmt: skip


@primitive
def _avg_pool2d_input(g, x_shape, kernel, stride, padding, ceil_mode, count_include_pad):
    return kernels.avg_pool2d_input(g, x_shape, kernel, stride, padding, ceil_mode, count_include_pad)
_avg_pool2d_input.vjp(
    lambda h, kernel, stride, padding, ceil_mode, count_include_pad:
        _avg_pool2d(h, kernel, stride, padding, ceil_mode, count_include_pad)
)  # fmt: skip


def avg_pool2d(
    x, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
):  # fmt: skip
    """The mean of each window. count_include_pad: zeros of the padding count in the mean."""
    kernel, stride, padding = _windows("avg_pool2d", x, kernel_size, stride, padding)
    return _avg_pool2d(x, kernel, stride, padding, bool(ceil_mode), bool(count_include_pad))


def adaptive_avg_pool2d(x, output_size: Pair):
    """The mean over output_size nearly equal (if need be overlapping) windows; output_size 1 is global pooling.

    Window i of n covers rows floor(i H / n) .. ceil((i + 1) H / n). Averaging is linear and separable: two products
    with matrices of weights, A_h @ x @ A_w^T.
    """
    if len(shape_of(x)) != 4:
        raise ValueError(f"adaptive_avg_pool2d: input {describe(x)} must be (N, C, H, W)")
    (h, w), (oh, ow) = shape_of(x)[2:], pair(output_size, "output_size", 1)
    if min(h, w) < 1:
        raise ValueError(f"adaptive_avg_pool2d: input {describe(x)} has no pixels")
    if (oh, ow) == (1, 1):
        return x.mean(axis=(2, 3), keepdims=True)
    dtype = raw_of(x).dtype
    return matmul(matmul(_averaging(h, oh, dtype), x), _averaging(w, ow, dtype).T)


def _averaging(size: int, parts: int, dtype) -> np.ndarray:
    """(parts, size): row i holds 1/length over window i."""
    matrix = np.zeros((parts, size), dtype)
    for i in range(parts):
        start, stop = i * size // parts, -((i + 1) * size // -parts)
        matrix[i, start:stop] = 1.0 / (stop - start)
    matrix.flags.writeable = False
    return matrix


def _windows(name: str, x, kernel_size: Pair, stride: Pair | None, padding: Pair) -> tuple:
    if len(shape_of(x)) != 4:
        raise ValueError(f"{name}: input {describe(x)} must be (N, C, H, W); a single image needs x.unsqueeze(0)")
    kernel, padding = pair(kernel_size, "kernel_size", 1), pair(padding, "padding")
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"{name}: padding {padding} may be at most half of the kernel {kernel}")
    return kernel, kernel if stride is None else pair(stride, "stride", 1), padding
