"""The hot loops: convolution and pooling, arrays in and arrays out. This floor knows no Tensor.

Every function has two bodies: a NumPy twin that reads like the formula, and a numba one that is fast. The functions
here are the gate before both: they check types and shapes, make the arrays contiguous and call the chosen body.

    use("numba"), use("numpy"), use("auto")     choose; the environment variable MINIDL_KERNELS does so at the start
    backend()                                   the body that calls now go to

"auto", the default, is numba where it can be imported and NumPy elsewhere. numba is imported by the first call that
needs it, never by `import minidl`.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

from .geometry import conv_output_size, conv_sizes, pool_output_size, pool_sizes
from .threads import get_num_threads, set_num_threads

__all__ = [
    "announce", "avg_pool2d", "avg_pool2d_input", "backend", "conv2d", "conv2d_input", "conv2d_weight",
    "conv_output_size", "get_num_threads", "max_pool2d", "pool_gather", "pool_output_size", "pool_scatter",
    "set_num_threads", "use", "using",
]  # fmt: skip

Pair = tuple[int, int]


# --- Choosing the backend -------------------------------------------------------------------------------------------


def use(name: str) -> None:
    """Choose the body of the kernels: "numba", "numpy", or "auto" (numba where it can be imported).

    Raises ValueError for another name and ImportError for "numba" where numba cannot be imported.

    >>> from minidl import kernels
    >>> with kernels.using("numpy"):
    ...     kernels.backend()
    'numpy'
    """
    global _wish, _bodies
    if name not in ("numpy", "numba", "auto"):
        raise ValueError(f'no kernels called {name!r}; choose "numpy", "numba" or "auto"')
    if name == "numba" and not _numba_found():
        raise ImportError('numba cannot be imported; install it ("pip install numba") or choose "numpy" or "auto"')
    _wish, _bodies = name, None


def backend() -> str:
    """Name of the body that calls go to now: "numba" or "numpy". Does not import numba."""
    if _bodies is not None:
        return _bodies.name
    return "numpy" if _wish == "numpy" or (_wish == "auto" and not _numba_found()) else "numba"


@contextlib.contextmanager
def using(name: str) -> Iterator[None]:
    """`use(name)` for the length of a with-block."""
    before = _wish
    use(name)
    try:
        yield
    finally:
        use(before)


def announce(message: str) -> None:
    """Say on standard error that compiling takes a moment. Replace `minidl.kernels.announce` to say it elsewhere."""
    print(message, file=sys.stderr, flush=True)


# --- Convolution ----------------------------------------------------------------------------------------------------


def conv2d(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """Convolution (cross-correlation) of images with filters.

        out[n, o, y, x] = b[o] + sum over c, i, j of w[o, c, i, j] * x[n, c, S y + d i - P, S x + d j - P]

    x (N, C, H, W), w (O, C/groups, kh, kw), b (O,) or None -> (N, O, Ho, Wo), a new array of x's float type. Output
    channel o sees the C/groups input channels of its own group; outside the image x counts as zero.
    Raises TypeError unless all arrays are float32 or all float64, ValueError where shapes do not fit or no output
    is left. Reference: LeCun et al., "Gradient-based learning applied to document recognition", 1998.
    """
    conv_sizes(x.shape, w.shape, stride, padding, dilation, groups)
    if b is None:
        x, w = _ready("conv2d", x=x, w=w)
    else:
        x, w, b = _ready("conv2d", x=x, w=w, b=b)
        if b.shape != w.shape[:1]:
            raise ValueError(f"conv2d: b has shape {b.shape}, but w {w.shape} has {len(w)} filters, one bias each")
    return _body().conv2d(x, w, b, stride, padding, dilation, groups)


def conv2d_input(
    g: np.ndarray, w: np.ndarray, x_shape: tuple, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """Gradient of `conv2d` to its images: the adjoint map, and the forward pass of a transposed convolution.

        dx[n, c, S y + d i - P, S x + d j - P] += g[n, o, y, x] * w[o, c, i, j]    over all o, y, x, i, j

    g (N, O, Ho, Wo), w (O, C/groups, kh, kw), x_shape (N, C, H, W) -> (N, C, H, W), a new array of g's float type.
    Positions of x that no window reaches get zero. Raises TypeError and ValueError like `conv2d`.
    Reference: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.
    """
    x_shape = tuple(x_shape)
    sizes = conv_sizes(x_shape, w.shape, stride, padding, dilation, groups)
    _check_shape("conv2d_input", "g", g, (x_shape[0], w.shape[0], *sizes), "x_shape and w")
    g, w = _ready("conv2d_input", g=g, w=w)
    return _body().conv2d_input(g, w, x_shape, stride, padding, dilation, groups)


def conv2d_weight(
    g: np.ndarray, x: np.ndarray, w_shape: tuple, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """Gradient of `conv2d` to its filters: every weight sums over all the places it stood at.

        dw[o, c, i, j] = sum over n, y, x of g[n, o, y, x] * x[n, c, S y + d i - P, S x + d j - P]

    g (N, O, Ho, Wo), x (N, C, H, W), w_shape (O, C/groups, kh, kw) -> (O, C/groups, kh, kw), a new array of x's
    float type. Raises TypeError and ValueError like `conv2d`.
    Reference: LeCun et al., "Gradient-based learning applied to document recognition", 1998.
    """
    w_shape = tuple(w_shape)
    sizes = conv_sizes(x.shape, w_shape, stride, padding, dilation, groups)
    _check_shape("conv2d_weight", "g", g, (x.shape[0], w_shape[0], *sizes), "x and w_shape")
    g, x = _ready("conv2d_weight", g=g, x=x)
    return _body().conv2d_weight(g, x, w_shape, stride, padding, dilation, groups)


# --- Pooling --------------------------------------------------------------------------------------------------------


def max_pool2d(
    x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Largest value of every window, and where it stood.

        out[n, c, y, x] = max over i, j of x[n, c, S y + d i - P, S x + d j - P]

    x (N, C, H, W) -> out (N, C, Ho, Wo) of x's float type and index (N, C, Ho, Wo) int32: the flat position h W + w
    of the first maximum in scan order. A NaN counts as the largest value; padding is never chosen.
    Raises TypeError unless x is float32 or float64, ValueError where a window would hold no input.
    Reference: Scherer, Mueller and Behnke, "Evaluation of pooling operations in convolutional architectures", 2010.
    """
    pool_sizes(x.shape, kernel, stride, padding, dilation, ceil_mode)
    (x,) = _ready("max_pool2d", x=x)
    return _body().max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)


