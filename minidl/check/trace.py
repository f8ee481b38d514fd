"""Looking into the function under test: what was recorded, where the graph ends, and whose rule is to blame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import engine
from ..anomaly import caller, place_of
from ..engine import Tensor
from .numeric import sizes
from .pair import Pair
from .report import Finding
from .subject import TensorFunction, backward


@dataclass
class Call:
    """One operation that f performed."""

    op: engine.Op
    args: tuple
    result: Tensor
    where: str

    def __str__(self) -> str:
        return f"`{self.op.name}` ({self.where})"


class Trace:
    """An observer: every operation in order, and every gradient that the rules returned."""

    def __init__(self, f: Callable | None = None) -> None:
        self.primitive = getattr(f, "op", None)  # the function under test, if it is an operation itself
        self.calls: list[Call] = []
        self._gradients: list[tuple] = []  # (array, a copy of it, name of the operation that receives it)

    def __enter__(self) -> Trace:
        engine._observers.append(self)
        return self

    def __exit__(self, *_) -> None:
        engine._observers[:] = [o for o in engine._observers if o is not self]

    def forward(self, op, args: tuple, result: Tensor) -> None:
        self.calls.append(Call(op, args, result, caller()))

    def backward(self, node, k: int, gradient) -> None:
        parent = next(p for j, p, _ in node.edges if j == k)
        if isinstance(gradient, np.ndarray):
            self.keep(gradient, parent.op.name if isinstance(parent, engine.Node) else "a leaf")

    def keep(self, gradient: np.ndarray, receiver: str) -> None:
        self._gradients.append((gradient, gradient.copy(), receiver))

    def overwriter(self) -> str | None:
        """The operation whose rule wrote into the gradient that it was given."""
        for array, copy, receiver in reversed(self._gradients):
            if not np.array_equal(array, copy, equal_nan=True):
                return receiver
        return None

    def float32(self) -> Call | None:
        """The first operation that turns double precision into single on the way from an input to the result."""
        for call in self.calls:
            if call.result.requires_grad and call.result.dtype.itemsize < 8:
                return call
        return None


def observe(subject: TensorFunction, upstream: list) -> tuple[Trace, list[Tensor], list[Tensor]]:
    """One forward and backward pass, watched: (trace, leaves, outputs)."""
    trace = Trace(getattr(subject, "f", None))
    with trace:
        leaves, outs = subject.run(subject.values, create=True)
        for out in outs:
            if out.requires_grad and out._node is not None:
                out.register_hook(lambda g, name=out._node.op.name: trace.keep(g._array, name))
        forward = len(trace.calls)
        backward(leaves, outs, upstream)
    del trace.calls[forward:]
    return trace, leaves, outs


def cut(trace: Trace, leaf: Tensor, outs: list[Tensor]) -> Finding | None:
    """Where values that depend on `leaf` go on as constants, and after which operation."""
    live: dict[int, Call | None] = {id(leaf): None}  # tensors that depend on the leaf -> the operation that made them
    owners: dict[int, Call | None] = {id(_root(leaf._array)): None}  # and the memory they live in
    cuts: list[tuple[Call | None, str]] = []
    last = None
    for call in trace.calls:
        parents = [live[id(a)] for a in call.args if id(a) in live]
        constants = [getattr(a, "_array", a) for a in call.args if not getattr(a, "requires_grad", False)]
        met = [owners[id(_root(a))] for a in constants if isinstance(a, np.ndarray) and id(_root(a)) in owners]
        if met:
            cast = call.op.name == "astype" and call.result.dtype.kind in "iub"
            how = f"a cast to integers, {call}" if cast else f"detach(), .data or .numpy(): {call} was given a constant"
            cuts.append((met[0], how))
        if parents and call.result.requires_grad:
            live[id(call.result)] = owners[id(_root(call.result._array))] = last = call
        elif parents:
            cuts.append((parents[0], f"no_grad() (or requires_grad switched off): {call} was not recorded"))
    connected = any(id(out) in live for out in outs)
    if not cuts:
        used = _ancestors(trace, outs)
        cuts = [(c, "") for c in live.values() if c and id(c.result) not in used][-1:]
    if connected and not cuts:
        return None
    before, how = cuts[0] if connected else next((c for c in cuts if c[0] is last), (last, ""))
    return Finding(
        "cut",
        f"the graph is cut {f'after {before}' if before else 'at the input itself, before any operation'}",
        how or "detach(), .numpy(), .data, .item(), float(), a NumPy function, a cast to integers, or no_grad()",
        "the line that uses this result; stay with minidl's functions on the Tensor itself",
    )


def moving(subject: TensorFunction, k: int, trace: Trace, outs: list[Tensor]) -> Finding | None:
    """A constant of f that changes when value k does: a path around the graph.

    If each rule is right by itself, and the gradient is not, then this is what is left.
    """
    moved = [x + 1e-3 * sizes(x) if j == k else x for j, x in enumerate(subject.values)]
    again, used = Trace(), _ancestors(trace, outs)
    with again:
        subject.run(moved, create=True)
    if [call.op for call in again.calls] != [call.op for call in trace.calls]:
        return None
    for call, other in zip(trace.calls, again.calls, strict=True):
        for param, a, b in zip(call.op.params, call.args, other.args, strict=True):
            if param == "found" or id(call.result) not in used or getattr(a, "requires_grad", False):
                continue
            a, b = (np.asarray(getattr(v, "_array", v)) for v in (a, b))
            if a.dtype.kind == "f" and not np.array_equal(a, b, equal_nan=True):
                return Finding(
                    "cut", f"a path from '{subject.names[k]}' is cut: {call} was given a constant that changes with it",
                    "detach(), .numpy(), .data, .item(), float(), a NumPy function, or no_grad(): what depends on the "
                    "input goes around the graph", f"what is given to `{call.op.name}` for '{param}'; stay with "
                    "minidl's functions on the Tensor itself",
                )  # fmt: skip
    return None


def _ancestors(trace: Trace, outs: list[Tensor]) -> set[int]:
    """Everything that the outputs were made from, as far as it was recorded."""
    used = {id(out) for out in outs}
    for call in reversed(trace.calls):
        if id(call.result) in used:
            used.update(id(a) for a in call.args if isinstance(a, Tensor))
    return used


def _root(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def culprit(trace: Trace, order: int, check: Callable, rng: np.random.Generator) -> tuple[str, Finding] | None:
    """The first operation of f whose own rule is wrong, found by checking each alone, and what is wrong with it.

    First order: the rule against differences of the operation. Second: the rule, as a function, against its own
    differences.
    """
    seen = set()
    for call in trace.calls:
        if "found" in call.op.params and call.op.forward.__module__.startswith("minidl."):
            continue  # what the library computed before the call does not depend on its argument, looked at alone
        arrays = [getattr(a, "_array", a) for a in call.args]
        values = (call.result._array, *arrays, *(getattr(a, "shape", ()) for a in arrays))
        for k, a in enumerate(call.args):
            if not (isinstance(a, Tensor) and a.requires_grad) or k >= len(call.op.rules) or not call.op.rules[k]:
                continue
            if (call.op, k) in seen or len(seen) > 100:
                continue
            seen.add((call.op, k))
            saved = call.op.saved(k, values)
            if order == 1:
                report = check(_rule_alone(call.op, k, arrays, saved), 1)
            else:
                g = rng.standard_normal(call.result.shape)
                report = check(TensorFunction(call.op.rules[k], (g, *saved)), order - 1)
            if report.failed or any(p.key in ("raised", "overwrites") for p in report.problems):
                finding = (report.problems or [report.failed[0].finding])[0]
                here = call.op is trace.primitive and hasattr(call.op.rules[k], "__code__")
                place = place_of(call.op.rules[k]) if here else call.where
                what = f"the rule of `{call.op.name}` ({place}) for '{call.op.params[k]}'"
                if order > 1 and report.failed:
                    what += f", differentiated with respect to '{report.failed[0].name}'"
                return what, finding
    return None


def _rule_alone(op, k: int, arrays: list, saved: tuple) -> Pair:
    """Argument k of one operation and its rule, as a pair of NumPy functions."""

    def forward(x):
        return np.asarray(op.forward(*arrays[:k], x, *arrays[k + 1 :]))

    def back(g, x):
        dx = np.asarray(op.rules[k](g, *saved))
        return engine.unbroadcast(dx, x.shape) if op.elementwise and dx.shape != x.shape else dx

    return Pair(forward, back, {op.params[k]: arrays[k].astype(np.float64)})
