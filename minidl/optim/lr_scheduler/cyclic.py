"""Cyclical rates, and the one-cycle policy: the rate goes up as well as down, and momentum the other way."""

from __future__ import annotations

from collections.abc import Sequence

from ..optimizer import Optimizer
from ..options import choice, count, number
from .cosine import anneal
from .scheduler import LRScheduler, for_each, groups_of


class Cycle(LRScheduler):
    """A schedule of the rate and, against it, of the momentum (SGD, RMSprop) or beta1 (Adam)."""

    def __init__(self, optimizer, base_lrs, cycle_momentum, base_momentum, max_momentum) -> None:
        self.cycle_momentum = bool(cycle_momentum)
        if self.cycle_momentum:
            groups = groups_of(optimizer, self._name)
            self._key = next((key for key in ("betas", "momentum") if key in optimizer.defaults), None)
            if self._key is None:
                raise ValueError(f"{type(optimizer).__name__} has no momentum to cycle: pass cycle_momentum=False")
            self.base_momentums = for_each(groups, self._name, "base_momentum", base_momentum)
            self.max_momentums = for_each(groups, self._name, "max_momentum", max_momentum)
        super().__init__(optimizer, base_lrs)

    def momentum_at(self, t: int, k: int = 0) -> float:
        """The momentum of group k at step t."""
        raise NotImplementedError

    def _set(self, t: int) -> None:
        super()._set(t)
        if self.cycle_momentum:
            for k, group in enumerate(self.optimizer.param_groups):
                momentum = self.momentum_at(t, k)
                group[self._key] = (momentum, group["betas"][1]) if self._key == "betas" else momentum


class CyclicLR(Cycle):
    """A triangle wave between base_lr and max_lr: up in step_size_up steps, down in step_size_down (default: as many).

        lr(t) = base_lr + (max_lr - base_lr) triangle(t) scale
        momentum(t) = max_momentum - (max_momentum - base_momentum) triangle(t) scale

    mode: "triangular", scale = 1; "triangular2", scale = 1/2^c in cycle c = 0, 1, ...; "exp_range", scale = gamma^t.
    Rates and momenta may be lists with one value for each group. cycle_momentum=True, the default, sets the momentum
    also of an optimiser that was made without.

    Smith, "Cyclical learning rates for training neural networks", WACV 2017, arXiv:1506.01186. The defaults are
    PyTorch's.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        *,
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
    ) -> None:
        groups = groups_of(optimizer, self._name)
        base_lrs = for_each(groups, self._name, "base_lr", base_lr)
        self.max_lrs = for_each(groups, self._name, "max_lr", max_lr)
        self.step_size_up = count(self._name, "step_size_up", step_size_up)
        down = self.step_size_up if step_size_down is None else step_size_down
        self.step_size_down = count(self._name, "step_size_down", down)
        self.mode = choice(self._name, "mode", mode, ("triangular", "triangular2", "exp_range"))
        self.gamma = number(self._name, "gamma", gamma, "> 0", lambda x: x > 0)
        super().__init__(optimizer, base_lrs, cycle_momentum, base_momentum, max_momentum)

    def height(self, t: int) -> float:
        """The triangle with its scale, between 0 and 1."""
        up, down = self.step_size_up, self.step_size_down
        cycle, x = divmod(t, up + down)
        triangle = x / up if x <= up else 1 - (x - up) / down
        scale = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**t}
        return triangle * scale[self.mode]

    def lr_at(self, t: int, k: int = 0) -> float:
        return self.base_lrs[k] + (self.max_lrs[k] - self.base_lrs[k]) * self.height(t)

    def momentum_at(self, t: int, k: int = 0) -> float:
        return self.max_momentums[k] - (self.max_momentums[k] - self.base_momentums[k]) * self.height(t)


class OneCycleLR(Cycle):
    """One cycle for the whole run: from max_lr / div_factor up to max_lr, then down to a rate of almost nothing.

        start = max_lr / div_factor,  end = start / final_div_factor
        start -> max_lr in the first pct_start of the steps,  max_lr -> end in the rest
        three_phase: start -> max_lr -> start in 2 pct_start of the steps,  start -> end in the rest

    Each arrow is half a cosine (anneal_strategy="cos") or a line ("linear"). Momentum goes from max_momentum to
    base_momentum and back; the third phase leaves it there. total_steps, or epochs times steps_per_epoch, counts the
    calls of `step()`, one for each batch; the last call leaves the rate at the end, one more is an error.

    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2018,
    arXiv:1708.07120. The defaults are PyTorch's.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        groups = groups_of(optimizer, self._name)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(f"{self._name} needs total_steps, or both epochs and steps_per_epoch")
            total_steps = count(self._name, "epochs", epochs) * count(self._name, "steps_per_epoch", steps_per_epoch)
        self.total_steps = count(self._name, "total_steps", total_steps)
        self.max_lrs = for_each(groups, self._name, "max_lr", max_lr)
        self.pct_start = number(self._name, "pct_start", pct_start, "in [0, 1]", lambda x: 0 <= x <= 1)
        self.anneal_strategy = choice(self._name, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.div_factor = number(self._name, "div_factor", div_factor, "> 0", lambda x: x > 0)
        self.final_div_factor = number(self._name, "final_div_factor", final_div_factor, "> 0", lambda x: x > 0)
        self.three_phase = bool(three_phase)
        start_lrs = [lr / self.div_factor for lr in self.max_lrs]
        super().__init__(optimizer, start_lrs, cycle_momentum, base_momentum, max_momentum)

    def lr_at(self, t: int, k: int = 0) -> float:
        start, top = self.base_lrs[k], self.max_lrs[k]
        end = start / self.final_div_factor
        return self._along([start, top, start, end] if self.three_phase else [start, top, end], t)

    def momentum_at(self, t: int, k: int = 0) -> float:
        low, high = self.base_momentums[k], self.max_momentums[k]
        return self._along([high, low, high, high] if self.three_phase else [high, low, high], t)

    def _along(self, levels: list[float], t: int) -> float:
        """The value at step t of what passes through these levels, one phase from each to the next."""
        if t > self.total_steps:
            raise ValueError(f"{self._name}: step {t} of a cycle of {self.total_steps} steps; give it more total_steps")
        last = self.total_steps - 1
        t = min(t, last)
        turn = self.pct_start * self.total_steps
        ends = [turn - 1, 2 * turn - 2, last] if self.three_phase else [turn - 1, last]
        phase = next((i for i, end in enumerate(ends) if t <= end), len(ends) - 1)
        begin = ends[phase - 1] if phase else 0
        done = (t - begin) / (ends[phase] - begin) if ends[phase] != begin else 1.0
        a, b = levels[phase], levels[phase + 1]
        return anneal(a, b, done) if self.anneal_strategy == "cos" else a + (b - a) * done
