"""One picture of a finished training run, as `minidl train` writes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from . import style
from .history import curves, history_columns
from .pictures import filters, find_mistakes, first_filters, images
from .probe import plain

MISTAKES, FILTERS = 16, 32


def training_report(
    history, model: Callable, x=None, y=None, path: str | os.PathLike | None = None, classes: Sequence | None = None,
    title: str = "",
) -> Figure:  # fmt: skip
    """Curves of the run, the most confident mistakes on x (N, ...) and y (N,), and the first layer's filters.

    history: as `fit` returns it. x, y: samples that were not trained on; what cannot be drawn is left out: mistakes if
    x are not images, filters if the first layer's weights are none. path: also write the picture there, by its ending
    .png, .svg or .pdf. The figure is not registered with pyplot: no window opens, and nothing is to be closed.
    """
    if path is not None and not Path(path).suffix:
        raise ValueError(f"what kind of picture is {os.fspath(path)!r} to be? Give it the ending .png, .svg or .pdf")
    parts = []
    if x is not None and y is not None and plain(x).ndim in (3, 4):
        parts.append(lambda ax: _draw_mistakes(ax, model, x, y, classes))
    if _has_filters(model):
        parts.append(lambda ax: filters(model, ax, limit=FILTERS))
    fig = Figure(figsize=(9.6, 3.5 + (3.1 if parts else 0) + (0.3 if title else 0)), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    rows = fig.subfigures(2, 1, height_ratios=[3.5, 3.1], squeeze=False)[:, 0] if parts else [fig.subfigures()]
    curves(history, _curves_to_show(history), fig=rows[0])
    if parts:
        for draw, ax in zip(parts, rows[1].subplots(1, len(parts), squeeze=False)[0], strict=True):
            draw(ax)
    if title:
        fig.suptitle(title, fontsize=style.TITLE + 2, fontweight="bold", x=0.01, ha="left")
    if path is not None:
        fig.savefig(path, dpi=120)
    return fig


def _curves_to_show(history) -> list[str] | None:
    """Loss and accuracy, if there are both: with more panels none is readable."""
    columns = history_columns(history)
    both = [key for key in ("loss", "accuracy") if key in columns or f"val_{key}" in columns]
    return both if len(both) == 2 else None


def _draw_mistakes(ax, model, x, y, classes) -> None:
    found = find_mistakes(model, x, y, MISTAKES)
    n, total = len(plain(y)), int(found["total"])
    title = f"{total} of {n} wrong" + (", the most confident:" if total > MISTAKES else "")
    if total:
        images(found["images"], found["labels"], found["predictions"], ax, classes, title=title)
    else:
        style.note(style.bare(ax, title), "no mistakes")


def _has_filters(model) -> bool:
    if not hasattr(model, "named_parameters"):
        return False
    try:
        return len(first_filters(model)[1]) > 0
    except ValueError:
        return False
