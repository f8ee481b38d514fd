"""Curves of a training run: loss and metrics by epoch, training against validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter

from . import style

NOT_A_METRIC = ("epoch", "step", "steps", "lr", "seconds", "time", "penalty")
HIGHER_IS_BETTER = ("acc", "f1", "auc", "precision", "recall", "score")


def history_columns(history) -> dict[str, np.ndarray]:
    """The numeric columns of a history as float64 arrays (E,); NaN where an epoch has no value.

    history: rows, one dict an epoch, as `fit` returns them; or a dict of columns.
    """
    if isinstance(history, Mapping):
        columns = {key: list(values) for key, values in history.items()}
    else:
        rows = list(history)
        columns = {key: [row.get(key) for row in rows] for key in dict.fromkeys(k for row in rows for k in row)}
    if not any(columns.values()):
        raise ValueError("the history is empty: there is no epoch to draw. Train for at least one")
    arrays = {}
    for key, values in columns.items():
        try:
            arrays[key] = np.array([np.nan if v is None else v for v in values], np.float64)
        except (TypeError, ValueError):
            continue  # notes, lists: not a curve
        if arrays[key].ndim != 1:
            del arrays[key]
    return arrays


def best_epoch(history, monitor: str | None = None) -> tuple[int, float] | None:
    """The epoch with the best value of a column, and that value; the first one of equals, None if no value is finite.

    monitor: the column; if None, "val_loss" where there is one, else "loss". Least is best, except for columns whose
    name tells otherwise (accuracy, f1, auc, precision, recall, score). Prechelt (1998), "Early Stopping - But When?".

    >>> best_epoch([{"loss": 0.9, "val_loss": 1.0}, {"loss": 0.4, "val_loss": 0.8}, {"loss": 0.1, "val_loss": 0.9}])
    (2, 0.8)
    """
    columns = history_columns(history)
    monitor = monitor or ("val_loss" if "val_loss" in columns else "loss")
    values = _column(columns, monitor)
    if not np.isfinite(values).any():
        return None
    signed = -values if any(word in monitor for word in HIGHER_IS_BETTER) else values
    k = int(np.argmin(np.where(np.isfinite(values), signed, np.inf)))
    return int(_epochs(columns)[k]), float(values[k])


def curve(
    history, key: str = "loss", ax: Axes | None = None, log: bool = False, best: str | None = None,
    title: str | None = None,
) -> Axes:  # fmt: skip
    """One quantity by epoch: training, validation where `val_<key>` is there, and the best epoch marked.

    history: rows (one dict an epoch) or a dict of columns. log: a logarithmic axis. best: the column that decides which
    epoch is the best one (see `best_epoch`). A curve has a gap where the value is not finite, and the picture says so.
    """
    columns = history_columns(history)
    epochs, ax = _epochs(columns), style.panel(ax)
    share = "acc" in key
    drawn = {"training": (key, style.TRAIN), "validation": ("val_" + key, style.VALIDATION)}
    drawn = {label: pair for label, pair in drawn.items() if pair[0] in columns}
    if not drawn:
        _column(columns, key)
    for label, (name, colour) in drawn.items():
        marker = "o" if len(epochs) <= 12 else None
        ax.plot(epochs, columns[name], color=colour, linewidth=1.6, marker=marker, markersize=3.5, label=label)
    if best or "loss" in columns or "val_loss" in columns:
        _mark_best(ax, columns, list(drawn.values())[-1][0], best_epoch(columns, best))
    title = title if title is not None else key.replace("_", " ").capitalize()
    style.dress(ax, title, "epoch", f"{key.replace('_', ' ')} (%)" if share else key)
    if share:
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    if log and any((columns[name] > 0).any() for name, _ in drawn.values()):
        ax.set_yscale("log")
    ax.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5) if len(epochs) <= 12 else ax.set_xlim(epochs[0], epochs[-1])
    style.whole_numbers(ax.xaxis)
    style.key(ax)
    _say_not_finite(ax, epochs, {label: columns[name] for label, (name, _) in drawn.items()})
    return ax


def curves(
    history, keys: Sequence[str] | None = None, fig: Figure | SubFigure | None = None, log: bool = False,
    best: str | None = None,
) -> Figure | SubFigure:  # fmt: skip
    """Loss and metrics side by side, training against validation, the best epoch marked in each.

    history: rows (one dict an epoch) or a dict of columns. keys: the columns to draw; if None, loss and every other
    metric. log: a logarithmic axis for losses. best: the column that decides which epoch is best (see `best_epoch`).

    Goodfellow, Bengio, Courville (2016), "Deep Learning", figure 7.3.
    """
    if keys is None:
        found = dict.fromkeys(key.removeprefix("val_") for key in history_columns(history))
        keys = sorted((key for key in found if key not in NOT_A_METRIC), key=lambda key: key != "loss")
    if not keys:
        raise ValueError(f"the history has no metric, only {', '.join(history_columns(history))}: nothing to draw")
    fig = style.figure(fig, (4.4 * len(keys), 3.4))
    for key, ax in zip(keys, fig.subplots(1, len(keys), squeeze=False)[0], strict=True):
        curve(history, key, ax, log=log and "acc" not in key, best=best)
    return fig


def _column(columns: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    if key not in columns:
        raise ValueError(f"the history has no column '{key}'; it has {', '.join(columns)}")
    return columns[key]


def _epochs(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    count = len(next(iter(columns.values())))
    epochs = columns.get("epoch", np.arange(1, count + 1))
    return epochs if np.isfinite(epochs).all() else np.arange(1, count + 1)


def _mark_best(ax: Axes, columns: Mapping[str, np.ndarray], name: str, best: tuple[int, float] | None) -> None:
    """A ring on the curve `name` at the best epoch."""
    if best is None:
        return
    value = columns[name][np.argmax(_epochs(columns) == best[0])]
    if np.isfinite(value):
        text = f"{100 * value:.4g} %" if "acc" in name else f"{value:.4g}"
        ax.plot(
            best[0], value, "o", markersize=8, markerfacecolor="none", markeredgecolor=style.INK, markeredgewidth=1.2,
            label=f"best epoch: {best[0]} ({text})", clip_on=False, zorder=4,
        )  # fmt: skip


def _say_not_finite(ax: Axes, epochs: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
    """NaN and infinity leave no trace on the paper: name the first epoch that has one."""
    said = [f"{label}: not finite in epoch {epochs[~np.isfinite(v)][0]:.0f}" for label, v in values.items()
            if not np.isfinite(v).all()]  # fmt: skip
    if said:
        box = {"facecolor": "#FFFFFF", "edgecolor": style.VERMILLION, "alpha": 0.9}
        ax.text(0.98, 0.97, "\n".join(said), transform=ax.transAxes, ha="right", va="top", fontsize=style.SMALL,
                color=style.INK, bbox=box)  # fmt: skip
