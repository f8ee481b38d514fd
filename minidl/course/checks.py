"""The checks of one graded cell: they run what was asked for, compare, and say what is right and what is wrong and why.

    with course.checks("dx of the affine layer", lesson=4) as t:
        t.gradient("a small batch", affine_backward, "x", reference, inputs)
        ### BEGIN HIDDEN TESTS
        t.hide()
        t.gradient("a batch of one", affine_backward, "x", reference, others)
        ### END HIDDEN TESTS

All checks of a cell are run, also after one has failed. The cell passes if all do; else CheckFailed is raised at its
end, as nbgrader wants it. A check that could not fail is refused with VacuousCheck.
"""

from __future__ import annotations

import contextlib
import copy
import sys
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from .. import kernels
from ..check import gradcheck_pair
from . import explain
from .wire import strided

SEED = 0  # of the random upstream gradients and directions: two gradings are the same


class CheckFailed(AssertionError):
    """A graded cell is not right; the message is for the student, `checks` for the grader."""

    def __init__(self, checks: Checks) -> None:
        super().__init__(str(checks))
        self.checks = checks

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message, without the insides of the checker."""
        return [str(self)]


class VacuousCheck(RuntimeError):
    """A check that could not have failed, or a cell without one. It is the author's mistake, not the student's."""


@dataclass
class Outcome:
    """What one check found. why: what is wrong, in lines; brief: the same without any number of a hidden check.

    blank: nothing is written yet. technical: what is wrong is not what the lesson is about.
    """

    name: str
    hidden: bool
    passed: bool = True
    edge: bool = False
    blank: bool = False
    technical: bool = False
    why: list[str] = field(default_factory=list)
    brief: list[str] = field(default_factory=list)


class Checks:
    """The checks of one graded cell, see the top of this file. lesson: the number of the one to read."""

    def __init__(self, title: str, lesson: int) -> None:
        self.title, self.lesson = title, lesson
        self.outcomes: list[Outcome] = []
        self._hidden = False
        self._again: dict[str, Callable[[], Outcome]] = {}

    def __enter__(self) -> Checks:
        return self

    def __exit__(self, kind, error, traceback) -> bool:
        if isinstance(error, NameError):  # a cell above failed, or was not run
            missing = f"{error}: run the cells above first, from the top, and mend the first that fails"
            self.outcomes.append(Outcome("the cells above", self._hidden, False, why=[missing], brief=[missing]))
        elif error is not None:
            return False
        if not any(not o.edge and not o.hidden for o in self.outcomes):
            raise VacuousCheck(f"{self.title}: no visible check that could fail")
        if not self.passed:
            raise CheckFailed(self) from None
        print(self)
        return True

    @property
    def passed(self) -> bool:
        """Are all right, the hidden ones too?"""
        return all(o.passed for o in self.outcomes)

    def hide(self) -> None:
        """From here on checks are hidden: their messages hold no numbers."""
        self._hidden = True

    # --- the kinds of checks -----------------------------------------------------------------------------------------

    def value(
        self, name: str, f: Callable, inputs: Mapping, expected, *, rtol: float = 1e-6, edge: bool = False,
        mistakes: Mapping[str, Callable] | None = None, hints: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Is f(*inputs) what it should be, to the relative tolerance rtol, and are the inputs as before?

        inputs: arguments by name, given in this order. expected: an array, a number, a tuple of them, or a function
            of the same arguments that returns them.
        mistakes: {sentence: function of the same arguments}: where f agrees with one of them, the sentence is the
            likely cause. hints: {key of a finding: sentence}, in place of the general one.
        edge: zeros, or the input unchanged, would pass; such a check counts only beside others.
        """
        with _quiet():
            right = expected(*_fresh(inputs)) if callable(expected) else expected
        if not edge:
            _refuse_vacuous(f"{self.title}, {name}", right, inputs)

        def run() -> Outcome:
            args = _fresh(inputs)
            got = _current(f)(*args)
            found = explain.outputs(got, right, inputs, rtol)
            if found is None:
                found = explain.overwritten(inputs, args)
                return Outcome(name, self._hidden) if found is None else self._wrong(name, found.hinted(hints), True)
            for sentence, wrong in (mistakes or {}).items():
                if explain.agree(got, wrong(*_fresh(inputs)), rtol):
                    return self._wrong(name, found.because(sentence))
            return self._wrong(name, found.hinted(hints))

        self._run(name, run, edge, hints)

    def gradient(
        self, name: str, backward: Callable, wrt: str, reference: Callable, inputs: Mapping, *, rtol: float = 1e-6,
        kinked_rtol: float = 1e-5, edge: bool = False, hints: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Is what backward(dout, *inputs) returns for `wrt` the gradient of <dout, reference(*inputs)>?

        Compared with central differences of the reference, for a random dout: relative 1e-6 where the reference is
        smooth, 1e-5 near kinks. backward returns the gradients of all floating inputs, in their order.
        """

        def run() -> Outcome:
            report = gradcheck_pair(
                None, _current(backward), _copies(inputs), reference=reference, wrt=wrt, rng=SEED, rtol=rtol,
                kinked_rtol=kinked_rtol,
            )  # fmt: skip
            if isinstance(report.error, Exception):
                raise report.error
            if report.vacuous and not edge:
                raise VacuousCheck(f"{self.title}, {name}: a gradient of zeros would pass")
            found = explain.gradient(report, wrt)
            return Outcome(name, self._hidden) if found is None else self._wrong(name, found.hinted(hints))

        self._run(name, run, edge, hints)

    def that(self, name: str, condition: Callable[[], object], otherwise: str, *, edge: bool = False) -> None:
        """Is condition() true? `otherwise` is the likely cause if it is not."""

        def run() -> Outcome:
            truth = condition()
            if isinstance(truth, bool | np.bool_) and truth:
                return Outcome(name, self._hidden)
            return self._wrong(name, explain.Wrong([], "", otherwise))

        self._run(name, run, edge)

    def raises(self, name: str, f: Callable, inputs: Mapping, error: str, otherwise: str, *, edge: bool = True) -> None:
        """Does f(*inputs) raise the error of this name (or one derived from it)?"""

        def run() -> Outcome:
            try:
                _current(f)(*_fresh(inputs))
            except Exception as raised:
                if error in explain.names_of(raised):
                    return Outcome(name, self._hidden)
                raise
            return self._wrong(name, explain.Wrong([f"no {error} was raised"], "", otherwise))

        self._run(name, run, edge)

    def _run(
        self, name: str, run: Callable[[], Outcome], edge: bool, hints: Mapping[str, str] | None = None
    ) -> None:
        if name in self._again:
            raise ValueError(f"{self.title}: two checks are called {name!r}")
        hidden = self._hidden

        def once() -> Outcome:
            try:
                with _quiet():
                    outcome = run()
            except VacuousCheck:
                raise
            except Exception as error:
                outcome = self._wrong(name, explain.raised(error).hinted(hints), technical=True)
                outcome.blank = "NotImplementedError" in explain.names_of(error)
            outcome.hidden, outcome.edge = hidden, edge
            return outcome

        self._again[name] = once
        self.outcomes.append(once())

    def _wrong(self, name: str, found: explain.Wrong, technical: bool = False) -> Outcome:
        return Outcome(name, self._hidden, False, why=found.lines(), brief=found.brief(), technical=technical)

    # --- what is said ------------------------------------------------------------------------------------------------

    def repeat(self, name: str) -> None:
        """Run one check of this cell again, for instance after a change, and print what it finds.

        In a notebook all cells call their checks `t`: it stands for those of the cell that was run last.
        """
        if name not in self._again:
            mine = ", ".join(map(repr, self._again))
            raise ValueError(f"run the cell of {name!r} first: those of the one run last, {self.title!r}, are {mine}")
        outcome = self._again[name]()
        print("\n".join([f"{name}: {'right' if outcome.passed else 'wrong'}", *_indent(outcome.why)]))

    def counts(self, hidden: bool) -> tuple[int, int]:
        """(how many pass, how many there are) of the visible or the hidden checks."""
        mine = [o for o in self.outcomes if o.hidden == hidden]
        return sum(o.passed for o in mine), len(mine)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, secret: bool = False) -> list[str]:
        """What is right first; then the first wrong check in full, the names of the others, and what to read.

        secret: say of visible checks too what may be said of hidden ones only.
        """
        visible, hidden = self.counts(False), self.counts(True)
        head = f"{self.title}: {visible[0]} of {visible[1]} visible checks pass"
        if hidden[1]:
            head += f", {hidden[0]} of {hidden[1]} hidden checks pass"
        right = [o for o in self.outcomes if o.passed]
        wrong = [o for o in self.outcomes if not o.passed]
        if not wrong:
            return [head]
        if all(o.blank for o in wrong) and all(o.edge for o in self.outcomes if o.passed):
            return [f"{head}: nothing is written here yet"]
        first = wrong[0]  # visible ones come first
        out = [head, *[f"  right: {_names(right)}"] * bool(right)]
        out.append(f"  wrong: {'hidden ' * first.hidden}check '{first.name}'")
        out += _indent(first.brief if first.hidden or secret else first.why, 4)
        if len(wrong) > 1:
            out.append(f"  wrong too: {_names(wrong[1:])}")
        if not first.technical:
            out.append(f"  read: lesson {self.lesson:02d} in notebooks/lessons")
        if first.name in self._again and not first.hidden:
            out.append(f"  repeat with: t.repeat({first.name!r}), when its cell has run")
        return out


def checks(title: str, lesson: int) -> Checks:
    """The checks of a graded cell, as `with course.checks("dx of the affine layer", lesson=4) as t:`."""
    return Checks(title, lesson)


def _names(outcomes: Sequence[Outcome]) -> str:
    """The names of checks, those of hidden ones behind the word."""
    visible, hidden = ("; ".join(o.name for o in outcomes if o.hidden == kind) for kind in (False, True))
    return "; ".join(filter(None, [visible, f"hidden: {hidden}" if hidden else ""]))


def _current(f: Callable) -> Callable:
    """f as the notebook has it now: a check that is repeated shall see what the student has changed."""
    if isinstance(f, partial):
        now = {name: _current(value) for name, value in f.keywords.items()}
        return partial(_current(f.func), *map(_current, f.args), **now)
    return f.__globals__.get(f.__qualname__, f) if isinstance(f, types.FunctionType) else f


def _indent(lines: Sequence[str], by: int = 2) -> list[str]:
    return [" " * by + line for line in lines]


def _copies(inputs: Mapping) -> dict:
    """Of arrays, generators, lists and dicts; what is not contiguous in memory stays so."""
    return {name: _copy(v) for name, v in inputs.items()}


def _copy(value):
    if isinstance(value, np.ndarray):
        return value.copy() if value.flags.c_contiguous else strided(value)
    return copy.deepcopy(value) if isinstance(value, np.random.Generator | list | dict) else value


def _fresh(inputs: Mapping) -> list:
    return list(_copies(inputs).values())


@contextlib.contextmanager
def _quiet():
    """No warnings (nbgrader takes anything on stderr for an error), and no kernels that must be compiled first."""
    with np.errstate(all="ignore"), warnings.catch_warnings(), contextlib.redirect_stderr(sys.stdout):
        warnings.simplefilter("ignore")
        with kernels.using("numpy"):
            yield


def _refuse_vacuous(where: str, expected, inputs: Mapping) -> None:
    """Would zeros, any constant, or an input handed back pass for every output that is asked for?"""
    outs = [np.asarray(e) for e in (expected if isinstance(expected, tuple) else (expected,))]
    given = [v for v in inputs.values() if isinstance(v, np.ndarray)]
    for out in outs:
        constant = not out.size or not np.any(out) or (out.size > 1 and np.all(out == out.flat[0]))
        if not constant and not any(v.shape == out.shape and np.array_equal(v, out) for v in given):
            return
    raise VacuousCheck(f"{where}: zeros, a constant, or an input handed back would pass; choose other inputs")
