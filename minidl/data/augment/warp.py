"""Images moved: every pixel of the result is read at a position of its own in the image, between the pixels if need be.

A transform of the plane is applied backwards. For each pixel of the result `warp` is told where its content comes from,
its source, so that every pixel gets one value: no holes, no collisions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minidl.arrays import describe
from minidl.data.augment.common import check_images
from minidl.kernels import bilinear
from minidl.kernels.reuse import empty

Number = float | np.ndarray  # one for all images, or one for each (N,)

FILLS = "constant", "reflect", "edge"


def warp(x: np.ndarray, source: np.ndarray, fill: str = "constant", value: float = 0.0) -> np.ndarray:
    """Images read at the positions `source`, bilinearly between the four pixels around each.

        out[n, c, i, j] = x[n, c](u, v),    (u, v) = source[n, :, i, j]

    x (N, C, H, W) of floats, source (N, 2, H', W') in pixels, u to the right and v down, (0, 0) in the middle of the
    first pixel -> (N, C, H', W') of x's dtype. What lies outside: `fill` "constant" has the `value` there, "reflect"
    the image mirrored at the middle of its border pixels (d c b | a b c d | c b a), "edge" the nearest border pixel.
    A position that is an integer gives the pixel itself, bit for bit.

    Raises TypeError unless x is floating, ValueError for other shapes and fills.
    Wolberg (1990), "Digital Image Warping", section 3.1 (inverse mapping).

    >>> import numpy as np
    >>> from minidl.data.augment.warp import warp
    >>> x = np.array([[[[0.0, 1.0, 2.0, 3.0]]]])
    >>> source = np.zeros((1, 2, 1, 4))
    >>> source[0, 0, 0] = [-1, 0.5, 1, 4]
    >>> warp(x, source, value=9.0), warp(x, source, "reflect"), warp(x, source, "edge")
    (array([[[[9. , 0.5, 1. , 9. ]]]]), array([[[[1. , 0.5, 1. , 2. ]]]]), array([[[[0. , 0.5, 1. , 3. ]]]]))
    """
    check_images("warp", x)
    check_fill("warp", fill)
    if source.ndim != 4 or source.shape[:2] != (len(x), 2):
        raise ValueError(f"warp: source {describe(source)} must be (N, 2, H', W') with the N of x {describe(x)}")
    if x.size == 0:
        return np.empty((*x.shape[:2], *source.shape[2:]), x.dtype)
    source = source.astype(x.dtype, copy=False)
    if fill != "constant":
        last = np.array(x.shape[:1:-1], x.dtype)[:, None, None] - 1  # (2, 1, 1): the last column and row
        source = np.clip(source if fill == "edge" else mirrored(source, last), 0, last)
    return bilinear(x, source, value)


def mirrored(p: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Positions folded into 0..last, as between two mirrors."""
    period = 2 * np.maximum(last, 1)
    p = np.abs(p) % period
    return np.minimum(p, period - p)


def affine(
    x: np.ndarray,
    angle: Number = 0.0,
    translate: Sequence[Number] = (0.0, 0.0),
    scale: Number = 1.0,
    shear: Sequence[Number] = (0.0, 0.0),
    fill: str = "constant",
    value: float = 0.0,
) -> np.ndarray:
    """Images rotated, scaled, sheared and moved; each argument is a number for all images or (N,), one for each.

        content at p goes to  c + t + M (p - c),    M = scale R(angle) S_y S_x,    c the image's centre

    with the angle in degrees counter-clockwise, t = translate = (right, down) in pixels, and shear = (x, y) in degrees:
    S_x moves what is above the centre to the right by tan(shear x) of its height, S_y lifts what is right of it.
    x (N, C, H, W) of floats -> the same shape and dtype. fill, value: see `warp`. Right angles (of square images),
    integer translations and half turns are exact, bit for bit.

    Raises TypeError unless x is floating; ValueError for a scale that is not positive, a shear of 90 degrees or more.
    Jaderberg, Simonyan, Zisserman, Kavukcuoglu (2015), "Spatial transformer networks", equation 1; conventions of
    torchvision's `rotate` and `affine`.

    >>> import numpy as np
    >>> from minidl.data.augment.warp import affine
    >>> x = np.arange(4.0).reshape(1, 1, 2, 2)
    >>> affine(x, angle=90)[0, 0]
    array([[1., 3.],
           [0., 2.]])
    >>> affine(x, translate=(1, 0), value=9.0)[0, 0]
    array([[9., 0.],
           [9., 2.]])
    """
    check_images("affine", x)
    return warp(x, _source(x.shape, _backwards(len(x), angle, scale, shear), translate, x.dtype), fill, value)


def check_fill(name: str, fill: str) -> None:
    """fill is a known one."""
    if fill not in FILLS:
        raise ValueError(f"{name}: fill is one of {', '.join(FILLS)}, not {fill!r}")


def _each(n: int, what: str, value: Number) -> np.ndarray:
    """One float64 for each image, (N,)."""
    values = np.asarray(value, np.float64)
    if values.shape not in ((), (n,)) or not np.isfinite(values).all():
        raise ValueError(f"affine: {what} is a finite number, or one for each of {n} images, not {describe(values)}")
    return np.broadcast_to(values, n)


def _backwards(n: int, angle: Number, scale: Number, shear: Sequence[Number]) -> np.ndarray:
    """The inverse of M for every image, (N, 2, 2): S_x^-1 S_y^-1 R^-1 / scale, with the y axis pointing down."""
    angle, scale = np.radians(_each(n, "angle", angle)), _each(n, "scale", scale)
    sx, sy = (_each(n, "shear", s) for s in shear)
    if (scale <= 0).any():
        raise ValueError(f"affine: scale is positive, not {scale.min():g}; flips are transforms of their own")
    if (np.abs([sx, sy]) >= 90).any():
        raise ValueError("affine: shear lies between -90 and 90 degrees, both excluded")
    cos, sin, tx, ty = np.cos(angle), np.sin(angle), np.tan(np.radians(sx)), np.tan(np.radians(sy))
    one, zero = np.ones(n), np.zeros(n)
    unturn = _matrix(cos, -sin, sin, cos)
    inverse = _matrix(one, tx, zero, one) @ _matrix(one, zero, ty, one) @ unturn / scale[:, None, None]
    whole = np.rint(inverse)  # cos(90 degrees) is 0, not 6e-17: right angles read whole pixels
    return np.where(np.abs(inverse - whole) < 1e-12, whole, inverse)


def _matrix(a, b, c, d):
    return np.stack([a, b, c, d], axis=-1).reshape(-1, 2, 2)


def _source(shape: tuple, inverse: np.ndarray, translate: Sequence[Number], dtype: np.dtype) -> np.ndarray:
    """Where each pixel p of the result comes from, (N, 2, H, W): c + M^-1 (p - c - t)."""
    n, _, h, w = shape
    centre = np.array([(w - 1) / 2, (h - 1) / 2])
    to = centre + np.stack([_each(n, "translate", t) for t in translate], axis=-1)  # (N, 2): where the centre goes
    start = (centre - (inverse @ to[:, :, None])[:, :, 0]).astype(dtype)[:, :, None]  # (N, 2, 1): source of (0, 0)
    inverse = inverse.astype(dtype)
    across = inverse[:, :, :1] * np.arange(w, dtype=dtype) + start  # (N, 2, W)
    down = inverse[:, :, 1:] * np.arange(h, dtype=dtype)  # (N, 2, H)
    return np.add(across[:, :, None, :], down[:, :, :, None], out=empty((n, 2, h, w), dtype))
