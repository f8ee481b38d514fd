"""How long it takes to grade: students who each make other known mistakes, assignment by assignment.

    python benchmarks/grading.py [--students 30] [--only A1 A6] [--jobs 2]

The submissions are the references with mistakes of tests/mistakes put in, one in every exercise; the first student
makes none. Grading includes the proof of the reference, and two processes for each submission. Prints seconds.
"""

from __future__ import annotations

import argparse
import runpy
import tempfile
import time
from pathlib import Path

from minidl.course import notebook as nb
from minidl.course.grade import grade
from minidl.course.release import sources

FOLDER = Path(__file__).resolve().parents[1]


def submission(source: dict, mistakes: list[tuple], number: int) -> dict:
    """The reference with mistake `number` of every exercise, counted round; without any for number -1."""
    answers = {nb.identity(cell): nb.source(cell) for cell in nb.cells(source, "solution")}
    for exercise in answers if number >= 0 else ():
        mine = [m for m in mistakes if m[0] == exercise]
        _, _, old, new, _ = mine[number % len(mine)]
        answers[exercise] = answers[exercise].replace(old, new)
    cells = [nb.with_source(c, answers.get(nb.identity(c), nb.source(c))) for c in source["cells"]]
    return {**source, "cells": cells}


def main() -> None:
    """A line for each assignment."""
    found = sources(FOLDER / "notebooks" / "assignments" / "source")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("--only", nargs="*", default=list(found), choices=list(found), metavar="A6")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    for name in options.only:
        source = nb.load(found[name])
        mistakes = runpy.run_path(str(FOLDER / "tests" / "mistakes" / f"{name}.py"))["MISTAKES"]
        with tempfile.TemporaryDirectory() as folder:
            (handed_in := Path(folder) / "handed_in").mkdir()
            for k in range(options.students):
                text = nb.dump(submission(source, mistakes, k - 1))
                (handed_in / f"student{k:03}.ipynb").write_text(text, encoding="utf-8")
            start = time.perf_counter()
            rows = grade(handed_in, {name: found[name]}, Path(folder) / "grades.csv", jobs=options.jobs)
            seconds = time.perf_counter() - start
        marks = [row["marks"] for row in rows]
        print(f"{name}: {options.students} submissions in {seconds:.1f} s, {options.jobs} at a time; "
              f"marks from {min(marks)} to {max(marks)}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
