"""All submissions of a folder: marks in one table, a page for each student."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from . import notebook as nb
from .examine import PATIENCE, nothing
from .feedback import marks, page
from .remote import Limits
from .submissions import Submission, collect, printable


def grade(
    folder: str | Path, sources: dict[str, Path], out: str | Path, *, limits: Limits | None = None, jobs: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> list[dict]:  # fmt: skip
    """Grade every submission in `folder`; write the table `out` and the folder of pages beside it.

    sources: the instructor's notebook of each assignment. jobs: how many are graded at the same time. say: told about
    each one that is done. Returns the rows. Grading again gives the same bytes, as long as nothing is near its time
    limit. Raises ValueError if `folder` is none or empty, if `out` is there already, or a reference loses a mark.
    """
    out = Path(out)
    pages = pages_of(out)
    for path in (out, pages):
        if path.exists():
            raise ValueError(f"{path} is there already; marks are not overwritten: move it, or choose another --out")
    notebooks = {name: nb.load(path) for name, path in sources.items()}
    closed = (str(Path(folder).resolve()), *{str(_course(Path(path).resolve())) for path in sources.values()})
    limits = Limits(**{**asdict(limits or Limits()), "closed": closed})
    submissions = collect(folder, notebooks)
    if not submissions:
        raise ValueError(f"{folder} is empty: give the folder that holds the submissions, one entry for each student")
    for name in sorted({s.assignment for s in submissions} - {""}):
        _prove(name, notebooks[name], limits)
    pages.mkdir(parents=True)

    def one(submission: Submission) -> dict:
        result = _examined(submission, notebooks, limits)
        row = _row(submission, result)
        title = nb.title(notebooks[row["assignment"]]) if row["assignment"] else "No assignment was found"
        name = _file_name(f"{row['student']}-{row['assignment']}".rstrip("-"))
        (pages / name).write_text(page(row["student"], title, result), encoding="utf-8", newline="\n")
        done = f"{row['assignment']}, {row['marks']} of {row['of']}" if row["assignment"] else "not graded"
        say("; ".join([f"{row['student']}: {done}", *row["flags"], *row["notes"]]))
        return row

    with ThreadPoolExecutor(jobs) as pool:
        rows = list(pool.map(one, submissions))
    beside = out.with_name(out.name + ".part")
    beside.write_text(table(rows, notebooks), encoding="utf-8", newline="\n")
    beside.replace(out)
    return rows


def pages_of(out: Path) -> Path:
    """The folder of the students' pages, beside the table."""
    return out.with_name(f"{out.stem}_feedback")


def _course(path: Path) -> Path:
    """The folder that holds all there is about the assignments: that above source/A6/A6_name.ipynb."""
    return path.parents[2] if path.parents[1].name == "source" else path.parent


def _prove(name: str, source: dict, limits: Limits) -> None:
    """Does the reference earn all marks, here and now? Else nobody's marks mean anything."""
    earned, of = marks(result := _examined(Submission("the reference", name, source), {name: source}, limits))
    if earned < of:
        why = "\n".join([*result["notes"], *result["errors"], *(c["text"] for c in result["cells"] if not c["earned"])])
        raise ValueError(f"the reference of {name} earns {earned} of {of} marks here, so nothing was graded:\n{why}")


def _examined(submission: Submission, notebooks: dict[str, dict], limits: Limits) -> dict:
    """The marks, made in a process of its own; what the process does not survive is told in the notes."""
    result: dict = {"cells": [], "notes": [], "flags": [], "errors": []}
    if submission.notebook is not None:
        source, key = notebooks[submission.assignment], secrets.token_hex(16)
        task = {"source": source, "submission": submission.notebook, "limits": asdict(limits), "key": key}
        count = len(list(nb.cells(source, "given", "solution", "test"))) + 1
        try:
            process = subprocess.run(
                [sys.executable, "-m", "minidl.course.examine"], input=json.dumps(task), capture_output=True, text=True,
                timeout=60 + 2 * PATIENCE * limits.seconds * count, check=True, encoding="utf-8",
                env={**os.environ, "MINIDL_KERNELS": "numpy", "PYTHONIOENCODING": "utf-8"},
            )  # fmt: skip
            result = json.loads(process.stdout)
            if result.pop("key", "") != key:
                raise ValueError("the answer was not written by the grader")
        except Exception as error:  # whatever one submission does, the others are graded
            note = f"the grading itself was ended ({type(error).__name__}): look at this submission by hand"
            result = {"cells": [nothing(cell) for cell in nb.cells(source, "test")], "notes": [note], "flags": [],
                      "errors": []}  # fmt: skip
    return {**result, "notes": submission.notes + result["notes"]}


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
    text = printable(str(value)).replace("\n", " ")
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


def _file_name(student: str) -> str:
    """A file name for any student's name; two names never share one, on systems that ignore capitals either."""
    plain = re.sub(r"[^a-z0-9_.-]", "_", student.lower()).lstrip(".")[:80]
    own = re.fullmatch(r"[a-z0-9_-][a-z0-9_.-]*-A\d+", student)
    return f"{student}.html" if own else f"{plain}-{zlib.crc32(student.encode()):08x}.html"
