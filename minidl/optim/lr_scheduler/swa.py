"""The rate for stochastic weight averaging."""

from __future__ import annotations

from collections.abc import Sequence

from ..optimizer import Optimizer
from ..options import choice, count
from .cosine import anneal
from .scheduler import LRScheduler, for_each, groups_of


class SWALR(LRScheduler):
    """From the base rate to swa_lr in anneal_epochs steps, along half a cosine or a line, and then constant.

        lr(t) = swa_lr + (start - swa_lr) (1 + cos(pi s)) / 2,    s = min(t / anneal_epochs, 1)        "cos"
        lr(t) = swa_lr + (start - swa_lr) (1 - s)                                                      "linear"

    `train.SWA` averages what the weights do at a rate that stays large. swa_lr: one rate, or a list with one for each
    group. start_lr: the rate to start from, None for the base rate; say it where another schedule came before, as in
    `SequentialLR(optimizer, [StepLR(...), SWALR(..., start_lr=0.01)], milestones=[160])`. The rates are PyTorch's,
    whose SWALR starts from the rate that it finds.

    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson (2018), "Averaging weights leads to wider optima and better
    generalization", UAI, arXiv:1803.05407.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.ones(2, requires_grad=True)], lr=1.0)
    >>> schedule = SWALR(optimizer, swa_lr=0.2, anneal_epochs=4, anneal_strategy="linear")
    >>> [round(schedule.lr_at(t), 3) for t in range(7)]
    [1.0, 0.8, 0.6, 0.4, 0.2, 0.2, 0.2]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        *,
        start_lr: float | Sequence[float] | None = None,
    ) -> None:
        groups = groups_of(optimizer, self._name)
        self.swa_lrs = for_each(groups, self._name, "swa_lr", swa_lr)
        self.anneal_epochs = count(self._name, "anneal_epochs", anneal_epochs, least=0)
        self.anneal_strategy = choice(self._name, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        super().__init__(optimizer, None if start_lr is None else for_each(groups, self._name, "start_lr", start_lr))

    def lr_at(self, t: int, k: int = 0) -> float:
        start, end, s = self.base_lrs[k], self.swa_lrs[k], 1.0
        if t < self.anneal_epochs:
            s = t / self.anneal_epochs
        return anneal(start, end, s) if self.anneal_strategy == "cos" else start + (end - start) * s
