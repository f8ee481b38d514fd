"""A set of samples held in arrays: x, usually y, all of the same length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import random
from minidl.data.transforms import Transform, apply, checked

__all__ = ["Dataset"]


class Dataset:
    """Arrays of equal length whose i-th entries belong together: sample i is `(x[i], y[i], ...)`.

    arrays: x of shape (N, ...) and, if the samples have targets, y of shape (N, ...); further arrays may follow. NumPy
    arrays and Tensors keep their dtype, Python floats become float32; nothing is copied.
    classes: the names of the classes, classes[k] being that of label k. name: what to call the set in messages.

    Indexing gives arrays: `d[3]` is one sample, `d[3:9]` and `d[[5, 1]]` are batches `(x, y)`; a set of one array gives
    that array alone. `d.subset(index)` is a Dataset again. Single samples and slices are read-only views, so nobody can
    change the data by accident; index arrays give copies.

    Raises ValueError if the lengths differ or a label has no name in `classes`, TypeError for arrays that hold no real
    numbers.

    Gebru et al. (2021), "Datasheets for Datasets", Communications of the ACM 64(12): say what a set holds.

    >>> from minidl import data
    >>> d = data.Dataset([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [0, 1, 1], classes=["cat", "dog"], name="pets")
    >>> d
    Dataset('pets', x=(3, 2) float32, y=(3,) int64, 2 classes)
    >>> x, y = d[1]
    >>> x, int(y)
    (array([2., 3.], dtype=float32), 1)
    """

    def __init__(self, *arrays: Any, classes: Sequence[str] | None = None, name: str | None = None) -> None:
        if not arrays:
            raise TypeError("a Dataset needs at least one array: Dataset(x) or Dataset(x, y)")
        self.arrays = tuple(_read_only(a, _label(k)) for k, a in enumerate(arrays))
        self.classes = None if classes is None else tuple(map(str, classes))
        self.name = name
        if len({len(a) for a in self.arrays}) > 1:
            raise ValueError(f"all arrays of a Dataset have one entry per sample; {self._shapes()} differ in length")
        if self.classes is not None:
            self._check_labels()

    @property
    def x(self) -> np.ndarray:
        """The inputs, (N, ...); read-only."""
        return self.arrays[0]

    @property
    def y(self) -> np.ndarray | None:
        """The targets, (N, ...); read-only. None if the set has one array only."""
        return self.arrays[1] if len(self.arrays) > 1 else None

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> Any:
        if index is None or index is Ellipsis or isinstance(index, tuple):
            raise TypeError(f"a Dataset is indexed by samples: an integer, a slice or an index array, not {index!r}")
        if not isinstance(index, slice):
            index = np.asarray(index)
            if index.size == 0 and index.dtype != bool:
                index = index.astype(np.int64)  # NumPy makes [] a float array
            if index.ndim == 0 and index.dtype.kind in "iu":
                index = int(index)
        parts = tuple(a[index] for a in self.arrays)
        return parts if len(parts) > 1 else parts[0]

    def subset(self, index: Any, name: str | None = None) -> Dataset:
        """The chosen samples (a slice, an index array or a mask of length N) as a Dataset of their own."""
        if np.ndim(index) == 0 and not isinstance(index, slice):
            raise TypeError(f"subset takes a slice, an index array or a mask; for one sample write dataset[{index!r}]")
        parts = self[index]
        parts = parts if len(self.arrays) > 1 else (parts,)
        return Dataset(*parts, classes=self.classes, name=name or self.name)

    def map(self, transform: Transform, rng: random.Rng = None) -> Dataset:
        """Apply a transform once, to all samples at once, and keep the result: for fixed steps such as Normalize.

        Random augmentation belongs into the DataLoader instead, where every epoch draws anew (there rng=None is the
        stream "augment" as well).
        """
        checked(transform)
        if len(self.arrays) > 2:
            raise ValueError(f"a transform takes (x, y), but this set has {len(self.arrays)} arrays: {self._shapes()}")
        x, y = self.x.copy(), None if self.y is None else self.y.copy()
        x, y = apply(transform, x, y, random.resolve(rng, "augment"))
        integer = y is not None and np.asarray(y).dtype.kind in "iu"
        return Dataset(*((x,) if y is None else (x, y)), classes=self.classes if integer else None, name=self.name)

    def __repr__(self) -> str:
        parts = [repr(self.name)] if self.name else []
        parts.append(self._shapes())
        if self.classes is not None:
            parts.append(f"{len(self.classes)} classes")
        return f"Dataset({', '.join(parts)})"

    def _shapes(self) -> str:
        return ", ".join(f"{_label(k)}={a.shape} {a.dtype}" for k, a in enumerate(self.arrays))

    def _check_labels(self) -> None:
        y = self.y
        if y is None or y.dtype.kind not in "iu":
            raise ValueError(f"classes need integer labels y, but this set has {self._shapes()}; leave classes out")
        if y.size and (y.min() < 0 or y.max() >= len(self.classes)):
            raise ValueError(
                f"labels run from {y.min()} to {y.max()}, but there are {len(self.classes)} classes: labels must be in "
                f"0..{len(self.classes) - 1}"
            )


def _label(k: int) -> str:
    return "xy"[k] if k < 2 else f"array {k}"


def _read_only(value: Any, label: str) -> np.ndarray:
    """A view through which the array cannot be written to."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{label} cannot be made an array: {error}. Pad or crop the samples to one shape") from None
    if array.dtype.kind not in "fiub":
        hint = "; np.unique(names, return_inverse=True) turns names into labels" if array.dtype.kind in "US" else ""
        raise TypeError(f"{label} must hold real numbers (float, int or bool), not {array.dtype}{hint}")
    if array.ndim == 0:
        raise ValueError(f"{label} is the single number {value!r}; the first dimension of an array counts the samples")
    if array.dtype == np.float64 and not hasattr(value, "dtype"):
        array = array.astype(np.float32)
    view = array.view()
    view.flags.writeable = False
    return view
