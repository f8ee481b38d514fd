"""What a primitive consists of: its forward function, and a rule for each argument that has a derivative."""

from __future__ import annotations

import functools
import inspect
import linecache
import os
from collections.abc import Callable, Sequence
from types import FunctionType

import numpy as np

from .apply import REQUIRED, written_out
from .arrays import PLAIN, as_result, describe, elementwise_operands, operands
from .mode import mode

SYNONYMS = {"dim": "axis", "keepdim": "keepdims"}  # PyTorch's words for NumPy's


class Op:
    """Name, parameters, forward and rules of one primitive.

    A rule asks for values by name. The names are resolved here, once, to places among
    `(out, *arguments, *shapes of the arguments)`; `apply`, what users call, is written out with them (see apply.py).
    """

    def __init__(self, forward: Callable, elementwise: bool, **engine) -> None:
        parameters = inspect.signature(forward).parameters.values()
        self.name, self.forward, self.elementwise = _name(forward), forward, elementwise
        self.params = [p.name for p in parameters]
        if any(p.kind is not p.POSITIONAL_OR_KEYWORD for p in parameters):
            raise TypeError(f"{self.name}: a primitive takes plain arguments, without * and **, as rules name each")
        self.defaults = [p.default for p in parameters]
        self.rules: list[Callable | None] = []
        self.needs: list[tuple] = []  # for each rule, the places it names
        self.keeps: list[tuple] = []  # for each rule, the arguments among them
        self.namespace = {  # what the code of `apply` finds
            **engine, "op": self, "forward": forward, "defaults": self.defaults, "REQUIRED": REQUIRED, "mode": mode,
            "ndarray": np.ndarray, "as_result": as_result, "plain": PLAIN - {tuple} if elementwise else PLAIN,
            "operands": elementwise_operands if elementwise else operands,
        }  # fmt: skip
        self.apply = functools.update_wrapper(FunctionType(_write_out_first.__code__, self.namespace), forward)
        self.apply.op, self.apply.vjp = self, self.add_rules
        self.namespace["apply"] = self.apply

    def add_rules(self, *rules: Callable | None) -> None:
        """One rule per argument, in order; None for an argument without a derivative."""
        if len(rules) > len(self.params):
            raise TypeError(f"{self.name} has the arguments {self.params} but was given {len(rules)} rules")
        places = ["out", *self.params, *(f"{p}_shape" for p in self.params)]
        needs = [list(inspect.signature(rule).parameters)[1:] if rule else [] for rule in rules]
        unknown = sorted({name for names in needs for name in names} - set(places))
        if unknown:
            raise TypeError(
                f"a rule of {self.name} asks for {unknown}; after the gradient, a rule may name any of {places}"
            )
        self.rules = list(rules)
        self.needs = [tuple(places.index(name) for name in names) for names in needs]
        self.keeps = [tuple(p - 1 for p in need if 0 < p <= len(self.params)) for need in self.needs]
        self.apply.__code__, self.apply.__defaults__ = _write_out_first.__code__, None

    def saved(self, k: int, values: Sequence) -> tuple:
        """Of `(out, *arguments, *their shapes)`, what the rule of argument k names."""
        return tuple(values[place] for place in self.needs[k])

    def source(self) -> str:
        """The code that a call of this operation runs."""
        return written_out(self)

    def write_out(self) -> Callable:
        """Make `apply` that code. Debuggers and tracebacks find its lines."""
        source, file = self.source(), os.path.join(os.path.dirname(__file__), f"<{self.name}>")
        found: dict[str, Callable] = {}
        exec(compile(source, file, "exec"), self.namespace, found)
        (written,) = found.values()
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        self.apply.__defaults__, self.apply.__code__ = written.__defaults__, written.__code__
        return self.apply

    def bind(self, args: tuple, kwargs: dict) -> tuple:
        """All arguments by position, with the defaults filled in."""
        known = zip(self.params, args, self.defaults, strict=False)
        given = {p: value for p, value, default in known if value is not default}
        kwargs = {SYNONYMS.get(k, k) if k not in self.params else k: v for k, v in kwargs.items()}
        bound = [kwargs.get(p, given.get(p, default)) for p, default in zip(self.params, self.defaults, strict=True)]
        clash = len(args) > len(self.params) or any(k in given or k not in self.params for k in kwargs)
        if clash or any(value is REQUIRED for value in bound):
            wants = [p if d is REQUIRED else f"{p}={d}" for p, d in zip(self.params, self.defaults, strict=True)]
            got = [describe(a) for a in args if a is not REQUIRED]
            got += [f"{k}={describe(v)}" for k, v in kwargs.items()]
            raise TypeError(f"{self.name}({', '.join(wants)}) was called as {self.name}({', '.join(got)})")
        return tuple(bound)

    def explained(self, error: Exception, values: Sequence) -> Exception:
        """The error that the forward raised, with the operation's name and what it was given."""
        if getattr(error, "explained", False):
            return error
        given = ", ".join(f"{p}: {describe(v)}" for p, v in zip(self.params, values, strict=True))
        kind = next(k for k in (IndexError, ValueError, TypeError) if isinstance(error, k))
        explained = kind(f"{self.name}: {str(error).removeprefix(self.name + ': ')} ({given})")
        explained.explained = True
        return explained

    def refuse(self, k: int) -> None:
        """The error for an argument that wants a gradient, but there is no rule for it."""
        raise TypeError(
            f"{self.name} has no derivative with respect to its argument '{self.params[k]}'; pass .detach() of it if "
            f"it is meant as a constant, or give {self.name}.vjp(...) a rule for it"
        )


def _name(forward: Callable) -> str:
    """What errors and pictures call the operation."""
    if forward.__name__ == "<lambda>":
        return f"lambda of line {forward.__code__.co_firstlineno}"
    return forward.__name__.strip("_")


def _write_out_first(*args, **kwargs):
    return op.write_out()(*args, **kwargs)  # noqa: F821 - this code runs in the namespace of an operation


def takes_dim(function: Callable) -> Callable:
    """For functions that are no primitives: `dim` and `keepdim` stand for `axis` and `keepdims` there as well."""

    @functools.wraps(function)
    def called(*args, **kwargs):
        return function(*args, **{SYNONYMS.get(k, k): v for k, v in kwargs.items()} if kwargs else {})

    return called
