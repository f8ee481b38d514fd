"""What a function under test returned: an array of real numbers, or the finding that says why it is none."""

from __future__ import annotations

import math

import numpy as np

from .report import Finding

HUGE = 10**6  # elements: of what has that many, and many more than are wanted, only the shape is looked at
NUMBERS = {float, int, bool, *np.sctypeDict.values()}


def as_numbers(given, shape: tuple[int, ...] | None) -> np.ndarray | Finding:
    """A copy of what was returned where an array of this shape (None: of some shape) is wanted.

    Arrays and numbers are accepted, and nothing else: no method of a foreign object is called.
    """
    if type(given) in NUMBERS:
        given = np.array(given)
    if type(given) is not np.ndarray:
        return _no_array(given)
    if given.dtype.kind not in "fiub":
        return Finding(
            "not_array", f"an array of {_kind(given.dtype)} (dtype {given.dtype}), not of real numbers",
            "lists of different lengths, None, text or complex numbers inside", "the dtype of each step",
        )  # fmt: skip
    if given.size > (100 * HUGE if shape is None else max(HUGE, 100 * math.prod(shape))):
        return Finding(
            "shape", f"shape {given.shape}" + (f" for {shape}" if shape is not None else ""),
            "a product or a broadcast that makes every pair of elements", "the shape of each step",
        )  # fmt: skip
    return np.array(given)


def _kind(dtype: np.dtype) -> str:
    return {"O": "objects", "c": "complex numbers", "U": "text", "S": "text"}.get(dtype.kind, dtype.name)


def _no_array(given) -> Finding:
    if given is None:
        return Finding("missing", "None, not a NumPy array", "a return is missing, or has no value", "the return")
    kind = type(given).__name__
    if isinstance(given, list | tuple):
        cause = "a list or tuple holds the numbers (or several results) where one array is meant"
    elif isinstance(given, np.ndarray):
        cause = "a kind of array with an arithmetic of its own: * of a matrix is @, a masked array leaves elements out"
    elif hasattr(type(given), "__next__"):
        cause = "yield where return is meant, or a generator (... for ... in ...) where an array is meant"
    elif callable(given):
        cause = "a function is returned instead of its result: a call, (), is missing"
    else:
        cause = "what is returned is not the result, or was turned into something else on the way"
    article = "an" if kind[:1].lower() in "aeiou" else "a"
    return Finding("not_array", f"{article} {kind}, not a NumPy array", cause, "the return: a plain np.ndarray")
