"""What the options of optimisers and schedules may be, and the errors for what they may not."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real

from ..arrays import describe

FLAGS = {"nesterov", "amsgrad", "centered", "maximize"}
NOT_NEGATIVE = (">= 0", lambda x: x >= 0)
LIMITS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "lr": NOT_NEGATIVE,
    "initial_lr": NOT_NEGATIVE,
    "momentum": NOT_NEGATIVE,
    "dampening": ("in [0, 1]", lambda x: 0 <= x <= 1),
    "weight_decay": NOT_NEGATIVE,
    "lr_decay": NOT_NEGATIVE,
    "initial_accumulator_value": NOT_NEGATIVE,
    "alpha": ("in [0, 1)", lambda x: 0 <= x < 1),
    "betas": ("in [0, 1)", lambda x: 0 <= x < 1),
    "eps": ("> 0 (a gradient of zero would be divided by it)", lambda x: x > 0),
}


def option(owner: str, name: str, value):
    """The value of an optimiser's option, checked: a Python bool, float, or pair of floats; unknown names pass."""
    if name in FLAGS:
        if not isinstance(value, bool):
            raise TypeError(f"{owner}: {name} must be True or False, not {describe(value)}")
        return value
    if name not in LIMITS:
        return value
    if name == "betas":
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise TypeError(f"{owner}: betas must be a pair such as (0.9, 0.999), not {describe(value)}")
        return tuple(number(owner, f"betas[{k}]", beta, *LIMITS[name]) for k, beta in enumerate(value))
    return number(owner, name, value, *LIMITS[name])


def number(owner: str, name: str, value, words: str = "finite", holds: Callable[[float], bool] = math.isfinite):
    """The value as a Python float (a NumPy scalar would make float64 of float32 arrays), finite and within limits."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{owner}: {name} must be a number {words}, not {describe(value)}")
    if not math.isfinite(value) or not holds(value):
        raise ValueError(f"{owner}: {name} must be {words}, not {value}")
    return float(value)


def count(owner: str, name: str, value, least: int = 1) -> int:
    """The value as a Python int, at least `least`."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{owner}: {name} must be an integer, not {describe(value)}")
    if value < least:
        raise ValueError(f"{owner}: {name} must be at least {least}, not {value}")
    return int(value)


def choice(owner: str, name: str, value, allowed: tuple[str, ...]) -> str:
    """The value, one of the allowed words."""
    if value not in allowed:
        raise ValueError(f"{owner}: {name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
    return value
