"""Short tones of several instruments, made on the spot in any number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minidl.data.synthetic import start_set, whole
from minidl.random import Rng

__all__ = ["TONES", "tones"]

# For each instrument: the partials as (frequency over that of the tone, amplitude); the attack and the decay time in
# seconds (a partial of ratio r falls to 1/e in decay / r); how far vibrato bends the pitch, as a share of it.
_INSTRUMENTS = {
    "sine": ([(1, 1.0)], 0.02, np.inf, 0.0),
    "organ": ([(0.5, 0.5), (1, 1.0), (2, 0.8), (3, 0.4), (4, 0.5), (8, 0.3)], 0.03, np.inf, 0.0),
    "clarinet": ([(r, 1 / r) for r in range(1, 16, 2)], 0.05, np.inf, 0.0),
    "violin": ([(r, 1 / r) for r in range(1, 16)], 0.08, np.inf, 0.006),
    "guitar": ([(r, 1 / r) for r in range(1, 12)], 0.004, 0.6, 0.0),
    "bell": ([(0.5, 0.6), (1, 1.0), (1.2, 0.7), (1.5, 0.5), (2, 0.8), (2.7, 0.5), (4.1, 0.3)], 0.002, 0.5, 0.0),
}
TONES = tuple(_INSTRUMENTS)
VIBRATO = 5.5  # Hz
RELEASE = 0.03  # seconds at the end in which the tone fades


def tones(
    n: int = 600,
    length: int = 4000,
    classes: Sequence[str] = TONES,
    pitch: tuple[float, float] = (110.0, 440.0),
    sample_rate: int = 8000,
    noise: float = 0.0,
    rng: Rng = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Tones of random pitch, loudness, phases and onset (in the first tenth), one instrument a class.

        x(t) = envelope(t) sum_r a_r exp(-r t / decay) sin(r phi(t) + phase_r),    phi'(t) = 2 pi f (1 + v cos(11 pi t))

    x: (n, length) float32 within -1..1 (but for the noise); y: (n,) int64, where label k is classes[k].
    pitch: the range of f in Hz, in which it is log-uniform; partials above sample_rate / 2 are left out. noise: the
    standard deviation of the Gaussian noise on each sample.

    Raises ValueError for an unknown class, a pitch outside 0..sample_rate / 2, or a length below 1.

    Risset, Mathews (1969), "Analysis of Musical-Instrument Tones", Physics Today 22(2).

    >>> from minidl import data
    >>> x, y = data.tones(10, classes=["organ", "bell"], rng=0)
    >>> x.shape, x.dtype, sorted(y.tolist())
    ((10, 4000), dtype('float32'), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    """
    classes = [classes] if isinstance(classes, str) else list(classes)
    if [c for c in classes if c not in TONES] or not classes or len(set(classes)) < len(classes):
        raise ValueError(f"classes are different names out of {', '.join(TONES)}; got {classes}")
    length, sample_rate = whole(length, "length"), whole(sample_rate, "sample_rate")
    low, high = map(float, pitch)
    if not 0 < low <= high < sample_rate / 2:
        raise ValueError(f"pitch is a pair 0 < low <= high < sample_rate / 2 = {sample_rate / 2:g} Hz, not {pitch!r}")
    rng, y = start_set(n, len(classes), noise, rng)
    x = np.empty((n, length), np.float32)
    frequency = np.exp(rng.uniform(np.log(low), np.log(high), n))
    onset = rng.uniform(0, 0.1 * length / sample_rate, n)
    loudness = rng.uniform(0.3, 0.9, n)
    for k, name in enumerate(classes):
        for part in np.array_split(np.flatnonzero(y == k), 1 + n * length // 2**22):  # temporary arrays stay small
            waves = _play(name, frequency[part, None], onset[part, None], length, sample_rate, rng)
            peak = np.maximum(np.abs(waves).max(1, initial=0), 1e-9)
            x[part] = waves * (loudness[part] / peak)[:, None]
    if noise:
        x += np.float32(noise) * rng.standard_normal(x.shape, dtype=np.float32)
    return x, y


def _play(
    name: str, frequency: np.ndarray, onset: np.ndarray, length: int, sample_rate: int, rng: np.random.Generator
) -> np.ndarray:
    """The instrument's waves (N, length), for frequency and onset (N, 1)."""
    partials, attack, decay, vibrato = _INSTRUMENTS[name]
    time = np.arange(length) / sample_rate  # (L,)
    bend = vibrato * np.sin(2 * np.pi * VIBRATO * time) / (2 * np.pi * VIBRATO)
    turns = frequency * (time + bend)  # phi / 2 pi, (N, L): its slope is the pitch with vibrato
    since = np.maximum(time - onset, 0)
    waves = np.zeros(turns.shape)
    for ratio, amplitude in partials:
        audible = ratio * frequency * (1 + vibrato) < sample_rate / 2
        angle = ratio * turns + rng.random(frequency.shape)
        angle -= np.rint(angle)  # small enough for float32, whose sine is faster
        partial = amplitude * audible * np.sin(2 * np.pi * angle.astype(np.float32))
        waves += partial if decay == np.inf else partial * np.exp(-ratio / decay * since)
    return waves * np.minimum(since / attack, 1) * np.minimum((length / sample_rate - time) / RELEASE, 1)
