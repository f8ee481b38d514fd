"""Parts cut out of images: at random for training, in the middle or all around for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.arrays import describe
from minidl.data.augment.common import check_images
from minidl.data.augment.warp import check_fill
from minidl.kernels.reuse import empty
from minidl.ops.conv import Pair, pair


def crop(x: np.ndarray, top: int | np.ndarray, left: int | np.ndarray, size: Pair) -> np.ndarray:
    """From each image the part of this size (h, w) with its upper left pixel at (top, left), numbers or one each (N,).

        out[n, c, i, j] = x[n, c, top[n] + i, left[n] + j]

    x (N, C, H, W) of any dtype -> (N, C, h, w), a copy. Raises ValueError where a part would reach outside.
    """
    check_images("crop", x, floating=False)
    (h, w), (height, width) = _fitting("crop", x, size), x.shape[2:]
    top, left = (np.broadcast_to(np.asarray(v, np.intp), len(x)) for v in (top, left))
    if len(x) and (min(top.min(), left.min()) < 0 or top.max() > height - h or left.max() > width - w):
        raise ValueError(f"crop: parts of {h}x{w} must lie inside the images, {describe(x)}")
    parts = np.lib.stride_tricks.sliding_window_view(x, (h, w), (2, 3))  # (N, C, H - h + 1, W - w + 1, h, w), a view
    return parts[np.arange(len(x)), :, top, left]


def pad(x: np.ndarray, padding: int, fill: str = "constant", value: float = 0.0) -> np.ndarray:
    """Images with `padding` more pixels on every side: the `value`, the image mirrored, or its border pixels.

    x (N, C, H, W) of any dtype -> (N, C, H + 2 padding, W + 2 padding). fill as in `warp`. Raises ValueError for a
    value that the dtype cannot hold.
    """
    check_images("pad", x, floating=False)
    check_fill("pad", fill)
    padding = pair(padding, "padding")
    if x.dtype.kind in "iu" and not (value == int(value) and np.iinfo(x.dtype).min <= value <= np.iinfo(x.dtype).max):
        raise ValueError(f"pad: images of {x.dtype} cannot hold the value {value}")
    if fill != "constant":
        return np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)), fill)
    (n, c, h, w), (rows, columns) = x.shape, padding
    out = empty((n, c, h + 2 * rows, w + 2 * columns), x.dtype)
    out.fill(value)
    out[:, :, rows : rows + h, columns : columns + w] = x
    return out


@dataclass(frozen=True)
class RandomCrop:
    """A part of size (h, w) of each image, padded first; all places are equally likely, each image has its own.

    size: a number or (h, w). padding: pixels added on every side. fill, value: what they are, see `pad`.
    x (N, C, H, W) of any dtype -> (N, C, h, w). Raises ValueError if the padded images are smaller than that.
    He, Zhang, Ren, Sun (2016), "Deep residual learning for image recognition", section 4.2 (padding 4 for 32x32).

    >>> from minidl.data.augment import RandomCrop
    >>> RandomCrop(32, padding=4, fill="reflect")
    RandomCrop(size=32, padding=4, fill='reflect', value=0.0)
    """

    size: Pair
    padding: int = 0
    fill: str = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        pair(self.size, "RandomCrop: size", 1)
        pair(self.padding, "RandomCrop: padding")
        check_fill("RandomCrop", self.fill)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("RandomCrop", x, floating=False)
        if self.padding:
            x = pad(x, self.padding, self.fill, self.value)
        size = _fitting("RandomCrop", x, self.size)
        top, left = (rng.integers(0, whole - part + 1, len(x)) for whole, part in zip(x.shape[2:], size, strict=True))
        return crop(x, top, left, size), y


@dataclass(frozen=True)
class CenterCrop:
    """The middle part of size (h, w) of every image; half a pixel goes to the lower right.

    x (N, C, H, W) of any dtype -> (N, C, h, w), a view. Raises ValueError if the images are smaller.
    Krizhevsky, Sutskever, Hinton (2012), "ImageNet classification with deep convolutional neural networks", 2.
    """

    size: Pair

    def __post_init__(self) -> None:
        pair(self.size, "CenterCrop: size", 1)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("CenterCrop", x, floating=False)
        return five_crop(x, _fitting("CenterCrop", x, self.size))[4], y


def five_crop(x: np.ndarray, size: Pair) -> list[np.ndarray]:
    """The four corners and the middle: upper left, upper right, lower left, lower right, centre.

    x (N, C, H, W) of any dtype -> five views (N, C, h, w). Raises ValueError if the images are smaller.
    Krizhevsky, Sutskever, Hinton (2012), "ImageNet classification with deep convolutional neural networks", 4.1.

    >>> import numpy as np
    >>> from minidl.data.augment import five_crop
    >>> [part.item() for part in five_crop(np.arange(9).reshape(1, 1, 3, 3), 1)]
    [0, 2, 6, 8, 4]
    """
    check_images("five_crop", x, floating=False)
    (h, w), (height, width) = _fitting("five_crop", x, size), x.shape[2:]
    down, right = height - h, width - w
    corners = (0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)
    return [x[:, :, top : top + h, left : left + w] for top, left in corners]


def ten_crop(x: np.ndarray, size: Pair, vertical_flip: bool = False) -> list[np.ndarray]:
    """`five_crop`, and the five of the mirror image (of the image upside down, with vertical_flip).

    x (N, C, H, W) of any dtype -> ten views (N, C, h, w). For averaging a network's answers over them: see
    Krizhevsky, Sutskever, Hinton (2012), "ImageNet classification with deep convolutional neural networks", 4.1.
    """
    check_images("ten_crop", x, floating=False)
    return five_crop(x, size) + five_crop(x[:, :, ::-1] if vertical_flip else x[..., ::-1], size)


def _fitting(name: str, x: np.ndarray, size: Pair) -> tuple[int, int]:
    """size as a pair, if the images have that many pixels."""
    h, w = pair(size, f"{name}: size", 1)
    if h > x.shape[2] or w > x.shape[3]:
        raise ValueError(f"{name}: parts of {h}x{w} do not fit into images {describe(x)}; pad or resize them first")
    return h, w
