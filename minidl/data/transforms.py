"""Transforms: functions on whole batches, `transform(x, y, rng) -> (x, y)`.

One signature serves everything that happens to a batch before the network sees it. `y` goes in and comes out because
some transforms change the targets along with the images (mixup returns soft targets, a flip swaps "left" and "right");
one that does not simply hands it on, and it is None where there are no targets. `rng` is a numpy Generator and the only
source of chance, so a transform with the same generator gives the same batch. Working on arrays of the whole batch, not
on single samples, keeps the loops in NumPy.

Any function with this signature will do. `x` belongs to the transform: the DataLoader has just made it, so it may be
written to in place.

>>> from minidl import data
>>> def mirror(x, y, rng):
...     return x[..., ::-1], y
>>> data.Compose([data.ToFloat(), mirror])
Compose(
  ToFloat(scale=255.0)
  mirror
)
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Compose", "Flatten", "Normalize", "OneHot", "ToFloat", "Transform"]

Transform = Callable[[Any, Any, np.random.Generator], tuple[Any, Any]]


def checked(transform: Transform) -> Transform:
    """The transform itself, if it can be called; a class instead of its instance is a slip worth naming."""
    if not callable(transform) or isinstance(transform, type):
        hint = f"; did you mean {transform.__name__}()?" if isinstance(transform, type) else ""
        raise TypeError(f"a transform is called as transform(x, y, rng), which {transform!r} cannot be{hint}")
    return transform


def takes_three(transform: Transform) -> Transform:
    """`checked`, and it takes x, y and rng, as far as Python can tell."""
    checked(transform)
    try:
        inspect.signature(transform).bind(None, None, None)
    except TypeError:
        raise TypeError(
            f"a transform is called as transform(x, y, rng) and returns (x, y), but {name_of(transform)} takes other "
            "arguments; write lambda x, y, rng: (f(x), y) around a function f of images"
        ) from None
    except ValueError:  # some compiled functions do not tell
        pass
    return transform


def name_of(transform: Transform) -> str:
    """What to call a transform: the function's name, or the repr of an object."""
    return getattr(transform, "__name__", None) or repr(transform)


