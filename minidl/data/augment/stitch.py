"""Stitched mixes: parts of an image beside parts of its partner, labels mixed by area.

For image x, partner x', a row cut R uniform in 0..H and a column cut S uniform in 0..W:

    VerticalConcat     rows above R from x, the others from x'
    HorizontalConcat   columns left of S from x, the others from x'
    MixedConcat        of the four quarters around (R, S), upper left and lower right from x, the others from x'
    VHMixup            a mixup of the first two
    VHBCPlus           the same with weights that even out their contrast
    RectangleMix       a rectangle of x' from anywhere, anywhere in x

All from Summers, Dinneen (2019), "Improved Mixed-Example Data Augmentation", WACV, arXiv:1805.11272. How targets and
partners work: see `mix`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minidl.data.augment.common import lay
from minidl.data.augment.erase import boxes, check_whole
from minidl.data.augment.mix import Mix, patched, weighted

__all__ = ["HorizontalConcat", "MixedConcat", "RectangleMix", "VHBCPlus", "VHMixup", "VerticalConcat"]


def upper(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which rows are above a cut that is uniform in 0..H, bool (n, 1, H, 1)."""
    return np.arange(x.shape[2])[:, None] < rng.integers(0, x.shape[2] + 1, len(x))[:, None, None, None]


