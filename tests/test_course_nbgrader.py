"""A school that runs nbgrader uses the assignments as they are: its release is ours, its marks are ours."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import course_mini as mini
import pytest

from minidl.course import notebook as nb
from minidl.course.release import release

pytestmark = pytest.mark.notebook
ASSIGNMENTS = sorted(path.parent.name for path in mini.FOLDER.glob("assignments/source/*/*.ipynb"))


@pytest.fixture(scope="module")
def school(tmp_path_factory):
    """A course folder as nbgrader wants it, with everything released."""
    pytest.importorskip("nbgrader", reason="comparing with nbgrader needs it")
    folder = tmp_path_factory.mktemp("school")
    shutil.copytree(mini.FOLDER / "assignments" / "source", folder / "source")
    (folder / "nbgrader_config.py").write_text("c = get_config()\nc.CourseDirectory.course_id = 'minidl'\n")
    for name in ASSIGNMENTS:
        nbgrader(folder, "generate_assignment", name)
    return folder


def nbgrader(folder, *args: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # it starts alembic
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *args], cwd=folder, capture_output=True, text=True, timeout=500,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_its_release_is_ours(school, name):
    (path,) = (school / "source" / name).glob("*.ipynb")
    theirs, ours = nb.load(school / "release" / name / path.name), release(nb.load(path))
    for a, b in zip(theirs["cells"], ours["cells"], strict=True):
        assert nb.source(a) == nb.source(b)
        assert [nb.role(a), nb.identity(a)] == [nb.role(b), nb.identity(b)]
        for flag in ("deletable", "editable"):
            assert a["metadata"].get(flag, True) == b["metadata"].get(flag, True)
    assert nb.assignment(theirs) == name


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_its_marks_are_ours(school, name):
    """The reference gets all marks, one that answers only the first exercise those of this one, the blank none."""
    from nbgrader.api import Gradebook

    (path,) = (school / "source" / name).glob("*.ipynb")
    source = nb.load(path)
    blank = nb.load(school / "release" / name / path.name)
    first = nb.identity(next(nb.cells(source, "solution")))
    answers = {nb.identity(cell): cell["source"] for cell in nb.cells(source, "solution")}
    hands_in = {"reference": set(answers), "first": {first}, "blank": set()}
    for student, solved in hands_in.items():
        cells = [c for c in blank["cells"] if nb.role(c) != "show"]  # pictures take longer than the marks
        cells = [{**c, "source": answers[nb.identity(c)]} if nb.identity(c) in solved else c for c in cells]
        target = school / "submitted" / student / name / path.name
        target.parent.mkdir(parents=True)
        target.write_text(json.dumps({**blank, "cells": cells}), encoding="utf-8")
    expected = {"reference": 100, "blank": 0, "first": _marks_behind(source, first)}
    nbgrader(school, "autograde", name)
    with Gradebook(f"sqlite:///{school / 'gradebook.db'}") as book:
        got = {student: book.find_submission(name, student).score for student in hands_in}
    assert got == expected


def _marks_behind(source: dict, first: str) -> int:
    """The marks of the test cells between the first solution cell and the next."""
    total, inside = 0, False
    for cell in nb.cells(source, "solution", "test"):
        if nb.role(cell) == "solution":
            inside = nb.identity(cell) == first
        elif inside:
            total += nb.points(cell)
    return total