def pool_gather(x: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Values of x at the flat positions that `max_pool2d` found.

        out[n, c, y, x] = x[n, c].flat[index[n, c, y, x]]

    x (N, C, H, W), index (N, C, Ho, Wo) of integers -> (N, C, Ho, Wo) of x's float type.
    Raises IndexError for a position outside the plane, ValueError and TypeError like `max_pool2d`.
    Reference: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014 (the switches).
    """
    (x,) = _ready("pool_gather", x=x)
    return _body().pool_gather(x, _ready_index("pool_gather", index, x.shape))


def pool_scatter(g: np.ndarray, index: np.ndarray, x_shape: tuple) -> np.ndarray:
    """Adds each value of g at its flat position: the adjoint of `pool_gather`, the gradient of `max_pool2d`.

        dx[n, c].flat[index[n, c, y, x]] += g[n, c, y, x]

    g and index (N, C, Ho, Wo), x_shape (N, C, H, W) -> (N, C, H, W) of g's float type; positions that occur twice
    add up, in scan order. Raises IndexError for a position outside the plane, ValueError and TypeError.
    Reference: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014 (the switches).
    """
    x_shape = tuple(x_shape)
    (g,) = _ready("pool_scatter", g=g)
    _check_shape("pool_scatter", "index", index, g.shape, "g")
    return _body().pool_scatter(g, _ready_index("pool_scatter", index, x_shape), x_shape)


def avg_pool2d(
    x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool
) -> np.ndarray:
    """Mean of every window.

        out[n, c, y, x] = 1 / D * sum over i, j of x[n, c, S y + i - P, S x + j - P]

    x (N, C, H, W) -> (N, C, Ho, Wo) of x's float type. D is the number of positions of the window inside the padded
    image, or inside the image itself if not `count_include_pad`.
    Raises TypeError unless x is float32 or float64, ValueError where a window would hold no input.
    Reference: LeCun et al., "Gradient-based learning applied to document recognition", 1998 (subsampling).
    """
    pool_sizes(x.shape, kernel, stride, padding, (1, 1), ceil_mode)
    (x,) = _ready("avg_pool2d", x=x)
    return _body().avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d_input(
    g: np.ndarray, x_shape: tuple, kernel: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool
) -> np.ndarray:
    """Gradient of `avg_pool2d`: every output shares its value equally among the positions of its window.

        dx[n, c, S y + i - P, S x + j - P] += g[n, c, y, x] / D    over all y, x, i, j

    g (N, C, Ho, Wo), x_shape (N, C, H, W) -> (N, C, H, W) of g's float type. Raises like `avg_pool2d`.
    Reference: LeCun et al., "Gradient-based learning applied to document recognition", 1998 (subsampling).
    """
    x_shape = tuple(x_shape)
    sizes = pool_sizes(x_shape, kernel, stride, padding, (1, 1), ceil_mode)
    _check_shape("avg_pool2d_input", "g", g, (*x_shape[:2], *sizes), "x_shape and the window")
    (g,) = _ready("avg_pool2d_input", g=g)
    return _body().avg_pool2d_input(g, x_shape, kernel, stride, padding, ceil_mode, count_include_pad)


# --- The gate -------------------------------------------------------------------------------------------------------


def _ready(who, **arrays):
    """The arrays contiguous, aligned and as read-only views, so that each kernel meets one type per float type."""
    dtypes = {array.dtype for array in arrays.values()}
    if len(dtypes) > 1 or dtypes.pop() not in _FLOATS:
        given = ", ".join(f"{name} {array.dtype}" for name, array in arrays.items())
        raise TypeError(f"{who} needs float32 or float64, the same for all arrays; got {given}; convert with astype")
    return [_frozen(array) for array in arrays.values()]


def _ready_index(who, index, x_shape):
    """The positions as int32, of the right shape; the bodies check that they lie in the image."""
    if index.dtype.kind not in "iu":
        raise TypeError(f"{who}: index has type {index.dtype}; positions are integers")
    if index.ndim != 4 or len(x_shape) != 4 or index.shape[:2] != tuple(x_shape[:2]):
        raise ValueError(f"{who}: index {index.shape} and x {tuple(x_shape)} must be (N, C, ...) with the same N and C")
    if index.dtype != np.int32:
        index = np.clip(index, -1, np.iinfo(np.int32).max).astype(np.int32)
    return _frozen(index)


def _frozen(array):
    if type(array) is not np.ndarray or not (array.flags.c_contiguous and array.flags.aligned):
        array = np.require(array, requirements="CA").view(np.ndarray)
    view = array.view()
    view.flags.writeable = False
    return view


def _check_shape(who, name, array, expected, source):
    if array.shape != expected:
        raise ValueError(f"{who}: {name} has shape {array.shape}, but {source} ask for {expected}")


def _body():
    """The chosen body, loaded on its first call."""
    global _bodies
    if _bodies is None:
        try:
            _bodies = _load(backend())
        except (ImportError, OSError) as error:  # numba is there, but it or its libraries do not load
            if _wish == "numba":
                raise ImportError(f'numba does not load here ({error}); choose kernels.use("numpy")') from error
            _bodies = _load("numpy")
    return _bodies


def _load(name):
    conv, pool = (importlib.import_module(f"{__name__}.{family}_{name}") for family in ("conv", "pool"))
    return SimpleNamespace(name=name, **{f: getattr(conv if "conv" in f else pool, f) for f in _FUNCTIONS})


def _numba_found():
    try:
        return importlib.util.find_spec("numba") is not None
    except ImportError:
        return False


_FLOATS = np.dtype(np.float32), np.dtype(np.float64)
_FUNCTIONS = (
    "conv2d", "conv2d_input", "conv2d_weight", "max_pool2d", "pool_gather", "pool_scatter", "avg_pool2d",
    "avg_pool2d_input",
)  # fmt: skip
_wish, _bodies = "auto", None
use(os.environ.get("MINIDL_KERNELS", "auto"))
