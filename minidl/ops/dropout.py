"""Dropout: elements, channels, blocks or whole branches set to zero at random, so that no unit can rely on another.

All of them draw a mask from `rng` or the stream "dropout", and multiply: the derivative is that of the product.
"""

from __future__ import annotations

import numpy as np

from .. import random
from ..arrays import describe, shape_of


def check_rate(name: str, p: float) -> float:
    """The probability if it is a number from 0 to 1."""
    if not isinstance(p, int | float | np.integer | np.floating) or isinstance(p, bool) or not 0 <= p <= 1:
        raise ValueError(f"{name}: p is the probability of being dropped, a number from 0 to 1, not {describe(p)}")
    return float(p)


def check_block_size(name: str, value: int) -> int:
    """The side of a block in pixels, if it is one."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}: block_size is the side of a block in pixels, an integer >= 1, not {describe(value)}")
    return int(value)


def check_floats(dtype) -> None:
    """TypeError for integers."""
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"dropout needs floats, not {dtype}: what is kept is scaled; use .astype('float32')")


def keep_mask(shape: tuple, p: float, dtype, rng: random.Rng = None, scale: float = 1.0) -> np.ndarray:
    """`scale` with probability 1 - p, else 0, independently; drawn from `rng` or the stream "dropout".

    Read-only, so that backward need not fear for it. The draws do not depend on dtype.
    """
    check_floats(dtype)
    draws = random.resolve(rng, "dropout").random(shape, np.float32)  # in [0, 1): p = 0 keeps all, p = 1 none
    mask = np.multiply(draws >= p, scale, dtype=dtype)
    mask.flags.writeable = False
    return mask


def dropout(x, p: float = 0.5, training: bool = True, rng: random.Rng = None):
    """Inverted dropout: x * m / (1 - p) with m ~ Bernoulli(1 - p) elementwise, so that E[out] = x.

    Not in training, and for p = 0, x itself is returned. x of any shape; its dtype is kept. p = 1 gives zeros.
    Raises ValueError unless 0 <= p <= 1. Source: Srivastava et al., JMLR 2014, section 10.

    >>> import minidl
    >>> from minidl.nn import functional as F
    >>> F.dropout(minidl.ones(6), 0.5, rng=1)
    tensor([0., 2., 2., 2., 0., 0.])
    """
    return _masked(x, shape_of(x), check_rate("dropout", p), training, rng)


def vanilla_dropout(x, p: float = 0.5, training: bool = True, rng: random.Rng = None):
    """Dropout as first published: x * m in training, x * (1 - p) at test time.

    x of any shape; its dtype is kept. Raises ValueError unless 0 <= p <= 1. Source: Hinton et al. 2012.
    """
    p = check_rate("vanilla_dropout", p)
    if p == 0:
        return x
    return x * keep_mask(shape_of(x), p, x.dtype, rng) if training else x * (1.0 - p)


def dropout1d(x, p: float = 0.5, training: bool = True, rng: random.Rng = None):
    """Channel dropout of sequences x (N, C, L): see `dropout2d`. Raises ValueError for any other shape."""
    p = check_rate("dropout1d", p)
    return _masked(x, (*_dims("dropout1d", x, "N, C, L")[:2], 1), p, training, rng)


def dropout2d(x, p: float = 0.5, training: bool = True, rng: random.Rng = None):
    """Spatial dropout: whole channels are zeroed, x[n, c] * m[n, c] / (1 - p) with m ~ Bernoulli(1 - p); E[out] = x.

    Neighbouring pixels of a feature map tell the same, so that dropping single ones takes away little information.
    x (N, C, H, W) keeps shape and dtype. Not in training, and for p = 0, x itself is returned; p = 1 gives zeros.
    Raises ValueError unless 0 <= p <= 1 and x has four axes.
    Source: Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization using convolutional networks",
    arXiv:1411.4280, 2015, section 3.2.

    >>> import minidl
    >>> from minidl.nn import functional as F
    >>> F.dropout2d(minidl.ones(1, 4, 2, 2), 0.5, rng=1).sum(axis=(2, 3))
    tensor([[0., 8., 8., 8.]])
    """
    p = check_rate("dropout2d", p)
    return _masked(x, (*_dims("dropout2d", x, "N, C, H, W")[:2], 1, 1), p, training, rng)


def drop_block(x, p: float = 0.1, block_size: int = 7, training: bool = True, rng: random.Rng = None):
    """DropBlock: squares of b x b neighbouring pixels are zeroed together, and the rest scaled up.

        gamma = p / b^2 * (H W) / ((H - b + 1) (W - b + 1)),    seed ~ Bernoulli(gamma) where a block fits inside
        M = 0 in the block of every seed, 1 elsewhere;          out = x * M * count(M) / count_ones(M)

    x (N, C, H, W) keeps shape and dtype; each channel of each sample has blocks of its own, the variant the paper found
    better. gamma makes the expected sum of all blocks' areas the share p of the image; they may overlap, so that a
    little less is dropped, and p = 1 still leaves something. The last factor, over the whole batch, makes the mean of
    the mask 1 exactly (0 if nothing is left). A block larger than the image is cut to its shorter side, as in
    torchvision. Not in training, and for p = 0, x itself is returned. block_size = 1 is dropout but for that factor.
    Raises ValueError unless 0 <= p <= 1, block_size is an integer >= 1, and x has four axes.
    Source: Ghiasi, Lin, Le, "DropBlock: a regularization method for convolutional networks", arXiv:1810.12890, 2018.

    >>> import minidl
    >>> from minidl.nn import functional as F
    >>> F.drop_block(minidl.ones(1, 1, 3, 5), 0.5, 2, rng=2)[0, 0]
    tensor([[1.875, 1.875, 0.   , 0.   , 1.875],
            [1.875, 1.875, 0.   , 0.   , 0.   ],
            [1.875, 1.875, 1.875, 0.   , 0.   ]])
    """
    p, (n, c, h, w) = check_rate("drop_block", p), _dims("drop_block", x, "N, C, H, W")
    block = min(check_block_size("drop_block", block_size), h, w)
    if not training or p == 0 or block == 0:
        return x
    rows, columns = h - block + 1, w - block + 1  # where the upper left corner of a block may be
    gamma = p / block**2 * (h * w) / (rows * columns)
    seeds = random.resolve(rng, "dropout").random((n, c, rows, columns), np.float32) < gamma
    below, dropped = np.zeros((n, c, h, columns), bool), np.zeros((n, c, h, w), bool)
    for k in range(block):
        below[:, :, k : k + rows] |= seeds
    for k in range(block):
        dropped[..., k : k + columns] |= below
    check_floats(x.dtype)
    ones = dropped.size - np.count_nonzero(dropped)
    mask = np.multiply(~dropped, dropped.size / ones if ones else 0.0, dtype=x.dtype)
    mask.flags.writeable = False
    return x * mask


def mixout(w, anchor, p: float = 0.7, training: bool = True, rng: random.Rng = None):
    """Mixout of weights: those of randomly chosen inputs are replaced by the anchor u, and the mean is put right.

        out = (m u + (1 - m) w - p u) / (1 - p) = u + (w - u) (1 - m) / (1 - p),    m ~ Bernoulli(p);    E[out] = w

    It is dropout of the way from u to w, so that dropping leads back to u and not to 0; p = 1 gives u, with a gradient
    of 0. w (out, in, ...) and anchor have one shape; all weights of an input, axis 1, share one draw, as in the paper,
    whose u = 0 is dropout of the layer's inputs with one mask for the batch; the numbers of a vector have each its own.
    Not in training, and for p = 0, w itself is returned. The gradient is the derivative of this equation (the authors'
    program leaves out its factor 1 / (1 - p)).
    Raises ValueError unless 0 <= p <= 1 and the shapes agree.
    Source: Lee, Cho, Kang, "Mixout: effective regularization to finetune large-scale pretrained language models",
    arXiv:1909.11299, 2020.

    >>> import minidl
    >>> from minidl.nn import functional as F
    >>> F.mixout(minidl.ones(1, 4) * 3, minidl.ones(1, 4), 0.5, rng=1)
    tensor([[1., 5., 5., 5.]])
    """
    p, shape = check_rate("mixout", p), shape_of(w)
    if shape_of(anchor) != shape:
        raise ValueError(f"mixout: the anchor must have the shape of the weights {describe(w)}, not {describe(anchor)}")
    if not training or p == 0:
        return w
    return anchor + _masked(w - anchor, (1, shape[1], *(1,) * (len(shape) - 2)) if shape[1:] else shape, p, True, rng)


def drop_path(x, p: float = 0.0, training: bool = True, rng: random.Rng = None):
    """Stochastic depth of a residual branch: whole samples are zeroed, x[n] * m[n] / (1 - p), m[n] ~ Bernoulli(1 - p).

    x (N, ...) is the branch f(h) of h + f(h), so that a sample goes through f or past it; E[out] = x. Not in training,
    and for p = 0, x itself is returned. The dtype is kept. Huang draws one m for all of a batch and scales at test
    time; one for each sample, and scaling in training, is what libraries do now.
    Raises ValueError unless 0 <= p <= 1 and x has an axis of samples.
    Source: Huang, Sun, Liu, Sedra, Weinberger, "Deep networks with stochastic depth", arXiv:1603.09382, 2016; Larsson,
    Maire, Shakhnarovich, "FractalNet", arXiv:1605.07648, 2016 (drop-path).

    >>> import minidl
    >>> from minidl.nn import functional as F
    >>> F.drop_path(minidl.ones(4, 2), 0.5, rng=1)
    tensor([[0., 0.],
            [2., 2.],
            [2., 2.],
            [2., 2.]])
    """
    p, shape = check_rate("drop_path", p), shape_of(x)
    if not shape:
        raise ValueError(f"drop_path: x must be (N, ...), one branch a sample, not {describe(x)}")
    return _masked(x, shape[:1] + (1,) * (len(shape) - 1), p, training, rng)


def _masked(x, shape: tuple, p: float, training: bool, rng: random.Rng):
    """x times a mask of this shape, which broadcasts, over 1 - p; x itself where nothing is dropped."""
    if not training or p == 0:
        return x
    return x * keep_mask(shape, p, x.dtype, rng, 1.0 / (1.0 - p) if p < 1 else 0.0)


def _dims(name: str, x, axes: str) -> tuple:
    """The shape of x if it has these axes."""
    shape = shape_of(x)
    if len(shape) != axes.count(",") + 1:
        raise ValueError(f"{name}: x must be ({axes}), not {describe(x)}; for single elements of any shape use dropout")
    return shape
