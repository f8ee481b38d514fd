"""What a row of the registry is: a function, how to make arguments for it, and what is known about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

import minidl

Sampler = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Case:
    """One function with one kind of arguments.

    name: as users write it after `minidl.`. function: called as function(*arguments, **kwargs). cells: the arguments; a
    callable among them is a sampler. oracle: a formula in NumPy for the value, called alike, or None. kinked: not
    differentiable everywhere; the samples keep clear of the kinks. flat: the gradient is zero everywhere or there is no
    element, so that a gradient check would be vacuous. constant: places of floating arguments that are not
    differentiated.
    """

    name: str
    function: Callable
    cells: tuple
    kwargs: dict = field(default_factory=dict)
    oracle: Callable | None = None
    kinked: bool = False
    flat: bool = False
    constant: tuple[int, ...] = ()

    def arguments(self, rng: np.random.Generator, dtype=np.float64) -> list:
        """Fresh arguments; arrays are of this dtype, or integers and masks."""
        drawn = [np.asarray(cell(rng)) if callable(cell) else cell for cell in self.cells]
        return [a.astype(dtype) if getattr(a, "dtype", int) == np.float64 else a for a in drawn]

    def differentiable(self) -> list[int]:
        """Places of the arguments that have a gradient."""
        drawn = self.arguments(np.random.default_rng(0))
        return [k for k, a in enumerate(drawn) if getattr(a, "dtype", int) == np.float64 and k not in self.constant]

    def f(self, *arguments):
        """The value for these arguments, arrays or Tensors."""
        return self.function(*arguments, **self.kwargs)

    def expected(self, *arguments) -> np.ndarray:
        """The value by the oracle."""
        return self.oracle(*arguments, **self.kwargs)

    def problem(self, rng: np.random.Generator, dtype=np.float64) -> tuple[Callable, list[np.ndarray]]:
        """A function of differentiable arrays only, and such arrays: what a gradient check needs."""
        arguments, places = self.arguments(rng, dtype), self.differentiable()

        def f(*arrays):
            given = dict(zip(places, arrays, strict=True))
            return self.f(*(given.get(k, a) for k, a in enumerate(arguments)))

        return f, [arguments[k] for k in places]

    def __str__(self) -> str:
        drawn = self.arguments(np.random.default_rng(0))
        cells = [f"{'x'.join(map(str, a.shape)) or 'scalar'}" if isinstance(a, np.ndarray) else f"{a}" for a in drawn]
        return f"{self.name}({', '.join(cells + [f'{k}={v}' for k, v in self.kwargs.items()])})"


CASES: list[Case] = []


def register(name: str, oracle: Callable | None, *rows: list, f: Callable | None = None, **options) -> None:
    """Put a function into the table. A row is a case: its cells, and at the end its keyword arguments in a dict."""
    function = f or minidl
    for part in () if f else name.split("."):
        function = getattr(function, part)
    for row in rows:
        kwargs = row[-1] if isinstance(row[-1], dict) else {}
        CASES.append(Case(name, function, tuple(row[:-1] if kwargs else row), kwargs, oracle, **options))


# --- samplers: a shape -> a function of rng that makes an array ------------------------------------------------------


def normal(*shape: int) -> Sampler:
    """Standard normal."""
    return lambda rng: rng.standard_normal(shape)


def positive(*shape: int) -> Sampler:
    """From 0.5 to 2."""
    return lambda rng: rng.uniform(0.5, 2.0, shape)


def probability(*shape: int) -> Sampler:
    """From 0.1 to 0.9."""
    return lambda rng: rng.uniform(0.1, 0.9, shape)


def distinct(*shape: int, shift: float = 0.1) -> Sampler:
    """Numbers 0.2 apart: no ties among them, nor with zero, nor with those of another shift."""
    return lambda rng: ((rng.permutation(int(np.prod(shape))) - np.prod(shape) // 2) * 0.2 + shift).reshape(shape)


def holes(*shape: int) -> Sampler:
    """Normal numbers, every third of them zero."""
    return lambda rng: rng.standard_normal(shape) * (np.arange(int(np.prod(shape))) % 3 != 1).reshape(shape)


def mask(*shape: int) -> Sampler:
    """True and False."""
    return lambda rng: rng.permutation(np.arange(int(np.prod(shape))) % 2 == 0).reshape(shape)


def integers(high: int, *shape: int) -> Sampler:
    """From 0 to high - 1."""
    return lambda rng: rng.integers(0, high, shape)


def each(cells: list, *rest) -> list[list]:
    """The same arguments, each time followed by another one (or by other keyword arguments)."""
    return [[*cells, last] for last in rest]
