"""Sets of points in the plane, made on the spot: small problems that can be drawn and looked at.

Each function takes the number of points n, the standard deviation `noise` of the Gaussian added to the coordinates, and
`rng` (a Generator or seed; None is the stream "sample"). It returns x (n, 2) float32 and y (n,) int64, in random order,
with classes of equal size as far as n allows.

>>> from minidl import data
>>> x, y = data.spirals(90, arms=3, rng=0)
>>> x.shape, x.dtype, y.dtype, [int((y == k).sum()) for k in range(3)]
((90, 2), dtype('float32'), dtype('int64'), [30, 30, 30])
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minidl import random
from minidl.random import Rng

__all__ = ["blobs", "circles", "moons", "spirals", "xor"]

Points = tuple[np.ndarray, np.ndarray]


def moons(n: int = 200, noise: float = 0.1, rng: Rng = None) -> Points:
    """Two half circles that reach into each other: (cos t, sin t) and (1 - cos t, 1/2 - sin t), t in 0..pi.

    As in scikit-learn's make_moons (Pedregosa et al. 2011, JMLR 12), with t drawn at random.
    """
    rng, y = start_set(n, 2, noise, rng)
    t = rng.uniform(0, np.pi, n)
    x = np.stack([np.cos(t), np.sin(t)], 1)  # (N, 2)
    x[y == 1] = [1, 0.5] - x[y == 1]
    return _noisy(x, noise, rng), y


def circles(n: int = 200, noise: float = 0.05, factor: float = 0.5, rng: Rng = None) -> Points:
    """A circle of radius 1 (class 0) around one of radius `factor` (class 1), 0 < factor < 1.

    As in scikit-learn's make_circles (Pedregosa et al. 2011, JMLR 12).
    """
    if not 0 < factor < 1:
        raise ValueError(f"factor is the radius of the inner circle, between 0 and 1, not {factor!r}")
    rng, y = start_set(n, 2, noise, rng)
    x = _polar(np.where(y == 1, factor, 1.0), rng.uniform(0, 2 * np.pi, n))
    return _noisy(x, noise, rng), y


def spirals(n: int = 300, arms: int = 2, turns: float = 1.0, noise: float = 0.02, rng: Rng = None) -> Points:
    """`arms` spirals from the middle outwards: r in 0.05..1, angle = 2 pi (turns r + k / arms) for class k.

    Lang, Witbrock (1988), "Learning to Tell Two Spirals Apart", Connectionist Models Summer School (their spirals make
    three turns).
    """
    rng, y = start_set(n, arms, noise, rng)
    r = rng.uniform(0.05, 1, n)
    return _noisy(_polar(r, 2 * np.pi * (turns * r + y / arms)), noise, rng), y


def blobs(n: int = 300, centres: int | Sequence = 3, noise: float = 0.25, rng: Rng = None) -> Points:
    """Gaussian clouds of standard deviation `noise`, one a class.

    centres: a number of classes K, whose centres then lie evenly on the unit circle, or the centres themselves, (K, D);
    x is then (n, D). Duda, Hart, Stork (2001), "Pattern Classification", section 2.6.
    """
    if isinstance(centres, int | np.integer):
        k = whole(centres, "centres")
        centres = _polar(np.ones(k), 2 * np.pi * np.arange(k) / k)
    centres = np.asarray(centres, np.float64)
    if centres.ndim != 2 or not centres.size:
        raise ValueError(f"centres is a number of classes or an array (K, D), not of shape {centres.shape}")
    rng, y = start_set(n, len(centres), noise, rng)
    return _noisy(centres[y], noise, rng), y


def xor(n: int = 200, noise: float = 0.2, rng: Rng = None) -> Points:
    """Clouds around (+-1, +-1); the class tells whether the signs differ. No straight line parts the classes.

    Minsky, Papert (1969), "Perceptrons".
    """
    rng, corner = start_set(n, 4, noise, rng)
    bits = np.stack([corner // 2, corner % 2], 1)  # (N, 2)
    return _noisy(2.0 * bits - 1, noise, rng), bits[:, 0] ^ bits[:, 1]


def start_set(n: int, classes: int, noise: float, rng: Rng) -> tuple[np.random.Generator, np.ndarray]:
    """The checked generator, and labels in random order."""
    n, classes = whole(n, "n"), whole(classes, "the number of classes")
    if not 0 <= noise < float("inf"):
        raise ValueError(f"noise is a standard deviation, a number >= 0, not {noise!r}")
    rng = random.resolve(rng, "sample")
    return rng, rng.permutation(np.arange(n, dtype=np.int64) % classes)


def whole(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} is an integer >= 1, not {value!r}")
    return int(value)


def _polar(r: np.ndarray, angle: np.ndarray) -> np.ndarray:
    return np.stack([r * np.cos(angle), r * np.sin(angle)], 1)


def _noisy(x: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    return (x + noise * rng.standard_normal(x.shape)).astype(np.float32)
