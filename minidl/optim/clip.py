"""Gradient clipping: keep a step short where the loss is a cliff."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..engine import Tensor
from .parameters import collect


def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> float:
    """Scale all gradients, in place, so that together they have at most the norm max_norm. Returns the norm before.

        n = (sum |g_i|^norm_type)^(1/norm_type)      over all elements of all gradients
        g <- g min(1, max_norm / (n + 1e-6))

    norm_type: any p > 0, or math.inf for the largest element. The norm is computed in float64 and does not overflow or
    underflow. max_norm=math.inf measures only. Parameters without a gradient are left out. As in PyTorch, a NaN makes
    the norm and then every gradient NaN, and an infinity becomes NaN while the rest becomes 0; error_if_nonfinite=True
    raises RuntimeError instead, and changes nothing.

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", ICML 2013, arXiv:1211.5063.

    >>> import minidl
    >>> w = minidl.tensor([0.0, 0.0], requires_grad=True)
    >>> (w * minidl.tensor([3.0, 4.0])).sum().backward()
    >>> clip_grad_norm_([w], max_norm=1.0)
    5.0
    """
    _check_bound("clip_grad_norm_", "max_norm", max_norm)
    _check_bound("clip_grad_norm_", "norm_type", norm_type)
    gradients = _gradients(parameters, "clip_grad_norm_")
    norm = global_norm([g._array for g in gradients], float(norm_type))
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients is {norm}, so they cannot be clipped; look for the operation "
            "that made it with minidl.detect_anomaly()"
        )
    scale = max_norm / (norm + 1e-6)
    if not scale >= 1:  # also when it is NaN
        for g in gradients:
            array = g._writable()
            array *= scale
    return norm


def clip_grad_value_(parameters: Iterable[Tensor] | Tensor, clip_value: float) -> None:
    """Hold every element of every gradient between -clip_value and clip_value, in place; NaN stays NaN.

    This changes the direction of the gradient, clip_grad_norm_ does not.
    """
    _check_bound("clip_grad_value_", "clip_value", clip_value)
    for g in _gradients(parameters, "clip_grad_value_"):
        array = g._writable()
        np.clip(array, -clip_value, clip_value, out=array)


def _gradients(parameters: Iterable[Tensor] | Tensor, owner: str) -> list[Tensor]:
    params = collect([parameters] if isinstance(parameters, Tensor) else parameters, owner)
    return [p.grad for p in params if p.grad is not None]


def global_norm(arrays: list[np.ndarray], p: float) -> float:
    """The p-norm of all elements together; where powers would leave their range, the largest is divided out first."""
    if p == 2:
        with np.errstate(over="ignore"):
            total = sum(float(np.sum(np.square(a, dtype=np.float64))) for a in arrays)
        if 1e-280 < total < math.inf:
            return math.sqrt(total)
    peak = float(np.max([np.max(np.abs(a), initial=0.0) for a in arrays], initial=0.0))
    if p == math.inf or peak == 0 or not math.isfinite(peak):
        return peak
    return peak * sum(float(np.sum((np.abs(a, dtype=np.float64) / peak) ** p)) for a in arrays) ** (1 / p)


def _check_bound(owner: str, name: str, value: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{owner}: {name} must be a number, not {value!r}")
    if not value > 0:
        raise ValueError(f"{owner}: {name} must be > 0, not {value}")
