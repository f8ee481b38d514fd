"""Adam, and AdamW: the same with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .. import kernels
from .optimizer import Optimizer


class Adam(Optimizer):
    """Adaptive moments: momentum, with steps divided by the root of the mean squared gradient.

        g <- grad + weight_decay w                   (coupled; see AdamW)
        m <- beta1 m + (1 - beta1) g                 mean of the gradient
        v <- beta2 v + (1 - beta2) g^2               mean of its square
        w <- w - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

    The divisions by 1 - beta^t correct the bias of averages that started from zero. amsgrad: the largest v so far takes
    the place of v, so that steps cannot grow again.

    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv:1412.6980, with its defaults; amsgrad:
    Reddi, Kale and Kumar, "On the convergence of Adam and beyond", ICLR 2018, arXiv:1904.09237.

    >>> import minidl
    >>> w = minidl.tensor([1.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.25)
    >>> (100 * w).sum().backward()
    >>> optimizer.step()          # the first step has length lr, however large the gradient
    >>> w.data
    array([0.75], dtype=float32)
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize)
        super().__init__(params, defaults)

    def slots(self, amsgrad: bool, **_) -> dict[str, float]:
        names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * amsgrad
        return dict.fromkeys(names, 0.0)

    def update(self, w, g, state, lr: float, betas: tuple[float, float], eps: float, amsgrad: bool, **_) -> None:
        (beta1, beta2), t = betas, state["step"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m += (1 - beta1) * (g - m)  # = beta1 m + (1 - beta1) g
        v *= beta2
        v += (1 - beta2) * g * g
        if amsgrad:
            v = np.maximum(state["max_exp_avg_sq"], v, out=state["max_exp_avg_sq"])
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        w -= lr * m_hat / (np.sqrt(v_hat) + eps)

    def fused(self, w, g, state, lr, betas, eps, weight_decay, amsgrad, maximize, decoupled=False, **_) -> None:
        m, v, top = state["exp_avg"], state["exp_avg_sq"], state["max_exp_avg_sq"] if amsgrad else None
        kernels.adam_update(w, g, m, v, top, state["step"], lr, betas, eps, weight_decay, decoupled, maximize)


class AdamW(Adam):
    """Adam with decoupled weight decay: the weights shrink by themselves, and the averages never see it.

        w <- (1 - lr weight_decay) w, then Adam's update with g = grad

    In Adam, decay that is added to the gradient (L2) gets divided by sqrt(v) like the rest of it, so that weights with
    large gradients decay less. Here all decay at the same rate. (For SGD the two are the same.)

    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, arXiv:1711.05101. As in PyTorch the decay
    is multiplied by lr, where the paper multiplies it by the schedule's factor only; the defaults are PyTorch's.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

    def decay(self, w, g, lr: float, weight_decay: float, **_):
        """Decoupled weight decay: the weights shrink, the gradient remains that of the loss."""
        w *= 1 - lr * weight_decay
        return g

    def fused(self, w, g, state, **options) -> None:
        super().fused(w, g, state, decoupled=True, **options)
