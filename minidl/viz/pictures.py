"""Sheets of small pictures: samples with what the model says to them, and the filters of a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes

from ..engine import Tensor
from . import style
from .probe import labels_of, plain, probabilities


def find_mistakes(model: Callable, x, y, limit: int = 16, logits: bool = True) -> dict[str, np.ndarray]:
    """The samples of x (N, ...) that a classifier gets wrong, the most confident mistakes first.

    Returns "indices", "images", "labels", "predictions", "confidences" of at most `limit` of them, and "total", how
    many there are. model, logits: as for `decision_boundary`. A prediction that is not a number is a mistake, too.
    """
    x, y = plain(x), labels_of(y)
    if len(x) != len(y):
        raise ValueError(f"{len(x)} samples but {len(y)} labels: give one for each")
    p = probabilities(model, x, logits)
    predicted, sure = p.argmax(axis=1), np.nan_to_num(p.max(axis=1))
    wrong = np.flatnonzero((predicted != y) | np.isnan(p).any(axis=1))
    first = wrong[np.argsort(-sure[wrong], kind="stable")][:limit]
    return {"indices": first, "images": x[first], "labels": y[first], "predictions": predicted[first],
            "confidences": sure[first], "total": np.array(len(wrong))}  # fmt: skip


def images(
    x, labels=None, predictions=None, ax: Axes | None = None, classes: Sequence | None = None, limit: int = 40,
    columns: int | None = None, title: str = "",
) -> Axes:  # fmt: skip
    """A sheet of images (N, H, W), (N, 1, H, W) or (N, 3, H, W) with labels; wrong predictions stand out.

    labels, predictions: class numbers (N,), either may be missing. Above an image: the label; the prediction; or, where
    they differ, "prediction, is label". classes: names. limit: at most so many images. Floats in 0..1 and uint8 are
    shown as they are, other ranges are stretched for the sheet as a whole, from the least to the greatest value. What
    is not finite is orange. (H, W) is one image.
    """
    pixels = _as_images(plain(x))[:limit]
    labels = None if labels is None else labels_of(labels)[:limit]
    predictions = None if predictions is None else labels_of(predictions, "predictions")[:limit]
    for what, values in (("labels", labels), ("predictions", predictions)):
        if values is not None and len(values) != len(pixels):
            raise ValueError(f"{len(pixels)} images but {len(values)} {what}: give one for each")
    captions, wrong = _captions(labels, predictions, classes)
    return _sheet(_colours(pixels), captions, wrong, columns, ax, title)


def filters(
    layer, ax: Axes | None = None, limit: int = 64, columns: int | None = None, title: str | None = None
) -> Axes:
    """The weights of a layer as pictures: what each unit of a first layer looks for.

    layer: a module (its first weight that can be drawn), or weights (O, C, H, W) or (O, I). With three channels filters
    are colours, grey is 0; else blue is negative, white 0, orange positive, and with other C each row is a filter and
    each column a channel. Rows of a linear layer are drawn if I is a square, or three. One scale for all filters.

    Zeiler, Fergus (2014), "Visualizing and Understanding Convolutional Networks", ECCV.
    """
    name, weights = first_filters(layer)
    count, channels = weights.shape[:2]
    largest = float(np.abs(weights[np.isfinite(weights)]).max(initial=0)) or 1.0
    if channels == 3:
        tiles = 0.5 + 0.5 * np.moveaxis(weights, 1, -1)[:limit].astype(np.float64) / largest
    else:
        if channels > 1:
            channels = min(channels, limit)
            columns = channels
            weights = weights[: max(1, limit // channels), :channels]
        tiles = _signed(weights.reshape(-1, *weights.shape[2:])[:limit], largest)
    shown = len(tiles) if weights.shape[1] in (1, 3) else len(weights)
    if title is None:
        title = f"Filters of {name}" + (f" ({shown} of {count})" if shown < count else "")
    if weights.shape[1] == 3:
        return _sheet(tiles, [], [], columns, ax, title)
    scale = f"blue −{largest:.2g}, white 0, orange +{largest:.2g}"
    return _sheet(tiles, [], [], columns, ax, title, scale, ground=0.88)


def first_filters(layer) -> tuple[str, np.ndarray]:
    """(name, weights (O, C, H, W)) of what `filters` draws. Raises ValueError if nothing can be drawn."""
    pairs = [("the weights", layer)] if isinstance(layer, Tensor | np.ndarray) else list(layer.named_parameters())
    for name, p in pairs:
        weights = plain(p)
        if weights.ndim == 4:
            return name, weights
        if weights.ndim == 2:
            for channels in (1, 3):
                side = round((weights.shape[1] / channels) ** 0.5)
                if side > 1 and channels * side * side == weights.shape[1]:
                    return name, weights.reshape(-1, channels, side, side)
            break  # only the first layer looks at the image
    shapes = ", ".join(f"{name} {plain(p).shape}" for name, p in pairs)
    raise ValueError(
        f"no filters to draw: there must be weights (O, C, H, W), or (O, I) with I a square or three; got {shapes}"
    )


def _as_images(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) with C 1 or 3."""
    if x.ndim == 2:
        x = x[None]
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim != 4 or x.shape[1] not in (1, 3) or 0 in x.shape:
        raise ValueError(f"images are (N, H, W), (N, 1, H, W) or (N, 3, H, W) and at least one, not {x.shape}")
    return x


