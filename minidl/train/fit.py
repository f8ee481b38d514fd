"""Training, evaluation, prediction."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from minidl import random
from minidl.data import Dataset
from minidl.engine import Tensor
from minidl.mode import no_grad

from .batches import as_loader, batches, in_order
from .callbacks import Callback, checked
from .checkpoint import resume_from
from .history import History
from .metrics import Means, Metric, named
from .progress import Progress
from .run import Run, learning_rate, measure
from .schedule import Clip, Schedule

__all__ = ["evaluate", "fit", "predict"]
Metrics = Mapping[str, Metric] | Iterable[Metric | str] | Metric | str


def fit(
    model: Any,
    data: Any,
    *,
    loss: Callable[[Any, Any], Any],
    optimizer: Any,
    epochs: int,
    validation: Any = None,
    metrics: Metrics = (),
    callbacks: Iterable[Callback | Callable[[Run], Any]] = (),
    schedule: Any = None,
    clip: float | Callable[[list], Any] | None = None,
    batch_size: int | None = None,
    rng: random.Rng = None,
    progress: bool = True,
    resume: str | os.PathLike | None = None,
) -> History:
    """Train a model by gradient descent: for every batch, w <- step(w, dL/dw), for so many epochs.

    model: a Module. It is in train mode while it learns, in eval mode while it is measured, and afterwards in the mode
    it had before. data: a DataLoader; or arrays `(x, y)` or a Dataset, which are shuffled and cut into batches of
    `batch_size` (32), in an order from `rng`; or any other iterable of batches (*inputs, target), one pass an epoch.
    loss: loss(output, target), the mean over the batch. optimizer: one of minidl.optim, holding the model's parameters.
    epochs: how many in all, those before a resume included. validation: data to measure after each epoch.
    metrics: functions (output, target) -> mean over the batch, or names ("accuracy"); a dict names them.
    callbacks: `Callback` objects (early stopping, checkpoints, penalties, ...); or functions f(run), called at the end
    of each epoch.
    schedule: a learning-rate schedule, stepped after every epoch; in `Schedule(s, every="batch")` after every batch.
    clip: the greatest norm of all gradients together, or a function of the list of parameters that clips.
    progress: print a line for each epoch (and show a bar in a terminal).
    resume: a checkpoint file, which must exist; or the folder of a `Checkpoint`, where there need not be one yet.

    Returns the `History`, a row per epoch: epoch, lr (at its beginning), loss, penalty (if a callback's `on_loss` added
    any), the metrics, and the same of the validation data with "val_" before; no times, so equal runs have equal
    histories. All are means over samples, so that a small last batch counts less; those of training are taken while the
    model learns. Ctrl-C ends the run where it is, and the history up to there is returned; `history.stopped` says why a
    run ended early. Can the model learn at all? Let it learn one batch by heart: `fit(model, [batch], ...)`.

    Exact resume: a run that is killed at any moment, and then started again with the same program and
    `callbacks=[Checkpoint(folder)], resume=folder`, ends with the same bits (weights, optimiser, schedule, history,
    random streams) as one that was not killed; at most the epochs since the last checkpoint are done again. What the
    program keeps elsewhere (a transform's own generator, a stream's position) is its own affair.

    Raises FloatingPointError when the loss is not finite, ValueError or TypeError for what does not fit together.

    Bottou (2012), "Stochastic Gradient Descent Tricks", in: Neural Networks: Tricks of the Trade, Springer.

    >>> import minidl
    >>> from minidl import nn, optim, train
    >>> minidl.manual_seed(0)
    >>> model = nn.Linear(1, 1)
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(64, 1)
    >>> history = train.fit(model, (x, 3 * x + 1), loss=nn.MSELoss(), optimizer=optim.SGD(model.parameters(), lr=0.1),
    ...                     epochs=80, progress=False)
    >>> round(model.weight.item(), 3), round(model.bias.item(), 3)
    (3.0, 1.0)
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0:
        raise ValueError(f"epochs is an integer >= 0, not {epochs!r}")
    for name, given in (("loss", loss), ("optimizer", optimizer), ("model", model)):
        if isinstance(given, type):
            raise TypeError(f"{name} is the class {given.__name__}; fit needs an object: {given.__name__}(...)")
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(f"optimizer must be one of minidl.optim, made for the parameters, not {optimizer!r:.60}")
    if not hasattr(model, "parameters"):
        raise TypeError(f"model must be an nn.Module, not {model!r:.60}; wrap a function in a Module of your own")
    if not callable(loss):
        raise TypeError(f"loss is a function or module loss(output, target), such as nn.MSELoss(), not {loss!r}")
    if isinstance(callbacks, Callback):
        raise TypeError(f"callbacks is a list: callbacks=[{type(callbacks).__name__}(...)]")
    printer = Progress(progress)
    chain = [schedule if isinstance(schedule, Schedule) else Schedule(schedule)] if schedule is not None else []
    chain += [*map(checked, callbacks), *([Clip(clip)] if clip is not None else []), printer]
    train = as_loader(data, batch_size, True, rng)
    held_out = None if validation is None else as_loader(validation, batch_size, False)
    run = Run(model, optimizer, loss, epochs, train, held_out, named(metrics), sorted(chain, key=lambda c: c.last))

    with keep_modes(model), printer:
        run.emit("on_fit_start")
        if resume is not None:
            resume_from(run, resume)
        try:
            while run.epoch < run.epochs and not run.stopped:
                run.epoch += 1
                run.emit("on_epoch_start")
                model.train()
                lr, means = learning_rate(optimizer), Means()
                for k, batch in enumerate(batches(train), 1):
                    run.batch, (run.inputs, run.target, n) = k, batch
                    run.emit("on_batch_start")
                    run.gradient()  # forward, loss, backward
                    means.add(run.values, n)
                    run.emit("on_gradient")
                    optimizer.step()
                    run.emit("on_batch_end")
                    if run.stopped:
                        break
                run.row = {"epoch": run.epoch, "lr": lr, **means.result()}
                if held_out is not None:
                    scores = evaluate(model, held_out, loss, run.metrics)
                    run.row |= {f"val_{name}": value for name, value in scores.items()}
                run.history.append(run.row)
                run.emit("on_epoch_end")
        except KeyboardInterrupt:
            run.stop(f"interrupted in epoch {run.epoch}")
        except BaseException:
            run.emit("on_error")
            raise
        run.emit("on_fit_end")
    run.history.stopped = run.stopped
    return run.history


