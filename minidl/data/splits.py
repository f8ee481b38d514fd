"""Training, validation and test sets: disjoint parts of one set, chosen by chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import random
from minidl.data.dataset import Dataset
from minidl.random import Rng

__all__ = ["split", "split_indices", "train_test_split"]


def split(
    dataset: Dataset, parts: Sequence[float] = (0.8, 0.2), stratify: Any = False, rng: Rng = None
) -> tuple[Dataset, ...]:
    """Cut a set into disjoint parts, for instance (0.7, 0.15, 0.15): training, validation and test.

    parts: fractions that add up to 1, or integers that add up to len(dataset).
    stratify: True keeps the share of each class (label y) in every part within one sample; an array of N labels does so
    for those. rng: a Generator or seed; None is the stream "split".
    Raises ValueError if the parts do not add up, if one would be empty, or if a class has fewer members than parts.

    >>> from minidl import data
    >>> train, validation, test = data.split(data.load_digits(), (0.7, 0.15, 0.15), stratify=True, rng=0)
    >>> len(train), len(validation), len(test)
    (1258, 269, 270)
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"split cuts a Dataset, not a {type(dataset).__name__}; arrays: train_test_split(x, y), anything else: "
            "split_indices(n)"
        )
    labels = _labels(stratify, dataset.y, len(dataset))
    return tuple(dataset.subset(i) for i in split_indices(len(dataset), parts, labels, rng))


def train_test_split(*arrays: Any, test: float = 0.2, stratify: Any = False, rng: Rng = None) -> tuple[np.ndarray, ...]:
    """Cut arrays of equal length in two: x_train, x_test, y_train, y_test = train_test_split(x, y).

    test: the fraction of the samples to hold out, between 0 and 1, or their number. stratify, rng and errors: as in
    `split`; stratify=True goes by the last array. The parts are copies and keep their dtypes.

    Stone (1974), "Cross-Validatory Choice and Assessment of Statistical Predictions", J. R. Stat. Soc. B 36(2).

    >>> from minidl import data
    >>> x_train, x_test, y_train, y_test = data.train_test_split(*data.moons(100), test=0.3, stratify=True)
    >>> x_train.shape, int(y_test.sum())
    ((70, 2), 15)
    """
    whole = Dataset(*arrays)
    n = len(whole)
    counted = isinstance(test, int | np.integer) and not isinstance(test, bool)
    if isinstance(test, bool) or not 0 < test < (n if counted else 1):
        raise ValueError(f"test is a fraction between 0 and 1, or a number of samples from 1 to {n - 1}, not {test!r}")
    labels = _labels(stratify, whole.arrays[-1] if len(arrays) > 1 else None, n)
    train, held_out = split_indices(n, (n - test, test) if counted else (1 - test, test), labels, rng)
    return tuple(a[part] for a in whole.arrays for part in (train, held_out))


def split_indices(
    n: int, parts: Sequence[float], labels: np.ndarray | None = None, rng: Rng = None
) -> tuple[np.ndarray, ...]:
    """The same cut as index arrays into 0..n-1, each in random order; for sets of any kind.

    labels: (n,), the class of each sample, to keep the shares of the classes; None for a plain random cut.
    """
    sizes, rng = _sizes(n, parts), random.resolve(rng, "split")
    if labels is None:
        return tuple(np.split(rng.permutation(n), np.cumsum(sizes)[:-1]))
    names, labels, members = np.unique(labels, return_inverse=True, return_counts=True)
    if members.min() < len(sizes):
        rare = int(members.argmin())
        raise ValueError(
            f"class {names[rare]} has {members[rare]} members, too few for {len(sizes)} parts; merge or drop rare "
            "classes, or split with stratify=False"
        )
    table = _rounded(members, sizes)  # (K, P)
    chosen = [[] for _ in sizes]
    for k, row in enumerate(table):
        order = rng.permutation(np.flatnonzero(labels == k))
        for part, piece in zip(chosen, np.split(order, np.cumsum(row)[:-1]), strict=True):
            part.append(piece)
    return tuple(rng.permutation(np.concatenate(pieces)) for pieces in chosen)


def _labels(stratify: Any, y: np.ndarray | None, n: int) -> np.ndarray | None:
    """The classes to keep in proportion, checked."""
    if stratify is None or stratify is False:
        return None
    labels = y if stratify is True else np.asarray(stratify)
    if labels is None:
        raise ValueError("stratify=True keeps the shares of the labels y, but there is no y; give stratify=labels")
    if labels.shape != (n,) or labels.dtype.kind == "f":
        raise ValueError(
            f"to stratify {n} samples, one class label each is needed, of shape ({n},), not {labels.dtype} of shape "
            f"{labels.shape}; one-hot rows become labels with argmax(axis=1)"
        )
    return labels


def _sizes(n: int, parts: Sequence[float]) -> np.ndarray:
    """How many samples go into each part: fractions are rounded so that the sum is n."""
    values = np.asarray(parts)
    if values.ndim != 1 or len(values) < 1 or values.dtype.kind not in "iuf" or not (values > 0).all():
        raise ValueError(f"parts are positive fractions or numbers of samples, such as (0.8, 0.2), not {parts!r}")
    if values.dtype.kind == "f":
        if not abs(values.sum() - 1) < 1e-6:
            raise ValueError(f"the fractions {tuple(parts)} add up to {values.sum():.6g}, not to 1")
        values = np.diff(np.rint(np.cumsum(values) * n).astype(np.int64), prepend=0)
    if values.sum() != n:
        raise ValueError(f"the parts {tuple(parts)} add up to {values.sum()}, but there are {n} samples")
    if not values.all():
        raise ValueError(f"parts {tuple(parts)} of {n} samples would be of sizes {values.tolist()}; none may be empty")
    return values.astype(np.int64)


def _rounded(members: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Integers (K, P) with rows adding up to `members` and columns to `sizes`, each within one of members*size/n.

    Controlled rounding: as long as fractions are left they close a loop of cells, alternately along a row and along a
    column. Adding to every second cell of it what is taken from the others keeps all sums, and takes at least one cell
    to an integer. (Cox 1987, "A Constructive Procedure for Unbiased Controlled Rounding", JASA 82(398).)
    """
    n = int(sizes.sum())
    table, rest = np.divmod(np.outer(members, sizes), n)  # (K, P); rest counts n-ths
    while rest.any():
        cells = _loop(rest > 0)
        up, down = (tuple(np.transpose(cells[i::2])) for i in (0, 1))
        step = min((n - rest[up]).min(), rest[down].min())
        rest[up] += step
        rest[down] -= step
        table += rest == n
        rest %= n
    return table


def _loop(free: np.ndarray) -> list[tuple[int, int]]:
    """True cells (row, column) of `free` that close a loop. Rows and columns with any true cell have at least two."""
    k = len(free)
    path = [int(free.any(1).argmax())]  # rows are nodes 0..K-1, columns are nodes K..K+P-1, cells join them
    while True:
        node = path[-1]
        line = free[node].copy() if node < k else free[:, node - k].copy()
        if len(path) > 1:
            line[path[-2] if node >= k else path[-2] - k] = False  # not back the way we came
        following = int(line.argmax()) + (k if node < k else 0)
        if following in path:
            path = path[path.index(following) :]
            break
        path.append(following)
    return [(a, b - k) if a < k else (b, a - k) for a, b in zip(path, path[1:] + path[:1], strict=True)]
