"""Callbacks: what happens beside the loop of `fit`, at nine moments of a run."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .best import Best

if TYPE_CHECKING:
    from .run import Run

__all__ = ["Callback", "EarlyStopping", "Log"]


class Callback:
    """Something that `fit` calls at certain moments with its `Run`: it may look, change things and stop the run.

    Subclass it, or hand it functions: `Callback(on_batch_end=f)` calls f(run). The callbacks of a run are called in the
    order in which they are given; those with `last = True` (`Checkpoint`) after the others, because they save what the
    others have done. For exact resume, what a callback remembers between epochs belongs into `state_dict`.

    >>> losses = []
    >>> recorder = Callback(on_batch_end=lambda run: losses.append(run.batch_loss))
    """

    last = False

    def __init__(self, **functions: Callable[[Run], Any]) -> None:
        for name, function in functions.items():
            _check_moment(name, "Callback(...)")
            setattr(self, name, function)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in vars(cls):
            if name.startswith("on_"):
                _check_moment(name, cls.__name__)

    def on_fit_start(self, run: Run) -> None:
        """Before the first epoch; when resuming, before the saved state is put back. Forget the run before this one."""

    def on_epoch_start(self, run: Run) -> None:
        """Before the batches of epoch `run.epoch`."""

    def on_batch_start(self, run: Run) -> None:
        """Before the forward pass of batch `run.batch`: `run.inputs` and `run.target` are there, and may be changed."""

    def on_loss(self, run: Run) -> Any:
        """After the forward pass (`run.output`): may return a scalar Tensor that is added to the loss, a penalty."""

    def on_gradient(self, run: Run) -> None:
        """Between the gradient and the step, before clipping: change gradients, or call `run.gradient()` again."""

    def on_batch_end(self, run: Run) -> None:
        """After the optimiser's step: constrain or average the weights, record `run.batch_loss`."""

    def on_epoch_end(self, run: Run) -> None:
        """After validation: `run.row` is the new row of the history and may be added to."""

    def on_fit_end(self, run: Run) -> None:
        """After the last epoch, a stop or Ctrl-C; not after an error. What is done here is not part of checkpoints."""

    def on_error(self, run: Run) -> None:
        """After an error in the loop, before `fit` raises it: put back what was changed for the time of the run."""

    def state_dict(self) -> dict[str, Any]:
        """What this callback remembers between epochs, as plain data and arrays."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""


MOMENTS = tuple(name for name in vars(Callback) if name.startswith("on_"))


def _check_moment(name: str, where: str) -> None:
    if name not in MOMENTS:
        close = difflib.get_close_matches(name, MOMENTS, 1)
        raise TypeError(f"{where}: fit has no moment {name!r}; {f'did you mean {close[0]!r}? T' if close else 't'}he "
                        f"moments are {', '.join(MOMENTS)}")


def checked(callback: Any) -> Callback:
    """A callback as `fit` takes it: a Callback, or a function f(run) to be called at the end of each epoch."""
    if isinstance(callback, Callback):
        return callback
    if isinstance(callback, type):
        raise TypeError(f"{callback.__name__} is a class; a callback is an object: {callback.__name__}(...)")
    if not callable(callback):
        raise TypeError(f"a callback is a minidl.train.Callback or a function f(run), not {callback!r:.60}")
    return Callback(on_epoch_end=callback)


class EarlyStopping(Callback):
    """Stop when a column of the history has not improved for `patience` epochs, and put the best weights back.

    An epoch improves if value < best - min_delta (for mode "max": value > best + min_delta). NaN never improves.
    monitor: the column. mode: "min" or "max"; None takes it from the name where that tells (loss, accuracy, ...).
    restore_best: however the run ends, the model gets the weights *and buffers* of its best epoch, `best_epoch`.

    Raises LookupError, at the end of the first epoch, if there is no such column.

    Prechelt (1998), "Early Stopping - But When?", in: Neural Networks: Tricks of the Trade, Springer.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str | None = None,
        restore_best: bool = True,
    ) -> None:
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise ValueError(f"patience is a number of epochs, an integer >= 1, not {patience!r}")
        self.best, self.patience, self.restore_best = Best(monitor, mode, min_delta), patience, restore_best
        self.weights, self.waited = None, 0

    best_value = property(lambda self: self.best.value)
    best_epoch = property(lambda self: self.best.epoch)

    def on_fit_start(self, run: Run) -> None:
        self.best.reset()
        self.weights, self.waited = None, 0

    def on_epoch_end(self, run: Run) -> None:
        if self.best.improved(run.row):
            self.waited = 0
            if self.restore_best:
                self.weights = run.model.state_dict()  # a copy
            return
        self.waited += 1
        if self.waited >= self.patience:
            when = f"since epoch {self.best.epoch}" if self.best.epoch else "ever"
            run.stop(f"{self.best.monitor} has not improved {when}, and patience is {self.patience} epochs")

    def on_fit_end(self, run: Run) -> None:
        if self.weights is not None:
            run.model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best.state_dict(), "waited": self.waited, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best.load_state_dict(state["best"])
        self.waited, self.weights = state["waited"], state["weights"]


class Log(Callback):
    """Write the history to a .json or .csv file after each epoch (see `History.save`)."""

    last = True

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = path

    def on_epoch_end(self, run: Run) -> None:
        run.history.save(self.path)

    def on_fit_end(self, run: Run) -> None:
        run.history.save(self.path)  # a run that was killed after its last checkpoint has no epoch left to do
