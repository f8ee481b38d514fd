"""AugMix: a mean of differently augmented copies of an image, mixed with the image itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .adjust import check_light
from .common import lay
from .operations import Space, apply_each, magnitudes, whole
from .warp import check_fill

__all__ = ["AugMix"]


@dataclass(frozen=True)
class AugMix:
    """A convex combination of the image and of `width` chains of random operations on it.

        x' = (1 - m) x + m sum over k of w_k chain_k(x),    m ~ Beta(alpha, alpha),    w ~ Dirichlet(alpha ... alpha)

    chain_k is `depth` operations one after the other, 1, 2 or 3 with equal chance if depth = -1, each drawn with equal
    chance from AutoContrast, Equalize, Posterize, Rotate, Solarize, ShearX, ShearY, TranslateX, TranslateY; all_ops
    adds Color, Contrast, Brightness and Sharpness, which the paper leaves out because its test set is made with such.
    Each operation draws a level uniformly from (0.1, severity), of 10: at level 10 it is 30 degrees, a slope of 0.3,
    a third of the image, 0 bits left of 4 at level 0, threshold 0, or a factor of 1.9 (0.1 at level 0).
    severity: from 0 (images stay as they are) to 10. The results are diverse, for much is drawn, and yet close to the
    image, which is part of the mean: chained operations alone soon leave nothing to recognise.

    Labels stay. With `train.AugMixConsistency` the model is also asked to say the same about an image and its
    augmentations. x (N, C, H, W), floats from 0 to 1 of 1 or 3 channels. fill, value: see `warp`.

    Hendrycks, Mu, Cubuk, Zoph, Gilmer, Lakshminarayanan (2020), "AugMix: A Simple Data Processing Method to Improve
    Robustness and Uncertainty", ICLR, arXiv:1912.02781, algorithm 1.

    >>> import numpy as np
    >>> from minidl import data
    >>> from minidl.data import augment
    >>> x, y = data.shapes(4, size=16, channels=3, rng=0)
    >>> mixed, _ = augment.AugMix()(x.copy(), y, np.random.default_rng(0))
    >>> mixed.shape, bool(0 <= mixed.min() and mixed.max() <= 1), np.array_equal(mixed, x)
    ((4, 3, 16, 16), True, False)
    """

    severity: float = 3
    width: int = 3
    depth: int = -1
    alpha: float = 1.0
    all_ops: bool = False
    fill: str = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        whole("AugMix", "width", self.width, 1)
        if self.depth != -1:
            whole("AugMix", "depth (or -1)", self.depth, 1)
        if not 0 <= self.severity <= 10:
            raise ValueError(f"AugMix: severity is a number from 0 to 10, not {self.severity!r}")
        if not 0 < self.alpha < np.inf:
            raise ValueError(f"AugMix: alpha is a number > 0, not {self.alpha!r}")
        check_fill("AugMix", self.fill)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_light("AugMix", x)
        if self.severity == 0 or len(x) == 0:
            return x, y
        share = lay(rng.beta(self.alpha, self.alpha, len(x)), x)
        weights = rng.dirichlet([self.alpha] * self.width, len(x)).astype(x.dtype)  # (N, width)
        chains = self.chains(np.repeat(x, self.width, axis=0), rng)
        mixed = (weights[:, None] @ chains.reshape(*weights.shape, -1)).reshape(x.shape)
        mixed -= x
        mixed *= share
        x += mixed
        return np.clip(x, 0, 1, out=x), y  # no more than rounding

    def chains(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Every image of x through a chain of its own, in place."""
        choice = augmix_space(*x.shape[2:], self.all_ops)
        depth = rng.integers(1, 4, len(x)) if self.depth == -1 else np.full(len(x), self.depth)
        for step in range(3 if self.depth == -1 else self.depth):
            which = rng.integers(0, len(choice), len(x))
            level = rng.uniform(min(0.1, self.severity), self.severity, len(x))
            values = magnitudes(choice, which, level / 10, rng)
            which[depth <= step] = -1
            x = apply_each(list(choice), which, values, x, {"fill": self.fill, "value": self.value})
        return x


def augmix_space(height: int, width: int, all_ops: bool) -> Space:
    """The operations of AugMix with their magnitudes at levels 0 and 10."""
    space = {
        "AutoContrast": (0.0, 0.0, False),
        "Equalize": (0.0, 0.0, False),
        "Posterize": (4.5, 0.5, False),  # rounded: 4 bits less the whole part of 0.4 level
        "Rotate": (0.0, 30.0, True),
        "Solarize": (256 / 255, 0.0, False),
        "ShearX": (0.0, 0.3, True),
        "ShearY": (0.0, 0.3, True),
        "TranslateX": (0.0, width / 3, True),
        "TranslateY": (0.0, height / 3, True),
    }
    light = dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), (-0.9, 0.9, False)) if all_ops else {}
    return space | light
