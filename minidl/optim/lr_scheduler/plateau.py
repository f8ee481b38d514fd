"""Lower the rate when a measured quantity no longer improves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..optimizer import Optimizer
from ..options import NOT_NEGATIVE, choice, count, number
from .scheduler import LRScheduler, for_each, groups_of


class ReduceLROnPlateau(LRScheduler):
    """The rate times `factor` once the metric has not improved for more than `patience` steps: `step(metric)`.

    mode: "min" for a loss, "max" for an accuracy. Better means, in mode "min", below best (1 - threshold) with
    threshold_mode "rel", or below best - threshold with "abs"; "max" is the same upwards. After a reduction, `cooldown`
    steps pass before bad ones are counted again. min_lr: the rate's lower bound, a number or one for each group; a
    change of at most eps is not made. A NaN is not an improvement.

    This is the one schedule that is not a function of the step alone; the rate itself is kept, and saved, by the
    optimiser. The rule of Krizhevsky et al., "ImageNet
    classification with deep convolutional neural networks", NeurIPS 2012, made automatic; the defaults are PyTorch's.
    """

    _moving = ("last_epoch", "best", "num_bad_epochs", "cooldown_counter")

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        groups = groups_of(optimizer, self._name)
        self.mode = choice(self._name, "mode", mode, ("min", "max"))
        self.factor = number(self._name, "factor", factor, "in (0, 1)", lambda x: 0 < x < 1)
        self.patience = count(self._name, "patience", patience, 0)
        self.cooldown = count(self._name, "cooldown", cooldown, 0)
        self.threshold = number(self._name, "threshold", threshold, *NOT_NEGATIVE)
        self.threshold_mode = choice(self._name, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.min_lrs = for_each(groups, self._name, "min_lr", min_lr)
        self.eps = number(self._name, "eps", eps, *NOT_NEGATIVE)
        self.best: float | None = None
        self.num_bad_epochs = self.cooldown_counter = 0
        super().__init__(optimizer)

    def step(self, metrics: float) -> None:
        """Tell the schedule the newest value of the metric: a number, or a Tensor with one element."""
        self.last_epoch += 1
        metric = float(metrics)
        if self._better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def _better(self, metric: float) -> bool:
        if self.best is None:
            return math.isfinite(metric)
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            return sign * metric > sign * self.best * (1 + sign * self.threshold)
        return sign * metric > sign * self.best + self.threshold

    def _reduce(self) -> None:
        for group, min_lr in zip(self._groups(), self.min_lrs, strict=True):
            lr = max(group["lr"] * self.factor, min_lr)
            if group["lr"] - lr > self.eps:
                group["lr"] = lr

    def get_last_lr(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def lr_at(self, t: int, k: int = 0) -> float:
        raise NotImplementedError(f"{self._name}: the rate depends on the metric; get_last_lr() tells the current one")

    def _set(self, t: int) -> None:
        """Nothing follows from the step alone."""
