"""Blurred images: out of focus, or moved while the shutter was open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .colour import fixed_or_interval
from .common import Range, check_images, interval

__all__ = ["GaussianBlur", "MotionBlur"]


@dataclass(frozen=True)
class GaussianBlur:
    """Each pixel becomes a mean of its surroundings, with weights exp(-(dx^2 + dy^2) / (2 sigma^2)), scaled to sum 1.

    kernel_size: over how many pixels, an odd number or a pair (wide, high). sigma: one number, or a pair (low, high)
    from which each image draws its own. Outside, the image continues as in a mirror at its outermost pixels.
    x (N, C, H, W) floats of any scale.

    The weights are a product, so rows and columns are blurred one after the other: the result is A_n^T x_n B_n with the
    (H, H) and (W, W) matrices of image n, whose column i holds the weights of all pixels for pixel i.

    Gonzalez and Woods (2018), "Digital Image Processing", 4th edition, section 3.5; used for augmentation in
    Chen, Kornblith, Norouzi, Hinton (2020), "A Simple Framework for Contrastive Learning", arXiv:2002.05709.
    """

    kernel_size: int | Sequence[int]
    sigma: float | Sequence[float] = (0.1, 2.0)

    def __post_init__(self) -> None:
        if len(self._sizes()) != 2 or not all(_odd(k) for k in self._sizes()):
            raise ValueError(f"GaussianBlur: kernel_size is an odd number or a pair of them, not {self.kernel_size!r}")
        if fixed_or_interval("GaussianBlur", "sigma", self.sigma)[0] <= 0:
            raise ValueError(f"GaussianBlur: sigma is greater than 0, not {self.sigma!r}")

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("GaussianBlur", x)
        n, c, height, width = x.shape
        sigma = rng.uniform(*fixed_or_interval("GaussianBlur", "sigma", self.sigma), (n, 1))
        across, down = (gaussian(size, sigma).astype(x.dtype) for size in self._sizes())
        x = (x.reshape(n, c * height, width) @ banded(across, width)).reshape(x.shape)
        return banded(down, height).swapaxes(1, 2)[:, None] @ x, y

    def _sizes(self) -> tuple[int, ...]:
        return (self.kernel_size,) * 2 if np.ndim(self.kernel_size) == 0 else tuple(self.kernel_size)


@dataclass(frozen=True)
class MotionBlur:
    """Each pixel becomes the mean of `length` points on a line through it, one pixel apart: a shaking camera.

    length: an odd number of pixels. angle: of the line in degrees counter-clockwise; a number d draws from (-d, d),
    a pair from (low, high), an own angle for each image. Points between pixels are read bilinearly; outside, the image
    continues as in a mirror at its outermost pixels. x (N, C, H, W) floats of any scale.

    Hendrycks and Dietterich (2019), "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
    arXiv:1903.12261.
    """

    length: int = 5
    angle: Range = 180.0

    def __post_init__(self) -> None:
        if not _odd(self.length):
            raise ValueError(f"MotionBlur: length is an odd number of pixels, not {self.length!r}")
        interval("MotionBlur", "angle", self.angle)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("MotionBlur", x)
        n, c, height, width = x.shape
        kernels = lines(self.length, np.radians(rng.uniform(*interval("MotionBlur", "angle", self.angle), n)))
        out = np.zeros_like(x, order="C")
        for row, taps in zip(mirrored(height, self.length), kernels.astype(x.dtype).swapaxes(0, 1), strict=True):
            if taps.any():  # what lies so far above or below, blurred from left to right
                moved = np.take(x, row, axis=2).reshape(n, c * height, width)
                out += (moved @ banded(taps, width)).reshape(x.shape)
        return out, y


def gaussian(size: int, sigma: np.ndarray) -> np.ndarray:
    """Weights (N, size) that sum to one, for sigma (N, 1)."""
    weights = np.exp(-0.5 * (np.arange(-(size // 2), size // 2 + 1) / sigma) ** 2)
    return weights / weights.sum(1, keepdims=True)


def lines(length: int, angle: np.ndarray) -> np.ndarray:
    """The weights (N, length, length) of each pixel around for the mean along a line, at angles (N,) in radians."""
    step = np.arange(length) - length // 2  # how far along the line, and the places of the rows and columns
    across, down = np.cos(angle)[:, None] * step, -np.sin(angle)[:, None] * step  # (N, points)
    near = [np.maximum(1 - np.abs(place[:, :, None] - step), 0) for place in (down, across)]  # (N, points, length)
    return near[0].swapaxes(1, 2) @ near[1] / length


def mirrored(size: int, taps: int) -> np.ndarray:
    """Which pixel 0..size-1 lies at i + t - taps // 2, in row t for each pixel i, the image being mirrored."""
    place = np.abs(np.arange(size) + np.arange(taps)[:, None] - taps // 2) % max(2 * size - 2, 1)
    return np.minimum(place, 2 * size - 2 - place)


def banded(weights: np.ndarray, size: int) -> np.ndarray:
    """The matrices (N, size, size) whose column i weighs all pixels of a row for pixel i, by the taps (N, taps)."""
    chosen = mirrored(size, weights.shape[1])[:, None] == np.arange(size)[:, None]  # (taps, from, to)
    return (weights @ chosen.reshape(len(chosen), -1).astype(weights.dtype)).reshape(-1, size, size)


def _odd(size: Any) -> bool:
    return isinstance(size, int | np.integer) and not isinstance(size, bool) and size > 0 and size % 2 == 1
