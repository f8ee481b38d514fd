"""What a classifier of points in the plane believes everywhere in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes

from . import style
from .probe import labels_of, plain, probabilities


def belief_map(
    model: Callable, x, resolution: int = 200, margin: float = 0.1, logits: bool = True
) -> dict[str, np.ndarray]:
    """Class probabilities on a grid that covers the points x (N, 2) and `margin` of their extent more on each side.

    Returns "x" (R,), "y" (R,) and "probabilities" (R, R, K), rows along y.
    """
    x = plain(x)
    if x.ndim != 2 or x.shape[1] != 2 or not len(x):
        raise ValueError(f"a decision boundary is drawn in the plane: x must have the shape (N, 2), not {x.shape}")
    known = x[np.isfinite(x).all(axis=1)]
    low, high = (known.min(axis=0), known.max(axis=0)) if len(known) else (np.zeros(2), np.ones(2))
    room = margin * np.where(high > low, high - low, 1)
    across, up = (np.linspace(low[k] - room[k], high[k] + room[k], resolution) for k in (0, 1))
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2).astype(x.dtype)  # (R * R, 2)
    p = probabilities(model, grid, logits)
    return {"x": across, "y": up, "probabilities": p.reshape(resolution, resolution, -1)}


def decision_boundary(
    model: Callable, x, y, ax: Axes | None = None, classes: Sequence | None = None, resolution: int = 200,
    logits: bool = True, title: str = "Decision boundary",
) -> Axes:  # fmt: skip
    """Points over the model's belief: the colour is the most probable class, the paler the less certain it is.

    model: a module or function from (N, 2) to logits (N,), (N, 1) or (N, K); a module is run in evaluation mode.
    x: (N, 2); y: class numbers (N,). classes: their names. logits: False if the model returns probabilities.
    The line is where the two most probable classes are equally so; rings mark points on the wrong side of it. Where the
    model's output is not finite the plane is grey. Hastie, Tibshirani, Friedman (2009), "The Elements of Statistical
    Learning", figures 2.1-2.5.
    """
    x, y = plain(x), labels_of(y)
    if len(x) != len(y):
        raise ValueError(f"{len(x)} points but {len(y)} labels: give one for each")
    belief = belief_map(model, x, resolution, logits=logits)
    p = belief["probabilities"]
    count = max(p.shape[2], int(y.max()) + 1)
    names = style.class_names(classes, count)
    colours = [style.CLASSES[k % len(style.CLASSES)] for k in range(count)]
    ax = style.panel(ax, (5.0, 4.4))
    extent = (belief["x"][0], belief["x"][-1], belief["y"][0], belief["y"][-1])
    ax.imshow(shading(p, colours), extent=extent, origin="lower", aspect="auto", interpolation="bilinear", zorder=0)
    _draw_lines(ax, belief)
    at_points = probabilities(model, x, logits)
    wrong = (at_points.argmax(axis=1) != y) | np.isnan(at_points).any(axis=1)
    for k in np.unique(y):
        ax.scatter(
            *x[y == k].T, s=20, marker=style.MARKERS[k % len(style.MARKERS)], color=colours[k], edgecolor="white",
            linewidth=0.6, label=names[k], zorder=3,
        )  # fmt: skip
    if wrong.any():
        ax.scatter(*x[wrong].T, s=62, facecolor="none", edgecolor=style.INK, linewidth=1.0, zorder=2,
                   label=f"wrong: {wrong.sum()} of {len(y)}")  # fmt: skip
    style.dress(ax, title, "x₁", "x₂", grid=None)
    ax.set_xlim(extent[:2])
    ax.set_ylim(extent[2:])
    style.key(ax)
    return ax


def shading(p: np.ndarray, colours: Sequence) -> np.ndarray:
    """Probabilities (R, R, K) as an image (R, R, 3): the likeliest class's colour, white where all are alike."""
    known = np.isfinite(p).all(axis=2)
    p = np.where(known[..., None], p, 0)
    palette = np.array([style.to_rgb(colour) for colour in colours])
    certainty = (p.max(axis=2) - 1 / p.shape[2]) / (1 - 1 / p.shape[2])
    image = 1 - 0.45 * certainty[..., None].clip(0, 1) * (1 - palette[p.argmax(axis=2)])
    image[~known] = style.to_rgb(style.PALE)
    return image


def _draw_lines(ax: Axes, belief: dict[str, np.ndarray]) -> None:
    """For each class, the line where it is as probable as the best of the others."""
    p = belief["probabilities"]
    for k in range(p.shape[2] if p.shape[2] > 2 else 1):
        lead = p[..., k] - np.delete(p, k, axis=2).max(axis=2)
        if np.nanmin(lead, initial=1) < 0 < np.nanmax(lead, initial=-1):
            lead = np.ma.masked_invalid(lead)
            ax.contour(belief["x"], belief["y"], lead, [0], colors=style.INK, linewidths=1.0, zorder=1)
