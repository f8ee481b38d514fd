"""A fit in progress: everything callbacks may look at, and the gradient of one batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from minidl.arrays import describe
from minidl.mode import no_grad

from .history import History
from .metrics import Metric


@dataclass
class Run:
    """What `fit` is working on.

    model, optimizer, loss, data, validation, metrics, callbacks: as given to `fit` (metrics by name, data as
    loaders). epochs: how many are wanted. epoch, batch: the current ones, from 1; 0 before. inputs, target, output: of
    the current batch. batch_loss: its loss, a float, without what `on_loss` added. values: its loss and metrics.
    row: the epoch's row of the history, once there is one. stopped: why the run stops, None while it goes on.
    """

    model: Any
    optimizer: Any
    loss: Callable[[Any, Any], Any]
    epochs: int
    data: Iterable
    validation: Iterable | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)
    callbacks: list = field(default_factory=list)
    history: History = field(default_factory=History)
    epoch: int = 0
    batch: int = 0
    inputs: tuple = ()
    target: Any = None
    output: Any = None
    values: dict[str, float] = field(default_factory=dict)
    row: dict[str, Any] = field(default_factory=dict)
    stopped: str | None = None

    batch_loss = property(lambda self: self.values.get("loss"))

    def stop(self, reason: str = "a callback stopped it") -> None:
        """End the run: after this batch if called at a batch, else after this epoch."""
        self.stopped = reason

    def emit(self, moment: str) -> list:
        """Call every callback; returns what they returned, without the Nones."""
        results = [getattr(callback, moment)(self) for callback in self.callbacks]
        return [r for r in results if r is not None]

    def gradient(self) -> None:
        """Put the gradient of the loss of the current batch, at the current weights, into the parameters' `.grad`.

        `fit` calls it once a batch; an `on_gradient` callback may call it again, with weights it has moved (SAM).
        Raises FloatingPointError if the loss is not finite.
        """
        self.output = self.model(*self.inputs)
        loss = self.loss(self.output, self.target)
        self.values = {"loss": scalar(loss, "the loss")} | measure(self.metrics, self.output, self.target)
        for term in self.emit("on_loss"):
            loss = loss + term
            self.values["penalty"] = self.values.get("penalty", 0.0) + scalar(term, "what on_loss returned")
        if not math.isfinite(self.values["loss"] + self.values.get("penalty", 0.0)):
            raise FloatingPointError(self._not_finite())
        self.optimizer.zero_grad()
        loss.backward()

    def _not_finite(self) -> str:
        parts = ", ".join(f"{name} {value}" for name, value in self.values.items() if name in ("loss", "penalty"))
        return (
            f"the loss is not finite in epoch {self.epoch}, batch {self.batch} ({parts}); the learning rate is "
            f"{learning_rate(self.optimizer):g}. Try a smaller one, fit(..., clip=1.0), or inputs scaled to about unit "
            "size, and look for NaN in the data; minidl.detect_anomaly() names the first operation that makes a NaN"
        )


def measure(functions: dict[str, Metric], output: Any, target: Any) -> dict[str, float]:
    """The value of each function of (output, target) on a batch."""
    with no_grad():
        return {name: scalar(f(output, target), f"the metric {name!r}") for name, f in functions.items()}


def scalar(value: Any, what: str) -> float:
    """A single number as a float; ValueError if it is none."""
    array = getattr(value, "_array", value)
    if getattr(array, "size", 1) != 1:
        raise ValueError(f"{what} must be one number for the batch, not {describe(value)}; reduce it with .mean()")
    try:
        return float(array.item() if hasattr(array, "item") else array)
    except (TypeError, ValueError):
        raise TypeError(f"{what} must be one number for the batch, not {describe(value)}") from None


def learning_rate(optimizer: Any) -> float:
    """That of the first parameter group."""
    return float(optimizer.param_groups[0]["lr"])


