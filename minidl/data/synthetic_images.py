"""Images of shapes, made on the spot in any size and number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minidl.data.synthetic import start_set, whole
from minidl.random import Rng

__all__ = ["SHAPES", "shapes"]

# The signed distance of the point (u, v) to the outline of each shape, negative inside. A shape reaches about 1 from
# its middle; v points down, as image rows do.
_OUTLINES = {
    "circle": lambda u, v: np.hypot(u, v) - 1,
    "square": lambda u, v: np.maximum(abs(u), abs(v)) - 0.85,
    "triangle": lambda u, v: np.maximum(v, 0.75**0.5 * abs(u) - 0.5 * v) - 0.5,
    "cross": lambda u, v: np.minimum(np.maximum(abs(u) - 1, abs(v) - 0.3), np.maximum(abs(u) - 0.3, abs(v) - 1)),
    "ring": lambda u, v: abs(np.hypot(u, v) - 0.75) - 0.25,
    "diamond": lambda u, v: (abs(u) + abs(v) - 1) * 0.5**0.5,
}
SHAPES = tuple(_OUTLINES)


def shapes(
    n: int = 1000,
    size: int = 32,
    classes: Sequence[str] = SHAPES,
    channels: int = 1,
    noise: float = 0.05,
    rng: Rng = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Bright shapes on a dark ground, of random place, radius (20 to 40 % of the side) and brightness.

    x: (n, channels, size, size) float32 in 0..1; y: (n,) int64, where label k is classes[k]. channels: 1 for grey, 3
    for a random colour. noise: the standard deviation of the Gaussian noise on each pixel, clipped to 0..1 with it.
    Edges are smooth: coverage = clip(1/2 - distance to the outline in pixels, 0, 1).
    Raises ValueError for an unknown class, channels other than 1 and 3, or a size below 8.

    Quilez, "2D distance functions", https://iquilezles.org/articles/distfunctions2d

    >>> from minidl import data
    >>> x, y = data.shapes(10, size=16, classes=["circle", "cross"], channels=3, rng=0)
    >>> x.shape, x.dtype, sorted(y.tolist())
    ((10, 3, 16, 16), dtype('float32'), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    """
    classes = [classes] if isinstance(classes, str) else list(classes)
    unknown = [c for c in classes if c not in _OUTLINES]
    if unknown or not classes or len(set(classes)) < len(classes):
        raise ValueError(f"classes are different names out of {', '.join(SHAPES)}; got {classes}")
    if channels not in (1, 3):
        raise ValueError(f"channels is 1 (grey) or 3 (colour), not {channels!r}")
    if whole(size, "size") < 8:
        raise ValueError(f"size={size} is too small to tell shapes apart; use at least 8 pixels")
    rng, y = start_set(n, len(classes), noise, rng)
    radius = rng.uniform(0.2, 0.4, n) * size
    place = radius[:, None] + rng.random((n, 2)) * (size - 2 * radius)[:, None]  # (N, 2): column, row of the middle
    bright = rng.uniform(0.5, 1.0, (n, channels))
    ground = rng.uniform(0.0, 0.3, (n, channels))
    x = np.empty((n, channels, size, size), np.float32)
    step = max(1, 2**20 // size**2)  # images at a time: their temporary arrays stay small
    for i in range(0, n, step):
        part = slice(i, i + step)
        cover = _coverage([classes[k] for k in y[part]], place[part], radius[part], size)[:, None]  # (n, 1, S, S)
        dark, light = (a[part, :, None, None].astype(np.float32) for a in (ground, bright))
        x[part] = dark + cover * (light - dark)
        x[part] += np.float32(noise) * rng.standard_normal(x[part].shape, dtype=np.float32)
    return np.clip(x, 0, 1, out=x), y


def _coverage(names: Sequence[str], place: np.ndarray, radius: np.ndarray, size: int) -> np.ndarray:
    """How much of each pixel the shape covers, (n, S, S) float32 in 0..1."""
    middle = np.arange(size) + 0.5
    scale = radius[:, None, None]
    u = ((middle[None, None, :] - place[:, 0, None, None]) / scale).astype(np.float32)  # (n, 1, S)
    v = ((middle[None, :, None] - place[:, 1, None, None]) / scale).astype(np.float32)  # (n, S, 1)
    cover = np.empty((len(names), size, size), np.float32)
    names = np.array(names)
    for name in set(names.tolist()):
        these = names == name
        cover[these] = 0.5 - _OUTLINES[name](u[these], v[these]) * scale[these].astype(np.float32)
    return np.clip(cover, 0, 1, out=cover)