def apply(transform: Transform, x: Any, y: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """transform(x, y, rng), and a clear error if that is not a pair with equally many samples on both sides."""
    result = transform(x, y, rng)
    if not isinstance(result, tuple) or len(result) != 2:
        got = f"a tuple of {len(result)}" if isinstance(result, tuple) else f"a {type(result).__name__}"
        raise TypeError(f"{name_of(transform)} returned {got}; a transform returns the pair (x, y), even if y is None")
    x, y = result
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and x.shape[:1] != y.shape[:1]:
        raise ValueError(f"{name_of(transform)} returned x of shape {x.shape} but y of shape {y.shape}: lengths differ")
    return x, y


class Compose:
    """Transforms one after the other: Compose([f, g]) gives g(f(x)).

    Raises TypeError if one of them is not callable.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = tuple(map(takes_three, transforms))

    def __call__(self, x: Any, y: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        for t in self.transforms:
            x, y = apply(t, x, y, rng)
        return x, y

    def __repr__(self) -> str:
        lines = "\n".join(name_of(t) for t in self.transforms)
        return "Compose(\n" + "".join(f"  {line}\n" for line in lines.splitlines()) + ")"


@dataclass(frozen=True)
class ToFloat:
    """x / scale as float32: bytes 0..255 become 0..1. Floating x passes unchanged."""

    scale: float = 255.0

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        if x.dtype.kind != "f":
            x = x.astype(np.float32)
            x /= float(self.scale)
        return x, y


@dataclass(frozen=True)
class Flatten:
    """x of shape (N, ...) as (N, D), for networks of affine layers only."""

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        return x.reshape(len(x), math.prod(x.shape[1:])), y


@dataclass(frozen=True)
class OneHot:
    """Labels y (N,) as rows (N, num_classes) of float32 with a one at the label: row_k = [k == y].

    Raises ValueError if y is not a vector of integers in 0..num_classes-1.
    """

    num_classes: int

    def __call__(self, x: Any, y: np.ndarray, rng: np.random.Generator) -> tuple[Any, np.ndarray]:
        return x, one_hot("OneHot", np.asarray(y), self.num_classes)


def one_hot(name: str, y: np.ndarray, num_classes: int, dtype=np.float32) -> np.ndarray:
    """Rows (N, num_classes) with a one at the label; `name` is who asks, for the messages."""
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise ValueError(f"{name} needs integer labels of shape (N,), not {y.dtype} of shape {y.shape}")
    if y.size and (y.min() < 0 or y.max() >= num_classes):
        raise ValueError(f"{name}: labels run from {y.min()} to {y.max()}, but num_classes={num_classes}")
    rows = np.zeros((len(y), num_classes), dtype)
    rows[np.arange(len(y)), y] = 1
    return rows


class Normalize:
    """(x - mean) / std, with one mean and one std for each channel: entry of `axis`, 1 for (N, C, H, W) and (N, F).

    mean, std: a number or a vector of length C. `Normalize.fit(x)` measures them. x keeps its floating dtype.
    Raises ValueError for std <= 0 or a length that is not C, TypeError for integer x.

    Fit it on the training set alone and use it on all parts: statistics of the test set may not reach the network.

    LeCun, Bottou, Orr, Mueller (1998), "Efficient BackProp", section 4.3.

    >>> import numpy as np
    >>> from minidl import data
    >>> train = np.float32([[1, 10], [3, 30]])
    >>> standardise = data.Normalize.fit(train)
    >>> standardise
    Normalize(mean=[2, 20], std=[1, 10])
    >>> standardise(train, None, None)[0]
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float], axis: int = 1) -> None:
        self.mean, self.std, self.axis = np.asarray(mean, np.float64), np.asarray(std, np.float64), axis
        if self.mean.ndim > 1 or self.std.ndim > 1:
            raise ValueError(f"mean and std are numbers or vectors, not of shapes {self.mean.shape}, {self.std.shape}")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all()):
            raise ValueError(f"mean and std must be finite and std > 0, but mean={mean}, std={std}")

    @classmethod
    def fit(cls, x: np.ndarray, axis: int = 1) -> Normalize:
        """Mean and standard deviation over all axes but `axis`, of the training set; std 1 where x is constant."""
        x = np.asarray(x)
        if not 0 < axis < x.ndim or x.size == 0:
            raise ValueError(f"cannot measure the channels along axis {axis} of x of shape {x.shape}")
        others = tuple(a for a in range(x.ndim) if a != axis)
        mean = x.mean(others, dtype=np.float64, keepdims=True)
        blocks = (x[i : i + 1024] - mean for i in range(0, len(x), 1024))  # float64 copies of one block at a time
        squares = sum((block * block).sum(others) for block in blocks)
        mean = mean.reshape(-1)  # (C,)
        std = np.sqrt(squares * mean.size / x.size)
        constant = std <= 1e-13 * np.abs(mean)  # nothing but the rounding of the mean
        return cls(mean, np.where(constant, 1.0, std), axis)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        if x.dtype.kind != "f":
            raise TypeError(f"Normalize needs floating x, not {x.dtype}; put ToFloat() before it")
        mean, std = (self._along(v, x) for v in (self.mean, self.std))
        return (x - mean) / std, y

    def _along(self, value: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The vector laid along `axis` of x, in the dtype of x."""
        if value.ndim and (x.ndim <= self.axis or x.shape[self.axis] != len(value)):
            raise ValueError(f"{len(value)} channels do not fit axis {self.axis} of x of shape {x.shape}")
        shape = [1] * x.ndim
        if value.ndim:
            shape[self.axis] = len(value)
        return value.reshape(shape).astype(x.dtype)

    def __repr__(self) -> str:
        def short(v: np.ndarray) -> str:
            if v.ndim == 0:
                return f"{v:.4g}"
            return "[" + ", ".join([f"{e:.4g}" for e in v[:4]] + ["..."] * (len(v) > 4)) + "]"

        axis = "" if self.axis == 1 else f", axis={self.axis}"
        return f"Normalize(mean={short(self.mean)}, std={short(self.std)}{axis})"
