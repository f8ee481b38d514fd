"""What may become a tensor, with which dtype, and how values are named in error messages."""

from __future__ import annotations

import numpy as np

PLAIN = {float, int, bool, str, tuple, slice, type(None), type(Ellipsis)}  # passed on to an operation as they are


def as_array(data, dtype=None) -> np.ndarray:
    """A fresh array of real numbers from anything NumPy understands; Python floats become float32."""
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


def as_operand(a, elementwise: bool):
    """What is neither Tensor, array nor plain: NumPy's scalars are as weak as Python's, lists become arrays."""
    if isinstance(a, np.generic):
        return a.item() if elementwise or a.dtype.kind != "f" else np.asarray(a)
    return as_array(a) if isinstance(a, list) else a


def weaken_integers(arrays: list) -> None:
    """Integer arrays take the dtype of the floating ones beside them (NumPy makes float32 * int64 a float64)."""
    kinds = [a.dtype.kind if isinstance(a, np.ndarray) else "" for a in arrays]
    if "f" in kinds and ("i" in kinds or "u" in kinds):
        widest = max(a.dtype for a, kind in zip(arrays, kinds, strict=True) if kind == "f")
        arrays[:] = [a.astype(widest) if kind in ("i", "u") else a for a, kind in zip(arrays, kinds, strict=True)]


def read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view


def unbroadcast(g, shape: tuple):
    """Sum `g` over the axes along which an argument of this shape was broadcast (the adjoint of broadcasting)."""
    lead = g.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 and g.shape[lead + i] != 1)
    return g.sum(axis=axes, keepdims=True).reshape(shape)


def raw_of(x) -> np.ndarray:
    """The array inside a Tensor, or of anything NumPy understands."""
    return x._array if hasattr(x, "_array") else np.asarray(x)


def shape_of(x) -> tuple:
    """The shape of a Tensor, an array or a number (np.shape would ask a Tensor's __array_function__ first)."""
    return x.shape if hasattr(x, "shape") else np.shape(x)


def describe(value) -> str:
    """A value for an error message: dtype and shape of what has them."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        kind = "array" if isinstance(value, np.ndarray) else type(value).__name__
        return f"{kind} {value.dtype} {value.shape}"
    return f"{type(value).__name__} {value!r:.60}"
