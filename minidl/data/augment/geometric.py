"""Flips and random affine maps of whole batches, each image by its own draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.data.augment.common import Range, apply_to_some, check_images, check_probability, interval
from minidl.data.augment.warp import affine, check_fill


@dataclass(frozen=True)
class RandomHorizontalFlip:
    """With probability p, each image becomes its mirror image: out[..., j] = x[..., W - 1 - j].

    x (N, C, H, W) of any dtype. Raises ValueError for other shapes and for p outside 0..1.
    Krizhevsky, Sutskever, Hinton (2012), "ImageNet classification with deep convolutional neural networks", 4.1.

    >>> import numpy as np
    >>> from minidl.data.augment import RandomHorizontalFlip
    >>> flip = RandomHorizontalFlip(p=1)
    >>> flip(np.array([[[[1, 2, 3]]]]), None, np.random.default_rng(0))[0]
    array([[[[3, 2, 1]]]])
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability("RandomHorizontalFlip", self.p)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("RandomHorizontalFlip", x, floating=False)
        return apply_to_some(lambda images, rng: images[..., ::-1], x, self.p, rng), y


@dataclass(frozen=True)
class RandomVerticalFlip:
    """With probability p, each image is turned upside down: out[..., i, j] = x[..., H - 1 - i, j].

    x (N, C, H, W) of any dtype. Raises ValueError for other shapes and for p outside 0..1.
    Shorten, Khoshgoftaar (2019), "A survey on image data augmentation for deep learning", Journal of Big Data 6.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability("RandomVerticalFlip", self.p)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("RandomVerticalFlip", x, floating=False)
        return apply_to_some(lambda images, rng: images[..., ::-1, :], x, self.p, rng), y


@dataclass(frozen=True)
class RandomRotation:
    """Each image turned about its centre by an angle of its own, uniform in -degrees..degrees or in a pair (low, high).

    Degrees count counter-clockwise. x (N, C, H, W) of floats -> the same shape and dtype, bilinear; fill, value: what
    comes in from outside, see `warp`. Raises TypeError unless x is floating, ValueError for bad arguments.
    Simard, Steinkraus, Platt (2003), "Best practices for convolutional neural networks applied to visual document
    analysis", section 2.

    >>> from minidl.data.augment import RandomRotation
    >>> RandomRotation(10, fill="reflect")
    RandomRotation(degrees=10, fill='reflect', value=0.0)
    """

    degrees: Range
    fill: str = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        interval("RandomRotation", "degrees", self.degrees)
        check_fill("RandomRotation", self.fill)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("RandomRotation", x)
        angle = rng.uniform(*interval("RandomRotation", "degrees", self.degrees), len(x))
        return affine(x, angle, fill=self.fill, value=self.value), y


@dataclass(frozen=True)
class RandomAffine:
    """Each image rotated, moved, scaled and sheared about its centre by draws of its own, in one resampling.

    degrees: a number d for uniform in -d..d, or a pair. translate: the largest moves as shares (a, b) of width and
    height; whole pixels are drawn, as in torchvision, so that a translation alone is exact. scale: a pair of factors.
    shear: degrees as for `degrees`, along x alone; four numbers (x low, x high, y low, y high) shear along both.
    None leaves a part out. The map is that of `affine`; fill, value: what comes in from outside, see `warp`.

    x (N, C, H, W) of floats -> the same shape and dtype. Raises TypeError unless x is floating, ValueError for bad
    arguments. Simard, Steinkraus, Platt (2003), "Best practices for convolutional neural networks applied to visual
    document analysis", section 2.

    >>> from minidl.data.augment import RandomAffine
    >>> RandomAffine(0, translate=(0.1, 0.1))  # translation alone
    RandomAffine(degrees=0, translate=(0.1, 0.1), scale=None, shear=None, fill='constant', value=0.0)
    """

    degrees: Range
    translate: Sequence[float] | None = None
    scale: Sequence[float] | None = None
    shear: Range | None = None
    fill: str = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        self._ranges()
        check_fill("RandomAffine", self.fill)

    def _ranges(self) -> tuple:
        """(low, high) of the angle, both shares, the scale and both shears."""
        name, shares = "RandomAffine", self.translate if self.translate is not None else (0.0, 0.0)
        if np.shape(shares) != (2,) or not all(0 <= s <= 1 for s in shares):
            raise ValueError(f"{name}: translate is a pair of shares from 0 to 1, (of the width, of the height), "
                             f"not {shares!r}")
        scale = (1.0, 1.0) if self.scale is None else self.scale
        if np.shape(scale) != (2,) or not 0 < scale[0] <= scale[1] < np.inf:
            raise ValueError(f"{name}: scale is a pair (low, high) of positive factors, not {scale!r}")
        shear = 0.0 if self.shear is None else self.shear
        shear_x, shear_y = (shear[:2], shear[2:]) if np.shape(shear) == (4,) else (shear, 0.0)
        shears = interval(name, "shear", shear_x), interval(name, "shear", shear_y)
        if np.abs(shears).max() >= 90:
            raise ValueError(f"{name}: shear lies between -90 and 90 degrees, both excluded, not {shear!r}")
        return interval(name, "degrees", self.degrees), shares, scale, shears

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("RandomAffine", x)
        degrees, shares, scale, shears = self._ranges()
        n, most = len(x), [share * size for share, size in zip(shares, x.shape[:1:-1], strict=True)]
        return affine(
            x, rng.uniform(*degrees, n), [np.rint(rng.uniform(-m, m, n)) for m in most], rng.uniform(*scale, n),
            [rng.uniform(*s, n) for s in shears], self.fill, self.value,
        ), y  # fmt: skip
