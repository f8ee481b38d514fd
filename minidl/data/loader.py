"""From a set of samples to batches of Tensors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from minidl import random
from minidl.data.collate import default_collate, is_text, to_tensors
from minidl.data.dataset import Dataset
from minidl.data.transforms import Transform, apply, name_of, takes_three
from minidl.engine import Tensor

__all__ = ["DataLoader"]


class DataLoader:
    """Walk over a set in batches of Tensors; each `for` is one epoch.

    dataset: one of three. (1) A `Dataset` or an array: batches are cut from the arrays at once. (2) Anything with
    `__len__` and `__getitem__`: its samples are fetched one by one and stacked by `collate_fn`. (3) Any iterable of
    samples (a stream): read in order; it must start anew for each epoch, so a generator serves for one epoch only.
    batch_size: N of every batch but the last, which holds what is left. drop_last: leave a smaller last batch out.
    shuffle: a new order for every epoch; for training only, and never for streams.
    transform: `transform(x, y, rng) -> (x, y)` on the arrays of each batch (see `minidl.data.transforms`); x is a copy,
    so it may be written to without harm to the set.
    rng: a Generator or seed for this loader alone. None: the order comes from the stream "shuffle" and the transform
    draws from the stream "augment", so that `manual_seed` repeats a run and augmentation does not change the order.
    collate_fn: makes a batch from a list of samples, in cases (2) and (3); `default_collate` if None.

    Yields `(x, y)`, or whatever structure the samples have; a set of one array gives x alone. Floats keep their dtype,
    integers become int64.

    Exact resume: between two epochs the place in the order is the state of the random stream and nothing else. With
    rng=None `minidl.random.get_state()` therefore covers it; for a loader with its own rng keep `state_dict()` too.

    Bottou (2012), "Stochastic Gradient Descent Tricks", section 4: shuffle, and pass over all of the data.

    >>> from minidl import data
    >>> loader = data.DataLoader(data.Dataset([[0.0], [1.0], [2.0]], [0, 1, 1]), batch_size=2)
    >>> [(x.shape, y.numpy().tolist()) for x, y in loader]
    [((2, 1), [0, 1]), ((1, 1), [1])]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 32,
        shuffle: bool = False,
        drop_last: bool = False,
        transform: Transform | None = None,
        rng: random.Rng = None,
        collate_fn: Callable[[list], Any] | None = None,
    ) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ValueError(f"batch_size is the number of samples in a batch, an integer >= 1, not {batch_size!r}")
        if isinstance(dataset, np.ndarray | Tensor):
            dataset = Dataset(dataset)
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, int(batch_size), shuffle, drop_last
        self.transform, self.collate_fn = transform, collate_fn or default_collate
        self._rng = None if rng is None else random.resolve(rng, "shuffle")
        self._one_shot_used = False
        self._check()

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        if not hasattr(self.dataset, "__len__"):
            raise TypeError(f"a stream ({type(self.dataset).__name__}) has no length; count the batches as they come")
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        own = self._rng
        if self._is_stream:
            batches = self._from_stream()
        else:
            batches = self._from_samples(own if own is not None else random.generator("shuffle"))
        # A loader's own generator gives one number an epoch to the transform, used or not: the order does not depend
        # on how much the transform draws.
        augment = random.generator("augment") if own is None else np.random.default_rng(own.integers(2**63))
        return (to_tensors(self._transformed(batch, augment)) for batch in batches)

    def state_dict(self) -> dict[str, Any]:
        """The state of the loader's own generator; {"rng": None} for one that draws from minidl's streams."""
        return {"rng": None if self._rng is None else self._rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the loader that gave `state` was, at the start of an epoch."""
        if not isinstance(state, Mapping) or "rng" not in state:
            raise ValueError(f"this is not the state of a DataLoader: expected {{'rng': ...}}, not {state!r:.80}")
        if (state["rng"] is None) != (self._rng is None):
            had, has = ("minidl's streams", "a generator of its own")[:: 1 if state["rng"] is None else -1]
            raise ValueError(f"the saved loader drew from {had}, this one from {has}; give both the same kind of rng")
        if self._rng is not None:
            self._rng.bit_generator.state = state["rng"]

    def __repr__(self) -> str:
        options = "".join(f", {name}=True" for name in ("shuffle", "drop_last") if getattr(self, name))
        if self.transform is not None:
            options += f", transform={name_of(self.transform)}"
        what = repr(self.dataset) if isinstance(self.dataset, Dataset) else type(self.dataset).__name__
        return f"DataLoader({what}, batch_size={self.batch_size}{options})"

    @property
    def _is_stream(self) -> bool:
        return not (hasattr(self.dataset, "__len__") and hasattr(self.dataset, "__getitem__"))

    def _check(self) -> None:
        d = self.dataset
        if isinstance(d, Mapping | str | bytes):
            raise TypeError(f"a {type(d).__name__} is no set of samples; give a Dataset(x, y), a list of samples, ...")
        if isinstance(d, tuple) and d and all(isinstance(part, np.ndarray | Tensor) for part in d):
            raise TypeError("a tuple of arrays could be two samples or inputs and targets; write Dataset(x, y)")
        if self._is_stream and not isinstance(d, Iterable):
            raise TypeError(
                f"{type(d).__name__} is no set of samples: it needs __len__ and __getitem__, or __iter__. "
                "Arrays go into Dataset(x, y)"
            )
        if self._is_stream and self.shuffle:
            raise ValueError(f"a stream ({type(d).__name__}) is read in order and cannot be shuffled; shuffle=False")
        if self.transform is not None:
            takes_three(self.transform)
        if self.drop_last and hasattr(d, "__len__") and 0 < len(d) < self.batch_size:
            raise ValueError(
                f"drop_last leaves nothing of {len(d)} samples in batches of {self.batch_size}; make batch_size smaller"
            )

    def _from_samples(self, rng: np.random.Generator) -> Iterator[Any]:
        n, size = len(self.dataset), self.batch_size
        order = rng.permutation(n) if self.shuffle else np.arange(n)
        chunks = (order[i : i + size] for i in range(0, len(self) * size, size))
        if isinstance(self.dataset, Dataset):
            return (self.dataset[chunk] for chunk in chunks)
        return (self.collate_fn([self.dataset[i] for i in chunk.tolist()]) for chunk in chunks)

    def _from_stream(self) -> Iterator[Any]:
        samples = iter(self.dataset)
        if samples is self.dataset:
            if self._one_shot_used:
                raise ValueError(
                    f"this {type(samples).__name__} has been read once and cannot start anew; for several epochs give "
                    "a list, or an object whose __iter__ begins at the beginning"
                )
            self._one_shot_used = True
        chunks = iter(lambda: list(itertools.islice(samples, self.batch_size)), [])
        return (self.collate_fn(c) for c in chunks if len(c) == self.batch_size or not self.drop_last)

    def _transformed(self, batch: Any, rng: np.random.Generator) -> Any:
        if self.transform is None:
            return batch
        if isinstance(batch, tuple) and len(batch) == 2:
            return apply(self.transform, *batch, rng)
        if isinstance(batch, tuple | Mapping | list) and not is_text(batch):
            raise ValueError(
                f"a transform takes (x, y), but a batch of this set is a {type(batch).__name__} of {len(batch)} parts; "
                "do this work in the set's __getitem__ or in collate_fn"
            )
        x, y = apply(self.transform, batch, None, rng)
        return x if y is None else (x, y)
