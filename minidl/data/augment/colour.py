"""Random light and colour: jitter, PCA colour, shadows, and the adjustments of `adjust` for a share of the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import adjust
from .adjust import check_light
from .common import Range, apply_to_some, check_probability, interval, lay

__all__ = ["ColorJitter", "PCAColor", "RandomAdjustSharpness", "RandomAutocontrast", "RandomEqualize",
           "RandomGrayscale", "RandomInvert", "RandomPosterize", "RandomShadow", "RandomSolarize"]  # fmt: skip

NEUTRAL = {"brightness": (1.0, 1.0), "contrast": (1.0, 1.0), "saturation": (1.0, 1.0), "hue": (0.0, 0.0)}


@dataclass(frozen=True)
class ColorJitter:
    """Brightness, contrast, saturation and hue changed by random amounts, in random order.

    brightness, contrast, saturation: a number d for factors uniform in (max(0, 1 - d), 1 + d), or the pair (low, high).
    hue: d for shifts uniform in (-d, d) turns of the colour circle, d <= 0.5, or the pair. 0 leaves the thing out.
    Each image has its own four amounts; the order of the four is drawn once for the batch. See `adjust` for what they
    do. x (N, C, H, W) floats from 0 to 1, of 1 or 3 channels (colour means nothing to one), and so is the result.

    Howard (2013), "Some Improvements on Deep Convolutional Neural Network Based Image Classification", arXiv:1312.5402.

    >>> import numpy as np
    >>> from minidl.data import augment
    >>> grey = np.full((3, 3, 4, 4), 0.5, np.float32)
    >>> x, _ = augment.ColorJitter(brightness=0.4)(grey, None, np.random.default_rng(0))
    >>> x[:, 0, 0, 0].round(2)  # an image each
    array([0.55, 0.41, 0.32], dtype=float32)
    """

    brightness: Range = 0.0
    contrast: Range = 0.0
    saturation: Range = 0.0
    hue: Range = 0.0

    def __post_init__(self) -> None:
        low, high = self._intervals()["hue"]
        if not -0.5 <= low <= high <= 0.5:
            raise ValueError(f"ColorJitter: hue is a share of a turn, from -0.5 to 0.5, not {self.hue!r}")

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_light("ColorJitter", x)
        steps = [(name, ends) for name, ends in self._intervals().items() if ends != NEUTRAL[name]]
        steps = [(getattr(adjust, name), rng.uniform(*ends, len(x))) for name, ends in steps]
        return adjust.chain(x, [steps[k] for k in rng.permutation(len(steps))]), y

    def _intervals(self) -> dict[str, tuple[float, float]]:
        factors = ("brightness", "contrast", "saturation")
        factors = {name: interval("ColorJitter", name, getattr(self, name), 1.0, least=0.0) for name in factors}
        return factors | {"hue": interval("ColorJitter", "hue", self.hue)}


@dataclass(frozen=True)
class PCAColor:
    """The same random shift of colour for all pixels of an image, along the directions in which colours differ anyway.

        x + sum over k of p_k a_k lambda_k,    a_k from N(0, std^2), one draw of the three for each image

    where p_k, lambda_k are the eigenvectors and eigenvalues of the 3x3 covariance of the colours (R, G, B) of all
    pixels of the training set: `PCAColor.fit(x)` measures them. Most of the shift is in p_1, the brightness; hues move
    as they do under lights of other colours. As printed the formula has lambda, a variance, and not its root: it is for
    values from 0 to 1. x (N, C, H, W) of as many channels as were measured; the result is cut off to 0..1.

    Krizhevsky, Sutskever, Hinton (2012), "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 25,
    section 4.1, with std = 0.1.

    >>> import numpy as np
    >>> from minidl.data import augment
    >>> rng = np.random.default_rng(0)
    >>> x = rng.random((50, 3, 8, 8)) * np.array([1, 0.5, 0.1])[:, None, None]  # much red, little blue
    >>> augment.PCAColor.fit(x)
    PCAColor(eigenvalues=[0.0826, 0.0214, 0.000826], std=0.1)
    """

    eigenvalues: Sequence[float]
    eigenvectors: Sequence[Sequence[float]]  # p_k is column k
    std: float = 0.1

    def __post_init__(self) -> None:
        values, vectors = np.asarray(self.eigenvalues, np.float64), np.asarray(self.eigenvectors, np.float64)
        if vectors.shape != values.shape * 2 or values.ndim != 1:
            raise ValueError(
                "PCAColor takes C eigenvalues and the C x C matrix of eigenvectors, one a column, not "
                f"{values.shape} and {vectors.shape}; PCAColor.fit(x) measures them"
            )
        if not self.std >= 0:
            raise ValueError(f"PCAColor: std is a number >= 0, not {self.std!r}")
        object.__setattr__(self, "eigenvalues", tuple(values.tolist()))
        object.__setattr__(self, "eigenvectors", tuple(map(tuple, vectors.tolist())))

    @classmethod
    def fit(cls, x: np.ndarray, std: float = 0.1) -> PCAColor:
        """Measured on the pixels of images x (N, C, H, W) with values from 0 to 1: those of the training set alone."""
        check_light("PCAColor.fit", x, ())
        if x.size == 0:
            raise ValueError("PCAColor.fit: there are no pixels to measure")
        colours = x.shape[1]
        mean = x.mean((0, 2, 3), dtype=np.float64)
        covariance = np.zeros((colours, colours))
        for i in range(0, len(x), 1024):  # float64 copies of one block at a time
            pixels = x[i : i + 1024].swapaxes(0, 1).reshape(colours, -1) - mean[:, None]
            covariance += pixels @ pixels.T
        values, vectors = np.linalg.eigh(covariance / (x.size // colours))
        return cls(np.maximum(values[::-1], 0.0), vectors[:, ::-1], std)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_light("PCAColor", x, (len(self.eigenvalues),))
        draws = rng.normal(0.0, self.std, (len(x), len(self.eigenvalues)))
        shift = (draws * self.eigenvalues) @ np.transpose(self.eigenvectors)  # (N, C)
        x += shift[:, :, None, None].astype(x.dtype)
        return np.clip(x, 0, 1, out=x), y

    def __repr__(self) -> str:
        return f"PCAColor(eigenvalues=[{', '.join(f'{v:.3g}' for v in self.eigenvalues)}], std={self.std})"


@dataclass(frozen=True)
class RandomShadow:
    """A shadow over one side of a random line through the image.

        x (1 - darkness s),    s = cut(1/2 + d / softness)

    where d is the distance of a pixel from the line, positive on the dark side, and cut the cut-off to 0..1. The line
    goes through a random point of the image in a random direction.
    darkness: how much of the light is gone, a pair (low, high) within 0..1 or one number. softness: the width of the
    half-shadow in pixels; 0 is a sharp edge. p: the share of images with a shadow. x (N, C, H, W), values from 0 to 1.

    Buslaev, Iglovikov, Khvedchenya, Parinov, Druzhinin, Kalinin (2020), "Albumentations: Fast and Flexible Image
    Augmentations", Information 11(2):125.
    """

    darkness: float | Sequence[float] = (0.3, 0.7)
    softness: float = 2.0
    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability("RandomShadow", self.p)
        low, high = fixed_or_interval("RandomShadow", "darkness", self.darkness)
        if high > 1:
            raise ValueError(f"RandomShadow: darkness is a share of the light, from 0 to 1, not {self.darkness!r}")
        if not 0 <= self.softness < np.inf:
            raise ValueError(f"RandomShadow: softness is a number of pixels >= 0, not {self.softness!r}")

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_light("RandomShadow", x, ())
        return apply_to_some(self._shade, x, self.p, rng), y

    def _shade(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        n, _, height, width = x.shape
        angle = rng.uniform(0, 2 * np.pi, (n, 1, 1))
        right = np.arange(width) - rng.uniform(0, width - 1, (n, 1, 1))  # (n, 1, W), from the line's point
        down = np.arange(height)[:, None] - rng.uniform(0, height - 1, (n, 1, 1))  # (n, H, 1)
        distance = (np.cos(angle) * right).astype(x.dtype) + (np.sin(angle) * down).astype(x.dtype)  # (n, H, W)
        shade = np.clip(distance / max(self.softness, 1e-9) + 0.5, 0, 1)
        darkness = rng.uniform(*fixed_or_interval("RandomShadow", "darkness", self.darkness), n)
        shade *= -lay(darkness, shade)
        shade += 1
        x *= shade[:, None]
        return x


class _Sometimes:
    """For a share p of the images, x becomes function(x, *the other fields in their order)."""

    function: Callable

    def __post_init__(self) -> None:
        check_probability(type(self).__name__, self.p)
        self.function(np.zeros((1, 1, 1, 1)), *self._arguments())  # bad arguments are found here

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_light(type(self).__name__, x)
        return apply_to_some(lambda some, rng: self.function(some, *self._arguments()), x, self.p, rng), y

    def _arguments(self) -> list:
        return [value for name, value in vars(self).items() if name != "p"]


def fixed_or_interval(name: str, what: str, value: float | Sequence[float]) -> tuple[float, float]:
    """A pair (low, high) as it is, a number v as (v, v); nothing below 0."""
    return interval(name, what, (value, value) if np.ndim(value) == 0 else value, least=0.0)


@dataclass(frozen=True)
class RandomGrayscale(_Sometimes):
    """A share p of the images without colour, in as many channels as before (`adjust.greyscale`)."""

    p: float = 0.1
    function = staticmethod(adjust.greyscale)


@dataclass(frozen=True)
class RandomInvert(_Sometimes):
    """A share p of the images as negatives, 1 - x (`adjust.invert`)."""

    p: float = 0.5
    function = staticmethod(adjust.invert)


@dataclass(frozen=True)
class RandomAutocontrast(_Sometimes):
    """A share p of the images stretched to all of 0..1, channel by channel (`adjust.autocontrast`)."""

    p: float = 0.5
    function = staticmethod(adjust.autocontrast)


@dataclass(frozen=True)
class RandomEqualize(_Sometimes):
    """A share p of the images with their 256 levels equally frequent, channel by channel (`adjust.equalize`)."""

    p: float = 0.5
    function = staticmethod(adjust.equalize)


@dataclass(frozen=True)
class RandomPosterize(_Sometimes):
    """A share p of the images with `bits` bits for each value (`adjust.posterize`)."""

    bits: int
    p: float = 0.5
    function = staticmethod(adjust.posterize)


@dataclass(frozen=True)
class RandomSolarize(_Sometimes):
    """A share p of the images inverted where they are as light as `threshold` or lighter (`adjust.solarize`)."""

    threshold: float
    p: float = 0.5
    function = staticmethod(adjust.solarize)


@dataclass(frozen=True)
class RandomAdjustSharpness(_Sometimes):
    """A share p of the images smoothed (factor < 1) or sharpened (> 1) by one factor (`adjust.sharpness`)."""

    sharpness_factor: float
    p: float = 0.5
    function = staticmethod(adjust.sharpness)
