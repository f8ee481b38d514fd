"""Losses as modules; equations, shapes and errors stand with the functions in minidl/nn/functional.py."""

from __future__ import annotations

from ..ops.loss import check_reduction
from . import functional as F
from .module import Module


class _Loss(Module):
    """A loss with a reduction, "mean", "sum" or "none", and perhaps weights, kept as buffers as in PyTorch."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        check_reduction(type(self).__name__, reduction)
        self.reduction = reduction

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}" if self.reduction != "mean" else ""


class CrossEntropyLoss(_Loss):
    """Softmax and cross-entropy from logits (N, C): functional.cross_entropy.

    >>> import numpy as np
    >>> from minidl import nn
    >>> loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    >>> loss(np.zeros((2, 4), np.float32), np.array([0, 3]))
    tensor(1.3863)
    """

    def __init__(
        self, weight=None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input, target):
        return F.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class NLLLoss(_Loss):
    """Negative log-likelihood from log-probabilities (N, C): functional.nll_loss."""

    def __init__(self, weight=None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input, target):
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Sigmoid and binary cross-entropy from logits: functional.binary_cross_entropy_with_logits."""

    def __init__(self, weight=None, reduction: str = "mean", pos_weight=None) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input, target):
        return F.binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)


class BCELoss(_Loss):
    """Binary cross-entropy from probabilities: functional.binary_cross_entropy."""

    def __init__(self, weight=None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input, target):
        return F.binary_cross_entropy(input, target, self.weight, self.reduction)


class MultiMarginLoss(_Loss):
    """Multi-class SVM hinge from scores (N, C): functional.multi_margin_loss."""

    def __init__(self, p: int = 1, margin: float = 1.0, weight=None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.p, self.margin = p, margin
        self.register_buffer("weight", weight)

    def forward(self, input, target):
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, self.reduction)


class MSELoss(_Loss):
    """Mean squared error: functional.mse_loss."""

    def forward(self, input, target):
        return F.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """Mean absolute error: functional.l1_loss."""

    def forward(self, input, target):
        return F.l1_loss(input, target, self.reduction)


class HuberLoss(_Loss):
    """Squares near zero, absolute values beyond delta: functional.huber_loss."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input, target):
        return F.huber_loss(input, target, self.reduction, self.delta)


class SmoothL1Loss(_Loss):
    """Huber's loss divided by its beta: functional.smooth_l1_loss."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input, target):
        return F.smooth_l1_loss(input, target, self.reduction, self.beta)


class EpsilonInsensitiveLoss(_Loss):
    """Support vector regression's loss, free up to epsilon: functional.epsilon_insensitive_loss."""

    def __init__(self, reduction: str = "mean", epsilon: float = 0.1, p: int = 1) -> None:
        super().__init__(reduction)
        self.epsilon, self.p = epsilon, p

    def forward(self, input, target):
        return F.epsilon_insensitive_loss(input, target, self.reduction, self.epsilon, self.p)


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence from log-probabilities; reduction also "batchmean": functional.kl_div."""

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__("mean" if reduction == "batchmean" else reduction)
        self.reduction, self.log_target = reduction, log_target

    def forward(self, input, target):
        return F.kl_div(input, target, self.reduction, self.log_target)
