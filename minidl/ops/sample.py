"""Sampling images between their pixels, differentiable in the image and in the positions, to every order.

Bilinear interpolation is linear in the image: reading at positions and spreading to them are each other's adjoints, as
gathering and scattering are. Along one coordinate of a position it is a polygon, whose slope is read at the same
position with other weights: the `orders` of the kernels. So two primitives serve every order of derivative.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import kernels
from ..arrays import describe, raw_of, shape_of
from ..engine import primitive
from .arithmetic import where
from .linalg import matmul
from .reduce import sum
from .shape import permute, reshape, stack, swapaxes


@primitive
def _read(x, source, orders):
    return kernels.bilinear(x, source, orders=orders)
_read.vjp(
    lambda g, x_shape, source, orders: _spread(g, source, x_shape, orders),
    lambda g, x, source, orders: _by_position(g, x, source, orders),
)  # fmt: skip


@primitive
def _spread(g, source, x_shape, orders):
    return kernels.bilinear_input(g, source, x_shape, orders)
_spread.vjp(
    lambda h, source, orders: _read(h, source, orders),
    lambda h, g, source, orders: _by_position(g, h, source, orders),
)  # fmt: skip


def _by_position(g, x, source, orders):
    """Derivative of <g, _read(x, source, orders)> by source: both slopes, summed over the channels."""
    (a, b) = orders
    return stack([_slope(g, x, source, (a + 1, b)), _slope(g, x, source, (a, b + 1))], 1)


def _slope(g, x, source, orders):
    if max(orders) > 1:  # straight lines do not bend
        return sum(g, 1) * 0.0
    return sum(g * _read(x, source, orders), 1)


@primitive(elementwise=True)
def _nearest(p):
    return np.rint(p)
_nearest.vjp(lambda g: 0.0 * g)


def grid_sample(input, grid, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False):
    """Images read at the positions of a grid, in coordinates from -1 to 1.

        out[n, c, i, j] = sum over pixels (r, s) of  max(0, 1 - |u - s|) max(0, 1 - |v - r|) input[n, c, r, s]
        u = grid[n, i, j, 0] W / 2 + (W - 1) / 2,    v = grid[n, i, j, 1] H / 2 + (H - 1) / 2

    input (N, C, H, W), grid (N, H', W', 2) of (x, y) and of the same float type -> (N, C, H', W'). -1 and 1 are the
    image's outer edges or, with align_corners, the middles of its border pixels (then W - 1 and H - 1 stand for W and
    H in front of 1/2). mode "nearest" takes the closest pixel; its gradient by the grid is zero. Outside the image,
    padding_mode "zeros" reads zeros, "border" the nearest border pixel, "reflection" the image mirrored at its edges.

    Between pixels the gradient is exact; at a position on a pixel, where the polygon bends, it is that to the right of
    it. A position that is NaN gives NaN. Raises ValueError for shapes and names, TypeError for dtypes that differ. As
    torch.nn.functional.grid_sample.
    Jaderberg, Simonyan, Zisserman, Kavukcuoglu (2015), "Spatial transformer networks", equations 3 to 7.

    >>> import minidl
    >>> image = minidl.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    >>> minidl.grid_sample(image, minidl.zeros(1, 1, 1, 2))
    tensor([[[[1.5]]]])
    """
    _check("mode", mode, ("bilinear", "nearest"))
    _check("padding_mode", padding_mode, ("zeros", "border", "reflection"))
    shape, places = shape_of(input), shape_of(grid)
    if len(shape) != 4 or len(places) != 4 or places[3] != 2 or places[0] != shape[0]:
        raise ValueError(
            f"grid_sample: input {describe(input)} must be (N, C, H, W), and grid {describe(grid)} (N, H', W', 2)"
        )
    dtype = raw_of(grid).dtype
    if raw_of(input).dtype != dtype:
        raise TypeError(f"grid_sample: input {describe(input)} and grid {describe(grid)} need one dtype; use astype")
    last = np.array(shape[:1:-1], dtype).reshape(2, 1, 1) - 1  # the last column and row
    half = (last if align_corners else last + 1) / 2
    source = permute(grid, (0, 3, 1, 2)) * half + last / 2  # in pixels
    if padding_mode == "reflection":
        source = _mirrored(source, (0 if align_corners else -0.5), last)
    if padding_mode != "zeros":
        p = raw_of(source)
        source = where((p > 0) & (p < last), source, p.clip(0, last))
    out = _read(input, _nearest(source) if mode == "nearest" else source, (0, 0))
    lost = np.isnan(raw_of(source)).any(1, keepdims=True)  # a position that is no number gives none
    return out + np.where(lost, np.nan, 0.0).astype(dtype) if lost.any() else out


def _mirrored(source, margin: float, last: np.ndarray):
    """Positions folded between two mirrors, at margin and at last - margin: a zigzag, straight in each piece."""
    span = last - 2 * margin
    piece = np.floor((raw_of(source) - margin) / np.where(span == 0, 1, span))
    odd = piece % 2 == 1
    slope, offset = np.where(odd, -1, 1), np.where(odd, (piece + 1) * span + 2 * margin, -piece * span)
    return source * slope.astype(last.dtype) + offset


def affine_grid(theta, size: Sequence[int], align_corners: bool = False):
    """The grid that makes `grid_sample` apply an affine map: where each pixel of the result is to be read.

        grid[n, i, j] = theta[n] (x_j, y_i, 1)

    theta (N, 2, 3), size (N, C, H, W) of the result -> (N, H, W, 2) of theta's dtype. x_j and y_i are the middles of
    the pixels in coordinates from -1 to 1: the outer edges of the image or, with align_corners, the middles of its
    border pixels. Raises ValueError for shapes. As torch.nn.functional.affine_grid.
    Jaderberg, Simonyan, Zisserman, Kavukcuoglu (2015), "Spatial transformer networks", equation 1.

    >>> import minidl
    >>> minidl.affine_grid(minidl.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.5]]]), (1, 3, 1, 2))
    tensor([[[[-0.5,  0.5],
              [ 0.5,  0.5]]]])
    """
    shape, size = shape_of(theta), tuple(size)
    if len(size) != 4 or shape != (size[0], 2, 3) or min(size) < 0:
        raise ValueError(f"affine_grid: theta {describe(theta)} must be (N, 2, 3), with N of size {size}")
    n, _, h, w = size
    base = np.ones((h, w, 3), raw_of(theta).dtype)
    base[:, :, 0], base[:, :, 1] = _middles(w, align_corners), _middles(h, align_corners)[:, None]
    return reshape(matmul(base.reshape(h * w, 3), swapaxes(theta, 1, 2)), (n, h, w, 2))


def _middles(n: int, align_corners: bool) -> np.ndarray:
    """The middles of n pixels side by side, in coordinates from -1 to 1."""
    return (2 * np.arange(n) + 1 - n) / max(n - 1 if align_corners else n, 1)


def _check(what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise ValueError(f"grid_sample: {what} is one of {', '.join(known)}, not {given!r}")
