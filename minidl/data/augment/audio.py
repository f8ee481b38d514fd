"""Augmentation of waves (N, L): noise of a given loudness, random clips, and pieces cut out or exchanged.

Each transform has its deterministic function beside it, whose arguments are numbers or one for each wave. For stretched
time and shifted pitch see `minidl.data.augment.vocoder`, for masks `minidl.data.augment.specaugment`.

Salamon, Bello (2017), "Deep Convolutional Neural Networks and Data Augmentation for Environmental Sound
Classification", IEEE Signal Processing Letters 24(3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.arrays import describe
from minidl.data.augment.common import Range, apply_to_some, check_probability, interval, lay
from minidl.data.augment.spectrum import check_waves

__all__ = ["AddNoise", "CutSplice", "RandomClip", "SwapSplice", "add_noise", "clip", "cut_splice", "swap_splice"]


def add_noise(x: np.ndarray, noise: np.ndarray, snr_db: float | np.ndarray) -> np.ndarray:
    """x + a noise, with a such that the signal-to-noise ratio of each wave is snr_db decibels exactly:

        10 log10(sum x^2 / sum (a noise)^2) = snr_db

    x, noise: (N, L) floats; the result has the dtype of x. A silent wave stays silent, and snr_db = inf adds nothing.
    As torchaudio.functional.add_noise.

    Raises ValueError where shapes differ or noise is silent, TypeError for integers.

    Snyder, Chen, Povey (2015), "MUSAN: A Music, Speech, and Noise Corpus", arXiv:1510.08484.

    >>> import numpy as np
    >>> from minidl.data.augment.audio import add_noise
    >>> add_noise(np.float32([[4, -4]]), np.float32([[1, 1]]), 20)  # a hundredth of the power, a tenth of the size
    array([[ 4.4, -3.6]], dtype=float32)
    """
    x, noise = check_waves("add_noise", x, batch=True), check_waves("add_noise", noise, batch=True)
    if x.shape != noise.shape:
        raise ValueError(f"add_noise: noise has the shape of x, {x.shape}, not {noise.shape}")
    signal, power = (np.square(v, dtype=np.float64).sum(1) for v in (x, noise))
    if not (power > 0).all():
        raise ValueError("add_noise: the noise of a wave is silent, so no factor gives it a power")
    snr_db = np.broadcast_to(np.asarray(snr_db, np.float64), x.shape[:1])
    return x + lay(np.sqrt(signal / power) * 10 ** (-snr_db / 20), x) * noise


@dataclass(frozen=True)
class AddNoise:
    """Add white Gaussian noise at a signal-to-noise ratio of its own to each wave (see `add_noise`).

    snr_db: (low, high), in which the ratio is uniform, or one number for all; 20 dB is noise of a tenth of the wave's
    size, 0 dB of its own. p: the share of the waves that get noise.

    Raises ValueError for a range that is none or a p outside 0..1, TypeError for integer x.

    Bishop (1995), "Training with Noise is Equivalent to Tikhonov Regularization", Neural Computation 7(1).
    """

    snr_db: Range = (10.0, 30.0)
    p: float = 0.5

    def __post_init__(self) -> None:
        self._range()
        check_probability("AddNoise", self.p)

    def _range(self) -> tuple[float, float]:
        one = np.ndim(self.snr_db) == 0
        return interval("AddNoise", "snr_db", (self.snr_db, self.snr_db) if one else self.snr_db)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        def noisy(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            return add_noise(x, rng.standard_normal(x.shape).astype(x.dtype), rng.uniform(*self._range(), len(x)))

        return apply_to_some(noisy, check_waves("AddNoise", x, batch=True), self.p, rng), y


def clip(x: np.ndarray, start: int | np.ndarray, length: int) -> np.ndarray:
    """The piece x(start), ..., x(start + length - 1) of each wave x (N, L): (N, length).

    Raises ValueError where a piece does not lie within its wave.
    """
    x = check_waves("clip", x, batch=True)
    start = _places("clip", "start", start, x, length)
    return np.take_along_axis(x, start + np.arange(length), 1)


@dataclass(frozen=True)
class RandomClip:
    """A piece of `length` samples from a random place of each wave: (N, L) becomes (N, length).

    Raises ValueError if the waves are shorter than that.

    Salamon, Bello (2017), "Deep Convolutional Neural Networks and Data Augmentation for Environmental Sound
    Classification", IEEE Signal Processing Letters 24(3), who train on random pieces of 3 seconds.
    """

    length: int

    def __post_init__(self) -> None:
        _whole("RandomClip", "length", self.length)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        n = _room("RandomClip", x, self.length)
        return clip(x, rng.integers(0, n - self.length + 1, len(x)), self.length), y


def cut_splice(x: np.ndarray, start: int | np.ndarray, length: int | np.ndarray, fade: int = 0) -> np.ndarray:
    """Cut a piece out of each wave x (N, L) and splice the ends: y(n) = x(n) before start, x(n + length) from there on.

    Behind it there are `length` samples of silence, so the shape stays. fade: over this many samples before the splice
    the one end is cross-faded into the other, which avoids a click.

    Raises ValueError where a piece does not lie within its wave.
    """
    x = check_waves("cut_splice", x, batch=True)
    start, length = _places("cut_splice", "start", start, x, length), np.reshape(length, (-1, 1))
    n, index = x.shape[1], np.arange(x.shape[1])
    later = np.take_along_axis(x, np.minimum(index + length, n - 1), 1)
    later[np.broadcast_to(index + length >= n, x.shape)] = 0
    return x + _ramp(index - start, fade, x.dtype) * (later - x)


def swap_splice(
    x: np.ndarray, first: int | np.ndarray, second: int | np.ndarray, length: int | np.ndarray, fade: int = 0
) -> np.ndarray:
    """Exchange two pieces of each wave x (N, L), those of `length` samples from first and from second on.

    fade: over this many samples inside the edges of both pieces the old is cross-faded into the new.

    Raises ValueError where a piece does not lie within its wave or the two overlap.
    """
    x = check_waves("swap_splice", x, batch=True)
    places = [_places("swap_splice", name, at, x, length) for name, at in (("first", first), ("second", second))]
    length, index = np.reshape(length, (-1, 1)), np.arange(x.shape[1])
    away = places[1] - places[0]
    if (np.abs(away) < length).any():
        raise ValueError("swap_splice: the two pieces of a wave overlap; let second be at least first + length")
    y = x.copy()
    for start, shift in zip(places, (away, -away), strict=True):
        inside = np.minimum(index - start - fade, start + length - 1 - fade - index)
        other = np.take_along_axis(x, np.clip(index + shift, 0, x.shape[1] - 1), 1)
        y += _ramp(inside, fade, x.dtype) * (other - x)
    return y


@dataclass(frozen=True)
class CutSplice:
    """Cut a random piece of at most `max_length` samples out of each wave and splice the ends (see `cut_splice`).

    Length and place are uniform. p: the share of the waves that are cut.

    Raises ValueError for waves shorter than max_length or a p outside 0..1, TypeError for integer x.

    Jain, Samala, Mittal, Jyothi, Singh (2021), "SpliceOut: A Simple and Efficient Audio Augmentation Method",
    arXiv:2110.00046, who cut times out of spectrograms.
    """

    max_length: int
    fade: int = 16
    p: float = 0.5

    def __post_init__(self) -> None:
        _whole("CutSplice", "max_length", self.max_length)
        check_probability("CutSplice", self.p)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        def cut(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            length = rng.integers(1, self.max_length + 1, len(x))
            return cut_splice(x, rng.integers(0, x.shape[1] - length + 1), length, self.fade)

        _room("CutSplice", x, self.max_length)
        return apply_to_some(cut, x, self.p, rng), y


@dataclass(frozen=True)
class SwapSplice:
    """Exchange two random pieces of at most `max_length` samples within each wave (see `swap_splice`).

    The length is uniform, and so are the places of two pieces that do not overlap; y stays true, because nothing comes
    from another wave. p: the share of the waves in which pieces are exchanged.

    Raises ValueError for waves shorter than 2 max_length or a p outside 0..1, TypeError for integer x.

    Song, Wu, Huang, Weng, Su, Meng (2020), "SpecSwap: A Simple Data Augmentation Method for End-to-End Speech
    Recognition", Interspeech, who exchange blocks of spectrograms.
    """

    max_length: int
    fade: int = 16
    p: float = 0.5

    def __post_init__(self) -> None:
        _whole("SwapSplice", "max_length", self.max_length)
        check_probability("SwapSplice", self.p)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        def swap(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            length = rng.integers(1, self.max_length + 1, len(x))
            free = x.shape[1] - 2 * length
            a, b = rng.integers(0, free + 2), rng.integers(0, free + 1)
            b += b >= a  # two different numbers from 0 to free + 1: the pieces' places among the free samples
            return swap_splice(x, np.minimum(a, b), np.maximum(a, b) - 1 + length, length, self.fade)

        _room("SwapSplice", x, 2 * self.max_length)
        return apply_to_some(swap, x, self.p, rng), y


def _ramp(inside: np.ndarray, fade: int, dtype) -> np.ndarray:
    """1 where inside >= 0, falling to 0 over `fade` samples outside."""
    return np.clip((inside + fade + 1) / float(fade + 1), 0, 1).astype(dtype)


def _places(name: str, what: str, start: int | np.ndarray, x: np.ndarray, length: int | np.ndarray) -> np.ndarray:
    """start as (N, 1) or (1, 1), checked: 0 <= start and start + length <= L."""
    values, lengths = np.asarray(start), np.asarray(length)
    for v, label in ((values, what), (lengths, "length")):
        if v.dtype.kind not in "iu" or v.shape not in ((), x.shape[:1]):
            raise ValueError(f"{name}: {label} is an integer, or one for each of {len(x)} waves, not {describe(v)}")
    if (values < 0).any() or (lengths < 0).any() or (values + lengths > x.shape[1]).any():
        raise ValueError(f"{name}: a piece from {what} on does not lie within the waves of {x.shape[1]} samples")
    return values.reshape(-1, 1)


def _whole(name: str, what: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}: {what} is a number of samples >= 1, not {value!r}")


def _room(name: str, x: np.ndarray, wanted: int) -> int:
    """The length of the waves, which must be `wanted` at least."""
    n = check_waves(name, x, batch=True).shape[1]
    if n < wanted:
        raise ValueError(f"{name} needs waves of at least {wanted} samples, not {n}; make the length smaller or pad x")
    return n
