"""Pictures of what `collect_layers` found: histograms of every layer, and all layers at a glance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator, PercentFormatter

from . import style
from .layers import SHAPE_ONLY, collect_layers

BINS = 50
SHOWN = 0.99  # the share of the values a histogram spans: a few outliers would leave one bar in the middle


def histograms(
    model, x=None, y=None, loss: Callable | None = None, fig: Figure | SubFigure | None = None, limit: int = 16,
) -> Figure | SubFigure:  # fmt: skip
    """Histograms of the activations of every layer over one batch, and of their gradients if y and loss are given.

    model: a module, with a batch x (N, ...) and y; or the rows that `collect_layers` returned, without x. Beside each
    layer stand the standard deviation, and the dead units of a ReLU or the saturated share of a Tanh or Sigmoid.
    limit: the most layers to draw (the first and last ones are kept). Layers that only reshape are left out. Each
    histogram spans the middle 99 % of the values; zeros, if they are more than a fifth, are left out and counted.

    Glorot, Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks", figures 2-7.
    """
    rows = _rows(model, x, y, loss)
    left_out = max(0, len(rows) - limit)
    if left_out:
        rows = rows[: (limit + 1) // 2] + rows[len(rows) - limit // 2 :]
    columns = 2 if any(row["gradient"] is not None for row in rows) else 1
    fig = style.figure(fig, (3.6 * columns + 1.4, 0.72 * len(rows) + 0.6))
    axes = fig.subplots(len(rows), columns, squeeze=False)
    for row, (left, *right) in zip(rows, axes, strict=True):
        _histogram(left, row["activation"], style.ACTIVATION, _remarks(row))
        left.set_ylabel(_label(row), rotation=0, ha="right", va="center", fontsize=style.SMALL)
        for ax in right:
            _histogram(ax, row["gradient"], style.GRADIENT, f"std {row['gradient_std']:.2g}")
    skipped = f" ({left_out} layers in the middle left out)" if left_out else ""
    axes[0, 0].set_title("Activations" + skipped, loc="left", fontsize=style.TITLE, fontweight="bold")
    if columns == 2:
        axes[0, 1].set_title("Gradients of the loss", loc="left", fontsize=style.TITLE, fontweight="bold")
    return fig


def inspect(
    model, x=None, y=None, loss: Callable | None = None, fig: Figure | SubFigure | None = None
) -> Figure | SubFigure:
    """All layers at a glance: spread of activations and of gradients, dead and saturated units; first layer on top.

    model, x, y, loss: as for `histograms`. What to look for: spreads that shrink or grow from layer to layer by a
    constant factor (initialisation), layers with many dead or saturated units (learning rate, initialisation), values
    that are not finite.
    """
    rows = _rows(model, x, y, loss)
    fig = style.figure(fig, (9.0, 0.27 * len(rows) + 1.3))
    places = np.arange(len(rows))
    spread, slope, shares = fig.subplots(1, 3, sharey=True, width_ratios=[1, 1, 1])
    _spreads(spread, places, [row["std"] for row in rows], style.ACTIVATION)
    _spreads(slope, places, [row["gradient_std"] for row in rows], style.GRADIENT)
    for key, colour in (("dead", style.INK), ("saturated", style.ORANGE)):
        for k, share in ((k, row[key]) for k, row in enumerate(rows) if row[key] is not None):
            shares.barh(k, share, height=0.6, color=colour)
            shares.text(share + 0.02, k, f"{100 * share:.0f} % {key}", va="center", fontsize=style.SMALL)
    style.dress(spread, "Activations", "standard deviation", "", "x")
    style.dress(slope, "Gradients of the loss", "standard deviation", "", "x")
    style.dress(shares, "Dead and saturated", "share of units", "", "x")
    shares.set_xlim(0, 1.4)
    shares.set_xticks([0, 0.5, 1])
    shares.xaxis.set_major_formatter(PercentFormatter(1.0))
    spread.set_yticks(places, [_label(row, "  ") for row in rows], fontsize=style.SMALL)
    spread.set_ylim(len(rows) - 0.5, -0.5)
    return fig


def _rows(model, x, y, loss) -> list[dict]:
    """The rows to draw, collected unless they were given."""
    if x is not None:
        rows = collect_layers(model, x, y, loss)
    elif isinstance(model, list):
        rows = model
    else:
        raise ValueError("give a batch to run the model on: histograms(model, x, y, loss)")
    rows = [row for row in rows if row["kind"] not in SHAPE_ONLY]
    if not rows:
        raise ValueError("no module with an output to look at was called during the forward pass")
    return rows


def _label(row: dict, between: str = "\n") -> str:
    return f"{row['name']}{between}{row['kind']}"


def _remarks(row: dict) -> str:
    parts = [f"std {row['std']:.2g}"]
    parts += [f"{key} {100 * row[key]:.0f} %" for key in ("dead", "saturated") if row[key] is not None]
    return "\n".join(parts)


def _histogram(ax: Axes, values: np.ndarray | None, colour: str, remarks: str) -> None:
    """One small histogram without a vertical axis: its shape is what counts; the remarks stand at the right of it."""
    style.dress(ax, grid=None)
    ax.yaxis.set_major_locator(NullLocator())
    ax.spines["left"].set_visible(False)
    if values is None:
        style.note(ax, "no gradient")
        ax.xaxis.set_major_locator(NullLocator())
        return
    finite = values[np.isfinite(values)].astype(np.float64)
    if finite.size < values.size:
        remarks += f"\n{100 * (1 - finite.size / values.size):.0f} % not finite"
    if finite.size:
        zeros = float((finite == 0).mean())
        if zeros > 0.2:
            remarks += f"\n{100 * zeros:.0f} % zero"
        shown = finite[finite != 0] if 0.2 < zeros < 1 else finite
        low, high = np.quantile(shown, [(1 - SHOWN) / 2, (1 + SHOWN) / 2]).tolist()
        room = 0.1 * (high - low) or abs(low) or 1.0
        heights, edges = np.histogram(shown, BINS, (low - room, high + room))
        ax.stairs(heights, edges, fill=True, color=colour)
        ax.set_xlim(edges[0], edges[-1])
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    ax.text(1.01, 0.5, remarks, transform=ax.transAxes, va="center", fontsize=style.SMALL, color=style.INK)


def _spreads(ax: Axes, places: np.ndarray, spreads: list[float], colour: str) -> None:
    """One dot a layer on a logarithmic axis; layers without a number have a word instead."""
    spreads = np.asarray(spreads, np.float64)
    known = np.isfinite(spreads) & (spreads > 0)
    if known.any():
        ax.plot(spreads[known], places[known], "o-", color=colour, markersize=4, linewidth=1.0)
        ax.set_xscale("log")
        decades = np.log10([spreads[known].min() * 0.9, spreads[known].max() * 1.1])
        ax.set_xlim(10 ** np.floor(decades[0]), 10 ** np.ceil(decades[1]))  # whole decades, so that ticks have numbers
        ax.xaxis.set_minor_formatter(NullFormatter())
    for k in places[~known]:
        word = "constant" if spreads[k] == 0 else "none" if np.isnan(spreads[k]) else "not finite"
        ax.text(0.5, k, word, transform=ax.get_yaxis_transform(), ha="center", va="center", fontsize=style.SMALL,
                color=style.GREY)  # fmt: skip