def evaluate(
    model: Any,
    data: Any,
    loss: Callable[[Any, Any], Any] | None = None,
    metrics: Metrics = (),
    batch_size: int | None = None,
) -> dict[str, float]:
    """The loss and the metrics of a model on data, in eval mode and without gradients; the modes are put back.

    data, loss, metrics: as for `fit`; arrays are not shuffled. Returns {"loss": ..., metric: ...}, means over samples.
    """
    functions = named(metrics)
    if loss is not None:
        functions = {"loss": loss, **functions}
    if not functions:
        raise ValueError("there is nothing to evaluate: give a loss, or metrics such as ['accuracy']")
    means = Means()
    with keep_modes(model), no_grad():
        model.eval()
        for inputs, target, n in batches(as_loader(data, batch_size, False)):
            means.add(measure(functions, model(*inputs), target), n)
    return means.result()


def predict(model: Any, data: Any, batch_size: int | None = None) -> np.ndarray:
    """The model's outputs (N, ...) for all samples, in eval mode and without gradients, as one array.

    data: inputs x as an array or Tensor; or data as for `fit`, whose targets are not used.
    """
    if isinstance(data, np.ndarray | Tensor):
        data = Dataset(data, np.zeros(len(data), np.int64))  # targets that nobody looks at
    with keep_modes(model), no_grad():
        model.eval()
        outputs = [model(*inputs).numpy() for inputs, _, _ in batches(in_order(data, batch_size))]
    return np.concatenate(outputs)


@contextmanager
def keep_modes(model: Any) -> Iterator[None]:
    """Put every module back into the mode, train or eval, that it was in."""
    before = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
