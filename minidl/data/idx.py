"""The IDX format of MNIST and its relatives.

A file is: two zero bytes, a byte for the type, a byte for the number of dimensions D; D lengths as big-endian 32-bit
integers; the numbers, big-endian, last dimension fastest. It may be gzip-compressed.

LeCun, Cortes, Burges (1998), "The MNIST database of handwritten digits", section "file formats".
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

__all__ = ["read_idx"]

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike, ndim: int | None = None) -> np.ndarray:
    """The array in an IDX file, compressed or not, in the machine's byte order and the file's dtype.

    ndim: the number of dimensions it must have (images 3, labels 1), if that is known.
    Raises ValueError that names the file for anything that is damaged, cut short, too long or no IDX at all.
    """
    path = Path(path)
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} is damaged: {error}. Delete it and fetch it again") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise ValueError(
            f"{path} is not an IDX file: it starts with {content[:8]!r}, where 00 00, a type and a number of "
            "dimensions belong. A web page saved under this name, perhaps?"
        )
    dtype, found = np.dtype(_TYPES[content[2]]), content[3]
    if ndim is not None and found != ndim:
        raise ValueError(f"{path} has {found} dimensions where {ndim} are expected; images have 3, labels have 1")
    start = 4 + 4 * found
    if len(content) < start:
        raise ValueError(f"{path} is cut short: it ends inside its header, after {len(content)} bytes")
    shape = struct.unpack(f">{found}I", content[4:start])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        state = "is cut short" if len(content) < expected else "is too long"
        raise ValueError(f"{path} {state}: shape {shape} of {dtype} makes {expected} bytes, not {len(content)}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
