"""Every set by its name, cut into a training and a test part: what the command line trains on."""

from __future__ import annotations

import difflib
import os

from minidl import random
from minidl.data.cifar import load_cifar10
from minidl.data.dataset import Dataset
from minidl.data.digits import load_digits
from minidl.data.mnist import load_fashion_mnist, load_mnist
from minidl.data.splits import split
from minidl.data.synthetic import blobs, circles, moons, spirals, xor
from minidl.data.synthetic_images import SHAPES, shapes

__all__ = ["SETS", "load_train_test"]

_PUBLISHED = {"mnist": load_mnist, "fashion_mnist": load_fashion_mnist, "cifar10": load_cifar10}
_POINTS = {"moons": moons, "spirals": spirals, "circles": circles, "blobs": blobs, "xor": xor}
SETS = ("digits", *_PUBLISHED, *_POINTS, "shapes")


def load_train_test(
    name: str, root: str | os.PathLike | None = None, download: bool = True, rng: random.Rng = 0
) -> tuple[Dataset, Dataset]:
    """The training set and the test set called `name`, one of SETS.

    Sets published in two parts come in these. The others are cut 80 : 20, stratified; made sets have 1,000 samples
    (shapes 2,000). rng: the seed of the making and the cut. It does not follow `manual_seed`, so that runs with other
    seeds are tested on the same samples; None is the stream "split".

    Where MNIST's (or Fashion-MNIST's) training files cannot be had but its 10,000 test images are there, these are
    cut 8,000 : 2,000, stratified, and both names say so: the accuracy is not comparable with published ones.

    >>> from minidl import data
    >>> train, test = data.load_train_test("digits")
    >>> len(train), len(test)
    (1438, 359)
    """
    rng = random.resolve(rng, "split")
    if name in _PUBLISHED:
        return _published(name, root, download, rng)
    if name == "digits":
        whole = load_digits()
    elif name in _POINTS:
        x, y = _POINTS[name](1000, rng=rng)
        whole = Dataset(x, y, classes=[str(k) for k in range(y.max() + 1)], name=name)
    elif name == "shapes":
        whole = Dataset(*shapes(2000, rng=rng), classes=SHAPES, name=name)
    else:
        close = difflib.get_close_matches(str(name), SETS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"there is no set called {name!r}; {hint}The sets are {', '.join(SETS)}")
    return _named(split(whole, (0.8, 0.2), stratify=True, rng=rng), f"{name} train", f"{name} test")


def _published(name: str, root, download: bool, rng: random.Rng) -> tuple[Dataset, Dataset]:
    load = _PUBLISHED[name]
    try:
        return load("train", root, download), load("test", root, download)
    except FileNotFoundError as no_training_files:
        try:
            whole = load("test", root, download=False)
        except FileNotFoundError:
            raise no_training_files from None
    parts = split(whole, (8000, 2000), stratify=True, rng=rng)
    return _named(parts, f"{name} (8,000 of its test images)", f"{name} (2,000 of its test images)")


def _named(parts: tuple[Dataset, ...], *names: str) -> tuple[Dataset, ...]:
    for part, name in zip(parts, names, strict=True):
        part.name = name
    return parts
