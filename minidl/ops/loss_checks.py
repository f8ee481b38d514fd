"""What all losses check, and how they are reduced."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import as_array, describe, raw_of, shape_of
from ..engine import Tensor, primitive
from .shape import broadcast_to, permute, reshape


def check_reduction(name: str, reduction: str) -> None:
    """ValueError unless it is one of the three words."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', not {reduction!r}")


def reduce_losses(name: str, losses, reduction: str, share: float | None = None):
    """All losses, their sum, or their mean: the sum times `share`, if this is given."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return _total(losses, 1.0)
    size = raw_of(losses).size
    if not size:
        raise ValueError(f"{name}: the mean over an empty batch is undefined; skip it, or use reduction='sum'")
    return _total(losses, 1.0 / size if share is None else share)


@primitive
def _total(losses, share):
    return np.sum(losses) * share
_total.vjp(lambda g, losses_shape, share: broadcast_to(g * share, losses_shape))


def rows_of(name: str, x):
    """(N, C, d1, ...) -> (N d1 ..., C)."""
    shape = shape_of(x)
    if len(shape) < 2 or shape[1] < 1 or raw_of(x).dtype.kind != "f":
        raise ValueError(f"{name}: input {describe(x)} must be (N, C) or (N, C, d1, ...), a float for each class")
    if len(shape) == 2:
        return x
    rows = permute(x, (0, *range(2, len(shape)), 1))
    return reshape(rows, (shape[0] * math.prod(shape[2:]), shape[1]))


def plain_labels(target, input: np.ndarray, ignore_index: int) -> np.ndarray | None:
    """Class numbers as a flat array; None if anything about them asks for a closer look: `class_numbers`."""
    labels, shape = raw_of(target), input.shape
    if ignore_index >= 0 or labels.dtype.kind not in "iu" or labels.shape != shape[:1] + shape[2:] or not labels.size:
        return None
    labels = labels.reshape(-1).astype(np.intp, copy=False)
    in_range = np.maximum.reduce(labels.view(np.uintp)) < shape[1]  # as unsigned, negative numbers are very large
    return labels if in_range else None


def class_numbers(name: str, target, input: np.ndarray, ignore_index: int | None, weight: np.ndarray | None) -> tuple:
    """Class numbers as a flat array, which are ignored, and what each counts: its class's weight, or 0 if ignored.

    The number of an ignored sample becomes 0, so that every number can be used as an index.
    """
    shape = input.shape
    labels = raw_of(target)
    expected, classes = shape[:1] + shape[2:], shape[1]
    if labels.dtype.kind not in "iu" and labels.size:
        raise TypeError(
            f"{name}: class numbers must be integers, the target is {describe(labels)}; convert with .astype(np.int64)"
            f" (probabilities need the shape {shape} of the input, and its dtype)"
        )
    if labels.shape != expected:
        hint = "; are these one-hot? Use target.argmax(1), or floats for probabilities" if labels.shape == shape else ""
        hint = "; use target.squeeze(-1)" if labels.shape == (*expected, 1) else hint
        raise ValueError(
            f"{name}: an input of shape {shape} needs a target of shape {expected}, not {labels.shape}{hint}"
        )
    labels = labels.reshape(-1).astype(np.intp)
    ignored = labels == ignore_index
    labels[ignored] = 0
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        wrong = np.flatnonzero((labels < 0) | (labels >= classes))[0]
        raise ValueError(
            f"{name}: class number {labels[wrong]} (sample {wrong}) is out of range; {classes} classes are numbered "
            f"0 to {classes - 1}" + ("" if ignore_index is None else f", and ignore_index is {ignore_index}")
        )
    counts = np.ones(len(labels), input.dtype) if weight is None else weight[labels]
    counts[ignored] = 0
    return labels, ignored, counts


def inverse_total(counts: np.ndarray) -> float:
    """By what a weighted mean multiplies the sum: 1 / sum(counts), and 0 where nothing counts."""
    everything = float(counts.sum(dtype=np.float64))
    return 1.0 / everything if everything else 0.0


def class_weights(name: str, weight, raw: np.ndarray) -> np.ndarray | None:
    """One constant for each class, or None."""
    if weight is None:
        return None
    weight = constant("weight", weight, raw, fit=False)
    if weight.shape != raw.shape[1:2]:
        raise ValueError(f"{name}: weight {weight.shape} must hold one number for each of the {raw.shape[1]} classes")
    return weight


def constant(name: str, value, x, fit: bool = True) -> np.ndarray:
    """A weight as an array of x's dtype; it must not ask for a gradient, nor enlarge x by broadcasting."""
    if isinstance(value, Tensor) and value.requires_grad:
        raise TypeError(f"{name} is a constant of the loss and gets no gradient: pass {name}.detach()")
    array = np.array(raw_of(value), dtype=raw_of(x).dtype)
    lead = len(shape_of(x)) - array.ndim
    if fit and (lead < 0 or any(n not in (1, m) for n, m in zip(array.shape, shape_of(x)[lead:], strict=True))):
        raise ValueError(f"{name} of shape {array.shape} does not broadcast to the input's shape {shape_of(x)}")
    array.flags.writeable = False
    return array


def check_same(name: str, input, target):
    """The target, if its shape and dtype are the input's; numbers and lists take the input's dtype."""
    raw = raw_of(input)
    if raw.dtype.kind != "f":
        raise TypeError(f"{name}: the input must hold floating numbers, it is {describe(raw)}")
    if not isinstance(target, Tensor | np.ndarray):
        target = as_array(target, raw.dtype)
    if shape_of(target) != raw.shape:
        hint = ""
        if raw.size == target.size:
            hint = f"; use input.reshape({target.shape}) or target.reshape({raw.shape}), whichever is meant"
        raise ValueError(
            f"{name}: input {raw.shape} and target {target.shape} must have one shape, they are never broadcast{hint}"
        )
    if target.dtype != raw.dtype:
        raise TypeError(
            f"{name}: input {describe(raw)} and target {describe(target)} must have one dtype; use "
            f"target.astype('{raw.dtype}')"
        )
    return target
