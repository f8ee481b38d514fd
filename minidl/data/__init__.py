"""Data: sets of samples, splits, transforms and the loader that turns them into batches.

| what | where from |
|---|---|
| `load_digits` | inside the package: 1,797 digits of 8x8 |
| `moons`, `circles`, `spirals`, `blobs`, `xor` | made on the spot: points in the plane |
| `shapes` | made on the spot: images of shapes, any size and number |
| `tones` | made on the spot: short tones of several instruments |
| `load_mnist`, `load_fashion_mnist`, `load_cifar10` | a local folder, or the network |
| `load_train_test` | any of these by name, in two parts |

From there: `split` or `train_test_split`, then a `DataLoader`, which cuts a `Dataset` (or any sequence or stream of
samples) into batches, passes them through a transform and hands out Tensors.

>>> from minidl import data
>>> train, test = data.split(data.load_digits(), (0.8, 0.2), stratify=True, rng=0)
>>> standardise = data.Normalize.fit(train.x)
>>> loader = data.DataLoader(train, batch_size=64, shuffle=True, transform=standardise)
>>> x, y = next(iter(loader))
>>> x.shape, y.shape
((64, 1, 8, 8), (64,))
"""

from minidl.data.cifar import load_cifar10, read_cifar10_binary
from minidl.data.collate import default_collate
from minidl.data.dataset import Dataset
from minidl.data.digits import load_digits
from minidl.data.download import data_folder
from minidl.data.idx import read_idx
from minidl.data.loader import DataLoader
from minidl.data.mnist import load_fashion_mnist, load_mnist
from minidl.data.splits import split, split_indices, train_test_split
from minidl.data.standard import SETS, load_train_test
from minidl.data.synthetic import blobs, circles, moons, spirals, xor
from minidl.data.synthetic_images import SHAPES, shapes
from minidl.data.synthetic_tones import TONES, tones
from minidl.data.transforms import Compose, Flatten, Normalize, OneHot, ToFloat, Transform

__all__ = [
    "SETS",
    "SHAPES",
    "TONES",
    "Compose",
    "DataLoader",
    "Dataset",
    "Flatten",
    "Normalize",
    "OneHot",
    "ToFloat",
    "Transform",
    "blobs",
    "circles",
    "data_folder",
    "default_collate",
    "load_cifar10",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "load_train_test",
    "moons",
    "read_cifar10_binary",
    "read_idx",
    "shapes",
    "spirals",
    "split",
    "split_indices",
    "tones",
    "train_test_split",
    "xor",
]
