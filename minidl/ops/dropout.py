"""Dropout: elements set to zero at random, so that no unit can rely on another."""

from __future__ import annotations

import numpy as np

from .. import random
from ..arrays import describe, shape_of


def check_rate(name: str, p: float) -> float:
    """The probability if it is a number from 0 to 1."""
    if not isinstance(p, int | float | np.integer | np.floating) or isinstance(p, bool) or not 0 <= p <= 1:
        raise ValueError(f"{name}: p is the probability of being dropped, a number from 0 to 1, not {describe(p)}")
    return float(p)


def keep_mask(shape: tuple, p: float, dtype, rng: random.Rng = None, scale: float = 1.0) -> np.ndarray:
    """`scale` with probability 1 - p, else 0, independently; drawn from `rng` or the stream "dropout".

    Read-only, so that backward need not fear for it. The draws do not depend on dtype.
    """
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
    p = check_rate("dropout", p)
    if not training or p == 0:
        return x
    return x * keep_mask(shape_of(x), p, x.dtype, rng, 1.0 / (1.0 - p) if p < 1 else 0.0)


def vanilla_dropout(x, p: float = 0.5, training: bool = True, rng: random.Rng = None):
    """Dropout as first published: x * m in training, x * (1 - p) at test time.

    x of any shape; its dtype is kept. Raises ValueError unless 0 <= p <= 1. Source: Hinton et al. 2012.
    """
    p = check_rate("vanilla_dropout", p)
    if p == 0:
        return x
    return x * keep_mask(shape_of(x), p, x.dtype, rng) if training else x * (1.0 - p)
