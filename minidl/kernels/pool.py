"""Pooling, its gate: largest and mean values of windows, checked and sent to the chosen body."""

from __future__ import annotations

import numpy as np

from .backend import body, check_shape, ready, ready_index
from .geometry import pool_sizes

Pair = tuple[int, int]


def max_pool2d(
    x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Largest value of every window, and where it stood.

        out[n, c, y, x] = max over i, j of x[n, c, S y + d i - P, S x + d j - P]

    x (N, C, H, W) -> out (N, C, Ho, Wo) of x's float type and index (N, C, Ho, Wo) int32: the flat position h W + w
    of the first maximum in scan order. A NaN counts as the largest value; padding is never chosen.
    Raises TypeError unless x is float32 or float64, ValueError where a window would hold no input.
    Reference: Scherer, Mueller and Behnke, "Evaluation of pooling operations in convolutional architectures", 2010.
    """
    pool_sizes(x.shape, kernel, stride, padding, dilation, ceil_mode)
    (x,) = ready("max_pool2d", x=x)
    return body("pool").max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)


def pool_gather(x: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Values of x at the flat positions that `max_pool2d` found.

        out[n, c, y, x] = x[n, c].flat[index[n, c, y, x]]

    x (N, C, H, W), index (N, C, Ho, Wo) of integers -> (N, C, Ho, Wo) of x's float type.
    Raises IndexError for a position outside the plane, ValueError and TypeError like `max_pool2d`.
    Reference: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014 (the switches).
    """
    (x,) = ready("pool_gather", x=x)
    return body("pool").pool_gather(x, ready_index("pool_gather", index, x.shape))


def pool_scatter(g: np.ndarray, index: np.ndarray, x_shape: tuple) -> np.ndarray:
    """Adds each value of g at its flat position: the adjoint of `pool_gather`, the gradient of `max_pool2d`.

        dx[n, c].flat[index[n, c, y, x]] += g[n, c, y, x]

    g and index (N, C, Ho, Wo), x_shape (N, C, H, W) -> (N, C, H, W) of g's float type; positions that occur twice
    add up, in scan order. Raises IndexError for a position outside the plane, ValueError and TypeError.
    Reference: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014 (the switches).
    """
    x_shape = tuple(x_shape)
    (g,) = ready("pool_scatter", g=g)
    check_shape("pool_scatter", "index", index, g.shape, "g")
    return body("pool").pool_scatter(g, ready_index("pool_scatter", index, x_shape), x_shape)


def avg_pool2d(
    x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool
) -> np.ndarray:
    """Mean of every window.

        out[n, c, y, x] = 1 / D * sum over i, j of x[n, c, S y + i - P, S x + j - P]

    x (N, C, H, W) -> (N, C, Ho, Wo) of x's float type. D is the number of positions of the window inside the padded
    image, or inside the image itself if not `count_include_pad`.
    Raises TypeError unless x is float32 or float64, ValueError where a window would hold no input.
    Reference: LeCun et al., "Gradient-based learning applied to document recognition", 1998 (subsampling).
    """
    pool_sizes(x.shape, kernel, stride, padding, (1, 1), ceil_mode)
    (x,) = ready("avg_pool2d", x=x)
    return body("pool").avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d_input(
    g: np.ndarray, x_shape: tuple, kernel: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool
) -> np.ndarray:
    """Gradient of `avg_pool2d`: every output shares its value equally among the positions of its window.

        dx[n, c, S y + i - P, S x + j - P] += g[n, c, y, x] / D    over all y, x, i, j

    g (N, C, Ho, Wo), x_shape (N, C, H, W) -> (N, C, H, W) of g's float type. Raises like `avg_pool2d`.
    Reference: LeCun et al., "Gradient-based learning applied to document recognition", 1998 (subsampling).
    """
    x_shape = tuple(x_shape)
    sizes = pool_sizes(x_shape, kernel, stride, padding, (1, 1), ceil_mode)
    check_shape("avg_pool2d_input", "g", g, (*x_shape[:2], *sizes), "x_shape and the window")
    (g,) = ready("avg_pool2d_input", g=g)
    return body("pool").avg_pool2d_input(g, x_shape, kernel, stride, padding, ceil_mode, count_include_pad)
