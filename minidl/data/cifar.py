"""CIFAR-10, in its binary version: plain bytes, no pickle."""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from minidl.data.dataset import Dataset
from minidl.data.download import data_folder, fetch, find
from minidl.data.mnist import pictures

__all__ = ["load_cifar10", "read_cifar10_binary"]

_ARCHIVE = "cifar-10-binary.tar.gz"
_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
_MIRRORS = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
)
_BATCHES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
_PER_BATCH = 10_000
_EXCERPT = "cifar10_excerpt.npz"
_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_cifar10(
    split: str = "train", root: str | os.PathLike | None = None, download: bool = True, raw: bool = False
) -> Dataset:
    """Small photographs of ten kinds of things: 50,000 for training, 10,000 for testing.

    x: (N, 3, 32, 32) float32 in 0..1, or uint8 in 0..255 with raw=True (154 MB instead of 614 MB for training; put
    ToFloat into the loader); y: (N,) int64.
    split: "train" or "test". Looked for in root/cifar10 and in root (else $MINIDL_DATA, else the cache folder), in this
    order: cifar-10-binary.tar.gz; cifar-10-batches-bin, the folder unpacked from it; cifar10_excerpt.npz, an excerpt
    with the uint8 arrays x_train, y_train, x_test, y_test, images NCHW (the set's name then says "excerpt"). If none is
    there, the archive (162 MB) is downloaded.
    Raises FileNotFoundError that says which file to put where, ValueError for a damaged one.

    Krizhevsky (2009), "Learning Multiple Layers of Features from Tiny Images", technical report, University of Toronto.
    """
    if split not in _BATCHES:
        raise ValueError(f"split is 'train' or 'test', not {split!r}")
    folder = data_folder(root)
    places = (folder / "cifar10", folder)
    archive = find(folder, "cifar10", _ARCHIVE, _MD5)
    unpacked = next((p / "cifar-10-batches-bin" for p in places if (p / "cifar-10-batches-bin").is_dir()), None)
    excerpt = next((p / _EXCERPT for p in places if (p / _EXCERPT).is_file()), None)
    if archive is None and unpacked is None and excerpt is not None:
        return pictures(*_read_excerpt(excerpt, split), _CLASSES, f"cifar10 excerpt {split}", raw)
    if archive is None and unpacked is None:
        archive = fetch("cifar10", _ARCHIVE, _MIRRORS, _MD5, root, download)
    batches = _from_archive(archive, split) if archive else _from_folder(unpacked, split)
    for source, (x, _) in batches.items():
        if len(x) != _PER_BATCH:
            raise ValueError(f"{source} holds {len(x)} images where CIFAR-10 has {_PER_BATCH}; is it cut short?")
    x, y = (np.concatenate(arrays) for arrays in zip(*batches.values(), strict=True))
    return pictures(x, y, _CLASSES, f"cifar10 {split}", raw)


def read_cifar10_binary(content: bytes, source: str = "the file") -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) uint8 and labels (N,) uint8 from one batch file of CIFAR-10's binary version.

    Each record is a byte for the label and 3072 for the pixels: red, green, blue, each row by row.
    Raises ValueError if the length is not a multiple of 3073 or a label is beyond 9.
    """
    if not content or len(content) % 3073:
        raise ValueError(f"{source} has {len(content)} bytes, no multiple of 3073: cut short, or no CIFAR-10 batch")
    records = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    if records[:, 0].max() > 9:
        bad = int((records[:, 0] > 9).argmax())
        raise ValueError(f"record {bad} of {source} has the label {records[bad, 0]}; CIFAR-10 has labels 0 to 9")
    return records[:, 1:].reshape(-1, 3, 32, 32).copy(), records[:, 0].copy()


def _from_archive(path: Path, split: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The wanted batches, read straight from the archive: nothing is unpacked to disk."""
    found = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = Path(member.name).name
                if member.isfile() and name in _BATCHES[split]:
                    found[name] = archive.extractfile(member).read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} is damaged: {reason}. Delete it and fetch it again") from error
    missing = [name for name in _BATCHES[split] if name not in found]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; it is not the binary version of CIFAR-10 ({_ARCHIVE})")
    return {f"{name} in {path}": read_cifar10_binary(found[name], f"{name} in {path}") for name in _BATCHES[split]}


def _from_folder(folder: Path, split: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    missing = [name for name in _BATCHES[split] if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}; unpack {_ARCHIVE} there again")
    return {str(folder / n): read_cifar10_binary((folder / n).read_bytes(), str(folder / n)) for n in _BATCHES[split]}


def _read_excerpt(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
    except (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is no excerpt of CIFAR-10, or damaged: {error}") from error
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[1:] != (3, 32, 32) or y.shape != (len(x),):
        raise ValueError(
            f"{path}: x_{split} is {x.dtype} {x.shape} and y_{split} {y.dtype} {y.shape}; expected bytes of "
            "(N, 3, 32, 32) and labels (N,)"
        )
    return x, y
