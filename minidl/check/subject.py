"""What is checked: a function of arrays, and the gradient it claims to have.

A function of Tensors (or a Module) has the engine's gradient. The gradient of such a function is a function again, so
that second order is first order once more. For a pair of NumPy functions see `pair`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from .. import random
from ..arrays import describe
from ..engine import Tensor, grad
from ..memory import Memory
from .report import Finding, Unfit

ndarray = np.ndarray


class Subject:
    """Names and values (float64) of what is differentiated, `forward` and `vjp`."""

    name: str
    names: list[str]
    values: list[ndarray]
    refused: dict[str, Finding] = {}  # noqa: RUF012 - claims of the latest vjp that are no gradients, and why

    def judged(self) -> list[int]:
        """The places of the values whose gradients are compared."""
        return list(range(len(self.names)))

    def unsteady(
        self, right: list[int], claims: list, upstream: list, tolerance: float, rng: np.random.Generator
    ) -> dict[int, Finding]:
        """Those of the right gradients that would not be right for another upstream gradient, or not again."""
        return {}

    def forward(self, values: list) -> list[ndarray]:
        """The outputs at these values."""
        raise NotImplementedError

    def vjp(self, values: list, upstream: list) -> list[ndarray | None]:
        """The claimed gradient of <upstream, outputs> for each value."""
        raise NotImplementedError

    def along(self, k: int) -> Callable[[ndarray], list[ndarray]]:
        """The outputs as a function of value k alone."""
        return lambda x: self.forward([*self.values[:k], x, *self.values[k + 1 :]])


class TensorFunction(Subject):
    """A function of Tensors, or a Module with its parameters. Every evaluation starts from the same state."""

    def __init__(self, f: Callable, inputs, params=None, freeze: bool = False) -> None:
        if not callable(f):
            raise TypeError(f"gradcheck needs a function of Tensors or a Module, not {describe(f)}")
        self.f, self.freeze, self.modules = f, freeze, [m for m in (f, params) if hasattr(m, "named_parameters")]
        self.name = getattr(f, "__name__", type(f).__name__).replace("<lambda>", "f")
        self.values: list[ndarray] = []
        self.names: list[str] = []
        self.args, self.kwargs, self.constants = (), {}, []
        for name, value in named_inputs(getattr(f, "forward", f), inputs):
            value = self._collect(name, value)
            if isinstance(inputs, dict):
                self.kwargs[name] = value
            else:
                self.args += (value,)
        self.params = _named_params(f, params)
        self.names += self.params
        self.values += [p._array.astype(np.float64) for p in self.params.values()]

    def _collect(self, name: str, value):
        """Leave a place for every floating array; the rest is passed on as it is."""
        array = getattr(value, "_array", value)
        if isinstance(value, list | tuple) and any(isinstance(v, Tensor | ndarray | list | tuple) for v in value):
            return type(value)([self._collect(f"{name}[{i}]", v) for i, v in enumerate(value)])
        if isinstance(value, list) and value and all(isinstance(v, float) for v in value):
            array = np.array(value)
        if isinstance(array, ndarray) and array.dtype.kind == "c":
            raise TypeError(f"gradcheck: '{name}' is complex, {describe(array)}; check its real and imaginary parts")
        if not isinstance(array, ndarray) or array.dtype.kind != "f":
            if isinstance(array, ndarray):
                self.constants.append(array)
            return value
        self.names.append(name)
        self.values.append(array.astype(np.float64))
        return _Place(len(self.values) - 1)

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Float64 inside; afterwards parameters, buffers and random streams are as before, whatever happens."""
        parameters = list(dict.fromkeys(p for m in self.modules for p in m.parameters()))
        held = [(vars(m), n) for root in self.modules for m in root.modules() for n in m._buffers]
        self.buffers = [(home, n, home[n], _double(home[n]._array)) for home, n in held if home[n] is not None]
        tensors = [*parameters, *self.params.values(), *(t for _, _, t, _ in self.buffers)]
        before = [(t, t._array, t._memory) for t in tensors]
        self.streams = random.get_state()
        try:
            for t, array, _ in before:
                t._array, t._memory = _double(array), Memory()
            yield
        finally:
            for t, array, memory in before:
                t._array, t._memory = array, memory
            for home, n, t, _ in self.buffers:
                home[n] = t
            random.set_state(self.streams)

    def run(self, values: list, create: bool = False) -> tuple[list[Tensor], list[Tensor]]:
        """The leaves and the floating outputs."""
        for home, n, t, array in self.buffers:
            home[n], t._array = t, array.copy()
        if self.freeze:
            random.set_state(self.streams)
        n = len(values) - len(self.params)
        leaves = [Tensor(v, requires_grad=True) for v in values[:n]]
        for p, v in zip(self.params.values(), values[n:], strict=True):
            p._array = v.copy()
        args, kwargs = _fill(self.args, leaves), _fill(self.kwargs, leaves)
        try:
            result = self.f(*args, **kwargs)
        except Exception as error:
            raise Unfit(raised("f", error)) from error
        return leaves + list(self.params.values()), _outputs(result)

    def forward(self, values: list) -> list[ndarray]:
        return [np.asarray(out._array, np.float64) for out in self.run(values)[1]]

    def vjp(self, values: list, upstream: list) -> list[ndarray | None]:
        leaves, outs = self.run(values, create=True)
        return [g if g is None else g._array for g in backward(leaves, outs, upstream)]

    def gradient(self, upstream: list) -> Gradient:
        """The gradient as a function of the values and the upstream gradient."""
        return Gradient(self, upstream)


