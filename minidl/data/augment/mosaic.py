"""Mosaic: four images around one point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minidl.data.augment.common import check_images, check_probability, interval, lay
from minidl.data.augment.mix import targets_of

__all__ = ["Mosaic"]


@dataclass(frozen=True)
class Mosaic:
    """Four images of the batch in the quarters around a random point, labels mixed by area.

    The point (R, S) is uniform between the shares `centre` of height and width (0.2 to 0.8 in the authors' program,
    darknet). The image itself is at its upper left, three random ones of the batch at its upper right, lower left and
    lower right, each with a corner at the point: the upper left quarter shows the lower right part of its image, ...

        x~(r, c) = x_k((r - R) mod H, (c - S) mod W),      y~ = sum_k (area of quarter k) / (H W) y_k.

    x (N, C, H, W) of any dtype, which is kept; y labels (N,), with num_classes, or soft targets (N, K), out come
    (N, K). p: the share of images made into a mosaic (darknet: 0.5; with 1 a classifier never sees a whole image).
    Raises ValueError for what does not fit together.

    Bochkovskiy, Wang, Liao (2020), "YOLOv4: Optimal Speed and Accuracy of Object Detection", arXiv:2004.10934

    >>> import numpy as np
    >>> from minidl.data import augment
    >>> x = np.arange(3.0).repeat(16).reshape(3, 1, 4, 4)
    >>> x, y = augment.Mosaic(num_classes=3)(x, np.arange(3), np.random.default_rng(31))
    >>> x[0, 0]
    array([[0., 1., 1., 1.],
           [0., 1., 1., 1.],
           [2., 2., 2., 2.],
           [2., 2., 2., 2.]])
    >>> 16 * y[0]  # labels by pixels
    array([2., 6., 8.])
    """

    centre: tuple[float, float] = (0.2, 0.8)
    num_classes: int | None = None
    p: float = 1.0

    def __post_init__(self) -> None:
        check_probability("Mosaic", self.p)
        low, high = interval("Mosaic", "centre", self.centre, centre=0.5, least=0.0)
        if high > 1:
            raise ValueError(f"Mosaic: centre is a pair (low, high) of shares from 0 to 1, not {self.centre!r}")

    def __call__(self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        check_images("Mosaic", x, floating=False)
        y = targets_of(self, x, y)
        n, channels, height, width = x.shape
        low, high = interval("Mosaic", "centre", self.centre, centre=0.5, least=0.0)
        some = np.flatnonzero(rng.random(n) < self.p) if self.p < 1 else np.arange(n)
        images = np.stack([np.arange(n), *(rng.permutation(n) for _ in range(3))])[:, some]  # (4, n)
        row, column = (np.rint(side * rng.uniform(low, high, len(some))).astype(int) for side in (height, width))

        r, c = np.arange(height) - row[:, None], np.arange(width) - column[:, None]  # (n, H), (n, W), < 0 before (R, S)
        quarter = 2 * (r >= 0)[:, :, None] + (c >= 0)[:, None, :]  # (n, H, W), 0 to 3
        source = np.take_along_axis(images, quarter.reshape(len(some), height * width).T, 0)
        source = source.T.reshape(len(some), 1, height, width)
        rows, columns = (r % height)[:, None, :, None], (c % width)[:, None, None, :]
        mosaic = x[source, np.arange(channels)[:, None, None], rows, columns]

        share = np.stack([row * column, row * (width - column), (height - row) * column,
                          (height - row) * (width - column)]) / (height * width)  # (4, n)
        mixed = y.copy()
        mixed[some] = sum(lay(s, y[some]) * y[k] for s, k in zip(share, images, strict=True))
        x[some] = mosaic
        return x, mixed
