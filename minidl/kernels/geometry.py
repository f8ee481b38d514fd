"""The sizes of windows and outputs: the arithmetic that convolution, pooling and both backends share."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def conv_output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Number of places a convolution's kernel can stand along one axis.

        N' = floor((N - d(F - 1) - 1 + 2P) / S) + 1

    Args: `size` N, `kernel` F, `stride` S, `padding` P on both sides, `dilation` d. Returns an int, zero or negative
    when the kernel is larger than the padded input.
    Reference: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    >>> from minidl.kernels import conv_output_size
    >>> conv_output_size(32, kernel=3, stride=2, padding=1)
    16
    """
    return (size - dilation * (kernel - 1) - 1 + 2 * padding) // stride + 1


def pool_output_size(
    size: int, kernel: int, stride: int, padding: int = 0, dilation: int = 1, ceil_mode: bool = False
) -> int:
    """Number of pooling windows along one axis.

        N' = floor((N - d(F - 1) - 1 + 2P) / S) + 1,    with ceil in the place of floor in `ceil_mode`

    In `ceil_mode` the last window must start inside the input or its left padding; one that would start in the
    right padding is dropped (PyTorch's rule). Returns an int, as `conv_output_size`.
    Reference: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    >>> from minidl.kernels import pool_output_size
    >>> pool_output_size(5, kernel=2, stride=2), pool_output_size(5, kernel=2, stride=2, ceil_mode=True)
    (2, 3)
    """
    places = conv_output_size(size + (stride - 1 if ceil_mode else 0), kernel, stride, padding, dilation)
    if ceil_mode and (places - 1) * stride >= size + padding:
        places -= 1
    return places


@lru_cache(maxsize=512)
def conv_sizes(x_shape, w_shape, stride, padding, dilation, groups) -> tuple[int, int]:
    """(Ho, Wo) of a convolution; ValueError where the shapes do not fit together or no output is left."""
    if len(x_shape) != 4 or len(w_shape) != 4:
        raise ValueError(f"conv2d needs x (N, C, H, W) and w (O, C/groups, kh, kw), got {x_shape} and {w_shape}")
    channels, filters = x_shape[1], w_shape[0]
    if groups < 1 or w_shape[1] * groups != channels or filters % groups or min(channels, filters) < 1:
        raise ValueError(
            f"conv2d: x {x_shape} has {channels} channels and w {w_shape} has {filters} filters over {w_shape[1]} "
            f"channels in {groups} groups; channels must equal {w_shape[1]} x groups and groups must divide filters"
        )
    _check_positive("conv2d", kernel=w_shape[2:], stride=stride, dilation=dilation, padding=padding)
    pairs = zip(x_shape[2:], w_shape[2:], stride, padding, dilation, strict=True)
    return _check_outputs("conv2d", x_shape, tuple(conv_output_size(*pair) for pair in pairs), w_shape[2:], padding)


@lru_cache(maxsize=512)
def pool_sizes(x_shape, kernel, stride, padding, dilation, ceil_mode) -> tuple[int, int]:
    """(Ho, Wo) of a pooling; ValueError where no output is left or some window would hold no input at all."""
    if len(x_shape) != 4:
        raise ValueError(f"pooling needs x (N, C, H, W), got {x_shape}")
    _check_positive("pooling", kernel=kernel, stride=stride, dilation=dilation, padding=padding)
    axes = list(zip(x_shape[2:], kernel, stride, padding, dilation, strict=True))
    sizes = _check_outputs(
        "pooling", x_shape, tuple(pool_output_size(*axis, ceil_mode) for axis in axes), kernel, padding
    )
    for (size, *axis), places in zip(axes, sizes, strict=True):
        if first_inside(places, *axis).max() >= size:
            raise ValueError(
                f"pooling: with kernel {kernel}, padding {padding} and dilation {dilation} some window of x {x_shape} "
                "holds nothing but padding; use a padding of at most half the kernel"
            )
    return sizes


def first_inside(places: int, kernel: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    """Input position of each window's first tap that is not left padding, shape (places,)."""
    start = np.arange(places) * stride - padding
    first = np.where(start < 0, start % dilation, start)
    return np.where(first <= start + dilation * (kernel - 1), first, np.iinfo(np.intp).max)  # max: there is none


def pool_counts(size: int, places: int, kernel: int, stride: int, padding: int, count_include_pad: bool) -> np.ndarray:
    """How many positions of one axis an average divides by, per window: an integer array (places,).

    Padding counts if asked for; what a `ceil_mode` window reaches beyond the padding never does (PyTorch's rule).
    """
    start = np.arange(places) * stride - padding
    end = np.minimum(start + kernel, size + padding)
    return end - start if count_include_pad else np.minimum(end, size) - np.maximum(start, 0)


def _check_positive(who, *, padding, **pairs):
    for name, pair in pairs.items():
        if min(pair) < 1:
            raise ValueError(f"{who}: {name} is {tuple(pair)}; both numbers must be at least 1")
    if min(padding) < 0:
        raise ValueError(f"{who}: padding is {tuple(padding)}; it cannot be negative, crop the input instead")


def _check_outputs(who, x_shape, sizes, kernel, padding):
    if min(sizes) < 1:
        raise ValueError(
            f"{who}: x {x_shape} with padding {tuple(padding)} is smaller than the kernel {tuple(kernel)} with its "
            f"dilation, so the output would have size {sizes}; use a smaller kernel or more padding"
        )
    return sizes
