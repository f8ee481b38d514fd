"""Memory for large results, used again once nobody holds it.

The first write to fresh memory is slow: the system hands it out page by page, and most C libraries give it back as soon
as a large array goes. A training step makes the same arrays again and again, so their memory is kept here for the next.

An array from `empty` is a view of a buffer, and holds it, as do its own views. A buffer that only the list below holds
is free. Python counts exactly that; where it does not (PyPy, a build without the GIL, under a debugger), arrays are
fresh each time.
"""

from __future__ import annotations

import math
import os
import sys
import threading

import numpy as np

LEAST = 2**18  # bytes; smaller arrays get memory that the C library has kept anyway
MOST = 2**28  # bytes that are kept at most

_lock = threading.Lock()
_buffers: list[np.ndarray] = []


def empty(shape: tuple, dtype: np.dtype) -> np.ndarray:
    """np.empty(shape, dtype), aligned to a cache line and in used memory if the array is large."""
    size = math.prod(shape) * dtype.itemsize
    if size < LEAST or _ALONE is None:
        return np.empty(shape, dtype)
    if not _lock.acquire(blocking=False):  # another thread is choosing, or this one, before a signal or a __del__
        return np.empty(shape, dtype)
    try:
        buffer = _found(size)
        return np.ndarray(shape, dtype, buffer, -buffer.ctypes.data % 64)
    finally:
        _lock.release()


def _found(size: int) -> np.ndarray:
    """The smallest free buffer that is large enough and not much too large, or a new one."""
    free = [b for b, count in zip(_buffers, _counts(_buffers), strict=True) if count == _ALONE]
    fitting = [b for b in free if size + 64 <= b.size <= 1.25 * size + 64]
    if fitting:
        return min(fitting, key=len)
    if sum(map(len, _buffers)) + size > MOST:
        _buffers[:] = [b for b in _buffers if not any(b is other for other in free)]
    buffer = np.empty(size + 64, np.uint8)
    if sum(map(len, _buffers)) + size <= MOST:
        _buffers.append(buffer)
    return buffer


def _counts(arrays: list) -> list[int]:
    return [sys.getrefcount(array) for array in arrays]


def _alone() -> int | None:
    """What Python counts for an array that only a list holds; None where it does not count."""
    if not hasattr(sys, "getrefcount") or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return None
    if sys.gettrace() or sys.getprofile():  # a debugger holds what it looks at
        return None
    return _counts([np.empty(0)])[0]


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


_ALONE = _alone()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
