"""Whether operations are recorded: one switch, each thread has its own."""

from __future__ import annotations

import inspect
import threading
from contextlib import ContextDecorator


class _Mode(threading.local):
    recording = True


mode = _Mode()


def is_grad_enabled() -> bool:
    """True where operations are recorded for backward."""
    return mode.recording


class recording(ContextDecorator):
    """Record operations inside the block (or the decorated function), or do not."""

    def __init__(self, enabled: bool) -> None:
        self.enabled, self.before = bool(enabled), []

    def __enter__(self) -> None:
        self.before.append(mode.recording)
        mode.recording = self.enabled

    def __exit__(self, *error) -> None:
        mode.recording = self.before.pop()

    def __call__(self, function):
        if inspect.isgeneratorfunction(function):
            raise TypeError(
                f"{function.__name__} is a generator: its body runs later, piece by piece, where a decorator does not "
                "reach; write the with-block inside it, around the computation and not around the yield"
            )
        return super().__call__(function)

    def _recreate_cm(self) -> recording:
        return recording(self.enabled)  # each call of a decorated function has its own


class set_grad_enabled(recording):
    """Record from here on, or do not: `set_grad_enabled(False)`. In a with-block, until its end."""

    def __init__(self, enabled: bool) -> None:
        super().__init__(enabled)
        self.outside, mode.recording = mode.recording, self.enabled

    def __enter__(self) -> None:
        mode.recording = self.enabled

    def __exit__(self, *error) -> None:
        mode.recording = self.outside

    def __call__(self, function):
        mode.recording = self.outside
        return super().__call__(function)


def no_grad() -> recording:
    """Nothing inside the block (or the decorated function) is recorded: less memory, and leaves may be written to.

    >>> import minidl
    >>> x = minidl.Tensor([1.0], requires_grad=True)
    >>> with minidl.no_grad():
    ...     (2 * x).requires_grad
    False
    """
    return recording(False)


def enable_grad() -> recording:
    """Record again, inside a `no_grad` block."""
    return recording(True)
