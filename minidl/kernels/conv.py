"""Convolution, its gate: the three passes, checked and sent to the chosen body."""

from __future__ import annotations

import numpy as np

from .backend import body, check_shape, ready
from .geometry import conv_sizes

Pair = tuple[int, int]


def conv2d(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """Convolution (cross-correlation) of images with filters.

        out[n, o, y, x] = b[o] + sum over c, i, j of w[o, c, i, j] * x[n, c, S y + d i - P, S x + d j - P]

    x (N, C, H, W), w (O, C/groups, kh, kw), b (O,) or None -> (N, O, Ho, Wo), a new array of x's float type. Output
    channel o sees the C/groups input channels of its own group; outside the image x counts as zero.
    Raises TypeError unless all arrays are float32 or all float64, ValueError where shapes do not fit or no output
    is left. Reference: LeCun et al., "Gradient-based learning applied to document recognition", 1998.
    """
    conv_sizes(x.shape, w.shape, stride, padding, dilation, groups)
    if b is None:
        x, w = ready("conv2d", x=x, w=w)
    else:
        x, w, b = ready("conv2d", x=x, w=w, b=b)
        if b.shape != w.shape[:1]:
            raise ValueError(f"conv2d: b has shape {b.shape}, but w {w.shape} has {len(w)} filters, one bias each")
    return body("conv").conv2d(x, w, b, stride, padding, dilation, groups)


def conv2d_input(
    g: np.ndarray, w: np.ndarray, x_shape: tuple, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """Gradient of `conv2d` to its images: the adjoint map, and the forward pass of a transposed convolution.

        dx[n, c, S y + d i - P, S x + d j - P] += g[n, o, y, x] * w[o, c, i, j]    over all o, y, x, i, j

    g (N, O, Ho, Wo), w (O, C/groups, kh, kw), x_shape (N, C, H, W) -> (N, C, H, W), a new array of g's float type.
    Positions of x that no window reaches get zero. Raises TypeError and ValueError like `conv2d`.
    Reference: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.
    """
    x_shape = tuple(x_shape)
    sizes = conv_sizes(x_shape, w.shape, stride, padding, dilation, groups)
    check_shape("conv2d_input", "g", g, (x_shape[0], w.shape[0], *sizes), "x_shape and w")
    g, w = ready("conv2d_input", g=g, w=w)
    return body("conv").conv2d_input(g, w, x_shape, stride, padding, dilation, groups)


def conv2d_weight(
    g: np.ndarray, x: np.ndarray, w_shape: tuple, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """Gradient of `conv2d` to its filters: every weight sums over all the places it stood at.

        dw[o, c, i, j] = sum over n, y, x of g[n, o, y, x] * x[n, c, S y + d i - P, S x + d j - P]

    g (N, O, Ho, Wo), x (N, C, H, W), w_shape (O, C/groups, kh, kw) -> (O, C/groups, kh, kw), a new array of x's
    float type. Raises TypeError and ValueError like `conv2d`.
    Reference: LeCun et al., "Gradient-based learning applied to document recognition", 1998.
    """
    w_shape = tuple(w_shape)
    sizes = conv_sizes(x.shape, w_shape, stride, padding, dilation, groups)
    check_shape("conv2d_weight", "g", g, (x.shape[0], w_shape[0], *sizes), "x and w_shape")
    g, x = ready("conv2d_weight", g=g, x=x)
    return body("conv").conv2d_weight(g, x, w_shape, stride, padding, dilation, groups)
