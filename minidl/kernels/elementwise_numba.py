"""Elementwise functions in numba: each one pass over memory, and no array in between."""

from __future__ import annotations

from . import threads
from .backend import frozen
from .compiling import jit
from .registers import at
from .reuse import empty


def relu(x):
    return _run(rectify, x)


def relu_input(g, out):
    return _run(pass_on, g, out)


def _run(kernel, *arrays):
    result = empty(arrays[0].shape, arrays[0].dtype)
    args = *(frozen(a).reshape(-1) for a in arrays), result.reshape(-1)
    threads.run(kernel, result.size, result.size / 2, args)
    return result


@jit
def rectify(x, out, first, last):
    zero, x, out = x.dtype.type(0), at(x, first), at(out, first)
    for i in range(last - first):
        out[i] = zero if x[i] <= zero else x[i]  # a NaN is not <= 0 and stays


@jit
def pass_on(g, out, result, first, last):
    zero, g, out, result = g.dtype.type(0), at(g, first), at(out, first), at(result, first)
    for i in range(last - first):
        result[i] = g[i] if out[i] > zero else zero
