"""Which epoch was the best one so far."""

from __future__ import annotations

import math
from typing import Any


class Best:
    """The best value of one column of the history so far: `improved(row)` says whether this epoch's is better."""

    def __init__(self, monitor: str, mode: str | None = None, min_delta: float = 0.0) -> None:
        mode = mode or _direction(monitor)
        if mode not in ("min", "max"):
            raise ValueError(f"mode says whether {monitor!r} is best at its 'min' or its 'max', not {mode!r}")
        if not min_delta >= 0:
            raise ValueError(f"min_delta is the least change that counts, a number >= 0, not {min_delta!r}")
        self.monitor, self.sign, self.min_delta = monitor, 1 if mode == "min" else -1, min_delta
        self.reset()

    def reset(self) -> None:
        self.value, self.epoch = None, 0

    def improved(self, row: dict[str, Any]) -> bool:
        """Better than the best by more than min_delta? Then it is the new best. NaN is never better."""
        value = column(row, self.monitor)
        best = math.inf if self.value is None else self.sign * self.value - self.min_delta
        if not self.sign * value < best:
            return False
        self.value, self.epoch = value, row["epoch"]
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value, self.epoch = state["value"], state["epoch"]


def column(row: dict[str, Any], monitor: str) -> float:
    """One value of a row of the history; LookupError where there is none."""
    if monitor not in row:
        raise LookupError(f"no column {monitor!r} in the history to watch; it has {', '.join(row)}. Columns that begin "
                       "with 'val_' need validation data: fit(..., validation=...)")
    return float(row[monitor])


def _direction(monitor: str) -> str:
    """Least is best for losses and errors, most for accuracies and scores; other names do not say."""
    for mode, words in {"min": ("loss", "error"), "max": ("acc", "f1", "auc", "precision", "recall", "score")}.items():
        if any(word in monitor for word in words):
            return mode
    raise ValueError(f"is {monitor!r} best at its least or at its most? Say mode='min' or mode='max'")
