"""Derivatives by differences, with an honest account of how far they may be off.

The central difference (phi(h) - phi(-h)) / 2h errs by h^2 phi'''/6 through the bend of phi and by eps |phi| / h through
rounding; near h = eps^(1/3) the sum is smallest, about 1e-10. Where that does not agree with the derivative that is
to be checked, nothing is concluded before thirteen steps, each a quarter of the one before, have been compared:

- a smooth function has a range of steps in which the differences agree with each other; their spread is the error;
- at a kink the slopes to the left and to the right keep their distance however small the step becomes. If the
  distance shrinks with the step, the function is merely bent, and a wrong derivative is called wrong.

Source: Press, Teukolsky, Vetterling, Flannery, "Numerical Recipes", 3rd ed. 2007, section 5.7 (choice of step).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

EPS = float(np.finfo(np.float64).eps)
STEP = EPS ** (1 / 3)  # 6.1e-6, in units of the size of x
STEPS = STEP * 4.0 ** np.arange(6, -7, -1)  # 2.5e-2 ... 1.5e-9
SAFETY = 4.0  # how many times its estimated error a difference may be off


@dataclass(frozen=True)
class Slope:
    """A numerical derivative: its value, how far it may be off, and what kind of point this is.

    kink: "" for a smooth point, "near" where a kink lies within a larger step, "at" where the one-sided slopes `low`
    and `high` do not meet, "edge" where the function exists on one side only.
    """

    value: float
    error: float
    kink: str = ""
    low: float = np.nan
    high: float = np.nan


@dataclass(frozen=True)
class Tolerance:
    """How far a derivative may lie from the numerical one: relative where smooth, relative at kinks, and absolute."""

    smooth: float
    kinked: float
    absolute: float

    def of(self, slope: Slope, expected: float, size: float = 0.0) -> float:
        """size: the size of the terms of which the derivative is a sum."""
        relative = self.kinked if slope.kink else self.smooth
        return relative * max(abs(expected), abs(slope.value), size) + self.absolute + SAFETY * slope.error

    def accepts(self, slope: Slope, expected: float, size: float = 0.0) -> bool:
        """Is `expected` the derivative, as far as the differences can tell? At a kink any slope in between is one."""
        if not np.isfinite(expected):
            return False
        tolerance = self.of(slope, expected, size)
        if slope.kink == "at":
            return bool(slope.low - tolerance <= expected <= slope.high + tolerance)
        return bool(abs(slope.value - expected) <= tolerance)  # False for NaN

    def resolves(self, slope: Slope) -> bool:
        """Could the comparison have failed, zero certainly, but also a value that is 1 % off?"""
        return slope.kink != "at" and 0.01 * abs(slope.value) > self.of(slope, 0.0)


class Line:
    """phi(t) = <upstream, f(x + t v) - f(x)>: a function of many numbers seen along one line.

    The outputs are subtracted before they are summed, so that what does not change does not round either.
    """

    def __init__(self, f: Callable, x: np.ndarray, v: np.ndarray, upstream: list, base: list) -> None:
        self.f, self.x, self.v, self.upstream, self.base = f, x, v, upstream, base
        self.noise: float | None = None  # rounding error of phi, from the outputs that change
        self.inner = 0.0  # the same from the inputs: what is computed inside is at least as large as they are
        self._known: dict[float, float] = {}

    def __call__(self, t: float) -> float:
        if t not in self._known:
            changes = [new - old for new, old in zip(self.f(self.x + t * self.v), self.base, strict=True)]
            if self.noise is None:
                self._estimate(changes)
            self._known[t] = sum(float(np.vdot(u, c)) for u, c in zip(self.upstream, changes, strict=True))
        return self._known[t]

    def _estimate(self, changes: list) -> None:
        """From the size of what changes; if nothing does, of the largest output, which may have absorbed the change."""
        u, old, change = (np.concatenate([np.ravel(a) for a in part]) for part in (self.upstream, self.base, changes))
        size, moved = np.abs(u * old), change != 0
        if not moved.any():
            size, moved = size.max(initial=0.0, keepdims=True), slice(None)
        self.noise = EPS * float(size[moved].sum())
        top = float(np.abs(u[moved]).max(initial=0.0)) * float(np.abs(self.x[self.v != 0]).max(initial=0.0))
        self.inner = self.noise + EPS * top

    def central(self, t: float) -> float:
        return (self(t) - self(-t)) / (2 * t)


@dataclass(frozen=True)
class Window:
    """What three neighbouring steps say together."""

    value: float
    spread: float
    kinked: bool
    left: float
    right: float
    blur: float  # how far the one-sided slopes may be off


def slope(line: Line, expected: float, tolerance: Tolerance, size: float = 0.0) -> Slope:
    """The derivative of phi at 0. `expected` only saves work: where the simple difference agrees, it is enough."""
    first = line.central(STEP)
    simple = Slope(first, line.noise / STEP)
    if tolerance.accepts(simple, expected, size):
        return simple
    middle = _window(line, 6)
    if not middle.kinked and SAFETY * middle.spread <= tolerance.smooth * abs(middle.value):
        return Slope(middle.value, middle.spread)
    return _conclude([_window(line, j) for j in range(1, len(STEPS) - 1)])


def _window(line: Line, j: int) -> Window:
    """Central and one-sided slopes with steps j-1, j and j+1.

    One-sided slopes are taken between two points on the same side, so that a jump at the point itself does not matter.
    """
    t = STEPS[j - 1 : j + 2]
    up, down = np.array([line(s) for s in t]), np.array([line(-s) for s in t])
    rounding = line.inner / t
    central = (up - down) / (2 * t)
    right, left = (up[:-1] - up[1:]) / (t[:-1] - t[1:]), (down[1:] - down[:-1]) / (t[:-1] - t[1:])
    gap, jump = right - left, np.array([up[:-1] - right * t[:-1], down[:-1] + left * t[:-1]])
    blur = float(max(abs(right[0] - right[1]), abs(left[0] - left[1])) + 2 * rounding[2])
    size = max(abs(right[1]), abs(left[1]))
    # a bend's gap shrinks fourfold with the step; that of rounding errors is no larger than their scatter
    corner = abs(gap[1]) > max(0.5 * abs(gap[0]), 20 * rounding[2], 1e-4 * size, 3 * blur)
    steady = np.abs(jump[:, 0] - jump[:, 1]) + blur * t[0] < 0.3 * np.abs(jump[:, 1])
    jumps = steady & (np.abs(jump[:, 1]) > 20 * line.inner + 1e-4 * size * t[1])
    spread = float(np.abs(central - central[1]).max() + rounding[1])
    return Window(float(central[1]), spread, bool(corner or jumps.any()), float(left[1]), float(right[1]), blur)


def _conclude(windows: list[Window]) -> Slope:
    """What all windows, from the widest to the narrowest, say together."""
    last = max((j for j, w in enumerate(windows) if w.kinked), default=-1)
    smooth = [w for w in windows[last + 1 :] if np.isfinite(w.spread)]  # nearer than any kink
    spreads = np.array([w.spread for w in smooth])
    falling = 8 * spreads[1:] < spreads[:-1]  # as the error of a smooth function does: sixteenfold
    settled = max((j + 2 for j in range(len(falling) - 1) if falling[j] and falling[j + 1]), default=0)
    best = min(smooth[settled:], key=lambda w: w.spread, default=None)
    if best and settled:
        return Slope(best.value, best.spread, "near" if last >= 0 else "")
    if sum(w.kinked for w in windows) > 1:
        corner = min((w for w in windows if w.kinked), key=lambda w: w.blur)
        if best and best.spread < 0.1 * abs(corner.right - corner.left):
            return Slope(best.value, best.spread, "near")
        low, high = sorted((corner.left, corner.right))
        return Slope((low + high) / 2, corner.blur, "at", low, high)
    if best is None:
        return _one_sided(windows)
    if best.spread < 0.5 * abs(best.value):
        return Slope(best.value, best.spread)
    return Slope(best.value, max(abs(w.value) + w.spread for w in smooth))  # zero, or noise at every step


def _one_sided(windows: list[Window]) -> Slope:
    """The function exists on one side only."""
    pairs = [(abs(a - b), b) for w, v in zip(windows, windows[1:], strict=False)
             for a, b in ((w.left, v.left), (w.right, v.right)) if np.isfinite(a - b)]  # fmt: skip
    return Slope(*reversed(min(pairs)), "edge") if pairs else Slope(np.nan, 0.0)


def sizes(x: np.ndarray) -> np.ndarray:
    """The size of each element for its step: its magnitude, but not less than a tenth of what is usual in x."""
    usual = float(np.sqrt(np.mean(x * x))) if x.size else 1.0
    return np.maximum(np.abs(x), 0.1 * usual if 0 < usual < 1 else 0.1 if usual else 1.0)


def single_precision(new: list[np.ndarray], old: list[np.ndarray]) -> bool:
    """Did these outputs pass through float32? Then what changed has no digits beyond it (halves and the like aside)."""
    for a, b in zip(new, old, strict=True):
        changed = a[(a != b) & (a * 1024 != np.round(a * 1024))]
        if changed.size and np.array_equal(changed, changed.astype(np.float32)):
            return True
    return False
