"""Checkpoints: everything a run needs to go on exactly where it was, in one file.

A checkpoint is a safetensors file. Its arrays are named by their place in the state, "model/0.weight" or
"optimizer/state/0/exp_avg"; what is not an array (counts, names, the history, random streams) is JSON in the header.

    model       its state_dict: parameters and buffers
    optimizer   its state_dict: options and, of each parameter, what it remembers
    callbacks   [class name, state] of each that has a state: schedules, early stopping with its best weights, ...
    history     the rows
    epoch       how many epochs are finished
    stopped     why the run ended, or None
    random      minidl.random.get_state(): seed and place of each stream (shuffling, dropout, ...)
    loaders     state_dict of the training and the validation loader, None for those that have none
    generators  of modules that have one of their own: {"3.rng": bit generator's state}
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minidl import random

from .best import Best
from .callbacks import Callback
from .files import CHECKPOINT, load, save, save_weights
from .history import History
from .packing import pack, unpack
from .run import Run

__all__ = ["Checkpoint", "load_checkpoint"]
LAST, BEST = "last.safetensors", "best.safetensors"


class Checkpoint(Callback):
    """Save the run in a folder: `last.safetensors`, to go on from with `fit(resume=folder)`; and its best weights.

    every: epochs from one save to the next; the last one is always saved. monitor: a column of the history, such as
    "val_loss"; each time it improves, the weights of that epoch go to `best.safetensors` (for `load_weights`, or
    PyTorch). mode: "min" or "max"; None takes it from the name. best_only: no `last.safetensors`, so no resume.

    A process killed at any moment leaves the files of the epoch before whole.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        every: int = 1,
        monitor: str | None = None,
        mode: str | None = None,
        best_only: bool = False,
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every is a number of epochs, an integer >= 1, not {every!r}")
        if best_only and monitor is None:
            raise ValueError("best_only needs to know what is best: give monitor='val_loss' or another column")
        self.folder, self.every, self.best_only = Path(folder), every, best_only
        self.best = None if monitor is None else Best(monitor, mode)
        self.last = not best_only  # a checkpoint of the run holds what this one remembers

    def on_fit_start(self, run: Run) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.best:
            self.best.reset()

    def on_epoch_end(self, run: Run) -> None:
        if self.best and self.best.improved(run.row):
            about = {"epoch": json.dumps(self.best.epoch), self.best.monitor: json.dumps(self.best.value)}
            save_weights(run.model, self.folder / BEST, about)
        if not self.best_only and (run.epoch % self.every == 0 or run.epoch >= run.epochs or run.stopped):
            save_checkpoint(run, self.folder / LAST)

    def state_dict(self) -> dict[str, Any]:
        return self.best.state_dict() if self.best else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.best:
            self.best.load_state_dict(state)


def save_checkpoint(run: Run, path: str | os.PathLike) -> None:
    """Write the state of a run at the end of an epoch; an older file stays whole until the new one is there."""
    states = [(type(c).__name__, c.state_dict()) for c in run.callbacks]
    kept = {name for name, state in states if state}  # of these classes all, for each state has its place among them
    tree = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "callbacks": [[name, state] for name, state in states if name in kept],
        "history": list(run.history),
        "epoch": run.epoch,
        "stopped": run.stopped,
        "random": random.get_state(),
        "loaders": [loader_state(run.data), loader_state(run.validation)],
        "generators": {name: g.bit_generator.state for name, g in generators_of(run.model)},
    }
    arrays, text = pack(tree)
    save(path, arrays, {CHECKPOINT: text})


def load_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """The state in a checkpoint, as nested plain data (the table at the top of this file).

    Raises FileNotFoundError or ValueError if there is none at `path`, a file or the folder of `Checkpoint`.
    """
    path = Path(path)
    path = path / LAST if path.is_dir() else path
    arrays, metadata = load(path)
    if CHECKPOINT not in metadata:
        raise ValueError(f"{path} is not a checkpoint of fit: it holds weights only. Load them with "
                         "load_weights(model, path) and start a new run")
    return unpack(arrays, metadata[CHECKPOINT])


def resume_from(run: Run, path: str | os.PathLike) -> None:
    """Put a run back to where a checkpoint was saved; a folder without one leaves it at its beginning."""
    path = Path(path)
    if path.is_dir() or not path.suffix:
        path = path / LAST
        if not path.exists():
            return  # killed before the first checkpoint
    state = load_checkpoint(path)
    try:
        run.model.load_state_dict(state["model"])
        run.optimizer.load_state_dict(state["optimizer"])
        _load_callbacks(run.callbacks, state["callbacks"])
        for loader, saved in zip([run.data, run.validation], state["loaders"], strict=True):
            if saved is not None:
                loader.load_state_dict(saved)
        _load_generators(run.model, state["generators"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is of another run than this: {error}. Resume with the same model, optimizer, "
                         "schedule, data and callbacks; for the weights alone use load_weights") from error
    run.history, run.epoch, run.stopped = History(state["history"]), state["epoch"], state["stopped"]
    random.set_state(state["random"])


def _load_callbacks(callbacks: list[Callback], saved: list) -> None:
    """Each saved state goes to the next callback of its class; further callbacks begin anew."""
    waiting = list(callbacks)
    for name, state in saved:
        callback = next((c for c in waiting if type(c).__name__ == name), None)
        if callback is None:
            raise ValueError(f"it has the state of a {name}, but the callbacks of this run lack one")
        if state:
            callback.load_state_dict(state)
        waiting.remove(callback)


def loader_state(loader: Any) -> dict | None:
    return loader.state_dict() if hasattr(loader, "state_dict") else None


def generators_of(model: Any) -> Iterator[tuple[str, np.random.Generator]]:
    """The random generators that modules keep for themselves (Dropout(rng=...)), by name."""
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if isinstance(value, np.random.Generator):
                yield f"{name}.{attribute}", value


def _load_generators(model: Any, saved: dict) -> None:
    own = dict(generators_of(model))
    if set(own) != set(saved):
        raise ValueError(f"modules with random generators of their own: {sorted(saved)} saved, {sorted(own)} here")
    for name, state in saved.items():
        own[name].bit_generator.state = state
