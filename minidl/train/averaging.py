"""Averages of the weights along the way of the optimiser: Polyak's, SWA, EMA.

All are one running average of the weights w_1, w_2, ... that are collected, and differ in the share of the newest:

    average <- average + rate(n) (w_n - average)

with rate(n) = 1/n the plain mean, and with rate(n) = (1 - decay) / (1 - decay^n) the exponential one, without bias.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.engine import Tensor
from minidl.optim.options import count, number

from .callbacks import Callback
from .draws import remember_draws
from .fit import evaluate
from .update_bn import update_bn

if TYPE_CHECKING:
    from .run import Run

__all__ = ["EMA", "SWA", "Polyak"]


class Averaging(Callback):
    """What the averages share. A subclass says what share the newest weights have, and when they are collected.

    `average` is by name, in float64 whatever the model's dtype, so that rounding does not add up in long runs; it is
    rounded once, when it goes into the model. Of the buffers, those of floats (running statistics) are averaged like
    the weights, and the others stay the model's. `n` counts what was collected. Both are part of checkpoints.
    """

    def __init__(self, validate: bool = False, load_at_end: bool = True) -> None:
        self.validate, self.load_at_end = validate, load_at_end
        self.n, self.average = 0, {}

    def rate(self, n: int) -> float:
        """The share of the n-th weights in the average of n, n = 1, 2, ...; rate(1) = 1."""
        raise NotImplementedError(f"{type(self).__name__} must define rate(self, n)")

    def collect(self, model: Any) -> None:
        """Take the weights that the model has now into the average."""
        tensors = dict(_floating(model))
        if self.n == 0:
            self.average = {name: t._array.astype(np.float64) for name, t in tensors.items()}
        elif list(tensors) != list(self.average):
            raise ValueError(f"{type(self).__name__}: the model has changed since the average was begun: "
                             f"{sorted(set(tensors) ^ set(self.average))}")
        self.n += 1
        rate = self.rate(self.n)
        for name, t in tensors.items():
            mean = self.average[name]
            mean += rate * (t._array - mean)

    def load_into(self, model: Any) -> None:
        """Give the model the average, rounded to its dtype. Raises ValueError before anything was collected."""
        if self.n == 0:
            raise ValueError(f"{type(self).__name__} has collected no weights yet, so there is no average")
        for name, t in _floating(model):
            t._writable()[...] = self.average[name]

    @contextmanager
    def averaged(self, model: Any) -> Iterator[Any]:
        """`with ema.averaged(model):` it has the average; afterwards its own weights and buffers again, bit for bit."""
        before = [(t, t._array.copy()) for t in chain(model.parameters(), model.buffers())]
        try:
            self.load_into(model)
            yield model
        finally:
            for t, array in before:
                t._writable()[...] = array

    def calibrate(self, run: Run) -> None:
        """What a model needs that has just got the average."""

    def on_fit_start(self, run: Run) -> None:
        if self.validate and run.validation is None:
            raise ValueError(f"{type(self).__name__}(validate=True) needs fit(..., validation=...)")
        others = [c for c in run.callbacks if c is not self and _loads_at_end(c)]
        if self.load_at_end and others:
            raise ValueError(
                f"{type(self).__name__} and {type(others[0]).__name__} would both put weights into the model at the "
                "end, and the last one would win; take load_at_end=False (EMA, Polyak, SWA) or restore_best=False "
                "(EarlyStopping) for one of them"
            )
        self.n, self.average = 0, {}

    def on_epoch_end(self, run: Run) -> None:
        if self.validate and self.n:
            loaders = run.data, run.validation, getattr(self, "data", None)
            put_back = remember_draws(run.model, *loaders)  # the run goes on as if nothing was measured
            with self.averaged(run.model):
                self.calibrate(run)
                scores = evaluate(run.model, run.validation, run.loss, run.metrics)
            put_back()
            run.row |= {f"{type(self).__name__.lower()}_val_{name}": value for name, value in scores.items()}

    def on_fit_end(self, run: Run) -> None:
        if self.load_at_end and self.n:
            self.load_into(run.model)
            self.calibrate(run)

    def state_dict(self) -> dict[str, Any]:
        return {"n": self.n, "average": {name: array.copy() for name, array in self.average.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.n, self.average = state["n"], {name: array.copy() for name, array in state["average"].items()}


class EMA(Averaging):
    """Exponential moving average of the weights after each step, without the bias of a start from zero (as in Adam).

        average_n = (1 - d) / (1 - d^n) sum_{k=1..n} d^(n-k) w_k,    d = decay

    About the last 1 / (1 - decay) steps count; in the beginning it is the plain mean of all, so no warm-up is needed.
    decay: 0.999 is the choice for some thousand steps; take less for fewer.

    load_at_end: at the end of the run the model gets the average; False leaves it its last weights, and
    `with ema.averaged(model):` looks at the average for a while. validate: measure the average on the validation data
    after every epoch, columns "ema_val_loss", ... of the history (one evaluation more). Such a column can be watched by
    callbacks that come later; the weights that EarlyStopping and Checkpoint put away are the model's own, so give
    EarlyStopping("ema_val_loss", restore_best=False).

    Floating buffers, such as batch norm's running statistics, are averaged too; `train.update_bn` measures them anew.
    Give it after callbacks that change the weights (MaxNorm). Memory: 8 bytes a weight.

    Polyak and Juditsky (1992), "Acceleration of stochastic approximation by averaging", SIAM Journal on Control and
    Optimization 30; Tarvainen and Valpola (2017), "Mean teachers are better role models", NeurIPS, arXiv:1703.01780;
    Kingma and Ba (2015), section 3, for the bias.
    """

    def __init__(self, decay: float = 0.999, validate: bool = False, load_at_end: bool = True) -> None:
        super().__init__(validate, load_at_end)
        self.decay = number("EMA", "decay", decay, "in [0, 1)", lambda x: 0 <= x < 1)

    def rate(self, n: int) -> float:
        return (1 - self.decay) / (1 - self.decay**n)

    def on_batch_end(self, run: Run) -> None:
        self.collect(run.model)


class Polyak(Averaging):
    """The plain average of the weights after every step of the epochs from `start` on.

        average_n = 1/n sum_{k=1..n} w_k

    For a convex loss and steps that are long enough it is as good as the best step lengths could make the last weights.
    start: the first epoch that counts, from 1; or a share of the epochs in [0, 1), 0.5 for the second half (give
    a number where a run may be prolonged). Everything else is as in `EMA`; the columns are "polyak_val_loss", ...

    Polyak and Juditsky (1992), "Acceleration of stochastic approximation by averaging", SIAM Journal on Control and
    Optimization 30; Ruppert (1988), Cornell University technical report 781.
    """

    def __init__(self, start: int | float = 1, validate: bool = False, load_at_end: bool = True) -> None:
        super().__init__(validate, load_at_end)
        self.start = _checked_start(type(self).__name__, start)

    def rate(self, n: int) -> float:
        return 1 / n

    def first_epoch(self, run: Run) -> int:
        """The first epoch whose weights count."""
        if isinstance(self.start, int):
            return self.start
        return int(self.start * run.epochs + 1e-9) + 1  # 0.29 * 100 is a little less than 29

    def on_batch_end(self, run: Run) -> None:
        if run.epoch >= self.first_epoch(run):
            self.collect(run.model)


class SWA(Polyak):
    """Stochastic weight averaging: the plain average of the weights at the ends of epochs, with batch norm recomputed.

        average_n = 1/n sum of the weights after the epochs start, start + every, start + 2 every, ...

    The learning rate should stay large meanwhile, so that the weights wander around a minimum whose middle the average
    finds: constant (`optim.SWALR`), or cyclic with `every` the length of a cycle. start: the first epoch that counts,
    from 1; or a share of the epochs in [0, 1), 0.75 for the last quarter (give a number where a run may be prolonged).

    At the end the model gets the average, and `train.update_bn` measures batch norm's running statistics anew, on
    `data` (None: the training data; False: not at all, then they are averages of the statistics). A run that ends
    before `start` leaves the model its last weights. load_at_end and validate are as in `EMA`; the columns are
    "swa_val_loss", ..., and are measured with statistics recomputed each time (one pass over `data` more an epoch).

    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson (2018), "Averaging weights leads to wider optima and better
    generalization", UAI, arXiv:1803.05407.
    """

    def __init__(
        self,
        start: int | float = 0.75,
        every: int = 1,
        data: Any = None,
        validate: bool = False,
        load_at_end: bool = True,
    ) -> None:
        super().__init__(start, validate, load_at_end)
        self.every, self.data = count("SWA", "every", every), data

    def on_batch_end(self, run: Run) -> None:
        pass  # epochs are collected, not batches

    def on_epoch_end(self, run: Run) -> None:
        since = run.epoch - self.first_epoch(run)
        if since >= 0 and since % self.every == 0:
            self.collect(run.model)
        super().on_epoch_end(run)

    def calibrate(self, run: Run) -> None:
        if self.data is not False:
            update_bn(run.model, run.data if self.data is None else self.data)


def _floating(model: Any) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of the parameters and of the buffers of floats, each once."""
    return ((name, t) for name, t in chain(model.named_parameters(), model.named_buffers()) if t.dtype.kind == "f")


def _loads_at_end(callback: Callback) -> bool:
    """Does it put other weights into the model when the run ends?"""
    return getattr(callback, "load_at_end", False) or getattr(callback, "restore_best", False)


def _checked_start(owner: str, start: int | float) -> int | float:
    if isinstance(start, float | np.floating):
        return number(owner, "start", start, "an epoch >= 1, or a share in [0, 1)", lambda x: 0 <= x < 1)
    return count(owner, "start", start)
