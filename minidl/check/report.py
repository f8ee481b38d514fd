"""What a check found: plain data, a verdict, and a text to read."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Finding:
    """Something wrong. key: a fixed word for it; what: what was seen; cause: the likely reason; hint: where to look."""

    key: str
    what: str
    cause: str
    hint: str = ""

    def lines(self) -> list[str]:
        """For a report."""
        return [self.what, f"likely cause: {self.cause}", *[f"look at: {self.hint}"] * bool(self.hint)]


class Unfit(Exception):
    """The function cannot be checked at all; carries the finding that says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.what)
        self.finding = finding


class GradcheckError(AssertionError):
    """A gradient check failed; the message is the report."""


@dataclass
class Result:
    """One tensor at one order of derivative; order 0 is a value (see `compare_value`).

    verdict: "right"; "wrong"; "flat" (the result does not depend on it, so nothing was proved); "empty".
    error: the largest difference relative to the largest derivative. index, analytic, numeric: the worst element;
    for a value, what was returned and what is expected.
    checked, wrong, kinks: how many elements were looked at one by one, are wrong, lie at a kink.
    """

    name: str
    order: int
    shape: tuple[int, ...]
    verdict: str = "right"
    error: float = 0.0
    index: tuple[int, ...] | None = None
    analytic: float | None = None
    numeric: float | None = None
    checked: int = 0
    wrong: int = 0
    kinks: int = 0
    finding: Finding | None = None

    def lines(self) -> list[str]:
        """For a report."""
        if self.verdict != "wrong":
            nothing = self.verdict == "flat"
            return [f"{self.name} {self.shape}: {'not proved, zeros would pass' if nothing else self.verdict}"]
        head = f"{self.name} {self.shape}: wrong" + (f" at {ordinal(self.order)} order" if self.order else "")
        looked = " looked at" if self.checked < math.prod(self.shape) else ""
        out = [head + (f", {self.wrong} of {self.checked} elements{looked}" if self.wrong else "")]
        if self.analytic is not None:
            place = "worst along a random direction: " if self.index is None else f"worst at {list(self.index)}: "
            place = "" if self.index == () else place
            mine, other = ("analytic", "numeric") if self.order else ("got", "expected")
            out.append(f"  {place}{mine} {self.analytic:.8g}, {other} {self.numeric:.8g}")
        return out + [f"  {line}" for line in (self.finding.lines() if self.finding else ())]


@dataclass
class Report:
    """The outcome of a gradient check. True if it could have failed and did not.

    results: a `Result` for each tensor and order. problems: what concerns the function as a whole (it is random,
    raised, returned no Tensor, the check is vacuous, ...). call: how to repeat the check.
    """

    name: str
    call: str = ""
    results: list[Result] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)
    error: Exception | None = None

    def __bool__(self) -> bool:
        return not self.problems and not self.failed and any(r.verdict == "right" for r in self.results)

    @property
    def failed(self) -> list[Result]:
        """The results that are wrong."""
        return [r for r in self.results if r.verdict == "wrong"]

    @property
    def vacuous(self) -> bool:
        """True if a gradient of zeros would have passed as well."""
        return any(p.key == "vacuous" for p in self.problems)

    @property
    def order(self) -> int | None:
        """The order of derivative at which the check failed; None if it did not."""
        return min((r.order for r in self.failed), default=None)

    @property
    def kinks(self) -> int:
        """How many elements or directions met a kink."""
        return sum(r.kinks for r in self.results)

    @property
    def worst(self) -> dict[int, float]:
        """The largest relative error at each order."""
        return {n: max(r.error for r in self.results if r.order == n) for n in sorted({r.order for r in self.results})}

    @property
    def keys(self) -> list[str]:
        """The keys of all findings, those of the whole function first."""
        return [p.key for p in self.problems] + [r.finding.key for r in self.failed if r.finding]

    def __getitem__(self, name: str) -> Result:
        """The result of the tensor called `name`: the first wrong one, else that of first order."""
        mine = [r for r in self.results if r.name == name]
        if not mine:
            raise KeyError(f"no tensor called {name!r} was checked, only {sorted({r.name for r in self.results})}")
        return next((r for r in mine if r.verdict == "wrong"), mine[0])

    def as_dict(self) -> dict:
        """Everything as plain data, for json."""
        plain = {key: value for key, value in vars(self).items() if key not in ("results", "problems", "error")}
        return {
            "passed": bool(self), **plain,
            "results": [asdict(r) for r in self.results], "problems": [asdict(p) for p in self.problems],
        }  # fmt: skip

    def raise_if_failed(self) -> Report:
        """Raise GradcheckError with the text of the report unless the check passed. Returns self."""
        if not self:
            raise GradcheckError(str(self)) from self.error
        return self

    def __str__(self) -> str:
        verdict = "passed" if self else "VACUOUS" if self.vacuous and not self.failed else "FAILED"
        lines = [f"gradcheck of {self.name}: {verdict}{self._summary()}"]
        for r in self.results:
            if r.verdict == "flat" and r.order == 1:
                lines.append(f"  {r.name} {r.shape}: not proved, the result does not depend on it, or not visibly")
        for n, names in self._right().items():
            lines.append(f"  right at {ordinal(n)} order: {', '.join(names)}")
        for problem in self.problems:
            lines += [f"  {line}" for line in problem.lines()]
        for result in self.failed:
            lines += [f"  {line}" for line in result.lines()]
        if not self:
            lines.append(f"  repeat with: {self.call}")
        return "\n".join(lines)

    __repr__ = __str__

    def _summary(self) -> str:
        parts = [f"order {n}: worst error {error:.1e}" for n, error in self.worst.items()] if self else []
        parts += [f"{self.kinks} kinks met"] * bool(self.kinks)
        return f" ({', '.join(parts)})" if parts else ""

    def _right(self) -> dict[int, list[str]]:
        right: dict[int, list[str]] = {}
        for r in self.results if self.failed else ():
            if r.verdict == "right":
                right.setdefault(r.order, []).append(r.name)
        return right


def ordinal(n: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(n, f"{n}th")
