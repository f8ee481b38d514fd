"""Lists of views of a batch for test-time augmentation, as `train.predict_tta` takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from minidl.data.augment.crop import five_crop, ten_crop
from minidl.data.augment.resize import resize
from minidl.ops.conv import Pair, pair

__all__ = ["crop_views", "flip_views", "scale_views"]

View = Callable[[np.ndarray], np.ndarray | list[np.ndarray]]


def itself(x: np.ndarray) -> np.ndarray:
    """x as it is."""
    return x


def mirrored(x: np.ndarray) -> np.ndarray:
    """x (..., H, W) with left and right exchanged."""
    return x[..., ::-1]


def upside_down(x: np.ndarray) -> np.ndarray:
    """x (..., H, W) with top and bottom exchanged."""
    return x[..., ::-1, :]


def half_turn(x: np.ndarray) -> np.ndarray:
    """x (..., H, W) turned by 180 degrees."""
    return x[..., ::-1, ::-1]


def flip_views(vertical: bool = False) -> list[View]:
    """Images as they are and mirrored; with `vertical` these two upside down as well.

    Only for what is the same when mirrored: ships are, digits and letters are not.
    Krizhevsky, Sutskever, Hinton (2012), "ImageNet Classification with Deep Convolutional Neural Networks", section 4.1

    >>> from minidl.data import augment
    >>> [view(np.array([[1, 2]])).tolist() for view in augment.flip_views()]
    [[[1, 2]], [[2, 1]]]
    """
    return [itself, mirrored, upside_down, half_turn] if vertical else [itself, mirrored]


def crop_views(size: Pair, flips: bool = True) -> list[View]:
    """The four corners and the middle in the size (h, w), and those of the mirror images: ten crops, or five.

    For a network that was trained on crops of this size. Raises ValueError for a size below 1.
    Krizhevsky, Sutskever, Hinton (2012), "ImageNet Classification with Deep Convolutional Neural Networks", section 4.1
    """
    return [partial(ten_crop if flips else five_crop, size=pair(size, "crop_views: size", 1))]


def scale_views(sizes: Sequence[Pair]) -> list[View]:
    """Images resized to each of the sizes, for networks that pool over the whole image. ValueError for sizes below 1.

    Simonyan, Zisserman (2015), "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR,
    arXiv:1409.1556, section 4.2 (there: scales of 256, 384 and 512 pixels)
    """
    return [partial(resize, size=pair(size, "scale_views: sizes", 1)) for size in sizes]
