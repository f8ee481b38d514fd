"""Rows of the registry for sampling between pixels, with the literal formulas they are held against."""

from __future__ import annotations

import numpy as np

from .case import Sampler, each, normal, register


def grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False) -> np.ndarray:
    """out[n, c, i, j] = sum over r, s of tent(u - s) tent(v - r) x[n, c, r, s], tent(d) = max(0, 1 - |d|)."""
    out = np.zeros((*x.shape[:2], *grid.shape[1:3]))
    for n, i, j in np.ndindex(grid.shape[:3]):
        weights = []
        for position, size in zip(grid[n, i, j], x.shape[:1:-1], strict=True):
            p = (position + 1) / 2 * (size - 1) if align_corners else ((position + 1) * size - 1) / 2
            while padding_mode == "reflection" and not 0 <= p <= size - 1:
                first, last = (0, size - 1) if align_corners else (-0.5, size - 0.5)
                if first <= p <= last:
                    break
                p = 2 * (first if p < first else last) - p
            p = p if padding_mode == "zeros" else min(max(p, 0), size - 1)
            p = p if mode == "bilinear" else round(p)
            weights.append(np.maximum(0, 1 - np.abs(p - np.arange(size))))
        out[n, :, i, j] = x[n] @ weights[0] @ weights[1]
    return out


def affine_grid(theta, size, align_corners=False) -> np.ndarray:
    """grid[n, i, j] = theta[n] (x_j, y_i, 1)."""
    n, _, h, w = size
    grid = np.zeros((n, h, w, 2))
    for k, i, j in np.ndindex(n, h, w):
        x, y = ((2 * q / (m - 1) if align_corners else (2 * q + 1) / m) - 1 for q, m in ((j, w), (i, h)))
        grid[k, i, j] = theta[k] @ [x, y, 1]
    return grid


def between(n: int, h: int, w: int, image: tuple[int, int], align_corners: bool = False) -> Sampler:
    """Positions in and around an image, clear of the kinks on and halfway between its pixels."""

    def draw(rng):
        size = np.array(image[::-1])
        p = rng.integers(-2, size + 1, (n, h, w, 2)) + rng.choice([0.0, 0.5], (n, h, w, 2))
        p += rng.uniform(0.1, 0.4, p.shape)
        return 2 * p / (size - 1) - 1 if align_corners else (2 * p + 1) / size - 1

    return draw


register("grid_sample", grid_sample,
    *each([normal(2, 3, 4, 5), between(2, 3, 4, (4, 5))], *({"padding_mode": m} for m in ("zeros", "border"))),
    [normal(1, 2, 3, 3), between(1, 4, 3, (3, 3)), "bilinear", "reflection"],
    [normal(1, 2, 4, 3), between(1, 2, 5, (4, 3), True), "bilinear", "reflection", True], kinked=True,
)  # fmt: skip
register("grid_sample", grid_sample, [normal(2, 2, 4, 3), between(2, 3, 2, (4, 3)), "nearest"], kinked=True)
register("affine_grid", affine_grid, [normal(2, 2, 3), (2, 1, 3, 4)], [normal(1, 2, 3), (1, 2, 4, 3), True])
