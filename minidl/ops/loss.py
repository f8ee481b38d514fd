"""Losses for classes: fused with the softmax or sigmoid, so that logits of +-1e4 give finite losses and gradients.

reduction="mean" divides by the number of losses (by their weight, where classes have weights), "sum" adds up, "none"
returns them all. Input and target never broadcast. The mean over nothing is an error; the sum over nothing is 0.
"""

from __future__ import annotations

import numpy as np

from ..arrays import describe, raw_of, shape_of
from ..engine import Tensor, primitive
from .activation import relu, sigmoid, softplus
from .arithmetic import exp, maximum
from .index import take_along_axis
from .loss_checks import (
    check_reduction,
    check_same,
    class_numbers,
    class_weights,
    constant,
    inverse_total,
    plain_labels,
    reduce_losses,
    rows_of,
)
from .reduce import log_softmax, softmax, sum
from .shape import reshape


@primitive
def _cross_entropy(x, found):
    return found[0]
_cross_entropy.vjp(lambda g, x, found: _slope(x, *found[1:]) * (g * found[2]))


def _entropy_of_classes(x: np.ndarray, labels: np.ndarray, share: float) -> tuple:
    """Of logits x (N, C): share sum_n -log p[n, labels[n]] with p = softmax(x), and what its derivative needs, which is
    share (p - one_hot): (loss, p - one_hot, share, flat places of the ones).

    A few classes come first in memory, so that every step runs along contiguous samples; many are added up in pairs.
    """
    n, c = x.shape
    y = x.T.copy(order="C" if c <= 64 else "F")
    y -= np.maximum.reduce(y)
    places = labels * n + np.arange(n) if c <= 64 else labels + np.arange(0, n * c, c)
    flat = y.ravel(order="K")
    losses = flat[places]
    np.exp(y, out=y)
    total = np.add.reduce(y)
    y /= total
    flat[places] -= 1
    losses -= np.log(total, out=total)
    return np.add.reduce(losses) * -share, y.T, share, places


def _slope(x, slope, share, places):
    """softmax(x) - one_hot: for derivatives of derivatives computed from x, else as forward has found it."""
    if not isinstance(x, Tensor):
        return slope
    one_hot = np.zeros_like(slope)
    one_hot.ravel(order="K")[places] = 1
    return softmax(x, 1) - one_hot


@primitive
def _soft_cross_entropy(x, q, logp, summed):
    terms = np.multiply(q, logp, out=np.zeros_like(logp), where=q != 0)  # 0 log 0 = 0
    return -np.sum(terms) if summed else -np.sum(terms, axis=1)
_soft_cross_entropy.vjp(
    lambda g, x, q, logp: reshape(g, (-1, 1)) * (_probabilities(x, logp) * sum(q, 1, True) - q),
    lambda g, x, logp: reshape(g, (-1, 1)) * -_log_probabilities(x, logp),
)


def _probabilities(x, logp):
    """The softmax: of x where the derivative is to be differentiated again, else from what forward computed."""
    return softmax(x, 1) if isinstance(x, Tensor) else exp(logp)


def _log_probabilities(x, logp):
    return log_softmax(x, 1) if isinstance(x, Tensor) else logp


