"""Reductions: sums, means, extrema and their kin over all axes, one, or several."""

from __future__ import annotations

import numpy as np

from ..arrays import describe, long_sum, shape_of
from ..engine import Tensor, primitive
from ..op import takes_dim
from .arithmetic import abs, exp, where
from .index import getitem, take_along_axis
from .shape import Axis, as_axes, broadcast_to, concat, flip, permute, reshape


def spread(g, shape: tuple, axis: Axis):
    """Give each element of a reduced array back to all elements it was made from."""
    axes = as_axes(axis, len(shape))
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return broadcast_to(reshape(g, kept), shape)


def count(shape: tuple, axis: Axis) -> int:
    """How many elements are reduced to one."""
    n = 1
    for a in as_axes(axis, len(shape)):
        n *= shape[a]
    return n


@primitive
def sum(x, axis=None, keepdims=False):
    """Sum of the elements over the axes."""
    return long_sum(np.asarray(x), axis, keepdims)
sum.vjp(lambda g, x_shape, axis: spread(g, x_shape, axis))


@primitive
def mean(x, axis=None, keepdims=False):
    """Arithmetic mean: sum / N. Raises where N = 0."""
    if count(shape_of(x), axis) == 0:
        raise ValueError("there is no element to take the mean of; is the batch empty?")
    if shape_of(x) and x.dtype == np.float32:
        return long_sum(x, axis, keepdims) * (1.0 / count(x.shape, axis))
    return np.mean(x, axis=axis, keepdims=keepdims)
mean.vjp(lambda g, x_shape, axis: spread(g * (1.0 / count(x_shape, axis)), x_shape, axis))


@takes_dim
def var(x, axis: Axis = None, keepdims: bool = False, correction: int = 1):
    """Variance: sum((x - mean)^2) / (N - correction). As in PyTorch the default is the unbiased one, N - 1.

    correction=0 divides by N, as NumPy's default does. Raises where there are not more than `correction` elements.
    """
    n = count(shape_of(x), axis) - correction
    if n <= 0:
        raise ValueError(
            f"var of {describe(x)} over axis {axis}: {n + correction} element(s) with correction={correction} would "
            "divide by zero or less; pass correction=0 or reduce over more elements"
        )
    deviation = x - mean(x, axis, True)
    return sum(deviation * deviation, axis, keepdims) * (1.0 / n)


@takes_dim
def std(x, axis: Axis = None, keepdims: bool = False, correction: int = 1):
    """Standard deviation, sqrt(var); its gradient is 0 where the variance is 0."""
    return root(var(x, axis, keepdims, correction))


@primitive(elementwise=True)
def root(x):
    """Square root whose derivative at 0 is taken as 0: what norms and deviations need."""
    return np.sqrt(x)
root.vjp(lambda g, out: where(out == 0, 0.0, g) / where(out == 0, 1.0, 2.0 * out))


@takes_dim
def norm(x, ord: float = 2, axis: Axis = None, keepdims: bool = False):
    """Vector norm (sum |x|^ord)^(1/ord) over the axes; ord may be inf. The gradient at the zero vector is 0."""
    if ord == 2:
        return root(sum(x * x, axis, keepdims))
    size = abs(x)
    if ord == float("inf"):
        return max(size, axis, keepdims)
    if ord == 1:
        return sum(size, axis, keepdims)
    if not isinstance(ord, int | float) or not ord > 1:
        raise ValueError(f"norm of order {ord!r}: the order must be a number >= 1, or inf")
    total = sum(size**ord, axis, keepdims)
    return where(total == 0, 0.0, where(total == 0, 1.0, total) ** (1.0 / ord))


@takes_dim
def max(x, axis: Axis = None, keepdims: bool = False):
    """Largest element; the gradient goes to the first one in scan order. NaN wins."""
    return _extreme(x, np.argmax, "max", axis, keepdims)


@takes_dim
def min(x, axis: Axis = None, keepdims: bool = False):
    """Smallest element; the gradient goes to the first one in scan order. NaN wins."""
    return _extreme(x, np.argmin, "min", axis, keepdims)