def _colours(x: np.ndarray) -> np.ndarray:
    """Images (N, C, H, W) as (N, H, W, 3) in 0..1."""
    if x.dtype == np.uint8:
        x = x / 255.0
    x = np.moveaxis(x, 1, -1).astype(np.float64)
    known = np.isfinite(x).all(axis=-1)
    low, high = float(x[known].min(initial=np.inf)), float(x[known].max(initial=-np.inf))
    if known.any() and (low < 0 or high > 1):
        x = (x - low) / ((high - low) or 1)
    x = np.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x
    return np.where(known[..., None], x, style.to_rgb(style.ORANGE))


def _signed(x: np.ndarray, largest: float) -> np.ndarray:
    """Weights (N, H, W) as colours (N, H, W, 3)."""
    colours = style.SIGNED(0.5 + 0.5 * np.nan_to_num(x.astype(np.float64) / largest, posinf=1, neginf=-1))[..., :3]
    return np.where(np.isfinite(x)[..., None], colours, 0)


def _captions(labels, predictions, classes) -> tuple[list[str], list[bool]]:
    """What stands above each image, and whether it is wrong."""
    given = [v for v in (labels, predictions) if v is not None and len(v)]
    if not given:
        return [], []
    names = style.class_names(classes, max(int(v.max()) for v in given) + 1)
    if len(given) == 1:
        return [names[k] for k in given[0]], [False] * len(given[0])
    wrong = [bool(p != k) for p, k in zip(predictions, labels, strict=True)]
    pairs = zip(predictions, labels, strict=True)
    return [names[k] if p == k else f"{names[p]}, is {names[k]}" for p, k in pairs], wrong


def _sheet(
    tiles: np.ndarray, captions: list, wrong: list, columns: int | None, ax: Axes | None, title: str, below: str = "",
    ground: float = 1.0,
) -> Axes:  # fmt: skip
    """Tiles (N, H, W, 3) side by side in one picture, with room for a caption above each."""
    finer = max(1, 24 // min(tiles.shape[1:3]))  # so that gaps can be smaller than a pixel of a small picture
    tiles = tiles.repeat(finer, axis=1).repeat(finer, axis=2)
    n, height, width, _ = tiles.shape
    longest = max(map(len, captions), default=0)
    columns = columns or min(n, int(np.ceil(np.sqrt(n * (1.9 if captions else 1.6)))))
    rows = -(-n // columns)
    across = max(0.75 if captions else 0.6, 0.075 * longest) if ax is None else 0.6  # inches a tile
    side = round((0.12 if longest <= 8 else 0.02 * longest) * width)
    above = round((0.34 if captions else 0.12) * height)
    first = above if captions else 0
    corners = [(k // columns * (height + above) + first, k % columns * (width + side)) for k in range(n)]
    sheet = np.full((rows * (height + above) - above + first, columns * (width + side) - side, 3), ground)
    for (top, left), tile in zip(corners, tiles, strict=True):
        sheet[top : top + height, left : left + width] = tile
    ratio = sheet.shape[0] / sheet.shape[1]
    size = max(across * columns, 0.09 * len(title), 1.5)
    room = 0.1 + (0.3 if title else 0) + (0.25 if below else 0)
    ax = style.bare(style.panel(ax, (size, max(across * columns * ratio, 0.5) + room)), title)
    ax.set_xlabel(below, fontsize=style.SMALL, loc="left")
    ax.imshow(sheet.clip(0, 1), interpolation="nearest", extent=(0, sheet.shape[1], sheet.shape[0], 0))
    ax.set_anchor("NW")
    for (top, left), caption, bad in zip(corners, captions, wrong, strict=False):
        colour, weight = (style.VERMILLION, "bold") if bad else (style.INK, "normal")
        ax.text(left + width / 2, top - 0.04 * height, caption, ha="center", va="bottom", fontsize=style.SMALL,
                color=colour, fontweight=weight)  # fmt: skip
    return ax
