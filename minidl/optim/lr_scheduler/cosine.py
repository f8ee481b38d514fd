"""Cosine annealing, and its warm restarts (SGDR)."""

from __future__ import annotations

import math

from ..optimizer import Optimizer
from ..options import NOT_NEGATIVE, count, number
from .scheduler import LRScheduler


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the base rate down to eta_min in T_max steps (and up again, if it goes on).

        lr(t) = eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, arXiv:1608.03983.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.ones(2, requires_grad=True)], lr=1.0)
    >>> schedule = CosineAnnealingLR(optimizer, T_max=4)
    >>> [round(schedule.lr_at(t), 3) for t in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max = count(self._name, "T_max", T_max)
        self.eta_min = number(self._name, "eta_min", eta_min, *NOT_NEGATIVE)
        super().__init__(optimizer)

    def lr_at(self, t: int, k: int = 0) -> float:
        return anneal(self.base_lrs[k], self.eta_min, t / self.T_max)


class CosineAnnealingWarmRestarts(LRScheduler):
    """SGDR: cosine annealing that starts again at the base rate, each cycle T_mult times as long as the one before.

        lr = eta_min + (base - eta_min) (1 + cos(pi T_cur / T_i)) / 2

    with T_cur the steps since the last restart and T_i = T_0 T_mult^i the length of cycle i.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, arXiv:1608.03983.
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0) -> None:
        self.T_0, self.T_mult = count(self._name, "T_0", T_0), count(self._name, "T_mult", T_mult)
        self.eta_min = number(self._name, "eta_min", eta_min, *NOT_NEGATIVE)
        super().__init__(optimizer)

    def lr_at(self, t: int, k: int = 0) -> float:
        T_cur, T_i = t, self.T_0
        if self.T_mult == 1:
            T_cur %= T_i
        while T_cur >= T_i:
            T_cur, T_i = T_cur - T_i, T_i * self.T_mult
        return anneal(self.base_lrs[k], self.eta_min, T_cur / T_i)


def anneal(start: float, end: float, done: float) -> float:
    """Half a cosine from start (done = 0) to end (done = 1)."""
    weight = (1 + math.cos(math.pi * done)) / 2
    return weight * start + (1 - weight) * end  # exact at both ends
