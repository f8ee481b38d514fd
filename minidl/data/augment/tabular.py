"""Augmentation of tables x (N, D): noise of a share of each column's spread, and SMOTE for rare classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl import random
from minidl.arrays import describe
from minidl.random import Rng

__all__ = ["FeatureNoise", "nearest_neighbours", "smote"]


class FeatureNoise:
    """x + std scale_j e for every feature j, with e from the standard normal distribution: new for every number.

    std: the size of the noise as a share of each feature's own standard deviation scale (D,), which
    `FeatureNoise.fit(x, std)` measures; a constant feature then gets none. x (N, D) keeps its floating dtype.

    Raises ValueError for a std or scale that is negative or not finite, or a scale that does not fit x; TypeError for
    integer x.

    Bishop (1995), "Training with Noise is Equivalent to Tikhonov Regularization", Neural Computation 7(1).

    >>> import numpy as np
    >>> from minidl.data import augment
    >>> train = np.float32([[1, 10, 5], [3, 30, 5]])
    >>> noise = augment.FeatureNoise.fit(train, std=0.1)
    >>> noise
    FeatureNoise(std=0.1, scale=[1, 10, 0])
    >>> noise(train, None, np.random.default_rng(0))[0].round(2)
    array([[ 1.01,  9.87,  5.  ],
           [ 3.01, 29.46,  5.  ]], dtype=float32)
    """

    def __init__(self, std: float = 0.1, scale: float | Sequence[float] = 1.0) -> None:
        self.std, self.scale = float(std), np.asarray(scale, np.float64)
        if not (0 <= self.std < np.inf and np.isfinite(self.scale).all() and (self.scale >= 0).all()):
            raise ValueError(f"FeatureNoise: std and scale are finite and >= 0, but std={std}, scale={scale}")
        if self.scale.ndim > 1:
            raise ValueError(f"FeatureNoise: scale is a number or one for each feature, not {describe(self.scale)}")

    @classmethod
    def fit(cls, x: np.ndarray, std: float = 0.1) -> FeatureNoise:
        """The scale of every feature, its standard deviation in the training set x (N, D)."""
        x = _table("FeatureNoise.fit", x)
        if not len(x):
            raise ValueError("FeatureNoise.fit: an empty table has no standard deviations")
        return cls(std, x.std(0, dtype=np.float64))

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        x = _table("FeatureNoise", x, finite=False)
        if self.scale.shape not in ((), x.shape[1:]):
            raise ValueError(f"FeatureNoise was given {len(self.scale)} scales, which do not fit x of shape {x.shape}")
        return x + (self.std * self.scale).astype(x.dtype) * rng.standard_normal(x.shape).astype(x.dtype), y

    def __repr__(self) -> str:
        values = [f"{v:.4g}" for v in self.scale.reshape(-1)]
        short = ", ".join(values if len(values) <= 4 else [*values[:4], "..."])
        return f"FeatureNoise(std={self.std:g}, scale={f'[{short}]' if self.scale.ndim else short})"


def smote(
    x: np.ndarray, y: np.ndarray, k: int = 5, ratio: float | Mapping[Any, int] = 1.0, rng: Rng = None
) -> tuple[np.ndarray, np.ndarray]:
    """The set (x, y) with new samples of the rarer classes, each on a segment between two neighbours of its class:

        new = x_i + u (x_j - x_i),    x_j one of the k nearest neighbours of x_i in its class,    u uniform in 0..1

    SMOTE stands for synthetic minority over-sampling technique. x: (N, D) floats, y: (N,) labels; the result begins
    with (x, y) as they are and keeps their dtypes. ratio: every class is brought up to this share of the largest, or a
    mapping {label: size}; classes that are as large already, or not in the mapping, stay. Every x_i of a class serves
    equally often, up to one. rng: a Generator or seed; None is the stream "augment".

    It is meant for the training set alone, after the split: a new sample between two of the test set would give these
    away. Distances depend on the units of the features; standardise them before.

    Raises ValueError if a class that is to grow has no more than k samples, TypeError for integer x.

    Chawla, Bowyer, Hall, Kegelmeyer (2002), "SMOTE: Synthetic Minority Over-sampling Technique", Journal of Artificial
    Intelligence Research 16. (In the listing there u is drawn for each feature anew, in the text once for a sample.)

    >>> import numpy as np
    >>> from minidl.data import augment
    >>> x, y = np.float32([[0, 0], [0, 1], [5, 5], [6, 6], [7, 7], [8, 8]]), np.array([1, 1, 0, 0, 0, 0])
    >>> more, labels = augment.smote(x, y, k=1, rng=0)
    >>> labels
    array([1, 1, 0, 0, 0, 0, 1, 1])
    >>> more[6:, 0], bool((more[6:, 1] <= 1).all())
    (array([0., 0.], dtype=float32), True)
    """
    x, y = _table("smote", x), np.asarray(y)
    if y.shape != x.shape[:1]:
        raise ValueError(f"smote takes a label for each row of x, shape {x.shape[:1]}, not {describe(y)}")
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"smote: k is a number of neighbours >= 1, not {k!r}")
    rng, new_x, new_y = random.resolve(rng, "augment"), [x], [y]
    for label, missing in _missing(y, ratio):
        members = x[y == label]
        if len(members) <= k:
            few = "1 sample" if len(members) == 1 else f"{len(members)} samples"
            raise ValueError(
                f"smote: class {label} has {few}, too few for k={k} neighbours; make k smaller, or leave the class as "
                "it is by naming those that grow, ratio={label: size}"
            )
        i = rng.permutation(len(members))[np.arange(missing) % len(members)]
        j = nearest_neighbours(members, k)[i, rng.integers(k, size=missing)]
        u = rng.random((missing, 1)).astype(x.dtype)
        new_x.append(members[i] + u * (members[j] - members[i]))
        new_y.append(np.full(missing, label, y.dtype))
    return np.concatenate(new_x), np.concatenate(new_y)


def nearest_neighbours(x: np.ndarray, k: int) -> np.ndarray:
    """The k nearest other rows of each row of x (N, D), nearest first, in Euclidean distance: indices (N, k).

    Of |a - b|^2 = |a|^2 - 2 a b + |b|^2 a block of rows is computed at a time, with float64 and from the middle of x.

    Raises ValueError if there are no k other rows.

    Cover, Hart (1967), "Nearest Neighbor Pattern Classification", IEEE Transactions on Information Theory 13(1).
    """
    x = _table("nearest_neighbours", x)
    if not 1 <= k < len(x):
        raise ValueError(f"nearest_neighbours: {len(x)} rows have at most {len(x) - 1} neighbours each, not {k}")
    x = x - x.mean(0, dtype=np.float64)  # the smaller the numbers, the less the difference loses
    squares, result = np.einsum("nd,nd->n", x, x), np.empty((len(x), k), np.int64)
    step = max(1, 2**21 // len(x))
    for first in range(0, len(x), step):
        rows = np.arange(first, min(first + step, len(x)))
        distance = squares - 2 * (x[rows] @ x.T)  # without |a|^2, which does not change the order
        distance[rows - first, rows] = np.inf
        nearest = np.argpartition(distance, k - 1, 1)[:, :k]
        order = np.argsort(np.take_along_axis(distance, nearest, 1), 1, kind="stable")
        result[rows] = np.take_along_axis(nearest, order, 1)
    return result


def _missing(y: np.ndarray, ratio: float | Mapping[Any, int]) -> list[tuple[Any, int]]:
    """The labels that are too rare, and how many samples of each are missing."""
    labels, counts = np.unique(y, return_counts=True)
    if isinstance(ratio, Mapping):
        unknown = set(ratio) - set(labels.tolist())
        if unknown:
            raise ValueError(f"smote: there are no samples of class {', '.join(map(str, sorted(unknown, key=str)))}")
        wanted = {label: int(size) for label, size in ratio.items()}
    else:
        if not isinstance(ratio, int | float | np.number) or not 0 <= ratio <= 1:
            raise ValueError(f"smote: ratio is a share of the largest class, 0 to 1, or {{label: size}}, not {ratio!r}")
        wanted = dict.fromkeys(labels.tolist(), round(float(ratio) * int(counts.max(initial=0))))
    sizes = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    return [(label, wanted[label] - size) for label, size in sizes.items() if wanted.get(label, 0) > size]


def _table(name: str, x: np.ndarray, finite: bool = True) -> np.ndarray:
    """x if it is an array of floats (N, D), and these are numbers if need be."""
    if not isinstance(x, np.ndarray) or x.ndim != 2:
        raise ValueError(f"{name} takes a table (N, D), not {describe(x)}")
    if x.dtype.kind != "f":
        raise TypeError(f"{name} needs floating features, not {x.dtype}; use x.astype('float32')")
    if finite and not np.isfinite(x).all():
        raise ValueError(f"{name}: the table has entries that are not finite; fill in or leave out what is missing")
    return x
