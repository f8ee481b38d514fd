"""Light and colour of images as functions on arrays: what the random transforms and the policies are made of.

x (N, C, H, W), floats from 0 to 1, 1 or 3 channels; the result is a new array of the same dtype, from 0 to 1. A factor,
shift, threshold or number of bits is one number or one per image (N,). All of them are what Pillow and torchvision do
under these names. TypeError or ValueError for what is no such batch or no such number.

Haeberli and Voorhies (1994), "Image Processing By Interpolation and Extrapolation", IRIS Universe 28.

>>> import numpy as np
>>> from minidl.data.augment import adjust
>>> x = np.float32([0.25, 0.5, 0.75]).reshape(1, 3, 1, 1)
>>> adjust.brightness(x, 2.0).ravel()
array([0.5, 1. , 1. ], dtype=float32)
>>> adjust.hue(x, 1 / 3).ravel()
array([0.75, 0.25, 0.5 ], dtype=float32)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from minidl.kernels.reuse import empty

from .common import check_images, lay

__all__ = ["autocontrast", "brightness", "contrast", "equalize", "greyscale", "hue", "invert", "posterize",
           "saturation", "sharpness", "solarize"]  # fmt: skip

Number = float | np.ndarray
BLOCK = 2**15  # values that are worked on at a time: they and what is made of them fit into a core's own cache


def check_light(name: str, x: np.ndarray, channels: Sequence[int] = (1, 3)) -> None:
    """x is a batch of images with values from 0 to 1, with one of these numbers of channels (any, if empty)."""
    check_images(name, x, channels=channels)
    if x.size and not (x.min() > -1e-3 and x.max() < 1.001):
        raise ValueError(
            f"{name} takes values from 0 to 1, and here they run from {x.min():.4g} to {x.max():.4g}; put it before "
            "data.Normalize, and data.ToFloat() before both"
        )


def in_blocks(function: Callable) -> Callable:
    """The function for a whole batch, checked; see `chain` for what it is called with itself."""

    @functools.wraps(function)
    def whole(x: np.ndarray, *value: Number, **named: Number) -> np.ndarray:
        check_light(function.__name__, x)
        return chain(x, [(whole, *value, *named.values())])

    return whole


def chain(x: np.ndarray, steps: Sequence[tuple]) -> np.ndarray:
    """Functions of this module one after the other, steps = (function, *numbers), on images that have been checked.

    Their bodies work on a few images at a time, with numbers that broadcast against them, of n or one images.
    """
    steps = [(function.__wrapped__, [lay(v, x).reshape(-1, 1, 1, 1) for v in numbers]) for function, *numbers in steps]
    out, count = empty(x.shape, x.dtype), max(BLOCK // max(x[:1].size, 1), 1)
    for start in range(0, len(x), count):
        part = slice(start, start + count)
        images = x[part]
        for body, numbers in steps:
            images = body(images, *(v[part] if len(v) > 1 else v for v in numbers))
        out[part] = images
    return out


@in_blocks
def brightness(x: np.ndarray, factor: Number) -> np.ndarray:
    """factor x: 0 is black, 1 the image itself."""
    return _blend(x, None, factor)


@in_blocks
def contrast(x: np.ndarray, factor: Number) -> np.ndarray:
    """factor x + (1 - factor) m with the image's mean lightness m: 0 is one grey, 1 the image itself."""
    return _blend(x, _lightness(x.mean((2, 3), keepdims=True)), factor)


@in_blocks
def saturation(x: np.ndarray, factor: Number) -> np.ndarray:
    """factor x + (1 - factor) greyscale(x): 0 is without colour, 1 the image itself."""
    return x if x.shape[1] == 1 else _blend(x, _lightness(x), factor)


@in_blocks
def sharpness(x: np.ndarray, factor: Number) -> np.ndarray:
    """factor x + (1 - factor) s, where s is x smoothed: 0 is smooth, 1 the image itself, 2 sharpened.

    A pixel of s is the mean of the 3x3 around it with weight 5 for its own; the outermost pixels stay as they are.
    """
    n, c, height, width = x.shape
    smooth = x.copy()
    if height > 2 and width > 2:
        # Rows one behind the other make long loops; the sums that wrap around are those of the outermost columns
        flat = smooth.reshape(n, c, height * width)
        rows = flat[..., : -2 * width] + flat[..., width:-width]
        rows += flat[..., 2 * width :]
        box = rows[..., :-2] + rows[..., 1:-1]
        box += rows[..., 2:]
        inner = flat[..., width + 1 : -width - 1]
        inner *= 4
        inner += box
        inner /= 13
        smooth[..., 0], smooth[..., -1] = x[..., 0], x[..., -1]
    return _blend(x, smooth, factor)


