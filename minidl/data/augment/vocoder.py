"""The phase vocoder: tones made longer or shorter at the same pitch, or higher or lower at the same length.

Waves are (N, L) and float; rate and semitones are a number or one for each wave.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.arrays import describe
from minidl.data.augment.common import Range, apply_to_some, check_probability, interval
from minidl.data.augment.spectrum import check_hop, check_waves, hann, hush, istft, longest, per_wave, resample

__all__ = ["PitchShift", "TimeStretch", "pitch_shift", "time_stretch"]


def time_stretch(x: np.ndarray, rate: float | np.ndarray, length: int | None = None, n_fft: int = 512) -> np.ndarray:
    """Waves x (N, L) played `rate` times as fast at the same pitch: (N, length).

    Output frame u is made from the input frame centred at t = round(u hop rate). Its magnitudes are taken over. Its
    phases must go on where frame u - 1 ended, by as much as they turn in the input within one hop:

        Y_u = X(t) unit(Y_{u-1} conj(X(t - hop))),    unit(z) = z / |z|

    and the frames are added up by `istft`, hop = n_fft / 4. The factor is taken from the nearest peak of |X(t)|, so
    that the frequencies around a partial turn together (Laroche, Dolson's identity phase locking). Rate 1 is the
    identity up to rounding. Onsets are smeared over n_fft samples.

    length: round(L / rate) if None, of the longest; what comes after a wave's own end is silence.

    Raises ValueError for a rate <= 0 or an odd n_fft, TypeError for integer x.

    Flanagan, Golden (1966), "Phase Vocoder", Bell System Technical Journal 45; Dolson (1986), "The Phase Vocoder: A
    Tutorial", Computer Music Journal 10(4); Laroche, Dolson (1999), "Improved Phase Vocoder Time-Scale Modification of
    Audio", IEEE Transactions on Speech and Audio Processing 7(3).

    >>> import numpy as np
    >>> from minidl.data.augment.vocoder import time_stretch
    >>> tone = np.sin(0.3 * np.arange(4000, dtype=np.float32))[None]
    >>> slow = time_stretch(tone, 0.5)
    >>> slow.shape, slow.dtype, [int(np.abs(np.fft.rfft(w)).argmax() / len(w) * 4000) for w in (tone[0], slow[0])]
    ((1, 8000), dtype('float32'), [191, 191])
    """
    x = check_waves("time_stretch", x, batch=True)
    rate = per_wave("time_stretch", "rate", rate, x)
    (count, n), hop = x.shape, check_hop(n_fft, None)
    length = longest(n, rate) if length is None else length
    centre = np.rint(hop * rate[:, None] * np.arange(3 + length // hop)).astype(np.int64)  # (N, U)
    padded = np.pad(x, ((0, 0), (n_fft // 2 + hop, n_fft)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft, 1)
    row, start = np.arange(count)[:, None], np.minimum(centre, n + n_fft // 2) + hop
    window = hann(n_fft, x.dtype)
    now, before = (np.fft.rfft(frames[row, s] * window) for s in (start, start - hop))  # (N, U, F)
    peak, out = nearest_peak(np.abs(now)), now
    for u in range(1, now.shape[1]):
        turn = _unit(out[:, u - 1] * before[:, u].conj())
        out[:, u] *= np.take_along_axis(turn, peak[:, u], 1)
    return hush(istft(np.swapaxes(out, 1, 2), hop, length), n / rate)


def pitch_shift(x: np.ndarray, semitones: float | np.ndarray, n_fft: int = 512) -> np.ndarray:
    """Waves x (N, L) with all frequencies times 2^(semitones / 12), at the same length (N, L).

    They are stretched to 2^(semitones / 12) times their length, then read as much faster. Frequencies that would rise
    above half the sample rate are filtered out. 0 semitones are the identity up to rounding.

    Raises ValueError for semitones outside -48..48, TypeError for integer x.

    Dolson (1986), "The Phase Vocoder: A Tutorial", Computer Music Journal 10(4).
    """
    x = check_waves("pitch_shift", x, batch=True)
    semitones = np.asarray(semitones, np.float64)
    if semitones.shape not in ((), x.shape[:1]) or not (np.abs(semitones) <= 48).all():
        got = describe(semitones) if semitones.ndim else f"{semitones:g}"
        raise ValueError(f"pitch_shift: semitones is from -48 to 48, one for all or each of {len(x)} waves, not {got}")
    factor = 2.0 ** (semitones / 12)
    return resample(time_stretch(x, 1 / factor, n_fft=n_fft), factor, x.shape[1])


def nearest_peak(height: np.ndarray) -> np.ndarray:
    """For each entry of the last axis the index of the nearest peak: one not below its two neighbours on each side."""
    size = height.shape[-1]
    padded = np.pad(height, [(0, 0)] * (height.ndim - 1) + [(2, 2)])
    around = functools.reduce(np.maximum, (padded[..., k : k + size] for k in range(5)))
    peak, index = height >= around, np.arange(size)
    left = np.maximum.accumulate(np.where(peak, index, -2 * size), -1)
    right = np.minimum.accumulate(np.where(peak, index, 3 * size)[..., ::-1], -1)[..., ::-1]
    return np.where(index - left <= right - index, left, right)


def _unit(z: np.ndarray) -> np.ndarray:
    """z / |z|, and 1 where z is 0."""
    size = np.abs(z)
    silent = size == 0
    return np.where(silent, 1, z) / np.where(silent, 1, size)


@dataclass(frozen=True)
class TimeStretch:
    """Play each wave faster or slower at the same pitch, by a rate of its own; the length of the batch stays.

    rate: a number d for a rate uniform in 1 - d..1 + d, or (low, high). What gets too long is cut off at the end, what
    gets too short is followed by silence. p: the share of the waves that are stretched.

    Raises ValueError for rates below 0.05 or a p outside 0..1, TypeError for integer x.

    Flanagan, Golden (1966), "Phase Vocoder", Bell System Technical Journal 45; see `time_stretch`.
    """

    rate: Range = (0.8, 1.25)
    p: float = 0.5
    n_fft: int = 512

    def __post_init__(self) -> None:
        interval("TimeStretch", "rate", self.rate, 1.0, least=0.05)
        check_probability("TimeStretch", self.p)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        low, high = interval("TimeStretch", "rate", self.rate, 1.0, least=0.05)

        def stretch(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            return time_stretch(x, rng.uniform(low, high, len(x)), x.shape[1], self.n_fft)

        return apply_to_some(stretch, check_waves("TimeStretch", x, batch=True), self.p, rng), y


@dataclass(frozen=True)
class PitchShift:
    """Raise or lower the pitch of each wave by an amount of its own, in semitones (twelfths of an octave).

    semitones: a number d for a shift uniform in -d..d, or (low, high). p: the share of the waves that are shifted.

    Raises ValueError for a range that is none or a p outside 0..1, TypeError for integer x.

    Dolson (1986), "The Phase Vocoder: A Tutorial", Computer Music Journal 10(4); see `pitch_shift`.
    """

    semitones: Range = 2.0
    p: float = 0.5
    n_fft: int = 512

    def __post_init__(self) -> None:
        interval("PitchShift", "semitones", self.semitones, least=-48)
        check_probability("PitchShift", self.p)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        low, high = interval("PitchShift", "semitones", self.semitones, least=-48)

        def shift(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            return pitch_shift(x, rng.uniform(low, high, len(x)), self.n_fft)

        return apply_to_some(shift, check_waves("PitchShift", x, batch=True), self.p, rng), y