class Gradient(TensorFunction):
    """values, upstream -> the gradient of <upstream, outputs> for each of the values."""

    def __init__(self, of: TensorFunction, upstream: list) -> None:
        self.of, self.name, self.constants = of, of.name, of.constants
        labels = [f"upstream gradient {i}" if i else "upstream gradient" for i in range(len(upstream))]
        self.names = of.names + [label if label not in of.names else f"second {label}" for label in labels]
        self.values = of.values + upstream

    def run(self, values: list, create: bool = False) -> tuple[list[Tensor], list[Tensor]]:
        n = len(self.of.values)
        leaves, outs = self.of.run(values[:n], create=True)
        seeds = [Tensor(u, requires_grad=True) for u in values[n:]]
        grads = backward(leaves, outs, seeds, create)
        filled = [Tensor(np.zeros(x.shape)) if g is None else g for x, g in zip(leaves, grads, strict=True)]
        return leaves + seeds, filled


def backward(leaves: list, outs: list, upstream: list, create: bool = False) -> list[Tensor | None]:
    """The engine's gradients, None where an output does not depend on a leaf."""
    live = [(out, u) for out, u in zip(outs, upstream, strict=True) if out.requires_grad]
    if not live:
        return [None] * len(leaves)
    heads, seeds = zip(*live, strict=True)
    try:
        return list(grad(heads, leaves, seeds, create_graph=create, allow_unused=True))
    except Exception as error:
        raise Unfit(raised("backward", error)) from error


def named_inputs(f: Callable, inputs) -> list[tuple[str, object]]:
    """(name, value) for each argument; names from f's signature."""
    if isinstance(inputs, dict):
        return list(inputs.items())
    numbers = isinstance(inputs, list) and all(isinstance(v, float | int) for v in inputs)
    inputs = list(inputs) if isinstance(inputs, tuple | list) and not numbers else [inputs]
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][: len(inputs)]
    rest = next((p.name for p in parameters if p.kind == p.VAR_POSITIONAL), "input")
    names += [f"{rest}[{i}]" for i in range(len(inputs) - len(names))]
    return list(zip(names, inputs, strict=True))


def _named_params(f, params) -> dict[str, Tensor]:
    """The parameters to check, by name: those of a Module, and those given."""
    found: list[tuple[str, Tensor]] = []
    for module in (f, params):
        if hasattr(module, "named_parameters"):
            found += [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    if not isinstance(params, Tensor | dict | list | tuple | None) and not hasattr(params, "named_parameters"):
        raise TypeError(f"gradcheck: params must be a list or dict of Tensors, or a Module, not {describe(params)}")
    if isinstance(params, Tensor | dict | list | tuple):
        given = params.items() if isinstance(params, dict) else [params] if isinstance(params, Tensor) else params
        found += [p if isinstance(p, tuple) else (f"params[{i}]", p) for i, p in enumerate(given)]
    for name, p in found:
        if not isinstance(p, Tensor) or not p.is_leaf or not p.requires_grad:
            raise TypeError(f"gradcheck: params: '{name}' must be a leaf that requires a gradient, not {describe(p)}")
    return {name: p for i, (name, p) in enumerate(found) if all(p is not q for _, q in found[:i])}


class _Place(int):
    """Where a leaf goes among the arguments."""


def _fill(structure, leaves: list):
    if isinstance(structure, _Place):
        return leaves[structure]
    if isinstance(structure, list | tuple):
        return type(structure)([_fill(s, leaves) for s in structure])
    return {k: _fill(s, leaves) for k, s in structure.items()} if isinstance(structure, dict) else structure


def _outputs(result) -> list[Tensor]:
    parts = result.values() if isinstance(result, dict) else result if isinstance(result, tuple | list) else [result]
    tensors = [t for t in parts if isinstance(t, Tensor)]
    floating = [t for t in tensors if t.dtype.kind == "f"]
    if not tensors:
        raise Unfit(Finding(
            "no_tensor", f"f returned {describe(next(iter(parts), None))}, not a Tensor",
            "the values left the graph: .numpy(), .data, .item(), float() or a NumPy function", "what f returns",
        ))  # fmt: skip
    if not floating:
        raise Unfit(not_floating("f", tensors[0]))
    return floating


def not_floating(who: str, out) -> Finding:
    return Finding(
        "not_floating", f"{who} returned {describe(out)}: integers have no gradient",
        "a cast to integers, an argmax or a comparison inside", "the dtype of each step",
    )  # fmt: skip


def overwrites(who: str, what: str) -> Finding:
    return Finding(
        "overwrites", f"{who} writes into {what}",
        "an in-place operation (+=, *=, out=, a[...] = ...) on memory that others still need; the gradient of whatever "
        "else uses it is then wrong", "in-place operations; make a new array instead",
    )  # fmt: skip


def name_of(f, otherwise: str) -> str:
    """What a function is called in a report."""
    name = getattr(f, "__name__", type(f).__name__)
    return name if name.isidentifier() else otherwise


def raised(who: str, error: Exception) -> Finding:
    """The finding for an exception in the function under test."""
    try:
        message = str(error)
    except Exception:  # a student's own class of exception
        message = "(its message cannot be shown)"
    return Finding("raised", f"{who} raised {type(error).__name__}: {message}", "see the message", "the traceback")


def is_array(v) -> bool:
    return isinstance(v, ndarray | Tensor)


def _double(array: ndarray) -> ndarray:
    return array.astype(np.float64) if array.dtype.kind == "f" else array.copy()
