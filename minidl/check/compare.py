"""One tensor: the claimed gradient beside differences, along random directions or element by element."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .numeric import STEP, Line, Slope, Tolerance, sizes, slope
from .report import Result
from .subject import Subject


@dataclass(frozen=True)
class Options:
    """elements: up to this size every element is checked at first order. limit: up to this size, to locate an error."""

    tolerance: Tolerance
    elements: int
    limit: int


@dataclass
class Outcome:
    """The result for one tensor, and its numbers for the diagnosis.

    numeric, wrong: of the tensor's shape; None if directions were enough. places: the flat indices that were looked at,
    if those are not all; numeric and wrong are one-dimensional then. corners: where among these a wrong element lies
    at a kink (flat), and the slopes on its two sides.
    """

    result: Result
    claimed: np.ndarray
    numeric: np.ndarray | None = None
    wrong: np.ndarray | None = None
    places: np.ndarray | None = None
    corners: dict[int, tuple[float, float]] = field(default_factory=dict)


class Comparison:
    """The check of tensor k of a subject."""

    def __init__(
        self, subject: Subject, k: int, order: int, claimed: np.ndarray, base: list, upstream: list, options: Options,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.f, self.x, self.claimed = subject.along(k), subject.values[k], claimed
        self.base, self.upstream, self.options, self.rng = base, upstream, options, rng
        self.tolerance, self.scale = options.tolerance, sizes(self.x)
        self.result = Result(subject.names[k], order, self.x.shape)
        self.usable = claimed.shape == self.x.shape and bool(np.isfinite(claimed).all())

    def outcome(self) -> Outcome:
        """Directions for a large tensor; its elements if it is small or a direction failed."""
        result, size = self.result, self.x.size
        if size == 0:
            result.verdict = "empty" if self.usable else "wrong"
            return Outcome(result, self.claimed)
        small = size <= (self.options.elements if result.order == 1 else 2)
        tried = [self.direction() for _ in range(2)] if self.usable and not small else []
        proved = [t for t in tried if self.tolerance.resolves(t[0])]
        kinks = sum(bool(s.kink) for s, _, _ in tried)
        if tried and all(self.tolerance.accepts(*t) for t in tried) and (proved or not kinks):
            result.kinks, result.verdict = kinks, "right" if proved else "flat"
            result.error = max((abs(s.value - e) / max(abs(s.value), abs(e), n) for s, e, n in proved), default=0.0)
            return Outcome(result, self.claimed)
        outcome, refused = self.elements(self._places()), [t for t in tried if not self.tolerance.accepts(*t)]
        if refused and result.verdict != "wrong" and not result.kinks:  # no single element accounts for it
            result.verdict, result.analytic, result.numeric = "wrong", refused[0][1], refused[0][0].value
        return outcome

    def not_tried(self) -> Outcome:
        """There is nothing to compare."""
        self.result.verdict = "wrong"
        return Outcome(self.result, self.claimed)

    def direction(self, mask: np.ndarray | float = 1.0) -> tuple[Slope, float, float]:
        """The slope along random steps of all elements, the claimed one, and the size of the terms of its sum."""
        v = signs(self.x.shape, self.rng) * self.scale * mask
        expected, size = float(np.vdot(self.claimed, v)), float(np.linalg.norm(self.claimed * v))
        return slope(self._line(v), expected, self.tolerance, size), expected, size

    def element(self, i: int, claimed: float) -> tuple[Slope, float, bool]:
        """The slope for element i in units of its step, the unit, and whether the claim is wrong.

        An element that is much smaller than its neighbours is tried with steps of its own size too.
        """
        found = []
        for unit in (self.scale.flat[i], abs(self.x.flat[i])):
            if unit == 0 or (found and unit >= found[0][1]):
                break
            v = np.zeros(self.x.shape)
            v.flat[i] = unit
            s = slope(self._line(v), claimed * unit, self.tolerance)
            found.append((s, unit, not self.tolerance.accepts(s, claimed * unit)))
            if not found[-1][2] and self.tolerance.resolves(s):
                return found[-1]
        return next((f for f in found if f[2]), found[0])

    def gradient(self) -> np.ndarray:
        """Simple differences for all elements: no proof, but good enough to recognise a gradient by."""
        numeric = np.empty(self.x.shape)
        for i, unit in enumerate(self.scale.flat):
            v = np.zeros(self.x.shape)
            v.flat[i] = unit
            numeric.flat[i] = self._line(v).central(STEP) / unit
        return numeric

    def _line(self, v: np.ndarray) -> Line:
        return Line(self.f, self.x, v, self.upstream, self.base)

    def _places(self) -> np.ndarray:
        """All elements; of a very large tensor a small part, the one that is most wrong, found by halving."""
        places, limit = np.arange(self.x.size), self.options.limit
        if self.x.size > limit:
            limit = min(limit, 64)
        while len(places) > limit:
            halves = np.array_split(places, 2)
            gaps = []
            for half in halves if self.usable else ():
                mask = np.isin(np.arange(self.x.size), half).reshape(self.x.shape)
                s, expected, _ = self.direction(mask)
                gaps.append(abs(s.value - expected))
            places = halves[int(np.argmax(gaps or [0]))]
        return places

    def elements(self, places: np.ndarray) -> Outcome:
        """Each of these elements by itself."""
        result, n = self.result, len(places)
        claimed = self.claimed.ravel()[places] if self.claimed.shape == self.x.shape else np.full(n, np.nan)
        numeric, wrong, proved, corners = np.empty(n), np.zeros(n, bool), np.zeros(n, bool), {}
        for j, i in enumerate(places):
            s, unit, wrong[j] = self.element(int(i), claimed[j])
            proved[j] = self.tolerance.resolves(s)
            result.kinks += bool(s.kink)
            numeric[j] = claimed[j] if s.kink == "at" and not wrong[j] else s.value / unit
            if s.kink == "at" and wrong[j] and np.isfinite(claimed[j]):
                corners[j] = (s.low / unit, s.high / unit)
        if wrong.any():
            result.verdict, result.wrong = "wrong", int(wrong.sum())
            gap = np.where(wrong, np.nan_to_num(np.abs(claimed - numeric), nan=np.inf), -1.0)
            for j, (low, high) in corners.items():  # how far outside of what is allowed
                gap[j] = max(low - claimed[j], claimed[j] - high)
            j = int(np.argmax(gap))
            if self.claimed.shape == self.x.shape:
                result.index = tuple(int(i) for i in np.unravel_index(places[j], self.x.shape))
                result.analytic, result.numeric = float(claimed[j]), float(numeric[j])
        else:
            result.verdict = "right" if proved.any() else "flat"
        gap, result.checked = np.abs(claimed - numeric)[proved | wrong], n
        result.error = float(gap.max() / np.abs(numeric).max()) if gap.size and numeric.any() else 0.0
        if n == self.x.size:
            numeric, wrong, places = numeric.reshape(self.x.shape), wrong.reshape(self.x.shape), None
        return Outcome(result, self.claimed, numeric, wrong, places, corners)


def signs(shape: tuple, rng: np.random.Generator) -> np.ndarray:
    """Random numbers of both signs from 0.5 to 1.5: none so small that an error could hide behind it."""
    return rng.uniform(0.5, 1.5, shape) * rng.choice((-1.0, 1.0), shape)
