"""Where does the NaN come from? `detect_anomaly` names the first operation that makes one.

    with minidl.detect_anomaly():
        loss = criterion(model(x), y)
        loss.backward()

raises at the operation itself, in forward or in backward, with its shapes and the line of your code that called it.
"""

from __future__ import annotations

import contextlib
import functools
import linecache
import os
import sys
from collections.abc import Iterator
from types import CodeType

import numpy as np

from . import engine
from .arrays import describe

_FOLDERS = (os.path.dirname(__file__) + os.sep, os.path.dirname(np.__file__) + os.sep)
_LIBRARY = (*_FOLDERS, contextlib.__file__, functools.__file__)  # frames of these files are not the user's
_REMEMBERED = 200_000  # calls of which the line is known; older ones are forgotten


class AnomalyError(RuntimeError):
    """An operation made a NaN or an infinity."""


@contextlib.contextmanager
def detect_anomaly() -> Iterator[None]:
    """Inside the block, raise AnomalyError as soon as an operation makes a NaN, or an infinity from finite numbers.

    The error names the operation, its arguments with dtype and shape, and the user's file and line: for a rule of
    backward that of the forward call. NumPy's own warnings are silent inside, because the error says more. Infinities
    that are put in on purpose (a mask of -inf) are no anomaly; a NaN in the data is, once an operation passes it on.
    Slow, since every result is searched; outside the block it costs nothing.

    Idea: `torch.autograd.set_detect_anomaly`, Paszke et al., "PyTorch", NeurIPS 2019.

    >>> import minidl
    >>> with minidl.detect_anomaly():
    ...     minidl.Tensor([0.0, 1.0]).log()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    minidl.anomaly.AnomalyError: log made -inf: 1 of 2 elements, the first at [0]...
    """
    detective = Detective()
    engine._observers.append(detective)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        engine._observers[:] = [o for o in engine._observers if o is not detective]


class Detective:
    """An observer of the engine that looks for NaN and infinity."""

    def __init__(self) -> None:
        self.calls: dict[int, str] = {}  # birth of a node -> where it was called and with what

    def forward(self, op, args: tuple, result) -> None:
        out = result._array
        if result._node is not None:
            if len(self.calls) >= _REMEMBERED:
                self.calls = dict(list(self.calls.items())[_REMEMBERED // 2 :])
            self.calls[result._node.birth] = f"{_call(op, args)}\n{caller()}"
        if out.dtype.kind != "f" or np.isfinite(out).all():
            return
        given = {p: getattr(a, "_array", a) for p, a in zip(op.params, args, strict=True)}
        given = {p: a for p, a in given.items() if isinstance(a, float) or _is_floating(a)}
        source = [p for p, a in given.items() if np.isnan(a).any()]
        if np.isnan(out).any() and source:
            raise AnomalyError(
                f"{op.name} was given NaN: no operation in this block made its argument '{source[0]}'; look at the "
                f"data, the parameters and what was computed before\n{_call(op, args)}\n{caller()}"
            )
        if np.isnan(out).any() or all(np.isfinite(a).all() for a in given.values()):
            raise AnomalyError(f"{op.name} made {_found(out)}\n{_call(op, args)}\n{caller()}")

    def backward(self, node, k: int, gradient) -> None:
        g = getattr(gradient, "_array", gradient)
        if not np.isfinite(g).all():
            where = self.calls.get(node.birth, "forward call: made before detect_anomaly() was entered")
            raise AnomalyError(
                f"backward: the rule of {node.op.name} for '{node.op.params[k]}' made {_found(g)}\nin forward, {where}"
            )


def _is_floating(a) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def _found(out: np.ndarray) -> str:
    """nan: 1 of 6 elements, the first at [0, 2]."""
    bad = np.isnan(out) if np.isnan(out).any() else np.isinf(out)
    first = np.argwhere(bad)[0].tolist()
    return f"{out[tuple(first)]}: {int(bad.sum())} of {out.size} elements, the first at {first}"


def _call(op, args: tuple) -> str:
    return f"called as {op.name}({', '.join(f'{p}: {describe(a)}' for p, a in zip(op.params, args, strict=False))})"


def caller() -> str:
    """The user's file and line: the innermost frame outside of this library (and of NumPy and contextlib)."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_LIBRARY):
        frame = frame.f_back
    return _place(frame.f_code, frame.f_lineno, f", in {frame.f_code.co_name}")


def place_of(function) -> str:
    """The file and line where a function of the user's begins."""
    return _place(function.__code__, function.__code__.co_firstlineno)


def _place(code: CodeType, line: int, inside: str = "") -> str:
    file, text = code.co_filename, linecache.getline(code.co_filename, line).strip()
    if "ipykernel_" in file:  # a temporary file, of which the reader of a notebook knows nothing
        file = "a notebook cell"
    return f"{file}, line {line}{inside}" + (f": {text}" if text else "")