def cross_entropy(
    input, target, weight=None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
):
    """Softmax cross-entropy, -sum_c q_c log softmax(input)_c, from logits.

    input (N, C) or (N, C, d1, ...). target: class numbers (N,) or (N, d1, ...), any integer dtype, where q is one for
    the class and zero elsewhere; or probabilities q of the input's shape and dtype, through which gradients pass too.
    label_smoothing s: q becomes (1 - s) q + s / C (Szegedy et al. 2016). weight (C,): class c counts weight[c] times;
    with class numbers the mean then divides by the sum of the targets' weights, with probabilities by N (as PyTorch).
    ignore_index: samples with this class number count nothing. If none counts the mean is 0 with gradient 0, where
    PyTorch gives NaN. Raises ValueError for a class number out of range and for shapes that do not fit, TypeError for
    dtypes. The dtype of input is kept. Source: Bishop, "Pattern recognition and machine learning", section 4.3.4.

    >>> import numpy as np
    >>> from minidl.nn import functional as F
    >>> round(float(F.cross_entropy(np.zeros((2, 4)), [0, 3])), 4)  # log 4
    1.3863
    """
    check_reduction("cross_entropy", reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must lie in [0, 1], not {label_smoothing}")
    x, raw = rows_of("cross_entropy", input), raw_of(input)
    if reduction == "mean" and not raw.size:
        raise ValueError(f"cross_entropy: the mean over an empty batch, {describe(input)}, is undefined")
    if weight is None and not label_smoothing and reduction != "none":
        labels = plain_labels(target, raw, ignore_index)
        if labels is not None:  # nearly always: the short way
            share = 1.0 / len(labels) if reduction == "mean" else 1.0
            return _cross_entropy(x, _entropy_of_classes(raw_of(x), labels, share))
    weight = class_weights("cross_entropy", weight, raw)
    if shape_of(target) == raw.shape and raw_of(target).dtype.kind == "f":
        if ignore_index >= 0:
            raise ValueError("cross_entropy: ignore_index needs class numbers as the target, not probabilities")
        q = rows_of("cross_entropy", check_same("cross_entropy", input, target))
        q = q if not label_smoothing else q * (1.0 - label_smoothing) + label_smoothing / raw.shape[1]
        q = q if weight is None else q * weight
        q = q if reduction != "mean" else q * (1.0 / len(raw_of(q)))
    else:
        labels, ignored, counts = class_numbers("cross_entropy", target, raw, ignore_index, weight)
        q = np.zeros(shape_of(x), raw.dtype)
        if label_smoothing:
            q += label_smoothing / raw.shape[1] * ~ignored[:, None] * (1.0 if weight is None else weight)
        q[np.arange(len(q)), labels] += (1.0 - label_smoothing) * counts
        if reduction == "mean":
            q *= inverse_total(counts)
        q.flags.writeable = False
    logp = log_softmax(raw_of(x), 1)
    logp.flags.writeable = False
    losses = _soft_cross_entropy(x, q, logp, reduction != "none")
    return losses if reduction != "none" else reshape(losses, raw.shape[:1] + raw.shape[2:])


def nll_loss(input, target, weight=None, ignore_index: int = -100, reduction: str = "mean"):
    """Negative log-likelihood, -input[n, target[n]], from log-probabilities (log_softmax).

    input (N, C) or (N, C, d1, ...), target (N,) or (N, d1, ...) class numbers; weight, ignore_index, the mean, errors
    and dtype as in cross_entropy, which is nll_loss(log_softmax(x), target). Source: Bishop 2006, section 4.3.4.
    """
    check_reduction("nll_loss", reduction)
    x, raw = rows_of("nll_loss", input), raw_of(input)
    weight = class_weights("nll_loss", weight, raw)
    labels, counts = plain_labels(target, raw, ignore_index) if weight is None else None, None
    if labels is None:
        labels, _, counts = class_numbers("nll_loss", target, raw, ignore_index, weight)
    losses = -reshape(take_along_axis(x, labels[:, None], 1), (-1,)) * (1.0 if counts is None else counts)
    if reduction == "none":
        return reshape(losses, raw.shape[:1] + raw.shape[2:])
    return reduce_losses("nll_loss", losses, reduction, None if counts is None else inverse_total(counts))


@primitive(elementwise=True)
def _bce_with_logits(x, y, positive):
    rest = np.log1p(np.exp(-np.abs(x)))  # softplus(x) = max(x, 0) + rest, softplus(-x) = max(-x, 0) + rest
    return positive * y * (np.maximum(-x, 0) + rest) + (1 - y) * (np.maximum(x, 0) + rest)
_bce_with_logits.vjp(
    lambda g, x, y, positive: g * ((1.0 - y) * sigmoid(x) - positive * y * sigmoid(-x)),
    lambda g, x, positive: g * (positive * softplus(-x) - softplus(x)),
)


def binary_cross_entropy_with_logits(input, target, weight=None, reduction: str = "mean", pos_weight=None):
    """-(p y log s + (1 - y) log(1 - s)) with s = sigmoid(input), from logits; y is the target, p is pos_weight.

    input and target of one shape and float dtype (any shape), target in [0, 1]; its gradient is known too.
    pos_weight: how much more a positive counts, weight: how much each element does; both may broadcast to the input.
    The mean divides by the number of elements. Source: Bishop 2006, section 4.3.2.
    """
    check_reduction("binary_cross_entropy_with_logits", reduction)
    target = check_same("binary_cross_entropy_with_logits", input, target)
    positive = 1.0 if pos_weight is None else constant("pos_weight", pos_weight, input)
    losses = _bce_with_logits(input, target, positive)
    losses = losses if weight is None else losses * constant("weight", weight, input)
    return reduce_losses("binary_cross_entropy_with_logits", losses, reduction)


@primitive(elementwise=True)
def _binary_cross_entropy(p, y):
    with np.errstate(divide="ignore"):
        return -(y * np.maximum(np.log(p), -100) + (1 - y) * np.maximum(np.log1p(-p), -100))
_binary_cross_entropy.vjp(lambda g, p, y: g * (p - y) / maximum(p * (1.0 - p), 1e-12))


def binary_cross_entropy(input, target, weight=None, reduction: str = "mean"):
    """-(y log p + (1 - y) log(1 - p)) from probabilities p; logarithms are held above -100, as in PyTorch.

    input and target of one shape and float dtype; weight may broadcast to the input. ValueError where p lies outside
    [0, 1]. From logits use binary_cross_entropy_with_logits, which loses no accuracy. Source: Bishop 2006, 4.3.2.
    """
    check_reduction("binary_cross_entropy", reduction)
    target = check_same("binary_cross_entropy", input, target)
    p = raw_of(input)
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise ValueError(
            f"binary_cross_entropy: the input, from {p.min():.4g} to {p.max():.4g}, must be probabilities; apply a "
            "sigmoid, or better use binary_cross_entropy_with_logits"
        )
    losses = _binary_cross_entropy(input, target)
    losses = losses if weight is None else losses * constant("weight", weight, input)
    return reduce_losses("binary_cross_entropy", losses, reduction)


def multi_margin_loss(input, target, p: int = 1, margin: float = 1.0, weight=None, reduction: str = "mean"):
    """Multi-class SVM hinge: sum over the wrong classes c of w max(0, margin - x_y + x_c)^p / C, w = weight[y].

    input (N, C) scores x, target (N,) class numbers y; p 1 or 2. PyTorch divides by the number of classes C; the
    notes' form is the plain sum over c, that is C times this loss. The gradient at a hinge is 0. The dtype is kept.
    Source: Weston and Watkins 1999 (Crammer and Singer 2001 take the largest term instead of the sum).

    >>> import numpy as np
    >>> from minidl.nn import functional as F
    >>> 3 * round(float(F.multi_margin_loss(np.array([[3.0, 5.0, -2.0]]), [0])), 4)  # 5 - 3 + 1, and 0
    3.0
    """
    check_reduction("multi_margin_loss", reduction)
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p must be 1 or 2, not {p!r}")
    raw = raw_of(input)
    if raw.ndim != 2:
        raise ValueError(f"multi_margin_loss: input {describe(input)} must be (N, C), a score for each class")
    weight = class_weights("multi_margin_loss", weight, raw)
    labels, _, counts = class_numbers("multi_margin_loss", target, raw, None, weight)
    labels, share = labels[:, None], np.repeat(counts[:, None] / raw.shape[1], raw.shape[1], 1)
    np.put_along_axis(share, labels, 0, 1)  # the right class costs nothing
    share.flags.writeable = False
    hinge = relu(input - take_along_axis(input, labels, 1) + margin)
    return reduce_losses("multi_margin_loss", sum((hinge if p == 1 else hinge * hinge) * share, 1), reduction)
