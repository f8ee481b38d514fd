"""Erasing: a part of every image goes blank, so that no single part can be relied on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.data.augment.common import apply_to_some, check_images, check_probability

__all__ = ["Cutout", "RandomErasing"]


def boxes(top: np.ndarray, left: np.ndarray, height: Any, width: Any, x: np.ndarray) -> np.ndarray:
    """Where the boxes are, one for each image of x (N, C, H, W), cut off at the border: bool (N, 1, H, W)."""
    row, column = np.arange(x.shape[2]), np.arange(x.shape[3])
    height, width = np.broadcast_to(height, top.shape), np.broadcast_to(width, left.shape)
    rows = (row >= top[:, None]) & (row < (top + height)[:, None])  # (N, H)
    columns = (column >= left[:, None]) & (column < (left + width)[:, None])  # (N, W)
    return rows[:, None, :, None] & columns[:, None, None, :]


def check_whole(name: str, what: str, value: int) -> None:
    """value is an integer >= 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}: {what} is an integer >= 1, not {value!r}")


def paint(name: str, x: np.ndarray, where: np.ndarray, value: float | Sequence[float]) -> np.ndarray:
    """x with the value, or one for each channel, where the mask (N, 1, H, W) says so; written into x."""
    values = np.asarray(value, np.float64)
    exact = values.astype(x.dtype)
    if values.ndim > 1 or (values.ndim and values.shape != x.shape[1:2]):
        raise ValueError(f"{name}: value is a number or one for each of {x.shape[1]} channels, not {value!r}")
    if x.dtype.kind != "f" and not np.array_equal(exact, values):
        raise ValueError(f"{name}: value={value!r} is none of {x.dtype}'s; put data.ToFloat() before it")
    np.copyto(x, exact.reshape(-1, 1, 1) if exact.ndim else exact, where=where)
    return x


@dataclass(frozen=True)
class Cutout:
    """Squares of every image set to `value`: x_c(i, j) = value where |i - r| and |j - s| are within half of `size`.

    The centre (r, s) of each of the `holes` squares is uniform over the pixels, and what reaches over the border is cut
    off, so that squares at the border are smaller (the paper found this to matter). On images of mean zero, as after
    `Normalize`, value=0 is "no information"; it may also be one value for each channel.

    x (N, C, H, W) of any dtype, which is kept; y is handed on. Raises ValueError for a size or number below 1.
    The paper's sizes for images of 32x32: 16 (CIFAR-10), 8 (CIFAR-100), 20 (SVHN).

    DeVries, Taylor (2017), "Improved Regularization of Convolutional Neural Networks with Cutout", arXiv:1708.04552

    >>> import numpy as np
    >>> from minidl.data import augment
    >>> x, _ = augment.Cutout(3)(np.ones((1, 1, 4, 6), np.uint8), None, np.random.default_rng(1))
    >>> x[0, 0]
    array([[1, 1, 0, 0, 0, 1],
           [1, 1, 0, 0, 0, 1],
           [1, 1, 0, 0, 0, 1],
           [1, 1, 1, 1, 1, 1]], dtype=uint8)
    """

    size: int
    holes: int = 1
    value: float | Sequence[float] = 0.0

    def __post_init__(self) -> None:
        check_whole("Cutout", "size", self.size)
        check_whole("Cutout", "holes", self.holes)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("Cutout", x, floating=False)
        hole = np.zeros((len(x), 1, *x.shape[2:]), bool)
        for _ in range(self.holes):
            top, left = (rng.integers(0, side, len(x)) - self.size // 2 for side in x.shape[2:])
            hole |= boxes(top, left, self.size, self.size, x)
        return paint("Cutout", x, hole, self.value), y


@dataclass(frozen=True)
class RandomErasing:
    """With probability p for each image, a rectangle of random area and shape set to `value`.

    Area A = H W u with u uniform in `scale`; ratio a of height to width log-uniform in `ratio`; h = sqrt(A a) and
    w = sqrt(A / a), rounded; place uniform where the rectangle fits. Ten rectangles are drawn, and the first that is
    smaller than the image both ways is taken; if none is, the image stays as it is. As in torchvision.
    value: a number, one for each channel, or "random", standard normal for every pixel (for images after `Normalize`).

    x (N, C, H, W) of any dtype, which is kept ("random" needs floats, else TypeError); y is handed on.

    Zhong, Zheng, Kang, Li, Yang (2020), "Random Erasing Data Augmentation", AAAI, arXiv:1708.04896

    >>> from minidl.data import augment
    >>> augment.RandomErasing(value="random")
    RandomErasing(p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value='random')
    """

    p: float = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    value: float | Sequence[float] | str = 0.0

    def __post_init__(self) -> None:
        check_probability("RandomErasing", self.p)
        if np.shape(self.scale) != (2,) or not 0 <= self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"RandomErasing: scale is a pair (low, high) of shares from 0 to 1, not {self.scale!r}")
        if np.shape(self.ratio) != (2,) or not 0 < self.ratio[0] <= self.ratio[1] < np.inf:
            raise ValueError(f"RandomErasing: ratio is a pair (low, high) above 0, not {self.ratio!r}")
        if isinstance(self.value, str) and self.value != "random":
            raise ValueError(f"RandomErasing: value is a number, one for each channel, or 'random', not {self.value!r}")

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("RandomErasing", x, floating=isinstance(self.value, str))
        return apply_to_some(self._erase, x, self.p, rng), y

    def _erase(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        n, _, height, width = x.shape
        area = height * width * rng.uniform(*self.scale, (n, 10))
        aspect = np.exp(rng.uniform(*np.log(self.ratio), (n, 10)))
        h, w = (np.rint(np.sqrt(a)).astype(int) for a in (area * aspect, area / aspect))  # (n, 10)
        fits = (h < height) & (w < width)
        first = fits.argmax(1)[:, None]
        h, w, fits = (np.take_along_axis(a, first, 1)[:, 0] for a in (h, w, fits))  # (n,)
        h, w = h * fits, w * fits  # no rectangle where none fits
        top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        hole = boxes(top, left, h, w, x)
        if not isinstance(self.value, str):
            return paint("RandomErasing", x, hole, self.value)
        hole = np.broadcast_to(hole, x.shape)
        x[hole] = rng.standard_normal(np.count_nonzero(hole)).astype(x.dtype)
        return x
