"""Mixing: each image with a partner, the labels in the same proportion.

Every mix here and in `stitch` gives image x and partner x' weights that add up to one at each pixel, and each image's
share lambda of the result to its label:

    x~ = m x + (1 - m) x',      y~ = lambda y + (1 - lambda) y',      lambda = the mean of m over the pixels.

The partners of a batch are the batch in random order, and each image has its own draw. Labels come out as soft targets
(N, K), which `nn.CrossEntropyLoss` takes as they are. A metric over training batches is then about mixed images:
`accuracy` counts a hit where the largest output is the class with the larger share, which even a perfect network cannot
always see; judge by images that are not mixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minidl.data.augment.common import check_images, check_probability, lay, soft_targets
from minidl.data.augment.erase import boxes

__all__ = ["CutMix", "Mixup"]


class Mix:
    """A mix of two: a subclass says, for images and their partners, what the mixed ones are and how much is their own.

    Subclasses are dataclasses with the fields num_classes and p.
    """

    moves_only = True  # pixels are moved, not computed with, so that bytes are welcome

    def mix(self, x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The mixed images, shaped like x, and the share (n,) that x has in them; x and other may be written to."""
        raise NotImplementedError

    def check(self, x: np.ndarray) -> None:
        """Raise an error that explains if x is nothing to mix."""
        check_images(type(self).__name__, x, floating=not self.moves_only)

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_probability(name, self.p)
        alpha = getattr(self, "alpha", 1.0)
        if not (np.ndim(alpha) == 0 and 0 < alpha < np.inf):
            raise ValueError(f"{name}: alpha, of the distribution Beta(alpha, alpha), is a number > 0, not {alpha!r}")

    def __call__(self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        self.check(x)
        y = targets_of(self, x, y)
        partner = rng.permutation(len(x))
        some = slice(None) if self.p >= 1 else np.flatnonzero(rng.random(len(x)) < self.p)
        x[some], share = self.mix(x[some], x[partner[some]], rng)
        own, rest = y.copy(), y[partner[some]]
        own[some] += lay(1 - share, rest) * (rest - own[some])
        return x, own


def targets_of(transform: Mix, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y as soft targets (N, K), in the dtype of x where they are made from labels."""
    name = type(transform).__name__
    y = soft_targets(name, y, transform.num_classes, x.dtype if x.dtype.kind == "f" else np.float32)
    if len(y) != len(x):
        raise ValueError(f"{name} mixes x and y alike, but there are {len(x)} images and {len(y)} targets")
    return y


def weighted(x: np.ndarray, other: np.ndarray, own: np.ndarray) -> np.ndarray:
    """own x + (1 - own) other, with weights that broadcast; written into x."""
    other -= x
    other *= 1 - own
    x += other
    return x


def patched(x: np.ndarray, other: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x where own (n, 1, H, W) is true and other elsewhere, written into x, and the share of true pixels (n,)."""
    np.copyto(x, other, where=~own)
    return x, own.mean((1, 2, 3))


@dataclass(frozen=True)
class Mixup(Mix):
    """Each sample averaged with another: x~ = lambda x + (1 - lambda) x', lambda ~ Beta(alpha, alpha) for each sample.

    alpha near 0 leaves one of the two nearly alone, 1 makes lambda uniform. The paper takes 0.1 to 0.4 on ImageNet,
    above which it underfits, and 1.0 on CIFAR-10. num_classes: K, for labels (N,). p: the share of samples mixed.

    x (N, ...) of floats, images or not; y labels (N,) or soft targets (N, K), out come (N, K). The dtype of x is kept,
    and labels become rows of it. Raises TypeError for integer x, ValueError for what does not fit together.

    Zhang, Cisse, Dauphin, Lopez-Paz (2018), "mixup: Beyond Empirical Risk Minimization", ICLR, arXiv:1710.09412

    >>> import numpy as np
    >>> from minidl.data import augment
    >>> x, y = augment.Mixup(1.0, num_classes=2)(np.array([[0.0], [1.0]]), np.array([0, 1]), np.random.default_rng(0))
    >>> np.allclose(x[:, 0], y[:, 1]), y.sum(1)
    (True, array([1., 1.]))
    """

    alpha: float = 0.2
    num_classes: int | None = None
    p: float = 1.0

    def check(self, x: np.ndarray) -> None:
        if not isinstance(x, np.ndarray) or x.ndim == 0:
            raise ValueError(f"Mixup takes an array of samples (N, ...), not {x!r:.60}")
        if x.dtype.kind != "f":
            raise TypeError(f"Mixup needs floating samples, not {x.dtype}; put data.ToFloat() before it")

    def mix(self, x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        share = rng.beta(self.alpha, self.alpha, len(x))
        return weighted(x, other, lay(share, x)), share


@dataclass(frozen=True)
class CutMix(Mix):
    """A box of each image taken from another image, from the same place.

    lambda ~ Beta(alpha, alpha); the box is H sqrt(1 - lambda) high and W sqrt(1 - lambda) wide (whole pixels), so that
    it covers 1 - lambda of the image, its centre uniform over the pixels. What reaches over the border is cut off, and
    the labels are mixed by the area that is left: lambda~ = 1 - (pixels in the box) / (H W). alpha = 1, the paper's, is
    a uniform lambda. num_classes: K, for labels (N,). p: the share of images that get a box (the paper's code: 0.5 on
    CIFAR, 1 on ImageNet).

    x (N, C, H, W) of any dtype, which is kept; y labels (N,) or soft targets (N, K), out come (N, K).

    Yun, Han, Oh, Chun, Choe, Yoo (2019), "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
    Features", ICCV, arXiv:1905.04899

    >>> import numpy as np
    >>> from minidl.data import augment
    >>> x = np.stack([np.zeros((1, 8, 8)), np.ones((1, 8, 8))])  # a black image and a white one
    >>> x, y = augment.CutMix(num_classes=2)(x, np.array([0, 1]), np.random.default_rng(0))
    >>> np.allclose(x.mean((1, 2, 3)), y[:, 1])  # the share of the label "white" is that of the white pixels
    True
    """

    alpha: float = 1.0
    num_classes: int | None = None
    p: float = 1.0

    def mix(self, x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        n, _, height, width = x.shape
        side = np.sqrt(1 - rng.beta(self.alpha, self.alpha, n))
        h, w = (height * side).astype(int), (width * side).astype(int)
        top, left = rng.integers(0, height, n) - h // 2, rng.integers(0, width, n) - w // 2
        return patched(x, other, ~boxes(top, left, h, w, x))
