"""A pair of NumPy functions, forward and backward, as a subject of the check."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from .report import Finding, Unfit
from .subject import Subject, is_array, named_inputs, not_floating, overwrites, raised

ndarray = np.ndarray


class Pair(Subject):
    """A NumPy function `forward` and the `backward` that claims to be its gradient.

    forward(*inputs) -> output(s), or (output(s)..., cache); backward(*upstream, cache) or backward(*upstream, *inputs)
    -> the gradients. With a reference, the outputs are the reference's, and only the cache is that of forward.
    """

    def __init__(self, forward: Callable | None, backward: Callable, inputs, reference=None, cache=None) -> None:
        named = named_inputs(reference or forward, inputs)
        self.inputs = {name: np.array(getattr(v, "_array", v)) if is_array(v) else v for name, v in named}
        self.names = [name for name, v in self.inputs.items() if is_array(v) and v.dtype.kind == "f"]
        self.values = [self.inputs[name].astype(np.float64) for name in self.names]
        self.constants = [v for v in self.inputs.values() if is_array(v) and v.dtype.kind != "f"]
        self.caching, self.truth, self.back, self.cache = forward, reference or forward, backward, cache
        self.name = getattr(backward, "__name__", "backward").replace("<lambda>", "backward")
        self.overwritten: list[Finding] = []  # what the latest call of the pair has written into

    @contextmanager
    def prepared(self) -> Iterator[None]:
        yield

    def forward(self, values: list) -> list[ndarray]:
        return self._call(self.truth, self._arguments(values))[0]

    def vjp(self, values: list, upstream: list) -> list[ndarray | None]:
        args, given, cache = self._arguments(values), [u.copy() for u in upstream], None
        if self.caching is not None:
            cache = self._call(self.caching, args)[1]
        try:
            grads = self._in_order(self.back(*given, *(args if cache is None else (cache,))))
        except Unfit:
            raise
        except Exception as error:
            raise Unfit(raised("backward", error)) from error
        self.overwritten = []
        if not all(np.array_equal(u, v) for u, v in zip(upstream, given, strict=True)):
            self.overwritten.append(overwrites("backward", "the upstream gradient it is given"))
        for name, old, new in zip(self.inputs, self._arguments(values), args, strict=True):
            if is_array(old) and not np.array_equal(new, old):
                self.overwritten.append(overwrites("the pair", f"the input '{name}'"))
        return grads

    def _arguments(self, values: list) -> list:
        """Fresh copies of all inputs, with these values."""
        fresh = dict(zip(self.names, values, strict=True))
        return [np.array(fresh.get(name, v)) if is_array(v) else v for name, v in self.inputs.items()]

    def _call(self, f: Callable, args: list) -> tuple[list[ndarray], object]:
        """(outputs, cache) of a forward function."""
        try:
            result = f(*args)
            cache = None
            if self._caches(result):
                *result, cache = result
            outs = [np.asarray(out) for out in (result if isinstance(result, tuple | list) else (result,))]
        except Exception as error:
            raise Unfit(raised("forward", error)) from error
        for out in outs:
            if out.dtype.kind != "f":
                raise Unfit(not_floating("forward", out))
        return outs, cache

    def _caches(self, result) -> bool:
        """Does the result end with a cache? What is no floating array is one; else backward's signature decides."""
        if self.cache is not None or not isinstance(result, tuple) or len(result) < 2:
            return bool(self.cache)
        if not is_array(result[-1]) or result[-1].dtype.kind != "f":
            return True
        return len(inspect.signature(self.back).parameters) == len(result)

    def _in_order(self, grads) -> list[ndarray | None]:
        """The returned gradients in the order of `names`: by name, by place among the inputs, or among the arrays."""
        if isinstance(grads, dict):
            grads = [grads.get(name) for name in self.names]
        grads = list(grads) if isinstance(grads, tuple | list) else [grads]
        if len(grads) == len(self.inputs) != len(self.names):
            grads = [g for name, g in zip(self.inputs, grads, strict=True) if name in self.names]
        if len(grads) > len(self.names):
            what = f"backward returned {len(grads)} gradients for {len(self.names)} array(s): {', '.join(self.names)}"
            raise Unfit(Finding("count", what, "what is returned does not match the inputs", "the return of backward"))
        arrays = [None if g is None else np.asarray(g) for g in grads] + [None] * (len(self.names) - len(grads))
        for name, g in zip(self.names, arrays, strict=True):
            if g is not None and g.dtype.kind not in "fiub":
                what = f"backward returned {g.dtype} for '{name}', which is no array of real numbers"
                raise Unfit(Finding("raised", what, "a list, None or complex numbers inside", "the return of backward"))
        return arrays
