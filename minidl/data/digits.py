"""The handwritten digits that come with minidl."""

from __future__ import annotations

import importlib.resources
import io

import numpy as np

from minidl.data.dataset import Dataset

__all__ = ["DIGITS", "load_digits"]

DIGITS = tuple("0123456789")


def load_digits() -> Dataset:
    """1,797 handwritten digits of 8x8 pixels, from the package itself: no network, no folder.

    x: (1797, 1, 8, 8) float32, the ink from 0 to 1 (in steps of 1/16); y: (1797,) int64, the digit.

    These are the images scikit-learn ships, in its order: the test set of "Optical Recognition of Handwritten Digits",
    written by 13 people. Licence CC BY 4.0; see NOTICE.md beside this file. Neighbouring images are often by one hand,
    so a random split is easier than one by writer would be.

    Alpaydin, Kaynak (1998), "Cascading Classifiers", Kybernetika 34(4), 369-374; https://doi.org/10.24432/C50P49

    >>> from minidl import data
    >>> data.load_digits()
    Dataset('digits', x=(1797, 1, 8, 8) float32, y=(1797,) int64, 10 classes)
    """
    packed = importlib.resources.files("minidl.data").joinpath("digits.npz").read_bytes()
    with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"]
    x = images[:, None].astype(np.float32) / 16  # (N, 8, 8) -> (N, 1, 8, 8)
    return Dataset(x, labels.astype(np.int64), classes=DIGITS, name="digits")
