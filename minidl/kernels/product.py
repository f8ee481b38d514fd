"""Matrix products: BLAS does the arithmetic on one thread, and our own threads share the rows.

A row of a product does not depend on the others, but the order in which BLAS sums it may: it computes 2 to 12 rows
together, and small products in another way. Blocks that start at multiples of 24 rows and are not small keep every row
in its place. So the sums are the same, bit for bit, for every number of threads.
"""

from __future__ import annotations

import numpy as np

from . import threads
from .blas import one_thread


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Matrix product a @ b, on `get_num_threads()` threads where that pays.

        out[n, m] = sum over k of a[n, k] * b[k, m]

    a (..., N, K), b (..., K, M) -> (..., N, M); batch axes as in np.matmul, whose types and errors these are. Any
    strides. BLAS starts no threads of its own here, where it can be told not to (see `blas`).
    Reference: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008.
    """
    n, m = a.shape[-2], b.shape[-1]
    size = a.size * m if b.ndim == 2 else max(a.size * m, b.size * n)  # multiplications
    if size < (200_000 if n > 1 and m > 1 else 9_000):  # too small for OpenBLAS to start threads
        return np.matmul(a, b)
    with one_thread:
        return _shared(a, b, n, m, size)


def _shared(a, b, n, m, size):
    cost = size * a.itemsize / 200  # nanoseconds, about
    cost = cost if cost > _SHARED else 0  # not shared
    if not one_thread.available() or a.dtype != b.dtype or a.dtype.char not in "fd":
        return np.matmul(a, b)
    if a.ndim == b.ndim == 2:
        wide = m > 2 * n and len(b) >= (256 if b.flags.f_contiguous else 512)  # for less, copying the result costs more
        out, lines = np.empty((n, m), a.dtype), m if wide else n
        block = -(-_SMALL // (size // lines * 24)) * 24
        threads.run(_columns if wide else _rows, lines // block or 1, cost, (a, b, out, block), even_out=False)
    elif a.shape[:-2] == b.shape[:-2]:
        out = np.empty((*a.shape[:-1], m), a.dtype)
        threads.run(_matrices, len(a), cost, (a, b, out), even_out=False)
    else:
        out = np.matmul(a, b)
    return out


def _rows(a, b, out, block, first, last):
    part = _lines(first, last, block, len(a))
    np.matmul(a[part], b, out[part])


def _columns(a, b, out, block, first, last):
    """The rows of the transposed product, for a result of few rows. With a transposed weight, it is also faster."""
    part = _lines(first, last, block, b.shape[1])
    out[:, part] = np.matmul(b.T[part], a.T).T


def _matrices(a, b, out, first, last):
    np.matmul(a[first:last], b[first:last], out[first:last])


def _lines(first, last, block, count):
    """Blocks first to last; the last of all takes what is left over."""
    return slice(first * block, last * block if (last + 1) * block <= count else count)


_SHARED = 1_000_000  # nanoseconds; a second thread that has to wake up first costs a shorter product more than it saves
_SMALL = 1_000_001  # multiplications; from here on OpenBLAS takes no path for small matrices
