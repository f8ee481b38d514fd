"""Who wrote to which memory: how backward notices that a value it still needs has been changed.

The chain rule uses the values of the forward pass. If one of them is overwritten in between, the gradient is silently
wrong, and that must not happen. Results of operations cannot be written to, so only two kinds of memory are of
concern: that of leaves (parameters, inputs), which have a `Memory` each, and NumPy arrays used as constants.

Library code that writes to a leaf (an optimiser's step) raises its `version`: free of cost. But `leaf.data` hands the
array itself to the user, and NumPy tells nobody when it is written to. From then on ("exposed") fingerprints of the
content are compared as well, until a step finds that the user holds the array no longer.
"""

from __future__ import annotations

import sys
import zlib
from types import SimpleNamespace

import numpy as np

from .arrays import describe, read_only


def fingerprint(array: np.ndarray) -> bytes | int:
    """A print of an array's content: of small arrays the content itself, of large ones a checksum (CRC-32)."""
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return raw.tobytes() if raw.size <= 4096 else zlib.crc32(raw)


class Memory:
    """The history of one leaf's memory, shared by all tensors that are views of it."""

    __slots__ = ("exposed", "print", "version")

    def __init__(self) -> None:
        self.version = 0
        self.exposed: np.ndarray | None = None

    def expose(self, array: np.ndarray) -> None:
        """The array itself goes to the user: remember the content, of this moment, of all the memory it lies in."""
        if self.exposed is None:
            whole = array.base if isinstance(array.base, np.ndarray) else array
            self.exposed, self.print = whole, fingerprint(whole)

    def writing(self, array: np.ndarray) -> None:
        """The library is about to write to `array`. If the user holds it no longer, contents need no comparing."""
        self.version += 1
        if self.exposed is array and _HOLDERS > 0 and sys.getrefcount(array) <= _HOLDERS:
            self.exposed = None

    def changed(self, array: np.ndarray, version: int, seen: bytes | int | None) -> bool:
        """Has `array`, which lies in this memory, been written to since it had this version and this fingerprint?"""
        if version != self.version:
            return True
        if seen is not None:
            return fingerprint(array) != seen
        return self.exposed is not None and fingerprint(self.exposed) != self.print


def _holders() -> int:
    """What Python counts inside of `writing` if only a tensor, its Memory and the call itself hold the array."""

    class Counting(Memory):
        def writing(self, array: np.ndarray) -> int:
            traced = sys.gettrace() or sys.getprofile()  # a debugger holds what it looks at
            return sys.getrefcount(array) if hasattr(sys, "getrefcount") and not traced else -1

    tensor, memory = SimpleNamespace(array=np.empty(0)), Counting()
    memory.exposed = tensor.array
    return memory.writing(tensor.array)


_HOLDERS = _holders()


def memory_of(t) -> Memory | None:
    """The history of a leaf's memory (a result under no_grad gets one when somebody asks); None for results."""
    if t._memory is None and t._node is None:
        t._memory = Memory()
    return t._memory


def share(result, args: tuple) -> None:
    """A result that is a view of a leaf belongs to the leaf's memory; a view of a result is as read-only as that."""
    for a in args:
        if hasattr(a, "_memory") and np.may_share_memory(a._array, result._array):
            result._memory = memory_of(a)
            if result._memory is None and result._node is None:
                result._array = read_only(result._array)


def watch(op, args: tuple, edges: list) -> list[tuple]:
    """Marks of everything that the rules of this operation keep and that somebody could write to."""
    marks = []
    for edge in edges:
        for place in op.keeps[edge[0]]:
            a = args[place]
            if hasattr(a, "_memory"):
                memory, array = a._memory or memory_of(a), a._array
                if memory is not None:
                    seen = None if memory.exposed is None else fingerprint(array)
                    marks.append((op.params[place], array, memory, memory.version, seen))
            elif isinstance(a, np.ndarray) and (a.flags.writeable or a.base is not None):
                marks.append((op.params[place], a, None, None, fingerprint(a)))
    return marks


def check(op, marks: list[tuple]) -> None:
    """Raise if something that backward is about to use was written to since the forward pass."""
    for name, array, memory, version, seen in marks:
        if memory is None:
            changed = fingerprint(array) != seen
        else:
            changed = (version != memory.version or memory.exposed is not None) and memory.changed(array, version, seen)
        if changed:
            raise written(op, name, array)


def written(op, name: str, array: np.ndarray) -> RuntimeError:
    """The error for a value that was overwritten between forward and backward."""
    return RuntimeError(
        f"'{name}' of {op.name}, {describe(array)}, was written to between forward and backward; its gradient would be "
        "wrong. Call backward() before changing values (an optimiser's step, an in-place operation), or use a copy"
    )


def freed(op) -> RuntimeError:
    """The error for a second backward through a graph that the first one has let go of."""
    return RuntimeError(
        f"backward a second time through {op.name}, whose saved values are gone: they are freed as backward proceeds. "
        "Compute the loss again, or keep them with backward(retain_graph=True)"
    )
