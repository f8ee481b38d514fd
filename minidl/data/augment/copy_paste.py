"""Copy-paste: objects of one image put onto another, by their masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minidl.arrays import describe
from minidl.data.augment.common import check_images, check_probability, interval, lay
from minidl.data.augment.mix import targets_of

__all__ = ["CopyPaste"]


@dataclass(frozen=True)
class CopyPaste:
    """Objects of a random partner pasted onto each image, resized, flipped and at a random place.

    The partner and its mask m' are mirrored with probability `flip`, scaled by s uniform in `scale` and put at a
    uniform place (inside where s < 1, cut off where s > 1); each label in m' except 0, the background, is taken with
    probability `keep`. With a = 1 on the pixels of what is taken,

        x~ = a x' + (1 - a) x,      m~ = a m' + (1 - a) m.

    Pixels are taken from the nearest place, so that pasted objects have clean edges. scale: the paper's large-scale
    jitter; (0.8, 1.25) is its standard one. The paper jitters and flips x as well: put such transforms before this one.

    x (N, C, H, W) of any dtype; y (N, H, W), integers (or bools): 0 where there is background, else the object's label.
    Both dtypes are kept. p: the share of images pasted onto.
    For classes instead of masks: `find(x)` returns such masks, and y, labels (N,) with num_classes or soft targets
    (N, K), comes out as soft targets, mixed by the visible area of objects: lambda = own / (own + pasted).
    Raises ValueError for shapes that do not fit, TypeError for masks that are not integers.

    Ghiasi, Cui, Srinivas, Qian, Lin, Cubuk, Le, Zoph (2021), "Simple Copy-Paste is a Strong Data Augmentation Method
    for Instance Segmentation", CVPR, arXiv:2012.07177

    >>> import numpy as np
    >>> from minidl.data import augment
    >>> mask = np.array([[[1, 1, 0, 0], [0, 0, 0, 0]], [[0, 0, 0, 2], [0, 0, 0, 2]]])
    >>> paste = augment.CopyPaste(scale=(1.0, 1.0), flip=0.0, keep=1.0)
    >>> x, y = paste(10.0 * mask[:, None], mask, np.random.default_rng(3))
    >>> y[0]
    array([[1, 1, 0, 2],
           [0, 0, 0, 2]])
    >>> np.array_equal(x[:, 0], 10 * y)
    True
    """

    scale: tuple[float, float] = (0.1, 2.0)
    flip: float = 0.5
    keep: float = 0.5
    p: float = 1.0
    find: Callable[[np.ndarray], np.ndarray] | None = None
    num_classes: int | None = None

    def __post_init__(self) -> None:
        for what in ("p", "flip", "keep"):
            check_probability("CopyPaste", getattr(self, what), what)
        if interval("CopyPaste", "scale", self.scale, centre=1.0, least=0.0)[0] <= 0:
            raise ValueError(f"CopyPaste: scale is a pair (low, high) above 0, not {self.scale!r}")

    def __call__(self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        check_images("CopyPaste", x, floating=False)
        mask = self._masks(x, y)
        n, channels, height, width = x.shape
        partner = rng.permutation(n)
        some = np.arange(n) if self.p >= 1 else np.flatnonzero(rng.random(n) < self.p)
        source, k = partner[some], len(some)

        scale = rng.uniform(*interval("CopyPaste", "scale", self.scale, centre=1.0, least=0.0), k)
        rows, rows_inside = _source(height, scale, rng)
        columns, columns_inside = _source(width, scale, rng)
        columns = np.where(rng.random(k)[:, None] < self.flip, width - 1 - columns, columns)
        taken = mask[source[:, None, None], rows[:, :, None], columns[:, None, :]]  # (k, H, W)
        taken *= rows_inside[:, :, None] & columns_inside[:, None, :]

        labels, label = np.unique(taken, return_inverse=True)
        chosen = rng.random((k, len(labels))) < self.keep
        chosen[:, labels == 0] = False
        pasted = chosen[np.arange(k)[:, None, None], label.reshape(taken.shape)]

        channel = np.arange(channels)[:, None, None]
        pixels = x[source[:, None, None, None], channel, rows[:, None, :, None], columns[:, None, None, :]]
        x[some] = np.where(pasted[:, None], pixels, x[some])
        if self.find is None:
            y = y.copy()
            y[some] = np.where(pasted, taken, y[some])
            return x, y
        y = targets_of(self, x, y).copy()
        own, area = ((mask[some] != 0) & ~pasted).sum((1, 2)), pasted.sum((1, 2))
        rest = y[source]
        y[some] += lay(area / np.maximum(own + area, 1), rest) * (rest - y[some])
        return x, y

    def _masks(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The masks (N, H, W): y itself, or those found in x."""
        mask = y if self.find is None else self.find(x)
        what = "masks y" if self.find is None else "what find(x) returns"
        shape = (len(x), *x.shape[2:])
        if not isinstance(mask, np.ndarray) or mask.shape != shape:
            hint = "; for classes give find=, a function from images to masks" if self.find is None else ""
            raise ValueError(f"CopyPaste: {what} must be an array {shape}, not {describe(mask)}{hint}")
        if mask.dtype.kind not in "iub":
            raise TypeError(f"CopyPaste: {what} must be integers or bools, 0 for background, not {mask.dtype}")
        return mask


def _source(size: int, scale: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """From which pixel each of `size` pixels is taken, (n, size), if a line is scaled and put at a uniform place.

    The second array says which are inside the line.
    """
    start = rng.random(len(scale)) * (size - size * scale)
    position = np.floor((np.arange(size) + 0.5 - start[:, None]) / scale[:, None]).astype(int)
    return position.clip(0, size - 1), (position >= 0) & (position < size)
