"""Schedules that multiply the base rate by a factor: in steps, exponentially, linearly, or as a function says."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from ..optimizer import Optimizer
from ..options import count, number
from .scheduler import LRScheduler, groups_of


class LambdaLR(LRScheduler):
    """The base rate times a function of the step: lr(t) = base lr_lambda(t).

    lr_lambda: a function of t, or a list with one for each group. Functions are not saved: give the same ones when
    a run is resumed.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = LambdaLR(optimizer, lambda t: 1 / (1 + t))
    >>> [schedule.lr_at(t) for t in (0, 1, 4)]
    [0.5, 0.25, 0.1]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable]) -> None:
        groups = groups_of(optimizer, self._name)
        self._lambdas = list(lr_lambda) if isinstance(lr_lambda, list | tuple) else [lr_lambda] * len(groups)
        if len(self._lambdas) != len(groups):
            raise ValueError(f"{self._name}: {len(self._lambdas)} functions for {len(groups)} groups: give each one")
        for f in self._lambdas:
            if not callable(f):
                raise TypeError(f"{self._name}: lr_lambda must be a function of the step, not {f!r}")
        super().__init__(optimizer)

    def lr_at(self, t: int, k: int = 0) -> float:
        return self.base_lrs[k] * number(self._name, f"lr_lambda({t})", self._lambdas[k](t))


class StepLR(LRScheduler):
    """Times gamma every step_size steps: lr(t) = base gamma^floor(t / step_size).

    As in Szegedy et al., "Going deeper with convolutions", CVPR 2015, arXiv:1409.4842: 0.96 every 8 epochs. The default
    is PyTorch's.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = count(self._name, "step_size", step_size)
        self.gamma = _factor(self._name, gamma)
        super().__init__(optimizer)

    def lr_at(self, t: int, k: int = 0) -> float:
        return self.base_lrs[k] * self.gamma ** (t // self.step_size)


class MultiStepLR(LRScheduler):
    """Times gamma at each milestone: lr(t) = base gamma^(how many milestones are <= t).

    As in He et al., "Deep residual learning for image recognition", CVPR 2016, arXiv:1512.03385: 0.1 at steps 32,000
    and 48,000. The default is PyTorch's.
    """

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones = milestone_list(self._name, milestones)
        self.gamma = _factor(self._name, gamma)
        super().__init__(optimizer)

    def lr_at(self, t: int, k: int = 0) -> float:
        return self.base_lrs[k] * self.gamma ** bisect_right(self.milestones, t)


class ExponentialLR(LRScheduler):
    """Times gamma in every step: lr(t) = base gamma^t.

    As in Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016, arXiv:1512.00567.
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = _factor(self._name, gamma)
        super().__init__(optimizer)

    def lr_at(self, t: int, k: int = 0) -> float:
        return self.base_lrs[k] * self.gamma**t


class LinearLR(LRScheduler):
    """A straight line between two factors, then constant; from a small start_factor it is the warm-up.

        lr(t) = base (start_factor + (end_factor - start_factor) min(t, total_iters) / total_iters)

    Warm-up: Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, arXiv:1706.02677. The
    defaults are PyTorch's. Follow it by another schedule with SequentialLR.
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        self.start_factor = number(self._name, "start_factor", start_factor, "in (0, 1]", lambda x: 0 < x <= 1)
        self.end_factor = number(self._name, "end_factor", end_factor, "in [0, 1]", lambda x: 0 <= x <= 1)
        self.total_iters = count(self._name, "total_iters", total_iters)
        super().__init__(optimizer)

    def lr_at(self, t: int, k: int = 0) -> float:
        done = min(t, self.total_iters) / self.total_iters
        return self.base_lrs[k] * (self.start_factor + (self.end_factor - self.start_factor) * done)


def milestone_list(owner: str, milestones: Sequence[int]) -> list[int]:
    """Steps at which something happens, in order."""
    steps = [count(owner, "a milestone", m) for m in milestones]
    if steps != sorted(steps):
        raise ValueError(f"{owner}: milestones must be in increasing order, not {steps}")
    return steps


def _factor(owner: str, gamma: float) -> float:
    return number(owner, "gamma", gamma, "> 0", lambda x: x > 0)
