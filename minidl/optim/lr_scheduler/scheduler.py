"""What all schedules share. A schedule is a function of the step: the learning rate of group k at step t.

PyTorch computes most schedules recursively, from the previous rate. Here each is its closed form, `lr_at(t, k)`: it can
be read, plotted and tested by itself, a resumed run needs to know t only, and rounding errors do not add up. The values
are PyTorch's. One thing differs: a rate that was changed by hand is overwritten by the next step, not multiplied.
"""

from __future__ import annotations

import copy

from ...arrays import describe
from ..optimizer import Optimizer
from ..options import NOT_NEGATIVE, number


class LRScheduler:
    """Base class of the schedules: sets `lr` in every group of the optimiser, now and after each `step()`.

    The rates are multiples of (or start from) each group's base rate, the `lr` it had when the first schedule was made
    for it; the group remembers it as "initial_lr". `last_epoch` counts the calls of `step()`; whether these are epochs
    or batches is the caller's choice. Call it after the optimiser's step.
    """

    _moving: tuple[str, ...] = ("last_epoch",)  # what changes from step to step; everything else is an argument

    def __init__(self, optimizer: Optimizer, base_lrs: list[float] | None = None) -> None:
        self.optimizer, groups = optimizer, groups_of(optimizer, self._name)
        initial_lrs = [group.setdefault("initial_lr", group["lr"]) for group in groups]
        self.base_lrs = base_lrs or initial_lrs
        self.last_epoch = 0
        self._set(0)

    def lr_at(self, t: int, k: int = 0) -> float:
        """The learning rate of group k at step t."""
        raise NotImplementedError(f"{self._name} must define lr_at(self, t, k)")

    def step(self) -> None:
        """Go on to the next step."""
        self._set(self.last_epoch + 1)
        self.last_epoch += 1

    def get_last_lr(self) -> list[float]:
        """The current rate of each group."""
        return [self.lr_at(self.last_epoch, k) for k in range(len(self.base_lrs))]

    def state_dict(self) -> dict:
        """The schedule as plain data: its kind, its arguments (functions are left out), and how far it is."""
        return {**self._arguments(), **{name: getattr(self, name) for name in self._moving}}

    def load_state_dict(self, state_dict: dict) -> None:
        """Go on where the saved schedule stopped. Raises ValueError with every argument that differs from the saved."""
        self._compare(state_dict)
        for name in self._moving:
            setattr(self, name, state_dict[name])
        self._set(self.last_epoch)

    def _set(self, t: int) -> None:
        for k, group in enumerate(self._groups()):
            group["lr"] = self.lr_at(t, k)

    def _groups(self) -> list[dict]:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise ValueError(
                f"{self._name} was made for {len(self.base_lrs)} groups, the optimiser now has {len(groups)}; make the "
                "schedule after the last add_param_group"
            )
        return groups

    def _arguments(self) -> dict:
        """What the schedule was made with, as plain data."""
        hidden = ("optimizer", *self._moving)
        public = {name: value for name, value in vars(self).items() if name[0] != "_" and name not in hidden}
        return {"scheduler": self._name, **copy.deepcopy(public)}

    def _compare(self, saved: dict) -> None:
        here = self.state_dict()
        if not isinstance(saved, dict) or "scheduler" not in saved:
            raise ValueError(f"{self._name}: this is not the state_dict() of a schedule: {describe(saved)}")
        found = [f"{name} not saved" for name in here if name not in saved]
        found += [f"{name} saved, which does not exist here" for name in saved if name not in here]
        found += [
            f"{name} = {saved[name]!r} saved, {value!r} here"
            for name, value in self._arguments().items()
            if name in saved and saved[name] != value
        ]
        if found:
            raise ValueError(f"{self._name} cannot load this state:\n  " + "\n  ".join(found))

    @property
    def _name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        arguments = [f"{name}={value}" for name, value in self.state_dict().items() if name != "scheduler"]
        return f"{self._name}({', '.join(arguments)})"


def groups_of(optimizer: Optimizer, owner: str) -> list[dict]:
    """The parameter groups of what should be an optimiser."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{owner} needs an Optimizer first, not {describe(optimizer)}")
    return optimizer.param_groups


def for_each(groups: list[dict], owner: str, name: str, value) -> list[float]:
    """An argument that is one number for all groups, or a list with one for each: as a list."""
    values = list(value) if isinstance(value, list | tuple) else [value] * len(groups)
    if len(values) != len(groups):
        raise ValueError(f"{owner}: {name} has {len(values)} values, but the optimiser has {len(groups)} groups")
    return [number(owner, name, v, *NOT_NEGATIVE) for v in values]
