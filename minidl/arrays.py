"""What may become a tensor, with which dtype, and how values are named in error messages."""

from __future__ import annotations

import math
import operator

import numpy as np

from .mode import mode

PLAIN = {float, int, bool, str, tuple, slice, type(None), type(Ellipsis)}  # passed on to an operation as they are


def as_array(data, dtype=None) -> np.ndarray:
    """A fresh array of real numbers from anything NumPy understands; Python floats become float32."""
    if isinstance(data, list | tuple) and mode.recording and tracked(data):
        raise TypeError("a list of Tensors that require gradients would lose them; use minidl.stack, or .detach() them")
    data = getattr(data, "_array", data)
    try:
        array = np.array(data, dtype)
    except ValueError as error:
        raise ValueError(f"cannot make an array of numbers from {type(data).__name__}: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"a tensor holds real numbers (float, int or bool), not {array.dtype}: got {data!r:.80}")
    if dtype is None and array.dtype == np.float64 and not isinstance(data, np.ndarray | np.generic):
        array = array.astype(np.float32)
    return array


def tracked(x) -> bool:
    """Is there a tensor that requires a gradient, or is it one?"""
    if isinstance(x, list | tuple | dict):
        return any(map(tracked, x.values() if isinstance(x, dict) else x))
    return getattr(x, "_requires_grad", False)


def as_operand(a, elementwise: bool):
    """What is neither Tensor, array nor plain: NumPy's scalars are as weak as Python's, lists become arrays."""
    if isinstance(a, np.generic):
        return a.item() if elementwise or a.dtype.kind != "f" else np.asarray(a)
    if type(a).__name__ in ("matrix", "MaskedArray"):
        raise TypeError(f"a NumPy {type(a).__name__} has an arithmetic of its own; pass a plain array, np.asarray(a)")
    if isinstance(a, np.ndarray):  # a memmap, for instance
        return np.asarray(a)
    if isinstance(a, list) or (elementwise and type(a) not in PLAIN - {tuple}):
        return as_array(a)
    return a


def operands(*values) -> list:
    """What an operation computes with: arrays and plain values, everything else converted."""
    return [a if type(a) is np.ndarray or type(a) in PLAIN else as_operand(a, False) for a in values]


def elementwise_operands(*values) -> list:
    """The same for an operation whose arguments broadcast; there they also get one floating dtype."""
    dtype = None
    for a in values:
        if type(a) is np.ndarray:
            if dtype is not None and a.dtype is not dtype:
                break
            dtype = a.dtype
        elif type(a) not in PLAIN or type(a) is tuple:
            break
    else:
        return values
    return common_floats([as_operand(a, True) for a in values])


def common_floats(arrays: list) -> list:
    """One floating dtype for operands, as in PyTorch: integers follow the floats, 0-d floats those with axes.

    NumPy would make float64 of float32 * int64.
    """
    dtypes = [a.dtype if hasattr(a, "dtype") else None for a in arrays]
    floats = [(a.ndim > 0, d) for a, d in zip(arrays, dtypes, strict=True) if d is not None and d.kind == "f"]
    if not floats or len(set(dtypes) - {None}) < 2:
        return arrays
    widest = max(d for with_axes, d in floats if with_axes == max(floats)[0])
    weak = [d is not None and d != widest and (d.kind in "iu" or (d.kind == "f" and not a.ndim))
            for a, d in zip(arrays, dtypes, strict=True)]  # fmt: skip
    return [a.astype(widest) if w else a for a, w in zip(arrays, weak, strict=True)]


def as_result(op, out, operands: tuple) -> np.ndarray:
    """What the forward of an operation returned, as an array: NumPy turns results without axes into scalars.

    What was computed from integers and Python's numbers alone is float32, where NumPy makes it float64.
    """
    if type(out) is not np.ndarray:
        if isinstance(out, tuple | list):
            raise TypeError(f"{op.name} returned a {type(out).__name__}; a primitive returns one array")
        out = np.asarray(out)
    if not op.elementwise or out.dtype.char != "d":
        return out
    floats = any(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in operands)
    return out if floats else out.astype(np.float32)


def long_sum(x: np.ndarray, axis=None, keepdims: bool = False):
    """np.sum that keeps its accuracy: NumPy adds float32 up row by row unless the last axis is summed as well."""
    if axis is not None and x.size > 4096 and x.dtype.char == "f":
        axes = {a % x.ndim for a in (axis if isinstance(axis, tuple) else (operator.index(axis),))}
        if x.ndim - 1 not in axes and math.prod(x.shape[a] for a in axes) > 4096:
            return np.sum(x, axis=axis, keepdims=keepdims, dtype=np.float64).astype(np.float32)
    return np.add.reduce(x, axis=axis, keepdims=keepdims)  # what np.sum calls


def read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view


def unbroadcast(g, shape: tuple):
    """Sum `g` over the axes along which an argument of this shape was broadcast (the adjoint of broadcasting)."""
    lead = g.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 and g.shape[lead + i] != 1)
    total = long_sum(g, axes, True) if isinstance(g, np.ndarray) else g.sum(axis=axes, keepdims=True)
    return total.reshape(shape)


def raw_of(x) -> np.ndarray:
    """The array inside a Tensor, or of anything NumPy understands."""
    return x._array if hasattr(x, "_array") else as_array(x) if isinstance(x, list | tuple) else np.asarray(x)


def shape_of(x) -> tuple:
    """The shape of a Tensor, an array or a number (np.shape would ask a Tensor's __array_function__ first)."""
    return x.shape if hasattr(x, "shape") else np.shape(x)


def describe(value) -> str:
    """A value for an error message: dtype and shape of what has them."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        kind = "array" if isinstance(value, np.ndarray) else type(value).__name__
        return f"{kind} {value.dtype} {value.shape}"
    return f"{type(value).__name__} {value!r:.60}"
