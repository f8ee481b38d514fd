"""How large a step every parameter takes, in proportion to its own size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from ..train.callbacks import Callback
from . import style
from .history import history_columns

USUAL = 1e-3  # Karpathy, CS231n notes, "Neural Networks Part 3": updates near a thousandth of the weights


class UpdateRatios(Callback):
    """Measures |w_new - w_old| / |w_old| (Euclidean norms) of every parameter at each `every`-th step.

    As a callback of `fit` it needs nothing else; in a loop of one's own call `before(model)` and `after(model)` around
    `optimizer.step()`. `rows` has one dict for each step measured: {"step": 1, name of a parameter: ratio, ...}; NaN
    while a parameter is all zeros, as a bias is at the start.

    Karpathy, CS231n notes, "Neural Networks Part 3: Learning and Evaluation", section "Ratio of weights:updates".
    """

    def __init__(self, every: int = 1) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every is a number of steps, an integer >= 1, not {every!r}")
        self.every = every
        self.on_fit_start()

    def before(self, model) -> None:
        """Just before the optimiser's step."""
        self.count += 1
        if (self.count - 1) % self.every == 0:
            self._old = {name: p.numpy().astype(np.float64) for name, p in model.named_parameters()}

    def after(self, model) -> None:
        """Just after it."""
        if self._old is None:
            return
        row: dict = {"step": self.count}
        for name, p in model.named_parameters():
            old = self._old[name]
            size = float(np.linalg.norm(old))
            row[name] = float(np.linalg.norm(p.numpy() - old)) / size if size else np.nan
            if p.ndim > 1 and name not in self.weights:
                self.weights.append(name)
        self.rows.append(row)
        self._old = None

    def on_fit_start(self, run=None) -> None:
        self.rows: list[dict] = []
        self.weights: list[str] = []  # the names of parameters with two axes or more
        self.count, self._old = 0, None

    def on_gradient(self, run) -> None:
        self.before(run.model)

    def on_batch_end(self, run) -> None:
        self.after(run.model)

    def state_dict(self) -> dict:
        return {"rows": self.rows, "weights": self.weights, "count": self.count}

    def load_state_dict(self, state: dict) -> None:
        self.rows, self.weights, self.count = list(state["rows"]), list(state["weights"]), state["count"]


def update_ratios(observer: UpdateRatios, names: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """The step sizes that an `UpdateRatios` measured, relative to the weights, over training.

    names: the parameters to draw; if None, the weights and not the biases (all if there are no weights). About 1e-3 is
    usual: far above it the learning rate is too large, far below too small.
    """
    if not observer.rows:
        raise ValueError("no step was measured yet: give the UpdateRatios to fit(callbacks=[...]) and train")
    columns = history_columns(observer.rows)
    steps = columns.pop("step")
    names = list(names or observer.weights or columns)
    unknown = [n for n in names if n not in columns]
    if unknown:
        raise ValueError(f"no ratios of {', '.join(unknown)} were measured; there are {', '.join(columns)}")
    ax = style.panel(ax, (6.0, 3.6))
    colours = style.CLASSES if len(names) <= 8 else style.ordered(len(names))
    for name, colour in zip(names, colours, strict=False):
        ratios = np.where(columns[name] > 0, columns[name], np.nan)  # a logarithm has no place for zero
        ax.plot(steps, ratios, color=colour, linewidth=1.2, marker="o" if len(steps) <= 20 else None, markersize=3,
                label=name)  # fmt: skip
    ax.axhline(USUAL, color=style.INK, linewidth=1.0, linestyle=(0, (4, 3)))
    ax.annotate("$10^{-3}$", (1, USUAL), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
                va="center", fontsize=style.SMALL)  # fmt: skip
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, USUAL / 3), max(high, USUAL * 3))
    many = len(names) > 12
    title = f"Size of the updates: {names[0]} (dark) to {names[-1]} (light)" if many else "Size of the updates"
    style.dress(ax, title, "step", "|update| / |weight|")
    style.whole_numbers(ax.xaxis)
    if not many:
        style.key(ax)
    return ax
