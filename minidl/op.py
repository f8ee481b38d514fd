"""What a primitive consists of: its forward function, and a rule for each argument that has a derivative."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from operator import itemgetter

from .arrays import describe

REQUIRED = inspect.Parameter.empty
SYNONYMS = {"dim": "axis", "keepdim": "keepdims"}  # PyTorch's words for NumPy's


class Op:
    """Name, parameters, forward and rules of one primitive.

    A rule asks for values by name. The names are resolved here, once, to places in the tuple
    `(out, *arguments, *shapes of the arguments)`, so that recording an operation only picks from a tuple.
    """

    def __init__(self, forward: Callable, elementwise: bool) -> None:
        parameters = inspect.signature(forward).parameters.values()
        self.name, self.forward, self.elementwise = forward.__name__.strip("_"), forward, elementwise
        self.params = [p.name for p in parameters]
        self.defaults = [p.default for p in parameters]
        self.rules: list[Callable | None] = []
        self.needs: list[tuple] = []  # for each rule, the places it names
        self.keeps: list[tuple] = []  # for each rule, the arguments among them
        self.picks: list[Callable] = [functools.partial(self._no_rule, k) for k in range(len(self.params))]
        self.wants_shapes = False

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
        self.wants_shapes = any(place > len(self.params) for need in self.needs for place in need)
        for k, rule in enumerate(rules):
            self.picks[k] = _picker(self.needs[k]) if rule else functools.partial(self._no_rule, k)

    def bind(self, args: tuple, kwargs: dict) -> tuple:
        """All arguments by position, with the defaults filled in."""
        given = dict(zip(self.params, args, strict=False))
        kwargs = {SYNONYMS.get(k, k) if k not in self.params else k: v for k, v in kwargs.items()}
        bound = [kwargs.get(p, given.get(p, default)) for p, default in zip(self.params, self.defaults, strict=True)]
        clash = len(args) > len(self.params) or any(k in given or k not in self.params for k in kwargs)
        if clash or any(value is REQUIRED for value in bound):
            wants = [p if d is REQUIRED else f"{p}={d}" for p, d in zip(self.params, self.defaults, strict=True)]
            got = [*map(describe, args), *(f"{k}={describe(v)}" for k, v in kwargs.items())]
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

    def _no_rule(self, k: int, values: tuple) -> None:
        raise TypeError(
            f"{self.name} has no derivative with respect to its argument '{self.params[k]}'; pass .detach() of it if "
            f"it is meant as a constant, or give {self.name}.vjp(...) a rule for it"
        )


def takes_dim(function: Callable) -> Callable:
    """For functions that are no primitives: `dim` and `keepdim` stand for `axis` and `keepdims` there as well."""

    @functools.wraps(function)
    def called(*args, **kwargs):
        return function(*args, **{SYNONYMS.get(k, k): v for k, v in kwargs.items()} if kwargs else {})

    return called


def _picker(places: tuple) -> Callable:
    """values -> the tuple of those at `places`; itemgetter alone returns a bare value for a single place."""
    if len(places) > 1:
        return itemgetter(*places)
    return itemgetter(slice(places[0], places[0] + 1) if places else slice(0))
