"""A pair of NumPy functions, forward and backward, as a subject of the check.

Whatever these functions do or return becomes a finding: they may be a student's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from .report import Finding, Unfit
from .returned import as_numbers
from .subject import Subject, is_array, name_of, named_inputs, not_floating, overwrites, raised

ndarray = np.ndarray


class Pair(Subject):
    """A NumPy function `forward` and the `backward` that claims to be its gradient.

    forward(*inputs) -> output(s), or (output(s)..., cache); backward(*upstream, cache) or backward(*upstream, *inputs)
    -> the gradients. With a reference, the outputs are the reference's, and only the cache is that of forward.
    """

    def __init__(
        self, forward: Callable | None, backward: Callable, inputs, reference: Callable | None = None,
        cache: bool | None = None, wrt: str | Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        named = named_inputs(reference or forward, inputs)
        self.inputs = {name: np.array(getattr(v, "_array", v)) if is_array(v) else v for name, v in named}
        self.names = [name for name, v in self.inputs.items() if is_array(v) and v.dtype.kind == "f"]
        self.values = [self.inputs[name].astype(np.float64) for name in self.names]
        self.constants = [v for v in self.inputs.values() if is_array(v) and v.dtype.kind != "f"]
        self.wrt = self.names if wrt is None else _chosen(wrt, self.names)
        self.caching, self.truth, self.back, self.cache = forward, reference or forward, backward, cache
        self.name = name_of(backward, "backward")
        self.overwritten: list[Finding] = []  # what the latest call of the pair has written into
        self.refused: dict[str, Finding] = {}  # what it returned that is no gradient, and why

    @contextmanager
    def prepared(self) -> Iterator[None]:
        yield

    def judged(self) -> list[int]:
        return [k for k, name in enumerate(self.names) if name in self.wrt]

    def forward(self, values: list) -> list[ndarray]:
        outs = []
        for out in self._call(self.truth, self._arguments(values))[0]:
            out = as_numbers(out, None)
            if isinstance(out, Finding):
                raise Unfit(replace(out, what=f"forward returned {out.what}"))
            if out.dtype.kind != "f":
                raise Unfit(not_floating("forward", out))
            outs.append(out)
        return outs

    def vjp(self, values: list, upstream: list) -> list[ndarray | None]:
        args, given = self._arguments(values), [u.copy() for u in upstream]
        cache = () if self.caching is None else self._call(self.caching, args)[1]
        try:
            grads = self.back(*given, *(cache or args))
        except (Exception, SystemExit) as error:
            raise Unfit(raised("backward", error)) from error
        grads, self.overwritten = self._in_order(grads), []
        if not all(np.array_equal(u, v) for u, v in zip(upstream, given, strict=True)):
            self.overwritten.append(overwrites("backward", "the upstream gradient it is given"))
        for name, old, new in zip(self.inputs, self._arguments(values), args, strict=True):
            if is_array(old) and not np.array_equal(new, old):
                self.overwritten.append(overwrites("the pair", f"the input '{name}'"))
        return grads

    def unsteady(
        self, right: list[int], claims: list, upstream: list, tolerance: float, rng: np.random.Generator
    ) -> dict[int, Finding]:
        """A gradient is the same twice, and linear: what is right for a random upstream gradient is right for all."""
        found: dict[int, Finding] = {}
        if right:
            other = [10 * rng.standard_normal(u.shape) for u in upstream]
            theirs = self.vjp(self.values, other)
        for a, b, finding in ((1.0, 0.0, CHANGING), (2.0, -0.7, NOT_LINEAR)) if right else ():
            mixed = self.vjp(self.values, [a * u + b * v for u, v in zip(upstream, other, strict=True)])
            for k in right:
                if not _is_sum(mixed[k], a, claims[k], b, theirs[k], tolerance):
                    found.setdefault(k, finding)
        return found

    def _arguments(self, values: list) -> list:
        """Fresh copies of all inputs, with these values."""
        fresh = dict(zip(self.names, values, strict=True))
        return [np.array(fresh.get(name, v)) if is_array(v) else v for name, v in self.inputs.items()]

    def _call(self, f: Callable, args: list) -> tuple[list, tuple]:
        """(outputs, (cache,)) of a forward function; () if there is no cache."""
        try:
            result = f(*args)
            caches = self._caches(result)
        except (Exception, SystemExit) as error:
            raise Unfit(raised("forward", error)) from error
        several = isinstance(result, tuple | list)
        if not caches or (not several and f is not self.caching):
            return list(result) if several else [result], ()
        if not several or len(result) < 2:
            raise Unfit(Finding(
                "no_cache", f"forward returned {type(result).__name__}, not (output, cache)",
                "the cache is left out of what forward returns", "the return of forward",
            ))  # fmt: skip
        return list(result[:-1]), (result[-1],)

    def _caches(self, result) -> bool:
        """Does the result end with a cache? What is no floating array is one; else backward's signature decides."""
        if self.cache is not None or not isinstance(result, tuple) or len(result) < 2:
            return bool(self.cache)
        if not is_array(result[-1]) or result[-1].dtype.kind != "f":
            return True
        return len(inspect.signature(self.back).parameters) == len(result)

    def _in_order(self, grads) -> list[ndarray | None]:
        """The returned gradients in the order of `names`; `refused` says what is wrong with those that are none.

        By name, by place among the inputs or among the arrays; or of those alone that are asked for.
        """
        wanted = [self.names[k] for k in self.judged()]
        bare = isinstance(grads, list) and len(self.names) == 1 and not any(is_array(g) for g in grads)
        parts = list(grads) if isinstance(grads, tuple | list | dict) and not bare else [grads]
        order = next((o for o in (wanted, list(self.inputs)) if len(o) == len(parts)), self.names)
        if isinstance(grads, dict):
            given = grads
        elif len(parts) > len(order):
            what = f"backward returned {len(parts)} gradients for {len(self.names)} array(s): {', '.join(self.names)}"
            raise Unfit(Finding("count", what, "what is returned does not match the inputs", "the return of backward"))
        else:
            given = dict(zip(order, parts, strict=False))
        self.refused, arrays = {}, [None] * len(self.names)
        for k in self.judged():
            name, g = self.names[k], given.get(self.names[k])
            found = None if g is None else as_numbers(g, self.values[k].shape)
            if isinstance(found, Finding):
                self.refused[name] = found
            elif found is None and isinstance(grads, dict) and name not in grads:
                self.refused[name] = _other_keys(grads, self.names)
            else:
                arrays[k] = found
        return arrays