def left(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which columns are left of a cut that is uniform in 0..W, bool (n, 1, 1, W)."""
    return np.arange(x.shape[3]) < rng.integers(0, x.shape[3] + 1, len(x))[:, None, None, None]


@dataclass(frozen=True)
class VerticalConcat(Mix):
    """The upper part of an image over the lower part of another: m_rc = [r < R], lambda = R / H, R uniform in 0..H.

    x (N, C, H, W) of any dtype, which is kept; y labels (N,), with num_classes, or soft targets (N, K), out come
    (N, K). p: the share of images mixed. Raises ValueError for what does not fit together.

    Summers, Dinneen (2019), "Improved Mixed-Example Data Augmentation", WACV, arXiv:1805.11272
    """

    num_classes: int | None = None
    p: float = 1.0

    def mix(self, x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return patched(x, other, upper(x, rng))


@dataclass(frozen=True)
class HorizontalConcat(Mix):
    """The left part of an image beside the right part of another: m_rc = [c < S], lambda = S / W, S uniform in 0..W.

    Arguments, shapes, dtypes, errors and paper as for `VerticalConcat`.
    """

    num_classes: int | None = None
    p: float = 1.0

    def mix(self, x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return patched(x, other, left(x, rng))


@dataclass(frozen=True)
class MixedConcat(Mix):
    """Four quarters in turn from an image and another: m_rc = [r < R] [c < S] + [r >= R] [c >= S].

    lambda = (R/H) (S/W) + (1 - R/H) (1 - S/W). Arguments, shapes, dtypes, errors and paper as for `VerticalConcat`.
    """

    num_classes: int | None = None
    p: float = 1.0

    def mix(self, x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return patched(x, other, upper(x, rng) == left(x, rng))


@dataclass(frozen=True)
class VHMixup(Mix):
    """A mixup of the two concatenations: m_rc = q [r < R] + (1 - q) [c < S], q uniform in 0..1.

    lambda = q R/H + (1 - q) S/W. So the upper left corner is all x, the lower right all x', and the other two are
    mixtures. x must be floating (TypeError); else as for `VerticalConcat`.

    Summers, Dinneen (2019), "Improved Mixed-Example Data Augmentation", WACV, arXiv:1805.11272

    >>> import numpy as np
    >>> from minidl.data import augment
    >>> x = np.stack([np.zeros((1, 4, 4)), np.ones((1, 4, 4))])
    >>> x, y = augment.VHMixup(num_classes=2)(x, np.array([0, 1]), np.random.default_rng(11))
    >>> x[1, 0].round(2)
    array([[1.  , 1.  , 0.15, 0.15],
           [1.  , 1.  , 0.15, 0.15],
           [1.  , 1.  , 0.15, 0.15],
           [0.85, 0.85, 0.  , 0.  ]])
    >>> float(y[1, 1].round(4)) == float(x[1].mean().round(4))
    True
    """

    num_classes: int | None = None
    p: float = 1.0
    moves_only = False

    def mix(self, x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        rows, columns, q = upper(x, rng), left(x, rng), rng.random(len(x))
        share = q * rows.mean((1, 2, 3)) + (1 - q) * columns.mean((1, 2, 3))
        return weighted(x, other, lay(q, x) * rows + lay(1 - q, x) * columns), share


@dataclass(frozen=True)
class VHBCPlus(Mix):
    """`VHMixup` by the rule of between-class learning (BC+), which treats images as waves.

    Each image loses its mean. Of the concatenations v (vertical) and h (horizontal), with standard deviations s_v, s_h,

        x~ = (p v + (1 - p) h) / sqrt(p^2 + (1 - p)^2),      p = 1 / (1 + (s_v / s_h) (1 - q) / q),

    so that a share q is a share of the contrast, and x~ has about that of one image; labels as in `VHMixup`. Images
    come out without their means and without bounds: what needs 0..1 goes before it, and images that the network is
    tested on must lose their means too. x must be floating (TypeError); else as for `VerticalConcat`.

    Tokozume, Ushiku, Harada (2018), "Between-Class Learning for Image Classification", CVPR, arXiv:1711.10284;
    Summers, Dinneen (2019), arXiv:1805.11272
    """

    num_classes: int | None = None
    p: float = 1.0
    moves_only = False

    def mix(self, x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        rows, columns, q = upper(x, rng), left(x, rng), rng.random(len(x))
        x, other = (a - a.mean((1, 2, 3), keepdims=True) for a in (x, other))
        v, h = np.where(rows, x, other), np.where(columns, x, other)
        strong, weak = (1 - q) * v.std((1, 2, 3)), q * h.std((1, 2, 3))
        both = strong + weak
        p = np.divide(weak, both, out=q.copy(), where=both > 0)  # flat images have no contrast to even out
        norm = np.sqrt(p * p + (1 - p) * (1 - p))
        share = q * rows.mean((1, 2, 3)) + (1 - q) * columns.mean((1, 2, 3))
        return lay(p / norm, x) * v + lay((1 - p) / norm, x) * h, share


@dataclass(frozen=True)
class RectangleMix(Mix):
    """A rectangle of another image, cut out anywhere in it, put anywhere into each image.

    size: (height, width), or a number for a square: the paper's "random square", of half the image's side there. Its
    centre is uniform over the pixels, and what reaches over the border is cut off; the rectangle that is left comes
    from a uniform place in the partner, where `CutMix` takes the same one. lambda = 1 - (its pixels) / (H W).
    Other arguments, shapes, dtypes, errors and paper as for `VerticalConcat`; ValueError for a size below 1.
    """

    size: int | tuple[int, int]
    num_classes: int | None = None
    p: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for side in self._sides:
            check_whole("RectangleMix", "size", side)

    @property
    def _sides(self) -> tuple[int, int]:
        if np.ndim(self.size) and len(self.size) != 2:
            raise ValueError(f"RectangleMix: size is a number or a pair (height, width), not {self.size!r}")
        return tuple(self.size) if np.ndim(self.size) else (self.size, self.size)

    def mix(self, x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        first, length, source = [], [], []
        for side, extent in zip(self._sides, x.shape[2:], strict=True):  # of rows, then of columns
            start = rng.integers(0, extent, len(x)) - side // 2
            stop = np.minimum(start + side, extent)
            start = np.maximum(start, 0)
            taken_from = rng.integers(0, extent - (stop - start) + 1)
            first.append(start)
            length.append(stop - start)
            source.append((np.arange(extent) + (taken_from - start)[:, None]) % extent)  # (n, extent)
        rows, columns = source[0][:, None, :, None], source[1][:, None, None, :]
        n, channel = np.arange(len(x))[:, None, None, None], np.arange(x.shape[1])[:, None, None]
        return patched(x, other[n, channel, rows, columns], ~boxes(*first, *length, x))
