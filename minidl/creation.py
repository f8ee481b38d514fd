"""New tensors: from numbers, filled, and random."""

from __future__ import annotations

import numpy as np

from . import random
from .engine import Tensor


def tensor(data, dtype=None, requires_grad: bool = False) -> Tensor:
    """A Tensor with a copy of the data; NumPy arrays keep their dtype, Python floats become float32."""
    return Tensor(data, dtype, requires_grad)


def _shape(shape: tuple) -> tuple:
    return tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int | np.integer) else shape


def zeros(*shape, dtype=np.float32, requires_grad: bool = False) -> Tensor:
    """Zeros of this shape."""
    return Tensor(np.zeros(_shape(shape), dtype), None, requires_grad)


def ones(*shape, dtype=np.float32, requires_grad: bool = False) -> Tensor:
    """Ones of this shape."""
    return Tensor(np.ones(_shape(shape), dtype), None, requires_grad)


def full(shape, value, dtype=np.float32, requires_grad: bool = False) -> Tensor:
    """One value everywhere."""
    return Tensor(np.full(shape, value, dtype), None, requires_grad)


def zeros_like(t) -> Tensor:
    """Zeros of this tensor's shape and dtype."""
    return Tensor(np.zeros(t.shape, t.dtype))


def ones_like(t) -> Tensor:
    """Ones of this tensor's shape and dtype."""
    return Tensor(np.ones(t.shape, t.dtype))


def arange(*args, dtype=None) -> Tensor:
    """start, ..., stop in steps, as np.arange; integers stay integers."""
    whole = all(isinstance(a, int | np.integer) for a in args)
    return Tensor(np.arange(*args), dtype or (None if whole else np.float32))


def linspace(start: float, stop: float, num: int = 50, dtype=np.float32) -> Tensor:
    """num evenly spaced values, both ends included."""
    return Tensor(np.linspace(start, stop, num), dtype)


def eye(n: int, dtype=np.float32) -> Tensor:
    """The identity matrix."""
    return Tensor(np.eye(n, dtype=dtype))


def randn(*shape, dtype=np.float32, requires_grad: bool = False, rng=None) -> Tensor:
    """Standard normal numbers, from `rng` or the stream "sample" (see minidl.manual_seed)."""
    return Tensor(random.resolve(rng, "sample").standard_normal(_shape(shape), np.dtype(dtype)), None, requires_grad)


def rand(*shape, dtype=np.float32, requires_grad: bool = False, rng=None) -> Tensor:
    """Uniform numbers in [0, 1), from `rng` or the stream "sample" (see minidl.manual_seed)."""
    return Tensor(random.resolve(rng, "sample").random(_shape(shape), np.dtype(dtype)), None, requires_grad)
