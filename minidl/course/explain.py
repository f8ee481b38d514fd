"""From a comparison to what the student reads: the worst entry, the pattern, the likely cause. Never the answer."""

from __future__ import annotations

import builtins
import linecache
import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..check import Finding, Report, Result, compare_value


class Ended(Exception):
    """A submission's process ended, or took too long; the text is the grader's own."""

    names = ("Ended",)
    where = ""


NUMBER = re.compile(r"(?<!\w)[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|\b(?:nan|inf)\b")


@dataclass(frozen=True)
class Wrong:
    """Something wrong. seen: places and numbers; pattern and cause: in words; key: of the finding, for hints."""

    seen: Sequence[str]
    pattern: str = ""
    cause: str = ""
    look: str = ""
    key: str = ""
    of_hidden: Sequence[str] = field(default=())  # what may be said of a hidden check in place of `seen`
    authors: bool = False  # is the cause a sentence of the check's author? Then it may hold numbers

    def because(self, sentence: str) -> Wrong:
        """The same, with another cause, beside which "no simple pattern" would only confuse."""
        return replace(self, pattern=self.pattern * (self.key != "value"), cause=sentence, look="", authors=True)

    def hinted(self, hints: Mapping[str, str] | None) -> Wrong:
        """The same, with the cause that the author of the check has for this finding."""
        return self.because(hints[self.key]) if hints and self.key in hints else self

    def lines(self) -> list[str]:
        """For a visible check."""
        named = {"pattern": self.pattern, "likely cause": self.cause, "look at": self.look}
        return [*self.seen, *(f"{name}: {text}" for name, text in named.items() if text)]

    def brief(self) -> list[str]:
        """For a hidden check: numbers are blotted out, for they may tell its data."""
        cause = self.cause if self.authors else _blotted(self.cause)
        pattern = "this is no array" if self.key == "not_array" else _blotted(self.pattern)
        named = {"pattern": pattern, "likely cause": cause}
        return [*self.of_hidden, *(f"{name}: {text}" for name, text in named.items() if text)]


def _blotted(text: str) -> str:
    return NUMBER.sub("#", text).replace("# of # elements", "some elements")


def outputs(got, right, inputs: Mapping, rtol: float) -> Wrong | None:
    """What is wrong with the value or values that a function returned; None if they are right."""
    several = isinstance(right, tuple)
    if several and (not isinstance(got, tuple | list) or len(got) != len(right)):
        what = f"{len(got)} values" if isinstance(got, tuple | list) else f"one value, {type(got).__name__}"
        asked = f"{len(right)} values are asked for"
        return Wrong([f"it returned {what}"], "", asked, of_hidden=["the number of values returned is wrong"])
    arrays = {name: v for name, v in inputs.items() if isinstance(v, np.ndarray)}
    for i, (g, r) in enumerate(zip(got, right, strict=True) if several else [(got, right)]):
        name = f"output {i}" if several else "the output"
        result = compare_value(name, g, r, inputs=arrays, rtol=rtol)
        if result.verdict == "wrong":
            return of_result(result, "right")
    return None


def agree(got, wrong, rtol: float) -> bool:
    """Is what a function returned the same as what a known mistake gives?"""
    several = isinstance(wrong, tuple)
    if several and (not isinstance(got, tuple | list) or len(got) != len(wrong)):
        return False
    for g, w in zip(got, wrong, strict=True) if several else [(got, wrong)]:
        if not isinstance(g, np.ndarray | np.generic | int | float) or np.shape(g) != np.shape(w):
            return False
        g, w = np.asarray(g), np.asarray(w)
        if not np.allclose(g, w, rtol=0, atol=rtol * np.abs(w).max(initial=0.0), equal_nan=True):
            return False
    return True


def gradient(report: Report, wrt: str) -> Wrong | None:
    """What is wrong with one gradient; None if it is right."""
    for problem in report.problems:
        if problem.key != "vacuous":
            return of_finding(problem, [])
    result = report[wrt] if report.results else None
    return of_result(result, "by differences") if result is not None and result.verdict == "wrong" else None


def of_result(result: Result, right: str) -> Wrong:
    """The numbers of a comparison, and its finding."""
    seen = []
    if result.wrong and result.shape:
        seen.append(f"{result.name}, shape {result.shape}: {result.wrong} of {result.checked} elements are wrong")
    if result.analytic is not None:
        where = "along a random direction" if result.index is None else f"worst at {list(result.index)}"
        seen.append(f"{where + ': ' if result.shape else ''}yours {result.analytic:.8g}, {right} {result.numeric:.8g}")
    return of_finding(result.finding, seen)


def of_finding(finding: Finding | None, seen: Sequence[str]) -> Wrong:
    if finding is None:
        return Wrong(seen)
    return Wrong(seen, finding.what, finding.cause, finding.hint, finding.key)


def overwritten(inputs: Mapping, args: Sequence) -> Wrong | None:
    """Were the inputs written into?"""
    for (name, old), new in zip(inputs.items(), args, strict=True):
        if isinstance(old, np.ndarray) and not np.array_equal(old, new, equal_nan=True):
            cause = "an operation in place, such as x -= ... or x[mask] = 0, on the array of the caller; copy it first"
            return Wrong([f"'{name}' is changed by the call"], "an input is overwritten", cause, key="overwrites",
                         of_hidden=["an input is overwritten"])  # fmt: skip
    return None


def names_of(error: BaseException) -> list[str]:
    """The names of an exception's classes; for one from another process those it had there."""
    return getattr(error, "names", None) or [c.__name__ for c in type(error).__mro__]


def raised(error: BaseException) -> Wrong:
    """An exception in the student's code: which, and where. Of a hidden check only a class that Python itself has."""
    names = names_of(error)
    if "NotImplementedError" in names:
        return Wrong(["nothing is written here yet"], of_hidden=["nothing is written here yet"])
    if isinstance(error, Ended):
        return Wrong([str(error)], key="ended", of_hidden=[str(error)])
    where = getattr(error, "where", None) or place(error)
    seen = [f"it raised {names[0]}: {str(error)[:400]}", *[f"in {where}"] * bool(where)]
    known = next((name for name in names if hasattr(builtins, name)), "an error")
    return Wrong(seen, key="raised", of_hidden=[f"it raised {known}"])


def place(error: BaseException) -> str:
    """The last line of the student's own code that an exception went through."""
    inside = __file__.rpartition("course")[0]  # minidl's own files
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(inside) and "site-packages" not in frame.filename:
            line = frame.line or linecache.getline(frame.filename, frame.lineno).strip()
            return f"{frame.name}, line {frame.lineno}: {line}"
    return ""
