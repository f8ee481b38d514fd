"""Which classes a classifier takes for which: as numbers, as text and as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from . import style
from .probe import labels_of


def confusion_counts(y, predictions, count: int | None = None) -> np.ndarray:
    """How often true class i (row) was predicted as class j (column): int64 (K, K).

    y, predictions: class numbers (N,). count: K, at least; if None, as many as occur.

    >>> confusion_counts([0, 0, 1, 2], [0, 1, 1, 2])
    array([[1, 1, 0],
           [0, 1, 0],
           [0, 0, 1]])
    """
    y, predictions = labels_of(y), labels_of(predictions, "predictions")
    if y.shape != predictions.shape or not y.size:
        raise ValueError(f"{y.size} labels and {predictions.size} predictions: there must be one of each for a sample")
    k = max(int(y.max()), int(predictions.max()), (count or 1) - 1) + 1
    return np.bincount(y * k + predictions, minlength=k * k).reshape(k, k).astype(np.int64)


def confusion_table(y, predictions, classes: Sequence | None = None) -> str:
    """The confusion matrix as text: a row for each true class, with its recall; below, the precision of each column.

    classes: names. A dot stands for 0.

    >>> print(confusion_table([0, 0, 1, 1], [0, 1, 1, 1], ["cat", "dog"]))
    true / predicted  cat  dog  recall %
                 cat    1    1        50
                 dog    .    2       100
         precision %  100   67
    """
    counts = confusion_counts(y, predictions, len(classes) if classes is not None else None)
    names = style.class_names(classes, len(counts))
    right = counts.diagonal()
    recall, precision = (_shares(right, counts.sum(axis=k)) for k in (1, 0))
    rows = [["true / predicted", *names, "recall %"]]
    rows += [[name, *(str(c) if c else "." for c in line), share]
             for name, line, share in zip(names, counts, recall, strict=True)]  # fmt: skip
    rows += [["precision %", *precision, ""]]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return "\n".join("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def confusion_matrix(
    y, predictions, classes: Sequence | None = None, ax: Axes | None = None, title: str | None = None
) -> Axes:
    """The confusion matrix as a picture: rows are true classes, columns predictions; the shade is the share of the row.

    y, predictions: class numbers (N,). classes: names. Each field has its count, up to 20 classes; a class that does
    not occur leaves its row empty. Stehman (1997), "Selecting and interpreting measures of thematic classification
    accuracy", Remote Sensing of Environment 62.
    """
    counts = confusion_counts(y, predictions, len(classes) if classes is not None else None)
    names, k = style.class_names(classes, len(counts)), len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    longest = max(map(len, names))
    side = max(2.4, (0.40 if k <= 20 else 0.2) * k)
    ax = style.panel(ax, (side + 0.8 + 0.06 * longest, side + 0.8))
    ax.imshow(shares, cmap=style.AMOUNT, vmin=0, vmax=1, aspect="equal", interpolation="nearest")
    if k <= 20:
        for i, j in np.argwhere(counts):
            ax.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=style.SMALL,
                    color="white" if shares[i, j] > 0.5 else style.INK)  # fmt: skip
    right, total = counts.trace(), counts.sum()
    title = title if title is not None else f"{right} of {total} right ({100 * right / total:.1f} %)"
    style.dress(ax, title, "predicted", "true", grid=None)
    slanted = longest > 3
    ax.set_xticks(range(k), names, rotation=45 if slanted else 0, ha="right" if slanted else "center",
                  rotation_mode="anchor")  # fmt: skip
    ax.set_yticks(range(k), names)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xticks(np.arange(k + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(k + 1) - 0.5, minor=True)
    ax.grid(True, which="minor", color=style.PALE, linewidth=0.6)
    ax.tick_params(which="minor", length=0)
    return ax


def _shares(parts: np.ndarray, wholes: np.ndarray) -> list[str]:
    return [f"{100 * p / w:.0f}" if w else "-" for p, w in zip(parts, wholes, strict=True)]
