"""Does the signal survive a deep network? Spread of activations and gradients through the layers, by initialiser."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure, SubFigure

from .. import random
from ..engine import Tensor, grad
from ..mode import enable_grad, no_grad
from ..ops import linear, relu
from ..random import Rng
from . import style
from .probe import untouched


def collect_signal(
    initialisers: Mapping[str, Callable], activation: Callable = relu, depth: int = 30, width: int = 200,
    batch: int = 200, rng: Rng = None,
) -> dict[str, dict[str, list[float]]]:  # fmt: skip
    """Standard deviations after each of `depth` layers h <- activation(h W^T), forward and backward.

    initialisers: {name: f}, where f(weight) fills a float32 Tensor (width, width) in place, as those of `nn.init` do.
    Input and upstream gradient are N(0, 1), (batch, width), from `rng` (None: the stream "sample", which is put back).
    Returns {name: {"activation": [std of h_1, ..., h_depth], "gradient": [std of dL/dh_1, ..., dL/dh_depth]}}.

    He, Zhang, Ren, Sun (2015), "Delving Deep into Rectifiers", section 2.2.
    """
    with untouched(None), np.errstate(all="ignore"):  # to overflow is one of the findings
        rng = random.resolve(rng, "sample")
        start, upstream = rng.standard_normal((2, batch, width)).astype(np.float32)
        return {name: _signal(f, activation, depth, start, upstream) for name, f in initialisers.items()}


def _signal(initialise: Callable, activation: Callable, depth: int, start: np.ndarray, upstream: np.ndarray) -> dict:
    h, layers = Tensor(start, requires_grad=True), []
    with enable_grad():
        for _ in range(depth):
            weight = Tensor(np.zeros((start.shape[1],) * 2, np.float32))
            with no_grad():
                initialise(weight)
            h = activation(linear(h, weight))  # (N, F) @ (F, F) -> (N, F)
            layers.append(h)
        gradients = grad(h, layers, Tensor(upstream))
    return {
        "activation": [float(t.numpy().astype(np.float64).std()) for t in layers],
        "gradient": [float(g.numpy().astype(np.float64).std()) for g in gradients],
    }


def signal(
    initialisers: Mapping[str, Callable] | Mapping[str, dict], activation: Callable = relu,
    fig: Figure | SubFigure | None = None, **options,
) -> Figure | SubFigure:  # fmt: skip
    """The spread of activations (left) and gradients (right) through a deep network, one line an initialiser.

    initialisers: {name: f} as for `collect_signal`, which also takes the options (depth, width, batch, rng); or what
    it returned. A level line keeps the signal; a sloping one loses or blows it up by a constant factor a layer.
    """
    given = all(isinstance(value, Mapping) for value in initialisers.values())
    found = initialisers if given else collect_signal(initialisers, activation, **options)
    fig = style.figure(fig, (8.8, 3.6))
    for ax, key, title in zip(
        fig.subplots(1, 2), ("activation", "gradient"), ("Activations, forward", "Gradients, backward"), strict=True
    ):
        for k, (name, spreads) in enumerate(found.items()):
            _line(ax, np.array(spreads[key]), style.CLASSES[k % len(style.CLASSES)], name)
        ax.set_yscale("log")
        style.dress(ax, title, "layer", "standard deviation")
        style.whole_numbers(ax.xaxis)
        style.key(ax)
    return fig


def _line(ax, spreads: np.ndarray, colour: str, name: str) -> None:
    """A line as far as there is a signal; where there is none the legend says so, for a logarithm cannot."""
    layers, alive = np.arange(1, len(spreads) + 1), np.isfinite(spreads) & (spreads > 0)
    if not alive.all():
        lost = layers[~alive]
        name += " (0 at " if (spreads[~alive] == 0).all() else " (overflow at "
        name += "all layers)" if len(lost) == len(layers) else f"layer {lost[0]})" if len(lost) == 1 else \
            f"layers {lost[0]} to {lost[-1]})"
    ax.plot(layers, np.where(alive, spreads, np.nan), color=colour, linewidth=1.6, label=name,
            marker="o" if len(layers) <= 12 else None, markersize=3)  # fmt: skip
