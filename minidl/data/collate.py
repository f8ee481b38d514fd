"""From samples to a batch, and from arrays to Tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl.engine import Tensor

__all__ = ["default_collate"]


def default_collate(samples: Sequence[Any]) -> Any:
    """Stack a list of samples into one batch of the same structure, with arrays that have the batch dimension first.

    A tuple or a dict of parts becomes a tuple or a dict of stacked parts, at any depth. An array, a Tensor, a number or
    a list of numbers of shape (...) becomes an array (N, ...); floats without a dtype become float32, integers int64. A
    string stays as it is, in a list. (PyTorch's function of this name takes a list for a structure, as if it were a
    tuple; here a list is data, such as the words of a sentence.)

    Raises ValueError if the samples differ in structure or shape, TypeError for anything else, None included.

    >>> from minidl import data
    >>> data.default_collate([([1.0, 2.0], 0), ([3.0, 4.0], 1)])
    (array([[1., 2.],
           [3., 4.]], dtype=float32), array([0, 1]))
    """
    if not samples:
        raise ValueError("there is nothing to collate: the list of samples is empty")
    return _stack(samples, "sample")


def _stack(samples: Sequence[Any], path: str) -> Any:
    first = samples[0]
    for k, s in enumerate(samples):
        if _structure(s) != _structure(first):
            raise ValueError(
                f"{path} {k} is {_structure(s)} but {path} 0 is {_structure(first)}; all samples of a batch must have "
                "one structure (or pass your own collate_fn to the DataLoader)"
            )
    if isinstance(first, Mapping):
        return {key: _stack([s[key] for s in samples], f"{key!r} of {path}") for key in first}
    if isinstance(first, tuple):
        parts = [_stack([s[i] for s in samples], f"part {i} of {path}") for i in range(len(first))]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)  # a named tuple keeps its names
    if isinstance(first, str | bytes):
        return list(samples)
    arrays = [_array(s, f"{path} {k}") for k, s in enumerate(samples)]
    for k, a in enumerate(arrays):
        if a.shape != arrays[0].shape:
            raise ValueError(
                f"{path} {k} has shape {a.shape} but {path} 0 has {arrays[0].shape}, so they cannot be stacked; crop, "
                "resize or pad them (or pass your own collate_fn to the DataLoader)"
            )
    return np.stack(arrays)


def _structure(sample: Any) -> str:
    if isinstance(sample, Mapping):
        return f"a dict with the keys {sorted(map(repr, sample))}"
    if isinstance(sample, tuple):
        return f"a tuple of {len(sample)}"
    return "a string" if isinstance(sample, str | bytes) else "an array or number"


def _array(value: Any, path: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{path} cannot be made an array: {error}. Return a tuple where the parts differ") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{path} is a {type(value).__name__}, which cannot be stacked; return arrays, numbers, tuples "
                        "or dicts of them, or pass your own collate_fn to the DataLoader")
    if array.dtype == np.float64 and not hasattr(value, "dtype"):
        array = array.astype(np.float32)
    return array


def to_tensors(batch: Any) -> Any:
    """The same structure with Tensors: floats and bools keep their dtype, integers become int64, strings stay."""
    if isinstance(batch, Mapping):
        return {key: to_tensors(value) for key, value in batch.items()}
    if isinstance(batch, tuple):
        parts = [to_tensors(value) for value in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)
    if isinstance(batch, Tensor) or batch is None or is_text(batch):
        return batch
    array = np.asarray(batch)
    return Tensor(array, dtype=np.int64) if array.dtype.kind in "iu" else Tensor(array)


def is_text(value: Any) -> bool:
    """A string, or a list of them: a batch of text stays as it is."""
    return isinstance(value, str) or (isinstance(value, list) and bool(value) and isinstance(value[0], str | bytes))
