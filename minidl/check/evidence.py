"""A wrong gradient beside the right one, with everything that may explain it: what the patterns look at."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

CLOSE = 1e-5  # of the largest element: two gradients this near are the same for a pattern


@dataclass
class Evidence:
    """One tensor whose gradient is wrong.

    value: the tensor. analytic: the gradient as claimed (its shape may be wrong too); absent if there was no claim, and
    zero then. numeric: the truth; where a kink leaves the choice, it is set to the claim. wrong: which elements differ.
    upstream, outputs: what the gradient was computed for. again: the claimed gradient for another upstream gradient.
    values: all tensors by name; others: the gradients of the other ones; constants: the inputs without a gradient.
    lengths: what a number may stand for. whole: False if only a part of a very large tensor was looked at.
    corners: {flat index of a wrong element at a kink: the slopes on its two sides}.
    """

    name: str
    value: np.ndarray
    analytic: np.ndarray
    numeric: np.ndarray
    wrong: np.ndarray
    upstream: list[np.ndarray]
    outputs: list[np.ndarray]
    again: Callable[[list], np.ndarray | None]
    values: dict[str, np.ndarray] = field(default_factory=dict)
    others: dict[str, np.ndarray] = field(default_factory=dict)
    constants: list[np.ndarray] = field(default_factory=list)
    absent: bool = False
    whole: bool = True
    corners: dict[int, tuple[float, float]] = field(default_factory=dict)

    def smooth(self) -> Evidence:
        """The same without the wrong elements at kinks, where there is no single right value."""
        at = np.zeros(self.numeric.size, bool)
        at[list(self.corners)] = True
        at = at.reshape(self.numeric.shape)

        def blank(a: np.ndarray | None) -> np.ndarray | None:
            return a if a is None or a.shape != at.shape else np.where(at, 0.0, a)

        return replace(
            self, value=blank(self.value), analytic=blank(self.analytic), numeric=blank(self.numeric),
            wrong=self.wrong & ~at, again=lambda upstream: blank(self.again(upstream)), corners={},
        )  # fmt: skip

    @property
    def missing(self) -> np.ndarray:
        """What would have to be added."""
        return self.numeric - self.analytic

    @property
    def lengths(self) -> dict[int, str]:
        """What a number could stand for, {4: "the length of axis 0 of x", ...}; its first meaning is kept."""
        found: dict[int, str] = {}
        named = [*self.values.items(), *(("the output", out) for out in self.outputs)]
        for name, a in named:
            for axis, n in enumerate(a.shape):
                found.setdefault(n, f"the length of axis {axis} of {name}")
        for name, a in named:
            if a.ndim > 2 and a.size:
                found.setdefault(a.size // a.shape[1], f"all axes of {name} but its channels (axis 1)")
                found.setdefault(math.prod(a.shape[-2:]), f"the last two axes of {name}")
            found.setdefault(a.size, f"the number of elements of {name}")
        return {n: text for n, text in found.items() if n > 1}


def same(p: np.ndarray, q: np.ndarray) -> bool:
    """Equal up to the accuracy of differences, and not both zero."""
    if p.shape != q.shape or not p.size or not np.isfinite(p).all():
        return False
    top = np.abs(q).max()
    return bool(top > 0 and np.abs(p - q).max() <= CLOSE * top)


def subsets(ndim: int) -> list[tuple[int, ...]]:
    """(0,), (1,), (0, 1), ...: all sets of axes, the small ones first."""
    return [axes for k in range(1, ndim + 1) for axes in itertools.combinations(range(ndim), k)]


def axes_text(axes: tuple) -> str:
    """As one writes axis=..."""
    return str(axes[0]) if len(axes) == 1 else str(axes)
