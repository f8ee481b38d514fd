"""BLAS, NumPy's library of matrix products, held to one thread while our own threads share the work.

OpenBLAS's threads spin for some 27 ms after a product, in case another follows, and so take the processor from the
kernel that runs next. The environment variables that forbid it are read when NumPy is imported, which is too late
here. But the number of threads can be set at any time:

    with blas.one_thread: ...

At the end NumPy has as many threads as before. This works with OpenBLAS and threads of its own, as in NumPy's wheels.
With Accelerate, MKL, OpenMP or in a browser, `one_thread.available()` is False and BLAS does as it pleases.

Reference: threadpoolctl (https://github.com/joblib/threadpoolctl), which does so for many libraries.
"""

from __future__ import annotations

import contextlib
import glob
import os
import sys
import threading

import numpy as np


class OneThread:
    """A context that keeps BLAS to one thread as long as anyone is inside. It costs about a microsecond."""

    def __init__(self):
        self.lock, self.inside, self.before, self.calls = threading.Lock(), 0, 1, None

    def available(self) -> bool:
        """Is there a library here whose threads can be set? Looked up once."""
        if self.calls is None:
            self.calls = _find()
        return bool(self.calls)

    def __enter__(self):
        if not self.available():
            return
        count, set_count = self.calls
        with self.lock:
            if self.inside == 0 and (now := count()) > 1:
                self.before = now
                set_count(1)
            self.inside += 1

    def __exit__(self, *error):
        if not self.calls:
            return
        count, set_count = self.calls
        with self.lock:
            self.inside -= 1
            if self.inside == 0 and self.before > 1:
                if count() == 1:  # else somebody else has set it meanwhile
                    set_count(self.before)
                self.before = 1

    def after_fork(self):
        """Whoever was inside stayed behind in the parent; the next to leave restores."""
        self.lock, self.inside = threading.Lock(), 0


one_thread = OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=one_thread.after_fork)


def _find() -> tuple:
    """The two functions of OpenBLAS that get and set the number of its threads, or () without it.

    A library's names are also found through a library that needs it, so NumPy's own module will do; on Windows, where
    that is not so, OpenBLAS lies in a folder beside NumPy.
    """
    with contextlib.suppress(ImportError):  # no ctypes
        import ctypes

        module = sys.modules.get("numpy._core._multiarray_umath")
        for path in [getattr(module, "__file__", None), *glob.glob(os.path.dirname(np.__file__) + ".libs/*openblas*")]:
            with contextlib.suppress(OSError, TypeError):
                library = ctypes.PyDLL(path)  # calls keep the GIL: they take no time
                for name in _NAMES if path else ():
                    names = (name.format(what) for what in ("get_parallel", "get_num_threads", "set_num_threads"))
                    with contextlib.suppress(AttributeError):
                        kind, count, set_count = (getattr(library, name) for name in names)
                        return (count, set_count) if kind() == 1 else ()  # 0: no threads, 2: OpenMP's
    return ()


_NAMES = "scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}"
