"""What `fit` takes as data, as batches of (inputs, target)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from minidl import random
from minidl.arrays import describe
from minidl.data import DataLoader, Dataset
from minidl.data.collate import to_tensors
from minidl.engine import Tensor


def as_loader(data: Any, batch_size: int | None, shuffle: bool, rng: random.Rng = None) -> Iterable:
    """A loader is itself; a tuple of arrays `(x, y)`, or a Dataset, is put into a DataLoader."""
    if isinstance(data, tuple) and data and all(isinstance(part, np.ndarray | Tensor) for part in data):
        data = Dataset(*data)
    if isinstance(data, Dataset):
        return DataLoader(data, batch_size or 32, shuffle=shuffle, rng=rng)
    if isinstance(data, tuple) and data and all(isinstance(part, list) for part in data):
        raise TypeError("data is a tuple of lists; make arrays of them first: (np.array(x), np.array(y))")
    if not isinstance(data, Iterable) or isinstance(data, np.ndarray | Tensor | str | dict):
        raise TypeError(f"data is a DataLoader, a Dataset, a pair of arrays (x, y) or another iterable of batches, not "
                        f"{describe(data)}")
    if batch_size is not None or rng is not None:
        raise ValueError(f"batch_size and rng are for arrays; this data, a {type(data).__name__}, makes its batches "
                         "itself (DataLoader(set, batch_size=..., shuffle=True, rng=...))")
    return data


def in_order(data: Any, batch_size: int | None) -> Iterable:
    """`as_loader` for outputs that must stand in the order of the samples; ValueError for a loader that shuffles."""
    loader = as_loader(data, batch_size, False)
    if getattr(loader, "shuffle", False):
        raise ValueError(f"{loader!r:.80} shuffles, so nobody could tell which output belongs to which sample; give "
                         "one with shuffle=False, or the arrays")
    return loader


def batches(loader: Iterable) -> Iterator[tuple[tuple, Any, int]]:
    """(inputs, target, number of samples) of each batch; the last part of a batch is its target."""
    empty = True
    for batch in loader:
        empty = False
        parts = to_tensors(tuple(batch) if isinstance(batch, list) else batch)
        if not isinstance(parts, tuple) or len(parts) < 2:
            raise TypeError(f"a batch is a tuple (x, y), of inputs and target, not {describe(batch)}; to reproduce the "
                            "input itself, use Dataset(x, x)")
        *inputs, target = parts
        n = len(inputs[0])
        if n == 0 or (hasattr(target, "shape") and target.shape[:1] != (n,)):
            raise ValueError(f"a batch has {n} inputs, {describe(inputs[0])}, and the target {describe(target)}; they "
                             "must be equally many, and at least one")
        yield tuple(inputs), target, n
    if empty:
        raise ValueError(f"the data gave no batch: {loader!r:.80} is empty, or a generator that has been used up (give "
                         "an object that can be read once an epoch)")
