"""Which body the kernels run on, and what every gate does to the arrays before they get there."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Iterator
from types import ModuleType

import numpy as np


def use(name: str) -> None:
    """Choose the body of the kernels: "numba", "numpy", or "auto" (numba where it can be imported).

    Raises ValueError for another name and ImportError for "numba" where numba cannot be imported.

    >>> from minidl import kernels
    >>> with kernels.using("numpy"):
    ...     kernels.backend()
    'numpy'
    """
    global _wish
    if name not in ("numpy", "numba", "auto"):
        raise ValueError(f'no kernels called {name!r}; choose "numpy", "numba" or "auto"')
    if name == "numba" and not _numba_found():
        raise ImportError('numba cannot be imported; install it ("pip install numba") or choose "numpy" or "auto"')
    _wish = name


def backend() -> str:
    """Name of the body that calls go to now: "numba" or "numpy". Does not import numba."""
    return "numpy" if _wish == "numpy" or (_wish == "auto" and not _numba_found()) else "numba"


@contextlib.contextmanager
def using(name: str) -> Iterator[None]:
    """`use(name)` for the length of a with-block."""
    before = _wish
    use(name)
    try:
        yield
    finally:
        use(before)


def ready(who, **arrays):
    """The arrays contiguous, aligned and as read-only views, so that each kernel meets one type per float type."""
    dtypes = {array.dtype for array in arrays.values()}
    if len(dtypes) > 1 or dtypes.pop() not in FLOATS:
        given = ", ".join(f"{name} {array.dtype}" for name, array in arrays.items())
        raise TypeError(f"{who} needs float32 or float64, the same for all arrays; got {given}; convert with astype")
    return [frozen(array) for array in arrays.values()]


def ready_index(who, index, x_shape):
    """The positions as int32, of the right shape; the bodies check that they lie in the image."""
    if index.dtype.kind not in "iu":
        raise TypeError(f"{who}: index has type {index.dtype}; positions are integers")
    if index.ndim != 4 or len(x_shape) != 4 or index.shape[:2] != tuple(x_shape[:2]):
        raise ValueError(f"{who}: index {index.shape} and x {tuple(x_shape)} must be (N, C, ...) with the same N and C")
    if index.dtype != np.int32:
        index = np.clip(index, -1, np.iinfo(np.int32).max).astype(np.int32)
    return frozen(index)


def frozen(array):
    if type(array) is not np.ndarray or not (array.flags.c_contiguous and array.flags.aligned):
        array = np.require(array, requirements="CA").view(np.ndarray)
    view = array.view()
    view.flags.writeable = False
    return view


def check_shape(who, name, array, expected, source):
    if array.shape != expected:
        raise ValueError(f"{who}: {name} has shape {array.shape}, but {source} ask for {expected}")


def body(family: str, small: bool = False) -> ModuleType:
    """The module that computes, such as `conv_numba` for the family "conv"; imported on its first call.

    small: too little work to be worth a compiled kernel; "auto" then chooses NumPy.
    """
    name = "numpy" if small and _wish == "auto" else backend()
    found = _bodies.get((family, name))
    if found is None:
        found = _bodies[family, name] = _load(family, name)
    return found


def _load(family: str, name: str) -> ModuleType:
    global _numba_loads
    try:
        return importlib.import_module(f"{__package__}.{family}_{name}")
    except (ImportError, OSError) as error:  # numba is there, but it or its libraries do not load
        if _wish != "auto":
            raise ImportError(f'{name} does not load here ({error}); choose kernels.use("numpy")') from error
        _numba_loads = False
        return importlib.import_module(f"{__package__}.{family}_numpy")


def _numba_found() -> bool:
    """Can numba be imported? Looked up once, and not by importing it."""
    global _numba_loads
    if _numba_loads is None:
        try:
            _numba_loads = importlib.util.find_spec("numba") is not None
        except ImportError:
            _numba_loads = False
    return _numba_loads


FLOATS = np.dtype(np.float32), np.dtype(np.float64)
_wish, _numba_loads = "auto", None
_bodies: dict[tuple[str, str], ModuleType] = {}
use(os.environ.get("MINIDL_KERNELS", "auto"))
