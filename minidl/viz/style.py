"""One look for every picture: colours, sizes, and how a panel is dressed.

The colours are those of Okabe and Ito, which stay apart for colour-blind readers: Okabe, Ito (2008), "Color Universal
Design"; Wong (2011), "Points of view: Color blindness", Nature Methods 8, 441. Everything is passed to the artists
directly: rcParams and the backend are the user's and are only read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

BLUE, VERMILLION, GREEN, ORANGE, PINK, SKY, YELLOW = (
    "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#F0E442",
)  # fmt: skip
GREY, PALE, INK = "#808080", "#DDDDDD", "#222222"
CLASSES = (BLUE, VERMILLION, GREEN, ORANGE, PINK, SKY, YELLOW, "#4D4D4D", "#882255", "#999933")
MARKERS = "os^Dv<>Phd"  # a second sign beside the colour
TRAIN, VALIDATION = BLUE, VERMILLION
ACTIVATION, GRADIENT = BLUE, VERMILLION
TITLE, LABEL, SMALL = 10, 9, 8  # font sizes in points

AMOUNT = LinearSegmentedColormap.from_list("minidl_amount", ["#FFFFFF", "#9CC7E3", BLUE, "#00324F"])
SIGNED = LinearSegmentedColormap.from_list("minidl_signed", [BLUE, "#FFFFFF", VERMILLION])
DEPTH = LinearSegmentedColormap.from_list("minidl_depth", ["#00324F", BLUE, SKY, ORANGE, VERMILLION])


def figure(fig: Figure | SubFigure | None, size: tuple[float, float]) -> Figure | SubFigure:
    """The figure that was given, or a new one of `size` inches.

    New ones come from pyplot, so that they appear in a notebook and with the user's plt.show().
    """
    if fig is not None:
        return fig
    import matplotlib.pyplot as plt

    return plt.figure(figsize=size, layout="constrained")


def panel(ax: Axes | None, size: tuple[float, float] = (4.8, 3.6)) -> Axes:
    """The axes that were given, or those of a new figure."""
    return figure(None, size).subplots() if ax is None else ax


def dress(ax: Axes, title: str = "", xlabel: str = "", ylabel: str = "", grid: str | None = "y") -> Axes:
    """Title at the left, labelled axes, no box around, a faint grid behind along `grid` ('x', 'y', 'both' or None)."""
    ax.set_title(title, loc="left", fontsize=TITLE, fontweight="bold")
    ax.set_xlabel(xlabel, fontsize=LABEL)
    ax.set_ylabel(ylabel, fontsize=LABEL)
    ax.tick_params(labelsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(True, axis=grid, color=PALE, linewidth=0.6)
    return ax


def bare(ax: Axes, title: str = "") -> Axes:
    """For pictures of things that have no axes."""
    ax.set_title(title, loc="left", fontsize=TITLE, fontweight="bold")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return ax


def key(ax: Axes) -> None:
    """The legend in rows of its own between title and axes, where it covers no data; as few rows as fit the width."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return
    room = 1.2 * ax.get_position().width * ax.figure.bbox.width / ax.figure.dpi  # inches; layout will widen the axes

    def width(columns: int) -> float:
        return sum(0.34 + 0.058 * max(map(len, part)) for part in np.array_split(labels, columns))

    columns = next((c for c in range(len(labels), 1, -1) if width(c) <= room), 1)
    rows = -(-len(labels) // columns)
    ax.legend(
        handles, labels, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=-(-len(labels) // rows), frameon=False,
        fontsize=SMALL, borderaxespad=0.2, borderpad=0.1, handlelength=1.4, handletextpad=0.5, columnspacing=1.2,
    )  # fmt: skip
    ax.set_title(ax.get_title(loc="left"), loc="left", fontsize=TITLE, fontweight="bold", pad=6 + 13 * rows)


def note(ax: Axes, text: str) -> None:
    """A remark in the middle of a panel that has nothing else to show."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=LABEL, color=GREY, wrap=True)


def whole_numbers(axis) -> None:
    """Ticks at integers only: there is no epoch 1.5."""
    axis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


def ordered(count: int) -> list:
    """Colours for things that have an order, such as layers: dark to light, first to last."""
    return [DEPTH(k / max(count - 1, 1)) for k in range(count)]


def faded(colour, share: float) -> tuple[float, ...]:
    """`share` of a colour mixed with white."""
    return tuple(1 - share * (1 - c) for c in to_rgb(colour))


def class_names(classes: Sequence | None, count: int) -> list[str]:
    """Names of `count` classes: those given, or their numbers.

    Raises ValueError if there are fewer names than classes.
    """
    if classes is None:
        return [str(k) for k in range(count)]
    if len(classes) < count:
        raise ValueError(f"{len(classes)} class names for {count} classes: give one for each, in order of the labels")
    return [str(name) for name in classes]
