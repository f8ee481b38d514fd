"""Why a model errs: too stiff, too nervous, or because the data is noisy."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.arrays import describe

__all__ = ["bias_variance"]


def bias_variance(predictions: Any, truth: Any, noise: float = 0.0) -> dict[str, float]:
    """Take the expected squared error apart, given what models say that were trained on different training sets.

        E[(y - f(x))^2] = E[(y - t(x))^2] + (t(x) - E f(x))^2 + E[(f(x) - E f(x))^2]
             total      =      noise      +      bias^2       +       variance

    E is the mean over training sets, of which f is made, and over the noise of y = t(x) + noise, t(x) = E[y | x].

    predictions: (R, N, ...), what R models say at the same N points, each trained on a set of its own (new samples, or
    resampled ones). truth: t(x), of the shape (N, ...). noise: the variance of y about it. Returns the means over
    points of "noise", "bias2", "variance" and "total" as floats, computed in float64. With the mean over the R models
    for E, bias2 + variance is exactly the mean of (f - t)^2. But the mean of R models itself varies, by variance / R,
    and bias2 is too large by that much: take R >= 20. Where only noisy y are known, pass them as truth, and bias2 will
    have the noise in it. For classes, pass probabilities or one-hot rows (N, K): the error is then Brier's.

    Raises ValueError for shapes that do not fit, fewer than two models or negative noise.

    Geman, Bienenstock, Doursat (1992), "Neural networks and the bias/variance dilemma", Neural Computation 4.

    >>> bias_variance([[1.0, 2.0], [3.0, 2.0]], truth=[2.0, 3.0], noise=0.1)
    {'noise': 0.1, 'bias2': 0.5, 'variance': 0.5, 'total': 1.1}
    """
    f, t = (np.asarray(getattr(v, "_array", v), np.float64) for v in (predictions, truth))  # (R, N, ...), (N, ...)
    if f.ndim < 1 or f.shape[1:] != t.shape or not f.size:
        raise ValueError(
            f"predictions are (R, N, ...), R models at the points of truth (N, ...); these are {describe(f)} and "
            f"{describe(t)}"
        )
    if len(f) < 2:
        raise ValueError("the variance between models needs at least two of them, each trained on a set of its own")
    if not noise >= 0:
        raise ValueError(f"noise is a variance, a number >= 0, not {noise!r}")
    mean = f.mean(axis=0)
    bias2, variance = float(((t - mean) ** 2).mean()), float(((f - mean) ** 2).mean())
    return {"noise": float(noise), "bias2": bias2, "variance": variance, "total": float(noise) + bias2 + variance}
