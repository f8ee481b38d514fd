"""Distances between distributions: Kullback and Leibler's, its symmetric form, and Jensen and Shannon's.

A class of probability 0 contributes nothing, 0 log 0 = 0. Distributions never broadcast against each other.
"""

from __future__ import annotations

import math

import numpy as np

from ..arrays import describe, raw_of, shape_of
from ..engine import Tensor
from .arithmetic import exp, log, where
from .loss_checks import check_reduction, check_same, reduce_losses, rows_of
from .reduce import log_softmax, logsumexp, sum
from .shape import reshape, stack


def kl_div(input, target, reduction: str = "mean", log_target: bool = False):
    """Kullback-Leibler divergence KL(target || input), elementwise target (log target - input), from log-probabilities.

    input: log-probabilities, as of log_softmax; target: probabilities, or log-probabilities if log_target; of one shape
    and float dtype, which is kept. Where target is 0, both the term and its gradients are 0. As in PyTorch "mean"
    divides by the number of elements; only "batchmean", the sum over N, is the mean divergence of N distributions.
    ValueError for shapes and for negative probabilities, TypeError for dtypes.
    Source: Kullback and Leibler, "On information and sufficiency", 1951.

    >>> import numpy as np
    >>> from minidl.nn import functional as F
    >>> float(F.kl_div(np.log([[0.5, 0.5]]), np.array([[1.0, 0.0]]), reduction="batchmean"))  # log 2
    0.6931471805599453
    """
    if reduction != "batchmean":
        check_reduction("kl_div", reduction)
    shape, target = shape_of(input), check_same("kl_div", input, target)
    raw = raw_of(target)
    if reduction == "batchmean" and not shape:
        raise ValueError(f"kl_div: batchmean divides by the first axis, of which {describe(input)} has none")
    if not log_target and raw.min(initial=0) < 0:
        raise ValueError(f"kl_div: the target holds {raw.min():.4g}, no probability; are these logs? log_target=True")
    counts = raw != (-np.inf if log_target else 0)
    if log_target:
        p, logp = exp(target), where(counts, target, 0.0)
    else:
        p, logp = target, log(where(counts, target, 1.0))
    losses = p * (logp - where(counts, input, 0.0))
    if reduction == "batchmean":
        return reduce_losses("kl_div", losses, "mean", 1.0 / max(1, shape[0]))
    return reduce_losses("kl_div", losses, reduction)


def symmetric_kl(p_logits, q_logits, reduction: str = "mean"):
    """(KL(p || q) + KL(q || p)) / 2 = sum_c (p_c - q_c) (log p_c - log q_c) / 2, with p and q the softmaxes of logits.

    No term is negative. Both logits (N, C) or (N, C, d1, ...) of one shape and dtype, which is kept; gradients pass to
    both. "mean" is over the samples (and d1, ...), "none" returns (N, d1, ...). Stable for logits of +-1e4.
    ValueError for shapes, TypeError for dtypes. Source: Liang et al., "R-Drop", arXiv:2106.14448, 2021, equation 2.

    >>> import numpy as np
    >>> from minidl.nn import functional as F
    >>> round(float(F.symmetric_kl(np.log([[0.5, 0.5]]), np.log([[0.8, 0.2]]))), 4)  # 0.3 log 4 / 2
    0.2079
    """
    check_reduction("symmetric_kl", reduction)
    q_logits = check_same("symmetric_kl", p_logits, q_logits)
    p, q = (log_softmax(rows_of("symmetric_kl", x), 1) for x in (p_logits, q_logits))
    gone = (raw_of(p) == -np.inf) & (raw_of(q) == -np.inf)  # a class that both give probability 0
    ratio = where(gone, 0.0, p) - where(gone, 0.0, q)
    return _reduced("symmetric_kl", sum((exp(p) - exp(q)) * ratio, 1) * 0.5, reduction, p_logits)


def js_divergence(*logits, reduction: str = "mean"):
    """Jensen-Shannon divergence of K >= 2 distributions, the mean of KL(p_i || m) with m = (p_1 + ... + p_K) / K.

    p_i is the softmax of logits i, (N, C) or (N, C, d1, ...), all of one shape and dtype, which is kept; gradients pass
    to all. It lies between 0 (all are equal) and log K (no class in common). "mean" is over the samples (and d1, ...),
    "none" returns (N, d1, ...). Stable for logits of +-1e4. ValueError for shapes and for K < 2, TypeError for dtypes.
    Source: Lin, "Divergence measures based on the Shannon entropy", 1991; as AugMix's consistency loss, Hendrycks et
    al., arXiv:1912.02781, 2020, equation 1.

    >>> import numpy as np
    >>> from minidl.nn import functional as F
    >>> x = np.array([[1e4, 0.0, 0.0]])
    >>> round(float(F.js_divergence(x, np.roll(x, 1, 1), np.roll(x, 2, 1))), 4)  # log 3
    1.0986
    """
    check_reduction("js_divergence", reduction)
    if len(logits) < 2:
        raise ValueError(f"js_divergence compares two or more logits, js_divergence(a, b, ...), not {len(logits)}")
    first, *others = (x if isinstance(x, Tensor) else raw_of(x) for x in logits)
    logits = [first, *(check_same("js_divergence", first, x) for x in others)]
    p = stack([log_softmax(rows_of("js_divergence", x), 1) for x in logits])
    zero = raw_of(p) == -np.inf  # classes of probability 0
    mixture = logsumexp(where(zero.all(0), 0.0, p), 0) - math.log(len(logits))
    losses = sum(exp(p) * (where(zero, 0.0, p) - where(zero, 0.0, mixture)), (0, 2)) * (1.0 / len(logits))
    return _reduced("js_divergence", losses, reduction, first)


def _reduced(name: str, losses, reduction: str, logits):
    """One loss for each sample and position; "none" gives them their places again."""
    shape = shape_of(logits)
    if reduction == "none":
        return reshape(losses, shape[:1] + shape[2:])
    return reduce_losses(name, losses, reduction)
