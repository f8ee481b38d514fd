"""Losses for numbers. Input and target never broadcast: (N, 1) against (N,) is an error, and so are two dtypes."""

from __future__ import annotations

import numpy as np

from ..arrays import raw_of
from ..engine import primitive
from .activation import relu
from .arithmetic import clip
from .loss_checks import check_reduction, check_same, reduce_losses


@primitive
def _squares(d, share):
    return np.sum(d * d) * share
_squares.vjp(lambda g, d, share: d * (g * (2.0 * share)))


def mse_loss(input, target, reduction: str = "mean"):
    """Mean squared error, (input - target)^2.

    input and target of one shape and float dtype, which is kept; gradients pass to both. Raises ValueError for
    shapes, TypeError for dtypes. Source: Gauss 1809; Bishop 2006, section 3.1.

    >>> import numpy as np
    >>> from minidl.nn import functional as F
    >>> float(F.mse_loss(np.array([1.0, 2.0]), np.array([0.0, 4.0])))
    2.5
    """
    check_reduction("mse_loss", reduction)
    difference = input - check_same("mse_loss", input, target)
    size = raw_of(difference).size
    if reduction == "none" or not size:
        return reduce_losses("mse_loss", difference * difference, reduction)
    return _squares(difference, 1.0 if reduction == "sum" else 1.0 / size)


def l1_loss(input, target, reduction: str = "mean"):
    """Mean absolute error, |input - target|; its derivative at 0 is 0.

    Shapes, dtypes and errors as in mse_loss. Source: Laplace 1774; Koenker, "Quantile regression", 2005.
    """
    check_reduction("l1_loss", reduction)
    return reduce_losses("l1_loss", abs(input - check_same("l1_loss", input, target)), reduction)


@primitive(elementwise=True)
def _huber(d, delta):
    inside = np.minimum(np.abs(d), delta)
    return inside * (np.abs(d) - 0.5 * inside)
_huber.vjp(lambda g, d, delta: g * clip(d, -delta, delta))


def huber_loss(input, target, reduction: str = "mean", delta: float = 1.0):
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = input - target.

    Shapes, dtypes and errors as in mse_loss. Source: Huber, "Robust estimation of a location parameter", 1964.
    """
    check_reduction("huber_loss", reduction)
    if not delta > 0:
        raise ValueError(f"huber_loss: delta must be a number > 0, not {delta!r}")
    difference = input - check_same("huber_loss", input, target)
    return reduce_losses("huber_loss", _huber(difference, float(delta)), reduction)


def smooth_l1_loss(input, target, reduction: str = "mean", beta: float = 1.0):
    """huber_loss with delta = beta, divided by beta; beta = 0 is l1_loss. Source: Girshick, "Fast R-CNN", 2015."""
    check_reduction("smooth_l1_loss", reduction)
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: beta must be a number >= 0, not {beta!r}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    difference = input - check_same("smooth_l1_loss", input, target)
    return reduce_losses("smooth_l1_loss", _huber(difference, float(beta)) * (1.0 / beta), reduction)


def epsilon_insensitive_loss(input, target, reduction: str = "mean", epsilon: float = 0.1, p: int = 1):
    """max(0, |input - target| - epsilon)^p, the loss of support vector regression: errors up to epsilon are free.

    p 1 or 2 (the squared variant). Shapes, dtypes and errors as in mse_loss; the derivative at the hinge is 0.
    Source: Vapnik, "The nature of statistical learning theory", 1995, chapter 6.

    >>> import numpy as np
    >>> from minidl.nn import functional as F
    >>> F.epsilon_insensitive_loss(np.array([1.25, 2.0]), np.array([1.0, 5.0]), "none", epsilon=0.5)
    array([0. , 2.5])
    """
    check_reduction("epsilon_insensitive_loss", reduction)
    if not epsilon >= 0 or p not in (1, 2):
        raise ValueError(f"epsilon_insensitive_loss: epsilon must be >= 0 and p 1 or 2, not {epsilon!r} and {p!r}")
    difference = input - check_same("epsilon_insensitive_loss", input, target)
    hinge = relu(abs(difference) - float(epsilon))
    return reduce_losses("epsilon_insensitive_loss", hinge if p == 1 else hinge * hinge, reduction)
