"""The hot loops: arrays in and arrays out. This floor knows no Tensor.

Every family has a gate of its own, `conv.py`, `pool.py`, ..., whose functions check types and shapes and call one of
two bodies: a NumPy twin that reads like the formula (`conv_numpy.py`), and a numba one that is fast (`conv_numba.py`).

    use("numba"), use("numpy"), use("auto")     choose; the environment variable MINIDL_KERNELS does so at the start
    backend()                                   the body that calls now go to

"auto", the default, is numba where it can be imported and NumPy elsewhere. numba is imported by the first call that
needs it, never by `import minidl`.
"""

from __future__ import annotations

import sys

from .backend import backend, use, using
from .conv import conv2d, conv2d_input, conv2d_weight
from .elementwise import relu, relu_input
from .geometry import conv_output_size, pool_output_size
from .group_norm import group_norm, group_norm_backward
from .norm import batch_norm, batch_norm_backward, channel_sum, normalize
from .pool import avg_pool2d, avg_pool2d_input, max_pool2d, pool_gather, pool_scatter
from .product import matmul
from .sample import bilinear, bilinear_input
from .threads import get_num_threads, set_num_threads
from .update import adagrad_update, adam_update, rmsprop_update, sgd_update

__all__ = [
    "adagrad_update", "adam_update", "announce", "avg_pool2d", "avg_pool2d_input", "backend", "batch_norm",
    "batch_norm_backward", "bilinear", "bilinear_input", "channel_sum", "conv2d", "conv2d_input", "conv2d_weight",
    "conv_output_size", "get_num_threads", "group_norm", "group_norm_backward", "matmul", "max_pool2d", "normalize",
    "pool_gather", "pool_output_size", "pool_scatter", "relu", "relu_input", "rmsprop_update", "set_num_threads",
    "sgd_update", "use", "using",
]  # fmt: skip


def announce(message: str) -> None:
    """Say on standard error that compiling takes a moment. Replace `minidl.kernels.announce` to say it elsewhere."""
    print(message, file=sys.stderr, flush=True)
