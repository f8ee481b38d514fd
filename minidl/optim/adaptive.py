"""Adagrad and RMSprop: every weight has its own step size, from the squares of its past gradients."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .. import kernels
from .optimizer import Optimizer


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients: rare features keep large steps.

        g <- grad + weight_decay w
        s <- s + g^2                                 (s starts from initial_accumulator_value)
        w <- w - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    The sum only grows, so the steps only shrink. Duchi, Hazan and Singer, "Adaptive subgradient methods for online
    learning and stochastic optimization", JMLR 12 (2011); the defaults and lr_decay are PyTorch's.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        start = initial_accumulator_value
        defaults = dict(lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, initial_accumulator_value=start, eps=eps)
        super().__init__(params, {**defaults, "maximize": maximize})

    def slots(self, initial_accumulator_value: float, **_) -> dict[str, float]:
        return {"sum": initial_accumulator_value}

    def update(self, w, g, state, lr: float, lr_decay: float, eps: float, **_) -> None:
        s, t = state["sum"], state["step"]
        s += g * g
        w -= lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s) + eps)

    def fused(self, w, g, state, lr, lr_decay, eps, weight_decay, maximize, **_) -> None:
        lr = lr / (1 + (state["step"] - 1) * lr_decay)
        kernels.adagrad_update(w, g, state["sum"], lr, eps, weight_decay, maximize)


class RMSprop(Optimizer):
    """Steps divided by the root of a moving average of the squared gradients: Adagrad that forgets.

        g <- grad + weight_decay w
        s <- alpha s + (1 - alpha) g^2
        m <- alpha m + (1 - alpha) g                 (centered only)
        d  = g / (sqrt(s) + eps)                     or g / (sqrt(s - m^2) + eps), centered: the variance
        w <- w - lr d                                without momentum
        v <- momentum v + d,  w <- w - lr v          with momentum

    The variance s - m^2 is kept from falling below 0 by rounding, where its root would be NaN.

    Tieleman and Hinton, "Neural networks for machine learning", lecture 6.5, 2012 (with alpha = 0.9); centered: Graves,
    "Generating sequences with recurrent neural networks", arXiv:1308.0850. The defaults are PyTorch's.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        super().__init__(params, {**defaults, "maximize": maximize})

    def slots(self, momentum: float, centered: bool, **_) -> dict[str, float]:
        names = ["square_avg"] + ["grad_avg"] * centered + ["momentum_buffer"] * (momentum > 0)
        return dict.fromkeys(names, 0.0)

    def update(self, w, g, state, lr: float, alpha: float, eps: float, momentum: float, centered: bool, **_) -> None:
        s = spread = state["square_avg"]
        s *= alpha
        s += (1 - alpha) * g * g
        if centered:
            m = state["grad_avg"]
            m += (1 - alpha) * (g - m)
            spread = np.maximum(s - m * m, 0.0)
        d = g / (np.sqrt(spread) + eps)
        if momentum:
            v = state["momentum_buffer"]
            v *= momentum
            v += d
            d = v
        w -= lr * d

    def fused(self, w, g, state, lr, alpha, eps, weight_decay, momentum, centered, maximize, **_) -> None:
        m, v = state["grad_avg"] if centered else None, state["momentum_buffer"] if momentum else None
        kernels.rmsprop_update(w, g, state["square_avg"], m, v, lr, alpha, eps, momentum, weight_decay, maximize)
