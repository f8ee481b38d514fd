"""Numbers that say how well a model does, and their means over batches of different size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from minidl.arrays import describe

__all__ = ["accuracy", "binary_accuracy"]

Metric = Callable[[Any, Any], Any]


def accuracy(output: Any, target: Any) -> float:
    """The share of samples whose largest output is at the right class: mean over n of [argmax_k output_nk = target_n].

    output: scores (N, K) or (N, K, ...), such as logits or probabilities; the first of equal scores counts. target:
    labels (N,) or (N, ...); or class probabilities of the shape of output (one-hot, smoothed, mixed), whose largest is
    then the class. For one score a sample see `binary_accuracy`. Raises ValueError for other shapes.

    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """
    output, target = _values(output), _values(target)
    if output.ndim < 2 or output.shape[1] < 2:
        raise ValueError(
            f"accuracy takes scores of at least two classes, (N, K), not output {describe(output)}; for one score a "
            "sample there is binary_accuracy"
        )
    if target.shape == output.shape:
        target = target.argmax(axis=1)
    predicted = output.argmax(axis=1)  # (N, K, ...) -> (N, ...)
    if output.dtype.kind == "f":
        predicted[np.isnan(output).any(axis=1)] = -1  # NaN is no answer
    if target.shape != predicted.shape:
        raise ValueError(f"accuracy of output {describe(output)} takes labels {predicted.shape} or probabilities "
                         f"{output.shape}, not target {describe(target)}")
    return float(np.mean(predicted == target))


def binary_accuracy(output: Any, target: Any) -> float:
    """The share of logits on the right side of zero: mean of [(output > 0) = (target > 1/2)].

    output: logits of any shape, as `BCEWithLogitsLoss` takes them (of a probability, pass `2 * p - 1`). target: 0 or 1,
    same shape. Raises ValueError if the shapes differ.

    >>> binary_accuracy(np.array([2.0, -1.0, 3.0, -4.0]), np.array([1.0, 0.0, 0.0, 0.0]))
    0.75
    """
    output, target = _values(output), _values(target)
    if output.shape != target.shape:
        raise ValueError(f"binary_accuracy compares equal shapes, not output {describe(output)} with target "
                         f"{describe(target)}; reshape one of them")
    return float(np.mean((output > 0) == (target > 0.5)))


def _values(x: Any) -> np.ndarray:
    return np.asarray(getattr(x, "_array", x))


BUILT_IN: dict[str, Metric] = {"accuracy": accuracy, "binary_accuracy": binary_accuracy}


def named(metrics: Mapping[str, Metric] | Iterable[Metric | str] | Metric | str) -> dict[str, Metric]:
    """Metrics by name, from any of the forms that `fit` and `evaluate` take."""
    if isinstance(metrics, Mapping):
        chosen = dict(metrics)
    else:
        chosen = {}
        for m in [metrics] if callable(metrics) or isinstance(metrics, str) else metrics:
            name = m if isinstance(m, str) else getattr(m, "__name__", type(m).__name__)
            if isinstance(m, str) and m not in BUILT_IN:
                raise ValueError(f"there is no metric {m!r}; there are {', '.join(BUILT_IN)}, and any function "
                                 "f(output, target) that returns a mean over the batch")
            if name in chosen:
                raise ValueError(f"two metrics are called {name!r}; name them: metrics={{'a': f, 'b': g}}")
            chosen[name] = BUILT_IN[m] if isinstance(m, str) else m
    for name, m in chosen.items():
        if not callable(m) or isinstance(m, type):
            raise TypeError(f"the metric {name!r} must be a function f(output, target), not {m!r:.60}")
        if name in ("loss", "penalty", "epoch", "lr"):
            raise ValueError(f"the name {name!r} is taken: the history has a column of that name; choose another")
    return chosen


class Means:
    """Means over samples from means over batches, sum_b n_b v_b / sum_b n_b: a small last batch counts less."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.samples = 0

    def add(self, values: Mapping[str, float], n: int) -> None:
        """Add one batch of n samples."""
        self.samples += n
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + n * float(value)

    def result(self) -> dict[str, float]:
        """The means of all that was added."""
        return {name: total / self.samples for name, total in self.sums.items()}
