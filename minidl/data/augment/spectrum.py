"""Between a wave and its spectrogram: the short-time Fourier transform, its inverse, and resampling.

Waves are float arrays (..., L), spectra complex arrays (..., F, T) with F = n_fft // 2 + 1 frequencies and
T = 1 + L // hop_length times. The window is Hann's, w(m) = (1 - cos(2 pi m / n_fft)) / 2, and frame t is centred at
sample t hop_length. float32 gives complex64, float64 complex128.

Allen, Rabiner (1977), "A Unified Approach to Short-Time Fourier Analysis and Synthesis", Proc. IEEE 65(11).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.arrays import describe

__all__ = ["Spectrogram", "hann", "istft", "resample", "spectrogram", "stft"]


def hann(n: int, dtype=np.float64) -> np.ndarray:
    """Hann's window of length n, periodic: w(m) = (1 - cos(2 pi m / n)) / 2. Shape (n,).

    Blackman, Tukey (1958), "The Measurement of Power Spectra", Dover.
    """
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)).astype(dtype)


def stft(x: np.ndarray, n_fft: int = 256, hop_length: int | None = None, pad_mode: str = "constant") -> np.ndarray:
    """The short-time Fourier transform of waves x (..., L): complex (..., F, T).

        X(f, t) = sum_m w(m) x(t hop + m - n_fft // 2) exp(-2 pi i f m / n_fft)

    hop_length: n_fft // 4 if None. pad_mode: what lies beyond the two ends, silence ("constant") or the mirrored wave
    ("reflect", PyTorch's default, which needs waves longer than n_fft // 2).
    As torch.stft with center=True, a Hann window and onesided=True.

    Raises TypeError for integer x, ValueError for a hop outside 1..n_fft or waves too short to be reflected.

    Allen, Rabiner (1977), "A Unified Approach to Short-Time Fourier Analysis and Synthesis", Proc. IEEE 65(11).

    >>> import numpy as np
    >>> from minidl.data.augment.spectrum import istft, stft
    >>> wave = np.sin(np.arange(1000, dtype=np.float32))
    >>> spectrum = stft(wave, n_fft=64)
    >>> spectrum.shape, spectrum.dtype
    ((33, 63), dtype('complex64'))
    >>> bool(np.allclose(istft(spectrum, length=1000), wave, atol=1e-6))
    True
    """
    x, hop = check_waves("stft", x), check_hop(n_fft, hop_length)
    if pad_mode not in ("constant", "reflect"):
        raise ValueError(f"stft: pad_mode is 'constant' or 'reflect', not {pad_mode!r}")
    if pad_mode == "reflect" and x.shape[-1] <= n_fft // 2:
        raise ValueError(
            f"stft: a wave of {x.shape[-1]} samples cannot be reflected over n_fft // 2 = {n_fft // 2}; use a smaller "
            "n_fft or pad_mode='constant'"
        )
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(n_fft // 2, n_fft // 2)], pad_mode)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft, -1)[..., ::hop, :]  # (..., T, n_fft)
    return np.swapaxes(np.fft.rfft(frames * hann(n_fft, x.dtype)), -1, -2)


def istft(spectrum: np.ndarray, hop_length: int | None = None, length: int | None = None) -> np.ndarray:
    """The wave (..., length) whose short-time Fourier transform comes closest to spectrum (..., F, T).

    Closest in the sum of squares over all frames. It is the overlap-add of the frames y_t, normalised:

        x(n) = sum_t w(n - t hop) y_t(n - t hop)  /  sum_t w(n - t hop)^2

    so istft(stft(x)) = x, up to rounding. n_fft is 2 (F - 1), thus even. length: (T - 1) hop_length if None; give L to
    get the last samples back as well. As torch.istft with center=True and a Hann window.

    Raises ValueError where no frame covers a sample asked for: a hop above n_fft / 2, or length too large.

    Griffin, Lim (1984), "Signal Estimation from Modified Short-Time Fourier Transform", IEEE Transactions on Acoustics,
    Speech, and Signal Processing 32(2), equation 6.
    """
    if not isinstance(spectrum, np.ndarray) or spectrum.ndim < 2 or spectrum.dtype.kind != "c":
        raise ValueError(f"istft takes complex spectra (..., F, T), not {describe(spectrum)}")
    n_fft, frames = 2 * (spectrum.shape[-2] - 1), spectrum.shape[-1]
    hop = check_hop(n_fft, hop_length)
    length = (frames - 1) * hop if length is None else length
    window = hann(n_fft, spectrum.real.dtype)
    waves = overlap_add(np.fft.irfft(np.swapaxes(spectrum, -1, -2), n_fft) * window, hop)
    weight = overlap_add(np.broadcast_to(window * window, (frames, n_fft)), hop)
    part = slice(n_fft // 2, n_fft // 2 + length)
    waves, weight = waves[..., part], weight[part]
    if len(weight) < length or weight.min(initial=1.0) < 1e-8:
        raise ValueError(
            f"istft: {frames} frames of {n_fft} samples, one every {hop}, do not cover all of {length} samples; take a "
            f"hop of n_fft / 2 = {n_fft // 2} at most, and a length of about frames times hop"
        )
    return waves / weight


def overlap_add(frames: np.ndarray, hop: int) -> np.ndarray:
    """Frames (..., T, M) laid one every `hop` samples and added: (..., (T - 1) hop + M), rounded up to whole hops."""
    *batch, count, size = frames.shape
    rows = -(-size // hop)  # a frame cut into pieces of one hop; the last is filled up with zeros
    pieces = np.pad(frames, [(0, 0)] * (frames.ndim - 1) + [(0, rows * hop - size)])
    pieces = pieces.reshape(*batch, count, rows, hop)
    out = np.zeros((*batch, count + rows - 1, hop), frames.dtype)
    for r in range(rows):
        out[..., r : r + count, :] += pieces[..., r, :]
    return out.reshape(*batch, (count + rows - 1) * hop)


def spectrogram(x: np.ndarray, n_fft: int = 256, hop_length: int | None = None, log: bool = True) -> np.ndarray:
    """The power |X|^2 at each frequency and time, (..., F, T), in the dtype of x; log: log(|X|^2 + 1e-6) instead.

    X is the stft, divided by the sum of the window, so that a sine of amplitude a has a peak of a^2 / 4.

    Oppenheim, Schafer (2010), "Discrete-Time Signal Processing", 3rd edition, section 10.3.
    """
    spectrum = stft(x, n_fft, hop_length) / float(hann(n_fft).sum())
    power = spectrum.real**2 + spectrum.imag**2
    return np.log(power + 1e-6) if log else power


@dataclass(frozen=True)
class Spectrogram:
    """Waves (N, L) as spectrograms (N, F, T): `spectrogram` as a transform.

    Oppenheim, Schafer (2010), "Discrete-Time Signal Processing", 3rd edition, section 10.3.
    """

    n_fft: int = 256
    hop_length: int | None = None
    log: bool = True

    def __post_init__(self) -> None:
        check_hop(self.n_fft, self.hop_length)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        return spectrogram(x, self.n_fft, self.hop_length, self.log), y


def resample(x: np.ndarray, speed: float | np.ndarray, length: int | None = None, zeros: int = 12) -> np.ndarray:
    """Waves x (N, L) read at `speed` (a number or one for each wave): y(n) = x(speed n), (N, length).

    A speed above 1 shortens and raises all frequencies by this factor; what would rise above the Nyquist frequency is
    filtered out. Between the samples x is the sum of sinc functions, windowed to `zeros` zero crossings each side:

        x(s) = sum_k x_k h(s - k),    h(t) = c sinc(c t) (1 + cos(pi c t / zeros)) / 2,    c = min(1, 1 / speed)

    length: round(L / speed) if None, of the longest; what comes after a wave's own end is silence. Speed 1 is the
    identity.

    Raises ValueError for a speed <= 0, TypeError for integer x.

    Smith, Gossett (1984), "A Flexible Sampling-Rate Conversion Method", ICASSP.
    """
    x = check_waves("resample", x, batch=True)
    speed = per_wave("resample", "speed", speed, x)
    n = x.shape[1]
    length = longest(n, speed) if length is None else length
    position = speed[:, None] * np.arange(length)  # float64: positions must be exact far from the beginning
    base = np.floor(position).astype(np.int64)
    cut = np.minimum(1.0, 1 / speed)[:, None]
    after = (cut * (position - base)).astype(x.dtype)
    reach = int(np.ceil(zeros / cut.min(initial=1.0)))
    padded = np.pad(x, ((0, 0), (reach, 2 * reach)))
    index = np.minimum(base, n + reach - 1) + reach + padded.shape[1] * np.arange(len(x))[:, None]
    padded, y = padded.reshape(-1), np.zeros((len(x), length), x.dtype)
    for k in range(1 - reach, reach + 1):
        t = np.clip(after - (cut * k).astype(x.dtype), -zeros, zeros)  # at +-zeros the window is 0
        y += np.sinc(t) * (0.5 + 0.5 * np.cos(t * (np.pi / zeros))) * padded[index + k]
    y *= cut.astype(x.dtype)
    return hush(y, n / speed)


def check_waves(name: str, x: Any, batch: bool = False) -> np.ndarray:
    """x if it is an array of floats (..., L) with L >= 1, or (N, L) for batch=True."""
    if not isinstance(x, np.ndarray) or x.ndim < 1 or (batch and x.ndim != 2):
        shape, hint = ("(N, L)", "; a single wave is wave[None]") if batch else ("(..., L)", "")
        raise ValueError(f"{name} takes waves {shape}, not {describe(x)}{hint}")
    if x.dtype.kind != "f":
        raise TypeError(f"{name} needs floating waves, not {x.dtype}; 16-bit samples are x.astype('float32') / 32768")
    if not x.shape[-1]:
        raise ValueError(f"{name} takes waves of at least one sample, not {describe(x)}")
    return x


def per_wave(name: str, what: str, value: float | np.ndarray, x: np.ndarray) -> np.ndarray:
    """A positive number, or one for each of the waves x (N, L), as float64 (N,)."""
    values = np.asarray(value, np.float64)
    if values.shape not in ((), x.shape[:1]) or not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"{name}: {what} is a number > 0, or one for each of {len(x)} waves, not {describe(value)}")
    return np.broadcast_to(values, x.shape[:1])


def longest(n: int, speed: np.ndarray) -> int:
    """The length of the longest of waves of n samples read at these speeds, each of round(n / speed)."""
    return int(np.rint(n / speed).max(initial=0)) if len(speed) else n


def hush(y: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """y (N, L) with silence from sample round(ends[n]) on, in place."""
    y[np.arange(y.shape[1]) >= np.rint(ends)[:, None]] = 0
    return y


def check_hop(n_fft: int, hop_length: int | None) -> int:
    """The checked hop; a quarter of the window if None."""
    if not isinstance(n_fft, int | np.integer) or n_fft < 4 or n_fft % 2:
        raise ValueError(f"n_fft is an even number of samples >= 4, not {n_fft!r}")
    hop = n_fft // 4 if hop_length is None else hop_length
    if not isinstance(hop, int | np.integer) or not 1 <= hop <= n_fft:
        raise ValueError(f"hop_length is a number of samples from 1 to n_fft = {n_fft}, not {hop_length!r}")
    return int(hop)
