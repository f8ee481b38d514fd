"""Bilinear sampling, its gate: images read between the pixels, checked and sent to the chosen body."""

from __future__ import annotations

import numpy as np

from .backend import body, check_shape, ready

Pair = tuple[int, int]

SMALL = 32768  # numbers below which NumPy serves, so that small networks do not import numba


def bilinear(x: np.ndarray, source: np.ndarray, value: float = 0.0, orders: Pair = (0, 0)) -> np.ndarray:
    """Values of x at positions between the pixels, or their derivatives by the position.

        out[n, c, i, j] = sum over pixels (r, s) of  a(u - s) b(v - r) x[n, c, r, s],    (u, v) = source[n, :, i, j]

    The weights a and b, along x and along y, are the triangle max(0, 1 - |d|) for order 0 and its slope, -1 or 1, for
    order 1. Pixels outside the image have the `value`. A position is a pixel's own: (0, 0) is the middle of the first.

    x (N, C, H, W), source (N, 2, H', W') of x's float type, right and then down -> (N, C, H', W'). A position that is
    an integer gives the pixel, bit for bit; NaN counts as outside. Raises TypeError unless both are float32 or float64,
    ValueError for shapes. Reference: Jaderberg et al., "Spatial transformer networks", 2015, equation 5.
    """
    _check_shapes("bilinear", x.shape, source.shape)
    x, source = ready("bilinear", x=x, source=source)
    size = x.shape[1] * source.size // 2
    return body("sample", small=size < SMALL).bilinear(x, source, float(value), orders)


def bilinear_input(g: np.ndarray, source: np.ndarray, x_shape: tuple, orders: Pair = (0, 0)) -> np.ndarray:
    """Spreads each value of g over the pixels that `bilinear` read: its adjoint, the gradient by the image.

        dx[n, c, r, s] = sum over (i, j) of  a(u - s) b(v - r) g[n, c, i, j],    (u, v) = source[n, :, i, j]

    g (N, C, H', W'), source (N, 2, H', W'), x_shape (N, C, H, W) -> (N, C, H, W) of g's float type. What falls outside
    is lost. Raises like `sample`. Reference: as for `sample`, equation 6.
    """
    x_shape = tuple(x_shape)
    _check_shapes("bilinear_input", x_shape, source.shape)
    check_shape("bilinear_input", "g", g, (*x_shape[:2], *source.shape[2:]), "x_shape and source")
    g, source = ready("bilinear_input", g=g, source=source)
    return body("sample", small=g.size < SMALL).bilinear_input(g, source, x_shape, orders)


def _check_shapes(who, x_shape, source_shape):
    if len(x_shape) != 4 or len(source_shape) != 4 or source_shape[:2] != (x_shape[0], 2):
        raise ValueError(f"{who}: x {tuple(x_shape)} must be (N, C, H, W), and source {source_shape} (N, 2, H', W')")
    if 0 in x_shape[2:]:
        raise ValueError(f"{who}: images {tuple(x_shape)} have no pixels to read")