def _extreme(x, arg, name: str, axis: Axis, keepdims: bool):
    """Lay the reduced axes out as one, find the place, and take the element from there."""
    shape = shape_of(x)
    axes = as_axes(axis, len(shape), name)
    rest = tuple(i for i in range(len(shape)) if i not in axes)
    if count(shape, axis) == 0:
        raise ValueError(f"{name} of {describe(x)} over axis {axis}: there is no element to choose from")
    outer = tuple(shape[i] for i in rest)
    rows = reshape(permute(x, rest + axes), (*outer, count(shape, axis)))
    place = arg(rows._array if isinstance(rows, Tensor) else rows, axis=-1, keepdims=True)
    best = reshape(take_along_axis(rows, place, -1), outer)
    return reshape(best, tuple(1 if i in axes else n for i, n in enumerate(shape))) if keepdims else best


@takes_dim
def argmax(x, axis: int | None = None, keepdims: bool = False) -> np.ndarray:
    """Place of the first largest element, as an integer array (it has no derivative)."""
    return np.argmax(np.asarray(x), axis=axis, keepdims=keepdims)


@takes_dim
def argmin(x, axis: int | None = None, keepdims: bool = False) -> np.ndarray:
    """Place of the first smallest element, as an integer array (it has no derivative)."""
    return np.argmin(np.asarray(x), axis=axis, keepdims=keepdims)


@takes_dim
def prod(x, axis: Axis = None, keepdims: bool = False):
    """Product of the elements. Multiplied pairwise, so that derivatives of any order are right where elements are 0."""
    shape = shape_of(x)
    axes = as_axes(axis, len(shape), "prod")
    rest = tuple(i for i in range(len(shape)) if i not in axes)
    n = count(shape, axis)
    rows = reshape(permute(x, axes + rest), (n, *(shape[i] for i in rest)))
    if n < 2:  # the empty product is 1; a single row is copied
        rows = sum(rows, 0, True) + (1 - n)
    while n > 1:
        odd, half = n % 2, n // 2  # an odd last row waits for the next round
        pairs = getitem(rows, slice(0, half)) * getitem(rows, slice(half, 2 * half))
        rows, n = concat([pairs, getitem(rows, slice(n - 1, n))], 0) if odd else pairs, half + odd
    return reshape(rows, tuple(1 if i in axes else m for i, m in enumerate(shape)) if keepdims else rows.shape[1:])


@primitive
def _cumsum(x, axis):
    return np.cumsum(x, axis=axis)
_cumsum.vjp(lambda g, axis: flip(_cumsum(flip(g, axis), axis), axis))


@takes_dim
def cumsum(x, axis: int | None = None):
    """Running sum along an axis; None flattens first."""
    return _cumsum(reshape(x, (-1,)), 0) if axis is None else _cumsum(x, *as_axes((axis,), len(shape_of(x)), "cumsum"))


def _peak(x, axis):
    """The largest element, its axes kept; -inf where there is none."""
    return np.max(x, axis=axis, keepdims=True, initial=-np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)


@primitive
def logsumexp(x, axis=None, keepdims=False):
    """log(sum(exp(x))) without overflow: the maximum is taken out first. -inf where all elements are, or none is."""
    top = _peak(x, axis)
    top = np.where(np.isfinite(top), top, np.zeros((), top.dtype))
    with np.errstate(divide="ignore", over="ignore"):  # log(0) is -inf; beside +inf everything may overflow
        out = np.log(long_sum(np.exp(x - top), axis, True)) + top
    return out if keepdims else np.squeeze(out, as_axes(axis, x.ndim))
logsumexp.vjp(lambda g, out, x, axis: spread(g, x.shape, axis) * exp(x - spread(_finite(out), x.shape, axis)))


def _finite(out):
    """The softmax of a row of -inf is 0, not NaN."""
    return where(out == -np.inf, 0.0, out)


@primitive
def softmax(x, axis=-1):
    """exp(x) / sum(exp(x)), over one axis."""
    e = np.exp(x - _peak(x, axis))
    return e / np.sum(e, axis=axis, keepdims=True)
softmax.vjp(lambda g, out, axis: out * (g - sum(g * out, axis, True)))


@primitive
def log_softmax(x, axis=-1):
    """x - logsumexp(x), over one axis."""
    shifted = x - _peak(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
log_softmax.vjp(lambda g, out, axis: g - exp(out) * sum(g, axis, True))

