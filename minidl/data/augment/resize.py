"""Images in another size, and random parts of them brought to one size.

Resizing is linear and separable: a matrix of weights for the rows and one for the columns, out = A_h x A_w^T.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.arrays import describe
from minidl.data.augment.common import check_images
from minidl.ops.conv import Pair, pair

Box = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # top, left, height, width, (N,) each


def resize(x: np.ndarray, size: Pair, antialias: bool = True, box: Box | None = None) -> np.ndarray:
    """Images, or one box of each, in the size (h, w), bilinearly.

        out[n, c] = A_h x[n, c] A_w^T,    A[i, j] ~ max(0, 1 - |j - s (i + 1/2) + 1/2| / max(s, 1)),    s = W / w

    and rows of A that sum to one. antialias: the triangle is s pixels wide when shrinking (s > 1), so that every pixel
    counts; without it only the two nearest do, whatever s. box: (top, left, height, width) in whole pixels, each (N,).
    x (N, C, H, W) of floats -> (N, C, h, w) of x's dtype; the same size gives the same bits. Raises TypeError unless x
    is floating, ValueError for a box that reaches outside. As `resize` of Pillow and torchvision.
    Heckbert (1989), "Fundamentals of texture mapping and image warping", section 3.

    >>> import numpy as np
    >>> from minidl.data.augment.resize import resize
    >>> resize(np.array([[[[0.0, 1.0, 2.0, 9.0]]]]), (1, 2), antialias=False)
    array([[[[0.5, 5.5]]]])
    """
    check_images("resize", x)
    h, w = pair(size, "resize: size", 1)
    height, width = x.shape[2:]
    top, left, tall, wide = (np.atleast_1d(v) for v in ((0, 0, height, width) if box is None else box))
    if len(x) and (min(top.min(), left.min()) < 0 or (top + tall).max() > height or (left + wide).max() > width
                   or min(tall.min(), wide.min()) < 1):  # fmt: skip
        raise ValueError(f"resize: boxes must have pixels and lie inside the images, {describe(x)}")
    rows = _weights(height, h, top, tall, antialias, x.dtype)
    columns = _weights(width, w, left, wide, antialias, x.dtype)
    return rows[:, None] @ (x @ np.ascontiguousarray(columns.swapaxes(1, 2))[:, None])


def _weights(n: int, size: int, start: np.ndarray, length: np.ndarray, antialias: bool, dtype) -> np.ndarray:
    """(N, size, n): the share of each pixel in each pixel of the result, which stands for length / size of them."""
    start, length = start[:, None, None], length[:, None, None]
    scale, j = length / size, np.arange(n, dtype=dtype)
    middle = (start + (np.arange(size)[:, None] + 0.5) * scale - 0.5).astype(dtype)  # (N, size, 1)
    away = np.abs(j - middle)
    if antialias:
        away /= np.maximum(scale, 1).astype(dtype)
    share = np.maximum(1 - away, 0, out=away)
    share *= (j >= start) & (j < start + length)
    share /= share.sum(2, keepdims=True)
    return share


@dataclass(frozen=True)
class Resize:
    """All images in the size (h, w), or (size, size) for a number; see `resize`.

    x (N, C, H, W) of floats -> (N, C, h, w) of x's dtype. Raises TypeError unless x is floating, ValueError for sizes.
    """

    size: Pair
    antialias: bool = True

    def __post_init__(self) -> None:
        pair(self.size, "Resize: size", 1)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("Resize", x)
        return resize(x, self.size, self.antialias), y


@dataclass(frozen=True)
class RandomResizedCrop:
    """A random part of each image, resized: its share of the area is uniform in `scale`, width : height in `ratio`.

    The logarithm of the ratio is uniform. Of ten draws the first that fits is taken; else the largest middle part with
    an allowed ratio. x (N, C, H, W) of floats -> (N, C, h, w) of x's dtype. Raises TypeError unless x is floating,
    ValueError for sizes and ranges.
    Szegedy et al. (2015), "Going deeper with convolutions", section 6.

    >>> from minidl.data.augment import RandomResizedCrop
    >>> RandomResizedCrop(32, scale=(0.5, 1.0), ratio=(1.0, 1.0))
    RandomResizedCrop(size=32, scale=(0.5, 1.0), ratio=(1.0, 1.0), antialias=True)
    """

    size: Pair
    scale: Sequence[float] = (0.08, 1.0)
    ratio: Sequence[float] = (3 / 4, 4 / 3)
    antialias: bool = True

    def __post_init__(self) -> None:
        pair(self.size, "RandomResizedCrop: size", 1)
        for what, bounds, most in (("scale", self.scale, 1.0), ("ratio", self.ratio, math.inf)):
            if np.shape(bounds) != (2,) or not 0 < bounds[0] <= bounds[1] <= most:
                raise ValueError(f"RandomResizedCrop: {what} is a pair 0 < low <= high"
                                 f"{' <= 1' if most == 1 else ''}, not {bounds!r}")

    def boxes(self, n: int, height: int, width: int, rng: np.random.Generator) -> Box:
        """Top, left, height and width of n random parts."""
        area = height * width * rng.uniform(*self.scale, (n, 10))
        ratio = np.exp(rng.uniform(*np.log(self.ratio), (n, 10)))
        wide, tall = (np.rint(np.sqrt(v)).astype(np.intp) for v in (area * ratio, area / ratio))
        fits = (0 < wide) & (wide <= width) & (0 < tall) & (tall <= height)
        first, some = (np.arange(n), fits.argmax(1)), fits.any(1)
        bounded = min(max(width / height, self.ratio[0]), self.ratio[1])
        whole = max(1, min(width, round(height * bounded))), max(1, min(height, round(width / bounded)))
        wide, tall = np.where(some, wide[first], whole[0]), np.where(some, tall[first], whole[1])
        top, left = (rng.integers(0, spare + 1) for spare in (height - tall, width - wide))
        return np.where(some, top, (height - tall) // 2), np.where(some, left, (width - wide) // 2), tall, wide

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("RandomResizedCrop", x)
        return resize(x, self.size, self.antialias, self.boxes(len(x), *x.shape[2:], rng)), y
