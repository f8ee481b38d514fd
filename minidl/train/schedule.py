"""What belongs to the step: the schedule of its length, and the clipping of its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl.optim.clip import clip_grad_norm_
from minidl.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from .best import column
from .callbacks import Callback
from .run import Run

__all__ = ["Schedule"]


class Schedule(Callback):
    """Step a learning-rate schedule: `fit(schedule=s)` stands for `fit(callbacks=[Schedule(s)])`.

    scheduler: one of minidl.optim.lr_scheduler. every: "epoch", or "batch" for those that count batches (one-cycle,
    cyclic, warm-up). monitor: the column of the history that ReduceLROnPlateau looks at; None: "val_loss", or "loss"
    where nothing is validated.
    """

    def __init__(self, scheduler: Any, every: str = "epoch", monitor: str | None = None) -> None:
        if not isinstance(scheduler, LRScheduler):
            raise TypeError("a schedule is one of minidl.optim.lr_scheduler, made for the optimizer, not "
                            f"{scheduler!r:.60}")
        if every not in ("epoch", "batch"):
            raise ValueError(f"a schedule is stepped every 'epoch' or every 'batch', not {every!r}")
        self.scheduler, self.every, self.monitor = scheduler, every, monitor
        self.watches = isinstance(scheduler, ReduceLROnPlateau)
        if self.watches and every == "batch":
            raise ValueError("ReduceLROnPlateau looks at the history, so it is stepped every 'epoch'")
        if self.watches and monitor is None and scheduler.mode == "max":
            raise ValueError("ReduceLROnPlateau(mode='max') needs to know of what: Schedule(s, monitor='val_accuracy')")

    def on_fit_start(self, run: Run) -> None:
        if self.scheduler.optimizer is not run.optimizer:
            raise ValueError("the schedule was made for another optimizer than the one that fit was given, whose rate "
                             "would never change; make it anew: Schedule(optimizer, ...)")

    def on_batch_end(self, run: Run) -> None:
        if self.every == "batch":
            self.scheduler.step()

    def on_epoch_end(self, run: Run) -> None:
        if self.watches:
            monitor = self.monitor or ("val_loss" if "val_loss" in run.row else "loss")
            self.scheduler.step(column(run.row, monitor))
        elif self.every == "epoch":
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return self.scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scheduler.load_state_dict(state)


class Clip(Callback):
    """Clip the gradients after other callbacks have seen or changed them: the argument `clip` of `fit`."""

    def __init__(self, clip: float | Callable[[list], Any]) -> None:
        self.clip = clip if callable(clip) else lambda parameters: clip_grad_norm_(parameters, clip)

    def on_gradient(self, run: Run) -> None:
        self.clip([p for group in run.optimizer.param_groups for p in group["params"]])
