"""Gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable

from .. import kernels
from .optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent, with classical or Nesterov momentum.

        g <- grad + weight_decay w
        v <- momentum v + (1 - dampening) g          (v = g in the first step)
        w <- w - lr v                                classical
        w <- w - lr (g + momentum v)                 Nesterov: the gradient after the coming move, approximately

    With momentum=0 it is w <- w - lr g. Weight decay is coupled (L2); for this rule without momentum that is the same
    as shrinking the weights by 1 - lr weight_decay (see AdamW).

    The equations, in which lr is outside v, and the defaults are PyTorch's. Sutskever et al., "On the importance of
    initialization and momentum in deep learning", ICML 2013; Polyak 1964; Nesterov 1983.

    >>> import minidl
    >>> w = minidl.tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.5], dtype=float32)
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov)
        super().__init__(params, {**defaults, "maximize": maximize})

    def slots(self, momentum: float, **_) -> dict[str, float]:
        return {"momentum_buffer": 0.0} if momentum else {}

    def update(self, w, g, state, lr: float, momentum: float, dampening: float, nesterov: bool, **_) -> None:
        if momentum:
            v = state["momentum_buffer"]
            v *= momentum
            v += g if state["step"] == 1 or not dampening else (1 - dampening) * g
            g = g + momentum * v if nesterov else v
        w -= lr * g

    def fused(self, w, g, state, lr, momentum, dampening, weight_decay, nesterov, maximize, **_) -> None:
        v, dampening = state["momentum_buffer"] if momentum else None, 0.0 if state["step"] == 1 else dampening
        kernels.sgd_update(w, g, v, lr, momentum, dampening, weight_decay, nesterov, maximize)

    def _check(self, group: dict) -> dict:
        super()._check(group)
        if group.get("nesterov") and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError(
                f"{self._name}: nesterov needs momentum > 0 and dampening = 0, not momentum={group['momentum']} and "
                f"dampening={group['dampening']}"
            )
        return group
