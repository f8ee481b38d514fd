"""How kernels are compiled: once per float type, kept on disk, and announced when it takes a moment."""

from __future__ import annotations

import sys

from numba import njit
from numba.core import event

OPTIONS = {"fastmath": {"reassoc", "contract"}, "nogil": True}


def jit(function):
    """`numba.njit` for kernels: without the GIL, and with the two fast-math flags that keep NaN and infinity.

    Kernels are kept on disk, or in memory only where no folder for them can be written. The disk knows a kernel by its
    own file alone, so what a kernel calls stands in that file, and nothing in a kernel comes from a module's constants.
    """
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # numba's "no locator available": no folder can be written
        return njit(**OPTIONS)(function)


def part(function):
    """`jit` for a function that only kernels call: it is kept with them, and has no entry from Python."""
    return njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)(function)


class _Announcer(event.Listener):
    """Says once per process that kernels of this package are being compiled. Loading from disk is no compilation."""

    said = False

    def on_start(self, event):
        if not self.said and event.data["dispatcher"].py_func.__module__.startswith(__package__):
            self.said = True
            sys.modules[__package__].announce("minidl: compiling kernels, once (a few seconds) ...")

    def on_end(self, event):
        pass


event.register("numba:compile", _Announcer())
