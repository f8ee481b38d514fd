"""Bent images: elastic deformation, the distortion of a lens, and perspective. Each says where a pixel comes from."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.data.augment.common import Range, apply_to_some, check_images, check_probability, interval
from minidl.data.augment.warp import check_fill, warp


@dataclass(frozen=True)
class ElasticTransform:
    """Each image pulled about by a smooth random field: neighbours move together, as the strokes of a hand do.

        source(p) = p + alpha (G_sigma * u)(p),    u uniform in -1..1, for both coordinates of every pixel

    with G_sigma the Gaussian of sigma pixels, cut off at four sigma; the field is mirrored at the border. alpha, in
    pixels, is the strength: the moves have about the standard deviation 0.16 alpha / sigma. sigma is the stiffness.
    x (N, C, H, W) of floats -> the same shape and dtype; fill, value: see `warp`. Raises TypeError unless x is
    floating, ValueError for bad arguments.
    Simard, Steinkraus, Platt (2003), "Best practices for convolutional neural networks applied to visual document
    analysis", section 2.

    >>> from minidl.data.augment import ElasticTransform
    >>> ElasticTransform(alpha=20)
    ElasticTransform(alpha=20, sigma=4.0, fill='constant', value=0.0)
    """

    alpha: float = 34.0
    sigma: float = 4.0
    fill: str = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < np.inf or not 0 < self.sigma < np.inf:
            raise ValueError(f"ElasticTransform: alpha >= 0 and sigma > 0, not {self.alpha!r} and {self.sigma!r}")
        check_fill("ElasticTransform", self.fill)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("ElasticTransform", x)
        n, _, h, w = x.shape
        noise = rng.random((n, 2, h, w), np.float32).astype(x.dtype, copy=False) * 2 - 1
        return warp(x, _pixels(h, w, x.dtype) + float(self.alpha) * smooth(noise, self.sigma), self.fill, self.value), y


def smooth(x: np.ndarray, sigma: float) -> np.ndarray:
    """x (..., H, W) convolved with a Gaussian of sigma pixels, mirrored at its outer edges (c b a | a b c | c b a).

    A Gaussian is separable and the convolution linear: one matrix for the rows, one for the columns.
    """
    rows, columns = (_blur(size, float(sigma)).astype(x.dtype) for size in x.shape[-2:])
    return rows @ (x @ columns.T)


@functools.lru_cache(maxsize=16)
def _blur(size: int, sigma: float) -> np.ndarray:
    """(size, size): row i holds the Gaussian around i, what falls outside folded back."""
    reach = int(4 * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    places = (np.arange(size)[:, None] + offsets) % (2 * size)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], np.minimum(places, 2 * size - 1 - places)), weights / weights.sum())
    matrix.flags.writeable = False
    return matrix


@dataclass(frozen=True)
class LensDistortion:
    """Each image as through a bad lens, of coefficients of its own: straight lines bow.

        source(p) = c + (1 + k1 r^2 + k2 r^4) (p - c),    r = |p - c| / |corner - c|

    with c the image's centre. Positive coefficients: barrel, the scene shrinks towards the corners and more of it is
    seen; negative ones: pincushion. k1, k2: a number k for uniform in -k..k, or a pair. x (N, C, H, W) of floats -> the
    same shape and dtype; fill, value: see `warp`. Raises TypeError unless x is floating, ValueError for bad arguments.
    Brown (1966), "Decentering distortion of lenses", Photogrammetric Engineering 32 (its radial part).

    >>> from minidl.data.augment import LensDistortion
    >>> LensDistortion(k1=(0.1, 0.3))
    LensDistortion(k1=(0.1, 0.3), k2=0.0, fill='constant', value=0.0)
    """

    k1: Range = 0.2
    k2: Range = 0.0
    fill: str = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        interval("LensDistortion", "k1", self.k1)
        interval("LensDistortion", "k2", self.k2)
        check_fill("LensDistortion", self.fill)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("LensDistortion", x)
        n, _, h, w = x.shape
        k1, k2 = (
            rng.uniform(*interval("LensDistortion", "k", k), (n, 1, 1, 1)).astype(x.dtype) for k in (self.k1, self.k2)
        )
        centre = np.array([w - 1, h - 1], x.dtype).reshape(2, 1, 1) / 2
        away = _pixels(h, w, x.dtype) - centre  # (2, H, W)
        square = (away * away).sum(0) / max(float((centre * centre).sum()), 1e-9)  # (H, W): r^2, 1 at the corners
        return warp(x, centre + away * (1 + square * (k1 + square * k2)), self.fill, self.value), y


@dataclass(frozen=True)
class RandomPerspective:
    """With probability p, each image as seen from the side: its corners move inwards by draws of their own.

        source(p) = (a x + b y + c, d x + e y + f) / (g x + h y + 1),    the four corners given

    Each corner moves by up to distortion_scale / 2 of the width and of the height. x (N, C, H, W) of floats -> the same
    shape and dtype; fill, value: see `warp`. Raises TypeError unless x is floating, ValueError for bad arguments.
    Heckbert (1989), "Fundamentals of texture mapping and image warping", section 2.

    >>> from minidl.data.augment import RandomPerspective
    >>> RandomPerspective(0.3)
    RandomPerspective(distortion_scale=0.3, p=0.5, fill='constant', value=0.0)
    """

    distortion_scale: float = 0.5
    p: float = 0.5
    fill: str = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        check_probability("RandomPerspective", self.distortion_scale, "distortion_scale")
        check_probability("RandomPerspective", self.p)
        check_fill("RandomPerspective", self.fill)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_images("RandomPerspective", x)
        return apply_to_some(self._tilted, x, self.p, rng), y

    def _tilted(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        n, _, h, w = x.shape
        corners = np.array([[0, 0], [w, 0], [0, h], [w, h]]) - 0.5  # the outer edges
        inwards = np.array([[1, 1], [-1, 1], [1, -1], [-1, -1]]) * [w, h] * (self.distortion_scale / 2)
        moved = corners + inwards * rng.random((n, 4, 2))
        return warp(x, projected(homography(moved, corners), h, w).astype(x.dtype), self.fill, self.value)


def homography(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The projective maps (N, 3, 3) that take four points (x, y) each to four others; start and end (N, 4, 2)."""
    start, end = np.broadcast_arrays(start, end)
    ones, zeros = np.ones_like(start[..., :1]), np.zeros_like(start[..., :1])
    point, nothing = np.concatenate([start, ones], -1), np.concatenate([zeros] * 3, -1)  # (N, 4, 3)
    to_x = np.concatenate([point, nothing, -start * end[..., :1]], -1)
    to_y = np.concatenate([nothing, point, -start * end[..., 1:]], -1)
    equations, values = np.concatenate([to_x, to_y], 1), np.concatenate([end[..., 0], end[..., 1]], 1)
    entries = np.linalg.solve(equations, values[..., None])[..., 0]  # (N, 8)
    return np.concatenate([entries, ones[:, 0]], 1).reshape(-1, 3, 3)


def projected(matrix: np.ndarray, h: int, w: int) -> np.ndarray:
    """Where projective maps (N, 3, 3) take the pixels of an image of h x w, (N, 2, h, w)."""
    x, y = np.arange(w), np.arange(h)[:, None]
    a, b, c = (matrix[:, :, k, None, None] for k in range(3))
    top, middle, bottom = np.moveaxis(a * x + b * y + c, 1, 0)
    return np.stack([top, middle], 1) / bottom[:, None]


def _pixels(h: int, w: int, dtype) -> np.ndarray:
    """(2, h, w): x and y of every pixel."""
    return np.stack(np.meshgrid(np.arange(w, dtype=dtype), np.arange(h, dtype=dtype)))
