"""MNIST and Fashion-MNIST, from a local folder or from the network."""

from __future__ import annotations

import os

import numpy as np

from minidl.data.dataset import Dataset
from minidl.data.digits import DIGITS
from minidl.data.download import fetch
from minidl.data.idx import read_idx

__all__ = ["load_fashion_mnist", "load_mnist"]

_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
_FASHION_MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)
_FASHION_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
_GARMENTS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def load_mnist(
    split: str = "train", root: str | os.PathLike | None = None, download: bool = True, raw: bool = False
) -> Dataset:
    """Handwritten digits of 28x28 pixels: 60,000 for training, 10,000 for testing.

    x: (N, 1, 28, 28) float32 in 0..1, or uint8 in 0..255 with raw=True (a quarter of the memory; put ToFloat into the
    loader); y: (N,) int64.
    split: "train" or "test"; each needs its own two files only. They are looked for in root/mnist and in root (else
    $MINIDL_DATA, else the cache folder, see `data_folder`), then downloaded.
    Raises FileNotFoundError that says which file to put where, ValueError for a damaged one.

    With the test files alone (t10k-...), cut them: `split(load_mnist("test"), (8000, 2000), stratify=True, rng=0)`. The
    result is no MNIST benchmark figure, and should be called what it is; `load_train_test("mnist")` does both.

    LeCun, Bottou, Bengio, Haffner (1998), "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 86(11).
    """
    return _load("mnist", split, _MNIST_MIRRORS, _MNIST_MD5, DIGITS, root, download, raw)


def load_fashion_mnist(
    split: str = "train", root: str | os.PathLike | None = None, download: bool = True, raw: bool = False
) -> Dataset:
    """Ten kinds of garments in the format and size of MNIST, but harder. Arguments, shapes and errors: `load_mnist`.

    The files bear the same names as MNIST's, so they belong into root/fashion_mnist.

    Xiao, Rasul, Vollgraf (2017), "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
    arXiv:1708.07747.
    """
    return _load("fashion_mnist", split, _FASHION_MIRRORS, _FASHION_MD5, _GARMENTS, root, download, raw)


def _load(name, split, mirrors, checksums, classes, root, download, raw) -> Dataset:
    if split not in ("train", "test"):
        raise ValueError(f"split is 'train' or 'test', not {split!r}")
    images, labels = sorted(f for f in checksums if f.startswith("train" if split == "train" else "t10k"))
    # Both files first: no use in reading one when the other cannot be had.
    images, labels = (fetch(name, f, mirrors, checksums[f], root, download) for f in (images, labels))
    x, y = read_idx(images, ndim=3), read_idx(labels, ndim=1)
    if x.dtype != np.uint8 or x.shape[1:] != (28, 28):
        raise ValueError(f"{images} holds {x.dtype} images of {x.shape[1:]}; {name} has bytes of (28, 28)")
    if len(x) != len(y):
        raise ValueError(f"{images} holds {len(x)} images but {labels} holds {len(y)} labels; one file is not its own")
    return pictures(x[:, None], y, classes, f"{name} {split}", raw)


def pictures(x: np.ndarray, y: np.ndarray, classes: tuple[str, ...], name: str, raw: bool) -> Dataset:
    """A Dataset of byte images, scaled to 0..1 unless they are wanted raw."""
    if not raw:
        x = x.astype(np.float32)
        x /= 255.0
    return Dataset(x, y.astype(np.int64), classes=classes, name=name)
