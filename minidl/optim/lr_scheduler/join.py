"""Several schedules in one: one after the other, or all at the same time."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from ...arrays import describe
from ..optimizer import Optimizer
from .cyclic import Cycle
from .decay import milestone_list
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler


class Join(LRScheduler):
    """What consists of other schedules, all of one optimiser."""

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> None:
        if not schedulers:
            raise ValueError(f"{self._name} needs at least one schedule")
        for k, s in enumerate(schedulers):
            if not isinstance(s, LRScheduler) or isinstance(s, ReduceLROnPlateau):
                raise TypeError(f"{self._name}: schedule {k} must be a function of the step alone, not {describe(s)}")
            if s.optimizer is not optimizer:
                raise ValueError(f"{self._name}: schedule {k}, a {s._name}, belongs to another optimiser")
        self._schedulers = list(schedulers)
        super().__init__(optimizer)

    def _arguments(self) -> dict:
        return {**super()._arguments(), "schedulers": [s._arguments() for s in self._schedulers]}


class SequentialLR(Join):
    """One schedule after the other: the next begins, at its own step 0, when `last_epoch` reaches a milestone.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.ones(2, requires_grad=True)], lr=1.0)
    >>> warm_up = minidl.optim.LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> decay = minidl.optim.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = SequentialLR(optimizer, [warm_up, decay], milestones=[3])
    >>> [schedule.lr_at(t) for t in range(6)]
    [0.25, 0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> None:
        self.milestones = milestone_list(self._name, milestones)
        if len(self.milestones) != len(schedulers) - 1:
            raise ValueError(
                f"{self._name}: {len(schedulers)} schedules need {len(schedulers) - 1} milestones between them, not "
                f"{len(self.milestones)}"
            )
        super().__init__(optimizer, schedulers)

    def lr_at(self, t: int, k: int = 0) -> float:
        schedule, t = self._active(t)
        return schedule.lr_at(t, k)

    def _active(self, t: int) -> tuple[LRScheduler, int]:
        n = bisect_right(self.milestones, t)
        return self._schedulers[n], t - ([0, *self.milestones])[n]

    def _set(self, t: int) -> None:
        schedule, t = self._active(t)
        schedule._set(t)


class ChainedScheduler(Join):
    """All schedules at once: the base rate times the factor lr(t) / base of each.

    The same as PyTorch's for schedules that are a factor (StepLR, MultiStepLR, ExponentialLR, LinearLR,
    CosineAnnealingLR with eta_min=0). Those with rates of their own (CyclicLR, OneCycleLR) cannot be chained.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        for s in schedulers:
            if isinstance(s, Cycle):
                raise TypeError(f"{self._name}: {s._name} has rates of its own, not a factor of the base rate")
        super().__init__(optimizer or (schedulers and schedulers[0].optimizer), schedulers)

    def lr_at(self, t: int, k: int = 0) -> float:
        base = self.base_lrs[k]
        return base * math.prod(s.lr_at(t, k) / base for s in self._schedulers)
