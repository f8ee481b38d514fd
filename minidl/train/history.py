"""What happened in a run, as plain data: one dict per epoch."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

from .files import write_atomically

__all__ = ["History"]


class History(list):
    """A list of rows, one dict per epoch: {"epoch": 1, "loss": 0.3, "lr": 0.1, "val_loss": 0.4, ...}.

    Rows by number as in any list: `history[-1]`, `history[2:5]` (a History again). Columns by name:
    `history["loss"]` is the list of that column, with None where a row lacks it; `history["loss", "val_loss"]` is a
    list of pairs. `stopped` says why training ended before its last epoch; None if it did not.

    Raises KeyError for a column that no row has.

    >>> h = History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    >>> h["loss"]
    [0.5, 0.25]
    >>> h[-1]["loss"], h[:1]["epoch"]
    (0.25, [1])
    """

    stopped: str | None = None

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if not any(key in row for row in self):
                raise KeyError(f"no column {key!r} in this history; it has {', '.join(self.columns) or 'no rows yet'}")
            return [row.get(key) for row in self]
        if isinstance(key, tuple):
            return list(zip(*(self[k] for k in key), strict=True))
        rows = super().__getitem__(key)
        return History(rows) if isinstance(key, slice) else rows

    @property
    def columns(self) -> list[str]:
        """The names of all columns, in the order in which they first appear."""
        return list(dict.fromkeys(name for row in self for name in row))

    def to_json(self) -> str:
        """The rows as JSON, one per line; floats are kept bit for bit."""
        return "[\n" + ",\n".join(json.dumps(row) for row in self) + "\n]\n"

    @classmethod
    def from_json(cls, text: str) -> History:
        """The History that `to_json` wrote."""
        rows = json.loads(text)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError("a history is a JSON list of objects, one per epoch; this is something else")
        return cls(rows)

    def to_csv(self) -> str:
        """A table with one line per epoch, for a spreadsheet."""
        out = io.StringIO()
        table = csv.DictWriter(out, self.columns, lineterminator="\n")
        table.writeheader()
        table.writerows(self)
        return out.getvalue()

    def save(self, path: str | os.PathLike) -> None:
        """Write a .json or .csv file; an older file stays whole until the new one is there."""
        writers = {".json": self.to_json, ".csv": self.to_csv}
        if Path(path).suffix not in writers:
            raise ValueError(f"a history is saved as .json or .csv, not as {Path(path).name!r}")
        write_atomically(path, writers[Path(path).suffix]().encode())

    @classmethod
    def load(cls, path: str | os.PathLike) -> History:
        """Read what `save` wrote as .json."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))
