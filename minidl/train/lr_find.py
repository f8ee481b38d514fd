"""Which learning rate? Try them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl import random

from .callbacks import Callback
from .fit import fit
from .history import History
from .run import Run


def lr_find(
    model: Any,
    data: Any,
    *,
    loss: Callable[[Any, Any], Any],
    optimizer: Any,
    start: float = 1e-6,
    end: float = 10.0,
    steps: int = 100,
) -> History:
    """The loss of single batches while the learning rate grows from `start` to `end` by a constant factor.

    Returns rows {"step", "lr", "loss", "smooth"}, the last a moving average of the loss; ends early where the loss is
    not finite or `smooth` four times its best. A good rate is about a tenth of where the loss turns up. The model, the
    optimiser and minidl's random streams are put back to what they were. data: as for `fit`, gone through as often as
    it takes.

    Smith (2017), "Cyclical Learning Rates for Training Neural Networks", WACV, section 3.3, arXiv:1506.01186.
    """
    if not 0 < start < end or steps < 2:
        raise ValueError(f"lr_find needs 0 < start < end and at least 2 steps, not {start}, {end} and {steps}")
    rows, before = History(), (model.state_dict(), optimizer.state_dict(), random.get_state())

    def grow(run: Run) -> None:
        lr = start * (end / start) ** (len(rows) / (steps - 1))
        for group in optimizer.param_groups:
            group["lr"] = lr
        smooth = 0.8 * rows[-1]["smooth"] + 0.2 * run.batch_loss if rows else run.batch_loss
        rows.append({"step": len(rows) + 1, "lr": lr, "loss": run.batch_loss, "smooth": smooth})

    def enough(run: Run) -> None:
        if len(rows) == steps or rows[-1]["smooth"] > 4 * min(rows["smooth"]):
            run.stop("enough")

    try:
        fit(model, data, loss=loss, optimizer=optimizer, epochs=steps, progress=False,
            callbacks=[Callback(on_gradient=grow, on_batch_end=enough)])
    except FloatingPointError:
        pass  # the end of the search, not an error
    finally:
        model.load_state_dict(before[0])
        optimizer.load_state_dict(before[1])
        random.set_state(before[2])
    return rows
