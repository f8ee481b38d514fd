"""Random noise on images."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .adjust import check_light
from .colour import fixed_or_interval
from .common import check_images, check_probability, lay

__all__ = ["GaussianNoise", "SaltAndPepper", "SpeckleNoise"]


@dataclass(frozen=True)
class GaussianNoise:
    """x + mean + sigma z, z from N(0, 1) for every value: the noise of a sensor in poor light.

    sigma: one number, or a pair (low, high) from which each image draws its own. clip: cut the result off to 0..1;
    False for inputs on another scale. x (N, C, H, W) floats. z takes 65,536 values, the quantiles of N(0, 1) at
    (k + 1/2) / 65,536, up to 4.33: far finer than any image, and some times as fast as exact draws.

    Bishop (1995), "Training with Noise is Equivalent to Tikhonov Regularization", Neural Computation 7(1).
    """

    mean: float = 0.0
    sigma: float | Sequence[float] = 0.1
    clip: bool = True

    def __post_init__(self) -> None:
        fixed_or_interval("GaussianNoise", "sigma", self.sigma)
        if not np.isfinite(self.mean):
            raise ValueError(f"GaussianNoise: mean is a number, not {self.mean!r}")

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        _check("GaussianNoise", x, self.clip)
        x += _noise("GaussianNoise", self.sigma, x, rng)
        if self.mean:
            x += self.mean
        return np.clip(x, 0, 1, out=x) if self.clip else x, y


@dataclass(frozen=True)
class SpeckleNoise:
    """x (1 + sigma z), z from N(0, 1) for every value: noise that grows with the light, as in radar and ultrasound.

    sigma, clip, x: as for `GaussianNoise`.
    Goodman (1976), "Some fundamental properties of speckle", Journal of the Optical Society of America 66(11).
    """

    sigma: float | Sequence[float] = 0.1
    clip: bool = True

    def __post_init__(self) -> None:
        fixed_or_interval("SpeckleNoise", "sigma", self.sigma)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        _check("SpeckleNoise", x, self.clip)
        noise = _noise("SpeckleNoise", self.sigma, x, rng)
        noise += 1
        x *= noise
        return np.clip(x, 0, 1, out=x) if self.clip else x, y


@dataclass(frozen=True)
class SaltAndPepper:
    """A share `amount` of the pixels lost: black or white with equal chance, in all channels.

    x (N, C, H, W) floats from 0 to 1.
    Gonzalez and Woods (2018), "Digital Image Processing", 4th edition, section 5.2 (impulse noise).
    """

    amount: float = 0.05

    def __post_init__(self) -> None:
        check_probability("SaltAndPepper", self.amount, "amount")

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_light("SaltAndPepper", x, ())
        n, _, height, width = x.shape
        image, row, column = np.nonzero(rng.random((n, height, width), np.float32) < self.amount)
        x[image, :, row, column] = rng.integers(0, 2, (len(image), 1))
        return x, y


def _check(name: str, x: np.ndarray, clip: bool) -> None:
    if clip:
        check_light(name, x, ())
    else:
        check_images(name, x)


def _noise(name: str, sigma: float | Sequence[float], x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """sigma z in the shape of x, with a sigma for each image."""
    low, high = fixed_or_interval(name, "sigma", sigma)
    places = rng.integers(0, 2**64, -(-x.size // 4), np.uint64).view(np.uint16)[: x.size]
    noise = _quantiles().astype(x.dtype, copy=False).take(places.reshape(x.shape), mode="clip")
    noise *= lay(rng.uniform(low, high, len(x)), x)
    return noise


@functools.cache
def _quantiles() -> np.ndarray:
    inverse = statistics.NormalDist().inv_cdf
    return np.array([inverse((k + 0.5) / 65536) for k in range(65536)], np.float32)
