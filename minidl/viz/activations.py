"""Functions of one variable with their derivative: what an activation does, and where it stops to learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes

from ..engine import Tensor, grad
from ..mode import enable_grad
from . import style
from .probe import as_input


def values_and_gradients(f: Callable, range: tuple[float, float] = (-4, 4), points: int = 401) -> dict[str, np.ndarray]:
    """x, f(x) and df/dx on `points` places of the range, (points,) each.

    The dtype is float64, or that of the parameters of a module that has any. f: an elementwise function or module.
    Raises ValueError if what it returns has another shape, because then there is no single slope to draw.

    >>> import minidl
    >>> values_and_gradients(minidl.relu, (-1, 1), points=3)["gradient"]
    array([0., 0., 1.])
    """
    low, high = range
    if not low < high:
        raise ValueError(f"range is (low, high) with low < high, not {range!r}")
    x = as_input(f, np.linspace(low, high, points))
    x.requires_grad = True
    with enable_grad():
        y = f(x)
        if not isinstance(y, Tensor) or y.shape != x.shape:
            raise ValueError(
                f"f must be elementwise and return a Tensor: given shape {x.shape} it returned "
                f"{type(y).__name__} of shape {np.shape(y)}"
            )
        slope = grad(y, x, y.detach() * 0 + 1, allow_unused=True)[0] if y.requires_grad else None
    gradient = np.zeros_like(x.numpy()) if slope is None else slope.numpy()
    return {"x": x.numpy().copy(), "value": y.numpy().copy(), "gradient": gradient}


def function_and_gradient(
    f: Callable | Mapping[str, Callable], range: tuple[float, float] = (-4, 4), ax: Axes | None = None,
    name: str | None = None,
) -> Axes:  # fmt: skip
    """A function (solid) and its derivative (dashed).

    f: an elementwise function or module such as `minidl.tanh` or `nn.ReLU()`, or several as {name: function}. name: its
    name in the picture. Nwankpa, Ijomah, Gachagan, Marshall (2018), "Activation Functions", arXiv:1811.03378.
    """
    several = isinstance(f, Mapping)
    functions = dict(f) if several else {name or _name_of(f): f}
    ax = style.panel(ax)
    for k, (label, function) in enumerate(functions.items()):
        line = values_and_gradients(function, range)
        value, slope = (style.CLASSES[k % len(style.CLASSES)],) * 2 if several else (style.ACTIVATION, style.GRADIENT)
        ax.plot(line["x"], line["value"], color=value, linewidth=1.8, label=label if several else "f(x)")
        ax.plot(line["x"], line["gradient"], color=slope, linewidth=1.4, linestyle=(0, (4, 2)),
                label=None if several else "f'(x)")  # fmt: skip
    title = "Functions (solid) and derivatives (dashed)" if several else next(iter(functions))
    style.dress(ax, title, "x", "", "both")
    ax.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    ax.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
    ax.set_xlim(*range)
    style.key(ax)
    return ax


def _name_of(f: Callable) -> str:
    """A function's name, a module's class."""
    return getattr(f, "__name__", type(f).__name__)
