"""SpecAugment: a spectrogram bent in time, and bands of frequencies and of times masked.

Spectrograms are floats (N, F, T): N of them, F frequencies, T times; each gets its own draws. The names W, F, T, p, m_F
and m_T are the paper's. Each transform has its deterministic function beside it.

Park, Chan, Zhang, Chiu, Zoph, Cubuk, Le (2019), "SpecAugment: A Simple Data Augmentation Method for Automatic Speech
Recognition", Interspeech, arXiv:1904.08779.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from minidl.arrays import describe
from minidl.data.augment.common import check_probability, lay

__all__ = ["FrequencyMask", "SpecAugment", "TimeMask", "TimeWarp", "mask_frequencies", "mask_times", "time_warp"]

Fill = float | Literal["mean"]


def time_warp(x: np.ndarray, centre: float | np.ndarray, shift: float | np.ndarray) -> np.ndarray:
    """Move the column `centre` of spectrograms x (N, F, T) by `shift` columns; both ends stay where they are.

    Column t of the result is column s(t) of x, where s is linear on both sides of the point that moved:

        s(0) = 0,    s(centre + shift) = centre,    s(T - 1) = T - 1

    Between columns x is interpolated linearly. (The paper's s is a spline through these points.) centre and shift are
    numbers or one for each spectrogram.

    Raises ValueError unless centre and centre + shift lie between the ends.

    Park et al. (2019), arXiv:1904.08779, section 2.
    """
    x = check_spectrograms("time_warp", x)
    last = x.shape[2] - 1
    centre, shift = (np.broadcast_to(np.asarray(v, np.float64), x.shape[:1])[:, None] for v in (centre, shift))
    moved = centre + shift  # (N, 1)
    if not ((0 < centre) & (centre < last) & (0 < moved) & (moved < last)).all():
        raise ValueError(f"time_warp: centre and centre + shift must lie between the ends, columns 0 and {last}")
    t = np.arange(last + 1)
    source = np.where(t < moved, t * (centre / moved), last - (last - t) * ((last - centre) / (last - moved)))  # (N, T)
    left = np.clip(np.floor(source).astype(np.int64), 0, last - 1)
    share = (source - left).astype(x.dtype)[:, None]
    a, b = (np.take_along_axis(x, i[:, None], 2) for i in (left, left + 1))
    return (1 - share) * a + share * b


def mask_frequencies(x: np.ndarray, start: int | np.ndarray, width: int | np.ndarray, value: Fill = 0.0) -> np.ndarray:
    """Spectrograms x (N, F, T) with the frequencies start <= f < start + width replaced by `value`.

    start, width: integers, or one for each spectrogram. value: a number, or "mean" for each spectrogram's own mean.

    Park et al. (2019), arXiv:1904.08779, section 2.
    """
    return _mask(check_spectrograms("mask_frequencies", x).copy(), start, width, value, axis=1)


def mask_times(x: np.ndarray, start: int | np.ndarray, width: int | np.ndarray, value: Fill = 0.0) -> np.ndarray:
    """x (N, F, T) with the times start <= t < start + width replaced by `value`; as `mask_frequencies`."""
    return _mask(check_spectrograms("mask_times", x).copy(), start, width, value, axis=2)


def _mask(x: np.ndarray, start, width, value: Fill | np.ndarray, axis: int) -> np.ndarray:
    """The work of both, in place."""
    start, width = (np.asarray(v).reshape(-1, 1) for v in (start, width))
    index = np.arange(x.shape[axis])
    inside = np.broadcast_to((index >= start) & (index < start + width), (len(x), len(index)))
    value = x.mean((1, 2), keepdims=True) if isinstance(value, str) else np.asarray(value, x.dtype)
    np.copyto(x, value, where=inside[:, :, None] if axis == 1 else inside[:, None, :])
    return x


@dataclass(frozen=True)
class TimeWarp:
    """Move a random column of each spectrogram to the left or right by a distance uniform in 0..W.

    The column is one of W + 1, ..., T - 2 - W, each with the same chance, so that what moves stays between the ends.
    W = 0 changes nothing.

    Raises ValueError for spectrograms of fewer than 2 W + 3 times, TypeError for integer x.

    Park et al. (2019), arXiv:1904.08779, section 2.
    """

    W: int = 80

    def __post_init__(self) -> None:
        _count("TimeWarp", "W", self.W)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        times = check_spectrograms("TimeWarp", x).shape[2]
        if self.W == 0:
            return x, y
        if times < 2 * self.W + 3:
            raise ValueError(
                f"TimeWarp: W={self.W} needs spectrograms of at least 2 W + 3 = {2 * self.W + 3} times, not {times}; "
                f"here W is at most {max((times - 3) // 2, 0)}"
            )
        centre = rng.integers(self.W + 1, times - 1 - self.W, len(x))
        return time_warp(x, centre, rng.uniform(-self.W, self.W, len(x))), y


@dataclass(frozen=True)
class FrequencyMask:
    """Mask `num` bands of frequencies in each spectrogram, of widths f uniform in 0, ..., F and at random places.

    A band is f0 <= frequency < f0 + f with f0 uniform in 0, ..., (number of frequencies) - f; bands may overlap. value:
    what stands in a mask, a number (0, the mean of spectrograms that are normalised) or "mean" for the mean of each.

    Raises ValueError for spectrograms of fewer than F frequencies, TypeError for integer x.

    Park et al. (2019), arXiv:1904.08779, section 2.
    """

    F: int = 27
    num: int = 1
    value: Fill = 0.0

    def __post_init__(self) -> None:
        _count("FrequencyMask", "F", self.F)
        _count("FrequencyMask", "num", self.num)
        _check_fill("FrequencyMask", self.value)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        size = check_spectrograms("FrequencyMask", x).shape[1]
        if self.F > size:
            raise ValueError(f"FrequencyMask: F={self.F} is more than the {size} frequencies of x; make F smaller")
        return _masked(x, self.F, self.num, self.value, rng, axis=1), y


@dataclass(frozen=True)
class TimeMask:
    """Mask `num` stretches of time in each spectrogram, of widths t uniform in 0, ..., min(T, p times) and at random
    places; otherwise as `FrequencyMask`.

    p: a mask may hide no more than this share of the times, however large T is.

    Raises ValueError for a p outside 0..1, TypeError for integer x.

    Park et al. (2019), arXiv:1904.08779, sections 2 and 3.

    >>> import numpy as np
    >>> from minidl.data import augment
    >>> augment.TimeMask(T=3)(np.ones((2, 1, 8), np.float32), None, np.random.default_rng(1))[0].astype(int)
    array([[[1, 1, 1, 1, 1, 1, 0, 1]],
    <BLANKLINE>
           [[1, 1, 1, 1, 1, 1, 0, 0]]])
    """

    T: int = 100
    num: int = 1
    p: float = 1.0
    value: Fill = 0.0

    def __post_init__(self) -> None:
        _count("TimeMask", "T", self.T)
        _count("TimeMask", "num", self.num)
        check_probability("TimeMask", self.p)
        _check_fill("TimeMask", self.value)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        times = check_spectrograms("TimeMask", x).shape[2]
        return _masked(x, min(self.T, int(self.p * times)), self.num, self.value, rng, axis=2), y


@dataclass(frozen=True)
class SpecAugment:
    """TimeWarp(W), then m_F frequency masks up to F wide, then m_T time masks up to T wide and p of the whole.

    The defaults are the paper's policy LB, made for spectrograms of 80 frequencies and a thousand times or so. LD has
    m_F = m_T = 2. For small spectrograms scale W, F and T down. value: what stands under the masks, 0, the mean of
    spectrograms that are normalised; give "mean" for others, such as the logarithms of `Spectrogram`, all negative.

    Raises ValueError for spectrograms that are too small for W or F, TypeError for integer x.

    Park et al. (2019), "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition", Interspeech,
    arXiv:1904.08779.

    >>> from minidl.data import augment
    >>> augment.SpecAugment(W=5, F=10, T=20)
    SpecAugment(W=5, F=10, m_F=1, T=20, p=1.0, m_T=1, value=0.0)
    """

    W: int = 80
    F: int = 27
    m_F: int = 1
    T: int = 100
    p: float = 1.0
    m_T: int = 1
    value: Fill = 0.0

    def __post_init__(self) -> None:
        self.steps()  # which check the arguments

    def steps(self) -> tuple[TimeWarp, FrequencyMask, TimeMask]:
        """The three transforms, one after the other."""
        masks = FrequencyMask(self.F, self.m_F, self.value), TimeMask(self.T, self.m_T, self.p, self.value)
        return TimeWarp(self.W), *masks

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        for step in self.steps():
            x, y = step(x, y, rng)
        return x, y


def _masked(x: np.ndarray, widest: int, num: int, value: Fill, rng: np.random.Generator, axis: int) -> np.ndarray:
    """x with `num` masks, each of a random width up to `widest`, at random places along the axis."""
    if isinstance(value, str):
        value = lay(x.mean((1, 2)), x)  # before anything is masked
    for _ in range(num):
        width = rng.integers(0, widest + 1, len(x))
        x = _mask(x, rng.integers(0, x.shape[axis] - width + 1), width, value, axis)
    return x


def check_spectrograms(name: str, x: Any) -> np.ndarray:
    """x if it is an array of floats (N, F, T)."""
    if not isinstance(x, np.ndarray) or x.ndim != 3 or not x.shape[1] or not x.shape[2]:
        raise ValueError(f"{name} takes spectrograms (N, F, T), not {describe(x)}; augment.Spectrogram() makes them")
    if x.dtype.kind != "f":
        raise TypeError(f"{name} needs floating spectrograms, not {x.dtype}")
    return x


def _count(name: str, what: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ValueError(f"{name}: {what} is an integer >= 0, not {value!r}")


def _check_fill(name: str, value: Fill) -> None:
    if value != "mean" and not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(f"{name}: value is a number or 'mean', not {value!r}")
