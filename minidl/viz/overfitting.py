"""Over-fitting: scores against a parameter or the size of the training set, and bias against variance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from . import style
from .history import HIGHER_IS_BETTER

PARTS = {"bias2": ("bias²", style.BLUE, "-"), "variance": ("variance", style.VERMILLION, "-"),
         "noise": ("noise", style.GREY, ":"), "total": ("expected error", style.INK, "-")}  # fmt: skip


def validation_curve(
    values: Sequence, train, validation, ax: Axes | None = None, score: str = "loss", name: str = "parameter",
    log: bool = False, title: str = "Validation curve",
) -> Axes:  # fmt: skip
    """The score on training and on validation data against a parameter, such as the strength of a penalty.

    On the left or on the right of the best value the model under-fits: both scores are bad. On the other side it
    over-fits: the training score gets better and better, the validation score does not.

    values: P numbers, drawn in order; P names are drawn side by side. train, validation: (P,), or (P, R) for R repeats
    each: the line is their mean and the band one standard deviation on both sides. score: what it is; an accuracy is
    shown in per cent, and names such as accuracy, f1, auc, score say that more is better. name: of the parameter.
    log: a logarithmic axis for it. The best mean validation score is marked. Raises ValueError for unequal lengths.

    Hastie, Tibshirani, Friedman (2009), "The Elements of Statistical Learning", section 7.2.
    """
    ax, (x, means) = style.panel(ax), _lines(values, train, validation)
    ax = _draw(ax, values, x, means, score, log)
    validated = means["validation"][0]
    if np.isfinite(validated).any():
        better = np.where(np.isfinite(validated), _sign(score) * validated, np.inf)
        best = int(np.argmin(better))
        value = f"{values[best]:.4g}" if _numbers(values) else str(values[best])
        ax.plot(x[best], validated[best], "o", markersize=8, markerfacecolor="none", markeredgecolor=style.INK,
                markeredgewidth=1.2, label=f"best: {value}", clip_on=False, zorder=4)  # fmt: skip
    style.dress(ax, title, name, _label(score))
    style.key(ax)
    return ax


def learning_curve(
    sizes: Sequence[int], train, validation, ax: Axes | None = None, score: str = "loss", floor: float | None = None,
    log: bool = True, title: str = "Learning curve",
) -> Axes:  # fmt: skip
    """The score on training and on validation data against the number of training samples.

    Two curves that meet at a bad score: the model is too small, more data will not help. Two curves far apart: it
    over-fits, and more data will help. floor: the best score that any model can have (the noise), drawn as a line.
    The rest as for `validation_curve`.

    Cortes, Jackel, Solla, Vapnik, Denker (1993), "Learning curves: asymptotic values and rate of convergence", NIPS 6.
    """
    ax, (x, means) = style.panel(ax), _lines(sizes, train, validation)
    ax = _draw(ax, sizes, x, means, score, log)
    if floor is not None:
        ax.axhline(floor, color=style.GREY, linestyle=":", linewidth=1.2, label="noise: no model is better")
    style.dress(ax, title, "training samples", _label(score))
    style.key(ax)
    return ax


def bias_variance(
    complexity: Sequence, parts: Sequence[Mapping[str, float]], ax: Axes | None = None, test=None,
    name: str = "complexity", log: bool = True, title: str = "Bias and variance",
) -> Axes:  # fmt: skip
    """Squared bias, variance, noise and their sum against the complexity of a model; the least sum is marked.

    complexity: P numbers (a degree, a width) or names. parts: P results of `train.bias_variance`. test: P squared
    errors measured on noisy data, drawn as crosses; they should lie on the sum. log: a logarithmic axis of errors.
    Raises ValueError for unequal lengths.

    Geman, Bienenstock, Doursat (1992), "Neural networks and the bias/variance dilemma", Neural Computation 4.
    """
    rows = {key: [part[key] for part in parts] for key in PARTS} | ({} if test is None else {"test": test})
    x, means = _lines(complexity, **rows)
    ax = style.panel(ax)
    for key, (label, colour, dashes) in PARTS.items():
        y = means[key][0]
        if y.any() or key != "noise":
            y = np.where(y > 0, y, np.nan) if log else y
            ax.plot(x, y, dashes, color=colour, marker="o" * (dashes == "-"), markersize=3.5, label=label,
                    linewidth=2.2 if key == "total" else 1.5)  # fmt: skip
    if test is not None:
        ax.plot(x, means["test"][0], "x", color=style.GREEN, markersize=7, markeredgewidth=1.6, label="measured")
    best = int(np.nanargmin(means["total"][0]))
    ax.plot(x[best], means["total"][0][best], "o", markersize=9, markerfacecolor="none", markeredgecolor=style.INK,
            label=f"best: {complexity[best]}", zorder=4)  # fmt: skip
    if log:
        ax.set_yscale("log")
    _ticks(ax, complexity, x)
    style.dress(ax, title, name, "squared error")
    style.key(ax)
    return ax


def _lines(values: Sequence, *unnamed, **rows) -> tuple[np.ndarray, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Where the values lie, and mean and standard deviation (P,) of each row of scores."""
    rows = dict(zip(("training", "validation"), unnamed, strict=False)) | rows
    x = np.asarray(values, np.float64) if _numbers(values) else np.arange(len(values))
    arrays = {key: np.asarray(row, np.float64) for key, row in rows.items()}
    for key, a in arrays.items():
        if a.ndim not in (1, 2) or len(a) != len(x) or not a.size:
            raise ValueError(f"{len(x)} values but scores ({key}) of shape {a.shape}: give (P,), or (P, R) for R "
                             "repeats")
    return x, {k: (a, 0 * a) if a.ndim == 1 else (a.mean(axis=1), a.std(axis=1)) for k, a in arrays.items()}


def _draw(ax: Axes, values: Sequence, x: np.ndarray, means: Mapping, score: str, log: bool) -> Axes:
    for (label, (mean, std)), colour in zip(means.items(), (style.TRAIN, style.VALIDATION), strict=True):
        ax.fill_between(x, mean - std, mean + std, color=colour, alpha=0.18, linewidth=0)
        ax.plot(x, mean, color=colour, linewidth=1.6, marker="o", markersize=3.5, label=label)
    if log and _numbers(values) and x.min() > 0:
        ax.set_xscale("log")
        if len(x) <= 10:
            ax.set_xticks(x, [f"{v:g}" for v in x])
            ax.xaxis.set_minor_locator(NullLocator())
    else:
        _ticks(ax, values, x)
    if "acc" in score:
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    return ax


def _ticks(ax: Axes, values: Sequence, x: np.ndarray) -> None:
    if not _numbers(values):
        ax.set_xticks(x, [str(v) for v in values])
    elif np.all(x == np.round(x)):
        style.whole_numbers(ax.xaxis)


def _numbers(values: Sequence) -> bool:
    return np.asarray(values).dtype.kind in "iuf"


def _sign(score: str) -> int:
    return -1 if any(word in score for word in HIGHER_IS_BETTER) else 1


def _label(score: str) -> str:
    return f"{score} (%)" if "acc" in score else score
