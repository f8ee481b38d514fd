"""All submissions of a folder: marks in one table, a page for each student."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from . import notebook as nb
from .feedback import marks, page
from .remote import Limits
from .submissions import Submission, collect


def grade(
    folder: str | Path, sources: dict[str, Path], out: str | Path, *, limits: Limits | None = None, jobs: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> list[dict]:  # fmt: skip
    """Grade every submission in `folder`; write the table `out` and the folder of pages beside it.

    sources: the instructor's notebook of each assignment. jobs: how many are graded at the same time. say: told about
    each one that is done. Returns the rows. Grading again gives the same bytes.
    Raises ValueError if `folder` is none or `out` is there already.
    """
    out = Path(out)
    pages = out.with_name(f"{out.stem}_feedback")
    for path in (out, pages):
        if path.exists():
            raise ValueError(f"{path} is there already; marks are not overwritten: move it, or choose another --out")
    notebooks = {name: nb.load(path) for name, path in sources.items()}
    closed = (str(Path(folder).resolve()), *{str(_course(Path(path).resolve())) for path in sources.values()})
    limits = Limits(**{**asdict(limits or Limits()), "closed": closed})

    def one(submission: Submission) -> dict:
        result = _examined(submission, notebooks, limits)
        row = _row(submission, result)
        say(f"{row['student']} {row['assignment'] or '-'}: {row['marks']} of {row['of']}")
        return {"row": row, "result": result}

    with ThreadPoolExecutor(jobs) as pool:
        done = list(pool.map(one, collect(folder, notebooks)))
    rows = [each["row"] for each in done]
    pages.mkdir(parents=True)
    for each in done:
        row = each["row"]
        name = _file_name(f"{row['student']}-{row['assignment']}".rstrip("-"))
        title = nb.title(notebooks[row["assignment"]]) if row["assignment"] else "No assignment was found"
        (pages / name).write_text(page(row["student"], title, each["result"]), encoding="utf-8", newline="\n")
    beside = out.with_name(out.name + ".part")
    beside.write_text(table(rows, notebooks), encoding="utf-8", newline="\n")
    beside.replace(out)
    return rows


def _course(path: Path) -> Path:
    """The folder that holds all there is about the assignments: that above source/A6/A6_name.ipynb."""
    return path.parents[2] if path.parents[1].name == "source" else path.parent


def _examined(submission: Submission, notebooks: dict[str, dict], limits: Limits) -> dict:
    """The marks, made in a process of its own; what the process does not survive is told in the notes."""
    if submission.notebook is None:
        return {"cells": [], "notes": submission.notes, "flags": [], "errors": []}
    source = notebooks[submission.assignment]
    count = len(list(nb.cells(source, "test"))) + len(submission.notebook["cells"])
    task = {"source": source, "submission": submission.notebook, "limits": asdict(limits)}
    try:
        process = subprocess.run(
            [sys.executable, "-m", "minidl.course.examine"], input=json.dumps(task), capture_output=True, text=True,
            timeout=30 + 2 * limits.seconds * count, check=True, encoding="utf-8",
            env={**os.environ, "MINIDL_KERNELS": "numpy", "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
        result = json.loads(process.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        note = f"the grading itself was ended ({type(error).__name__}): look at this submission by hand"
        cells = [{"id": nb.identity(c), "title": nb.identity(c), "points": nb.points(c), "earned": 0, "visible": [0, 0],
                  "hidden": [0, 0], "text": ""} for c in nb.cells(source, "test")]  # fmt: skip
        result = {"cells": cells, "notes": [note], "flags": [], "errors": []}
    result["notes"] = submission.notes + result["notes"]
    return result


def _row(submission: Submission, result: dict) -> dict:
    earned, of = marks(result)
    cells = {cell["id"]: cell["earned"] for cell in result["cells"]}
    return {
        "student": submission.student, "assignment": submission.assignment, "marks": earned, "of": of, "cells": cells,
        "flags": result["flags"], "notes": result["notes"],
    }  # fmt: skip


def table(rows: list[dict], notebooks: dict[str, dict]) -> str:
    """The rows as CSV; a column for each graded cell of the assignments that occur."""
    present = sorted({row["assignment"] for row in rows} - {""})
    columns = list(dict.fromkeys(nb.identity(c) for name in present for c in nb.cells(notebooks[name], "test")))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["student", "assignment", "marks", "of", *columns, "flags", "notes"])
    for row in rows:
        cells = [row["cells"].get(name, "") for name in columns]
        head, texts = [row["student"], row["assignment"]], ["; ".join(row["flags"]), "; ".join(row["notes"])]
        writer.writerow([*map(_no_formula, head), row["marks"], row["of"], *cells, *map(_no_formula, texts)])
    return out.getvalue()


def _no_formula(value):
    """A spreadsheet would compute a text that begins like this."""
    text = str(value).replace("\r", " ").replace("\n", " ")
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


def _file_name(student: str) -> str:
    """A file name for any student's name; two names never share one."""
    plain = re.sub(r"[^\w.-]", "_", student, flags=re.ASCII).lstrip(".")[:80]
    return f"{plain}.html" if plain == student else f"{plain}-{zlib.crc32(student.encode(errors='replace')):08x}.html"
