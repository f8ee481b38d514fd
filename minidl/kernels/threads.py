"""Kernels on several threads: plain Python threads, a shared queue and a shared count of parts.

Compiled kernels run without the GIL, so Python's own threads serve. They cost some 10 us a launch. They sleep between
launches and so leave the processor to the BLAS library's threads, where OpenMP's would spin; any number of threads may
launch at once, and a fork is harmless, where OpenMP's pool ends the process.

A kernel computes the units `first` to `last` of its work. Which thread computes a unit, and with which others, does not
change its arithmetic, so the results are the same, bit for bit, for every number of threads.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import threading
from queue import SimpleQueue

import numpy as np

_lock = threading.Lock()
_local = threading.local()
_queue: SimpleQueue[_Launch] = SimpleQueue()
_workers = 0
_limit: int | None = None

SHARED = 50_000  # nanoseconds: what takes less is not worth the launch of a second thread


def set_num_threads(count: int) -> None:
    """Let kernels run on at most `count` threads.

    The default is the environment variable OMP_NUM_THREADS, or else the processors this process may use. A forked
    child starts with one. Raises ValueError unless `count` is a positive integer.
    """
    global _limit
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"the number of threads is a positive integer, got {count!r}")
    _limit = count


def get_num_threads() -> int:
    """The number of threads that kernels may use."""
    global _limit
    if _limit is None:
        asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        _limit = int(asked) if asked.isdecimal() and int(asked) > 0 else _processors()
    return _limit


def run(kernel, units: int, cost: float, args: tuple, scratch: int = 0, dtype=None, even_out: bool = True) -> None:
    """kernel(*args, first, last) over all `units`, shared among threads where that pays.

    `cost` is about how many nanoseconds one thread would take. A kernel that asks for `scratch` numbers of `dtype` gets
    them before `first`. More parts than threads `even_out` what a busy machine does to them, if a part starts cheaply.
    """
    threads = min(get_num_threads(), units, int(2 * cost / SHARED))
    helpers = _start_workers(threads - 1)
    if helpers < 1:
        return _call(kernel, args, scratch, dtype, 0, units)
    threads = helpers + 1
    parts = min(units, threads * 4) if even_out and cost > 4e6 else threads
    launch = _Launch((kernel, args, scratch, dtype), [units * part // parts for part in range(parts + 1)])
    for _ in range(helpers):
        _queue.put(launch)
    launch.work()
    launch.wait()


class _Launch:
    """The parts of one call. Whoever comes takes the next; the caller does too, so it never waits for idle workers."""

    def __init__(self, call, bounds):
        self.call, self.bounds = call, bounds
        self.next, self.left = 0, len(bounds) - 1
        self.lock, self.done, self.failure = threading.Lock(), threading.Lock(), None
        self.context = contextvars.copy_context()  # np.errstate holds in the workers too
        self.done.acquire()

    def work(self):
        while True:
            with self.lock:
                part, self.next = self.next, self.next + 1
            if part >= len(self.bounds) - 1:
                return
            try:
                _call(*self.call, self.bounds[part], self.bounds[part + 1])
            except BaseException as error:  # the caller raises it
                self.failure = error
            with self.lock:
                self.left -= 1
                if self.left == 0:
                    self.done.release()

    def wait(self):
        while self.left:
            try:
                self.done.acquire()
            except BaseException as error:  # Ctrl-C; first let the others finish what they write
                self.failure = error
        if self.failure is not None:
            raise self.failure


def _start_workers(count):
    """Have `count` workers, or as many as can be had: none in a browser, or while the interpreter shuts down."""
    global _workers
    if _workers < count:
        with _lock, contextlib.suppress(RuntimeError):
            while _workers < count:
                threading.Thread(target=_serve, args=(_queue,), name="minidl-kernels", daemon=True).start()
                _workers += 1
    return min(_workers, count)


def _serve(queue):
    while True:
        launch = queue.get()
        launch.context.copy().run(launch.work)
        del launch  # and with it the arrays


def _call(kernel, args, scratch, dtype, first, last):
    if scratch:
        args = *args, _scratch(scratch, dtype)
    kernel(*args, first, last)


def _scratch(count, dtype):
    """`count` numbers of this thread's own memory, aligned to a cache line; kept for the next call."""
    size = count * dtype.itemsize
    buffer = getattr(_local, "buffer", None)
    if buffer is None or buffer.size < size:
        buffer = np.empty(max(size + size // 4, 2**22) + 64, np.uint8)  # from 4 MB on, NumPy asks for huge pages
        buffer = _local.buffer = buffer[-buffer.ctypes.data % 64 :]
    return buffer[:size].view(dtype)


def _processors():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _after_fork():
    """The workers stay behind in the parent; the child works alone unless it asks for more threads."""
    global _lock, _queue, _workers, _limit
    _lock, _queue, _workers, _limit = threading.Lock(), SimpleQueue(), 0, 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
