"""Whether operations are recorded: one switch, each thread has its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Mode(threading.local):
    recording = True


mode = _Mode()


def is_grad_enabled() -> bool:
    """True where operations are recorded for backward."""
    return mode.recording


@contextmanager
def set_grad_enabled(enabled: bool) -> Iterator[None]:
    """Record operations inside the block, or do not; as a context or a decorator."""
    before, mode.recording = mode.recording, enabled
    try:
        yield
    finally:
        mode.recording = before


def no_grad():
    """Nothing inside the block (or the decorated function) is recorded: less memory, and leaves may be written to.

    >>> import minidl
    >>> x = minidl.Tensor([1.0], requires_grad=True)
    >>> with minidl.no_grad():
    ...     (2 * x).requires_grad
    False
    """
    return set_grad_enabled(False)


def enable_grad():
    """Record again, inside a `no_grad` block."""
    return set_grad_enabled(True)
