"""What all augmentations share: checks of what comes in, and draws for each sample of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minidl.arrays import describe
from minidl.data.transforms import one_hot

Range = float | Sequence[float]


def check_images(name: str, x: np.ndarray, floating: bool = True, channels: Sequence[int] = ()) -> None:
    """x is a batch of images (N, C, H, W), of floats if need be, with one of these numbers of channels."""
    if not isinstance(x, np.ndarray) or x.ndim != 4:
        raise ValueError(
            f"{name} takes a batch of images (N, C, H, W), not {describe(x)}; a single image is image[None]"
        )
    if floating and x.dtype.kind != "f":
        raise TypeError(f"{name} needs floating images, not {x.dtype}; put data.ToFloat() before it")
    if channels and x.shape[1] not in channels:
        wanted = " or ".join(map(str, channels))
        raise ValueError(f"{name} takes images of {wanted} channels, not {describe(x)}")


def check_probability(name: str, p: float, what: str = "p") -> float:
    """The probability if it is a number from 0 to 1."""
    if isinstance(p, bool) or not isinstance(p, int | float | np.integer | np.floating) or not 0 <= p <= 1:
        raise ValueError(f"{name}: {what} is a probability, a number from 0 to 1, not {p!r}")
    return float(p)


def interval(name: str, what: str, value: Range, centre: float = 0.0, least: float = -np.inf) -> tuple[float, float]:
    """A pair (low, high) as it is; a number v as (centre - v, centre + v), cut off at `least`."""
    try:
        low, high = (centre - value, centre + value) if np.ndim(value) == 0 else map(float, value)
        low = max(low, least) if np.ndim(value) == 0 else low
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not (least <= low <= high < np.inf) or (np.ndim(value) == 0 and not value >= 0):
        bound = "" if least == -np.inf else f", nothing below {least:g}"
        raise ValueError(f"{name}: {what} is a number >= 0 or a pair (low, high){bound}, not {value!r}")
    return float(low), float(high)


def lay(values: float | np.ndarray, x: np.ndarray) -> np.ndarray:
    """A number, or one for each sample (N,), in the shape that broadcasts against x (N, ...) and in its dtype."""
    values = np.asarray(values, x.dtype)
    if values.ndim == 0:
        return values
    if values.shape != x.shape[:1]:
        raise ValueError(f"one number for each of {len(x)} samples is wanted, not {describe(values)}")
    return values.reshape(-1, *[1] * (x.ndim - 1))


def apply_to_some(
    function: Callable[[np.ndarray, np.random.Generator], np.ndarray], x: np.ndarray, p: float, rng: np.random.Generator
) -> np.ndarray:
    """function(x, rng) for a random share p of the samples, the others as they are; x may be written to.

    The function is handed those samples alone, so that what is left out costs nothing; shapes must stay as they are.
    """
    if p >= 1:
        return function(x, rng)
    chosen = np.flatnonzero(rng.random(len(x)) < p)
    if len(chosen):
        x[chosen] = function(x[chosen], rng)
    return x


def soft_targets(name: str, y: np.ndarray, num_classes: int | None, dtype=np.float32) -> np.ndarray:
    """Labels (N,) as rows (N, num_classes) with a one at the label; rows of floats (N, K) as they are."""
    if y is None:
        raise ValueError(f"{name} mixes labels (N,) or soft targets (N, K) too; this data has none, give Dataset(x, y)")
    y = np.asarray(y)
    if y.ndim == 2 and y.dtype.kind == "f":
        if num_classes not in (None, y.shape[1]):
            raise ValueError(f"{name}: the soft targets {describe(y)} have {y.shape[1]} classes, not {num_classes}")
        return y
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise ValueError(f"{name} mixes labels (N,) or soft targets (N, K), not {describe(y)}")
    if num_classes is None:
        raise ValueError(f"{name}: labels (N,) need num_classes=..., for a batch need not hold all classes")
    return one_hot(name, y, num_classes, dtype)