def _is_sum(r, a: float, p, b: float, q, tolerance: float) -> bool:
    """r = a p + b q? Not if one of them is no array, has another shape, or holds a NaN."""
    if r is None or q is None or not r.shape == p.shape == q.shape:
        return False
    size = max(np.abs(part).max(initial=0.0) for part in (p, q, r))
    return bool(np.abs(a * p + b * q - r).max(initial=0.0) <= tolerance * size)


def _chosen(wrt: str | Sequence[str], names: list[str]) -> list[str]:
    """The names of wrt, checked."""
    chosen = [wrt] if isinstance(wrt, str) else list(wrt)
    unknown = [name for name in chosen if name not in names]
    if unknown or not chosen:
        raise ValueError(
            f"gradcheck_pair: wrt={wrt!r} must name inputs of a floating dtype; there are {', '.join(names) or 'none'}"
        )
    return chosen


def _other_keys(grads: dict, names: list[str]) -> Finding:
    keys = ", ".join(repr(key) for key in grads if type(key) is str) or "none"
    return Finding(
        "missing", "no gradient was returned for it",
        f"the keys of the dict that backward returns are {keys}; they must be the names of the inputs, "
        f"{', '.join(map(repr, names))}", "the return",
    )  # fmt: skip


CHANGING = Finding(
    "random", "backward is not the same twice: two calls with the same arguments differ",
    "random numbers are drawn in it, or something is kept from call to call: a counter, a mean, a used-up cache",
    "make backward a function of its arguments alone; draw in forward, and keep the draw in the cache",
)  # fmt: skip
NOT_LINEAR = Finding(
    "not_linear", "right for one upstream gradient, but not proportional to it",
    "the upstream gradient enters through a condition, a clip or a power, or something is kept from call to call",
    "every use of the upstream gradient",
)  # fmt: skip