@in_blocks
def hue(x: np.ndarray, shift: Number) -> np.ndarray:
    """Turn the colour circle by `shift` turns: 1/3 makes red green, and green blue.

    With the colour's place h on the circle (0 red, 2 green, 4 blue, of 6), most = max(R, G, B), least = min(R, G, B):

        h' = h + 6 shift mod 6,    R' = most - (most - least) cut(2 - |h' - 3|),
        G' = most - (most - least) cut(|h' - 2| - 1),    B' = most - (most - least) cut(|h' - 4| - 1)

    where cut is the cut-off to 0..1. most and least stay, so hue(hue(x, s), -s) is x but for rounding. Greys stay, and
    so do images of one channel. Smith (1978), "Color Gamut Transform Pairs", SIGGRAPH.
    """
    if x.shape[1] == 1:
        return x
    # h without a branch: order the channels as R >= G >= B with two comparisons, and note what that did to h
    r, g, b = x[:, :1], x[:, 1:2], x[:, 2:]  # (n, 1, H, W)
    blue = (g < b).view(np.int8)
    g, b = np.maximum(g, b), np.minimum(g, b)
    green = (r < g).view(np.int8)
    most, g = np.maximum(r, g), np.minimum(r, g)
    span = most - np.minimum(g, b)
    h = (g - b) / np.maximum(span, np.finfo(x.dtype).tiny)
    h += -6 * blue - 2 * green + 12 * blue * green
    np.abs(h, out=h)
    h += 6 * shift
    h -= 6 * np.floor(h / 6)
    part = np.concatenate([2 - np.abs(h - 3), np.abs(h - 2) - 1, np.abs(h - 4) - 1], axis=1)
    part = np.clip(part, 0, 1, out=part)
    part *= span
    return np.subtract(most, part, out=part)


@in_blocks
def greyscale(x: np.ndarray) -> np.ndarray:
    """The lightness 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601) in all channels; images of one channel as they are."""
    return _lightness(x)


@in_blocks
def invert(x: np.ndarray) -> np.ndarray:
    """1 - x."""
    return 1 - x


@in_blocks
def solarize(x: np.ndarray, threshold: Number) -> np.ndarray:
    """1 - x where x >= threshold, else x: light parts become their negative."""
    return np.abs((x >= threshold) - x)  # |1 - x| or |0 - x|


@in_blocks
def posterize(x: np.ndarray, bits: int | np.ndarray) -> np.ndarray:
    """Keep so many leading bits of the 8 of each value: s floor(k / s) / 255 with k = 255 x, rounded, s = 2^(8 - bits).

    bits: 0 (black) to 8 (the image itself, even if its values are none of 256 levels).
    """
    if not ((bits >= 0) & (bits <= 8) & (bits == np.floor(bits))).all():
        raise ValueError(f"posterize: bits are whole numbers from 0 to 8, not {bits.ravel()}")
    step = 2 ** (8 - bits)
    out = x * (255 / step)
    out += 0.5 / step  # half of a level
    np.floor(out, out=out)
    out *= step
    out /= 255
    whole = np.broadcast_to(bits.ravel() == 8, len(x))
    out[whole] = x[whole]
    return out


@in_blocks
def autocontrast(x: np.ndarray) -> np.ndarray:
    """(x - least) / (most - least) for each channel of each image, so that it uses all of 0..1.

    A channel whose values are closer together than neighbours of 256 levels stays as it is.
    """
    least, most = x.min((2, 3), keepdims=True), x.max((2, 3), keepdims=True)
    flat = most - least < 1 / 256
    least[flat], most[flat] = 0, 1
    out = x - least
    out /= most - least
    return out


@in_blocks
def equalize(x: np.ndarray) -> np.ndarray:
    """Spread the values of each channel of each image so that all of 256 levels come about equally often.

    With count_j pixels at level j, step = floor((pixels - those of the highest level) / 255), as in Pillow:

        level k becomes floor((floor(step / 2) + sum over j < k of count_j) / step)

    A channel stays as it is if step = 0: it has one level only or, as 8x8 images, hardly more than 255 pixels.
    x counts as one of the levels 0, 1/255 ... 1, the nearest, and so does the result.
    """
    n, c, height, width = x.shape
    places = (x * 255 + 0.5).astype(np.intp).reshape(n * c, height * width)
    places += np.arange(0, 256 * n * c, 256)[:, None]  # in a table with 256 levels for each channel
    count = np.bincount(places.reshape(-1), minlength=256 * n * c).reshape(n * c, 256)
    below = np.cumsum(count, axis=1) - count
    step = np.max(below * (count > 0), axis=1, initial=0, keepdims=True) // 255
    table = np.where(step > 0, np.floor((step // 2 + below) / np.maximum(step, 1)), np.arange(256))
    table = np.divide(np.minimum(table, 255), 255).astype(x.dtype)
    return table.take(places, mode="clip").reshape(x.shape)  # the mode that looks at no index twice


def _lightness(x: np.ndarray) -> np.ndarray:
    """(n, 1, H, W)"""
    return x if x.shape[1] == 1 else 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]


def _blend(x: np.ndarray, other: np.ndarray | None, factor: np.ndarray) -> np.ndarray:
    """factor x + (1 - factor) other, cut off to 0..1; None is black."""
    if not (factor >= 0).all():
        raise ValueError(f"brightness, contrast, saturation and sharpness take factors >= 0, not {factor.ravel()}")
    out = x * factor
    if other is not None:
        out += (1 - factor) * other
    return np.clip(out, 0, 1, out=out)
