"""The recorded computation graph as a picture, with matplotlib alone."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from ..engine import Tensor
from . import style
from .graph_layout import Layout, lay_out
from .graph_trace import Vertex, trace

ROW, LINE, CHARACTER = 0.62, 0.15, 0.068  # inches: from layer to layer, of a line of text, of a character
OPERATION_FILL, LEAF_FILL, OUTPUT_FILL = (
    style.faded(style.SKY, 0.30), style.faded(style.ORANGE, 0.30), style.faded(style.GREEN, 0.30),
)  # fmt: skip


def graph(output: Tensor, names=None, ax: Axes | None = None, limit: int = 80, title: str | None = None) -> Axes:
    """Draw what `output` was computed from: leaves at the top, each operation below what it reads, the output last.

    names: {name: Tensor} or a module, to name leaves and results. Shapes are those of the results; leaves with one
    element show their value; x2 at an edge: the tensor is read twice. Constants are not recorded and do not appear.
    limit: the number of boxes up to which a picture stays readable; ValueError above it, and where there is no graph.

    Baydin et al. (2018), "Automatic Differentiation in Machine Learning: a Survey", JMLR 18, figure 4.
    """
    vertices = trace(output, names)
    if len(vertices) > limit:
        raise ValueError(
            f"the graph has {len(vertices)} operations and leaves, too many to read in one picture (limit={limit}). "
            "Draw a piece of it (the output of one layer), print graph_text(output), or raise the limit"
        )
    boxes = [_box_size(v) for v in vertices]
    layout = lay_out([[p for p, _ in v.parents] for v in vertices], [width for width, _ in boxes])
    half = np.pad([width / 2 for width, _ in boxes], (0, len(layout.x) - len(boxes)))
    left, right = (layout.x - half).min() - 0.1, (layout.x + half).max() + 0.1
    height = ROW * (layout.layer.max() + 1)
    top = height - ROW / 2
    leaves = sum(v.kind == "leaf" for v in vertices)
    counts = f"{_count(len(vertices) - leaves, 'operation')}, {_count(leaves, 'leaf', 'leaves')}"
    title = title if title is not None else f"Computation graph: {counts}"
    if ax is None:
        scale, width = 1.0, max(right - left, 0.09 * len(title))  # a narrow graph leaves room for the title
        ax = style.panel(None, (width + 0.1, height + 0.4))
    else:
        scale, width, height = _fit(ax, right - left, height)
    style.bare(ax, title)
    ax.set_xlim((left + right - width) / 2, (left + right + width) / 2)
    ax.set_ylim(top - height, top)
    for child, vertex in enumerate(vertices):
        _draw_edges(ax, layout, boxes, child, vertex, scale)
    for k, (vertex, box) in enumerate(zip(vertices, boxes, strict=True)):
        fill = OUTPUT_FILL if k == len(vertices) - 1 else OPERATION_FILL if vertex.operation else LEAF_FILL
        _draw_box(ax, layout.x[k], ROW * layout.layer[k], box, fill, vertex, scale)
    return ax


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"


def _box_size(vertex: Vertex) -> tuple[float, float]:
    lines = vertex.label.split("\n")
    return max(0.5, CHARACTER * max(map(len, lines)) + 0.16), LINE * len(lines) + 0.08


def _fit(ax: Axes, width: float, height: float) -> tuple[float, float, float]:
    """For axes that were given: the scale of the picture and its text, and the width and height that are then seen."""
    box, inches = ax.get_position(), ax.figure.bbox.size / ax.figure.dpi
    room = inches * (box.width, box.height)
    scale = min(1.0, room[0] / width, room[1] / height)
    return scale, room[0] / scale, room[1] / scale


def _draw_box(ax: Axes, x: float, y: float, box: tuple, fill, vertex: Vertex, scale: float) -> None:
    width, height = box
    rounding = 0.02 if vertex.operation else 0.1
    ax.add_patch(FancyBboxPatch(
        (x - width / 2 + rounding, y - height / 2 + rounding), width - 2 * rounding, height - 2 * rounding,
        boxstyle=f"round,pad={rounding}", facecolor=fill, edgecolor=style.INK, linewidth=0.7 * scale, zorder=2,
    ))  # fmt: skip
    ax.text(x, y - 0.01, vertex.label, ha="center", va="center", fontsize=style.SMALL * scale, color=style.INK,
            linespacing=1.15, zorder=3)  # fmt: skip


def _draw_edges(ax: Axes, layout: Layout, boxes: list, child: int, vertex: Vertex, scale: float) -> None:
    """From each parent down to the child; several from one parent are one line that says how many."""
    readers = [p for p, _ in vertex.parents]
    for parent in dict.fromkeys(readers):
        route = layout.routes[parent, child]
        points = [(layout.x[v], ROW * layout.layer[v]) for v in route]
        points[0] = (points[0][0], points[0][1] - boxes[parent][1] / 2)
        points[-1] = (points[-1][0], points[-1][1] + boxes[child][1] / 2)
        ax.add_patch(FancyArrowPatch(
            path=_smooth(points), arrowstyle="-|>", mutation_scale=7 * scale, color=style.GREY,
            linewidth=0.9 * scale, shrinkA=0, shrinkB=0, zorder=1,
        ))  # fmt: skip
        times, (x, y) = readers.count(parent), np.mean(points[-2:], axis=0)
        if times > 1:
            ax.text(x + 0.05, y, f"×{times}", va="center", fontsize=style.SMALL * scale, color=style.INK)


def _smooth(points: list[tuple[float, float]]) -> Path:
    """A curve through the points that leaves and enters each of them vertically."""
    vertices, codes = [points[0]], [Path.MOVETO]
    for (x0, y0), (x1, y1) in zip(points[:-1], points[1:], strict=True):
        middle = (y0 + y1) / 2
        vertices += [(x0, middle), (x1, middle), (x1, y1)]
        codes += [Path.CURVE4] * 3
    return Path(vertices, codes)
