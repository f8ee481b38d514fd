"""How far the run is: a bar while an epoch lasts, one line when it is over."""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

from .callbacks import Callback
from .run import Run


class Progress(Callback):
    """One printed line for each epoch; and in a terminal or a notebook with widgets a tqdm bar until it is over.

    The lines go to stdout, the bar to stderr. Where stderr is a pipe or a file, or tqdm is not installed, there is no
    bar and so no carriage return. It is a context, which takes the bar away however the run ends.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled, self.bar, self.start = enabled, None, 0.0

    def on_epoch_start(self, run: Run) -> None:
        self.start = time.perf_counter()
        bar = _bar_class() if self.enabled else None
        if bar:
            self.bar = bar(desc=f"epoch {run.epoch}/{run.epochs}", total=_length(run.data), leave=False, unit="batch")

    def on_batch_end(self, run: Run) -> None:
        if self.bar is not None:
            self.bar.set_postfix_str(f"loss {run.batch_loss:.4g}", refresh=False)
            self.bar.update()

    def on_epoch_end(self, run: Run) -> None:
        self.close()
        columns = "  ".join(f"{name} {_text(value)}" for name, value in run.row.items() if name != "epoch")
        seconds = time.perf_counter() - self.start
        self.say(f"epoch {run.epoch:{len(str(run.epochs))}}/{run.epochs}  {columns}  ({seconds:.1f} s)")

    def on_fit_end(self, run: Run) -> None:
        self.close()
        if run.stopped:
            self.say(f"stopped: {run.stopped}")

    def say(self, line: str) -> None:
        """Print a line at once, even into a pipe."""
        if self.enabled:
            print(line, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _bar_class() -> Any:
    """tqdm's bar for this place, or None: not installed, or nothing here can draw it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "IProgress not found": a notebook without widgets, which gets lines
            from tqdm.auto import tqdm
            from tqdm.notebook import tqdm_notebook
    except ImportError:
        return None
    return tqdm if issubclass(tqdm, tqdm_notebook) or sys.stderr.isatty() else None


def _length(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:
        return None


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
