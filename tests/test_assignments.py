"""The assignments are proved: references get all marks, blanks none, known-wrong solutions lose what they should.

Known-wrong solutions of assignment A6 are in mistakes/A6.py: (exercise, what is wrong, text in the solution, text in
its place, {lost cell: words in its message}). Exercises do not depend on each other, so one of every exercise is put
in at the same time. With MINIDL_TEST_PROGRAMS=1, as in CI, all are tried, and some by the grader itself.
"""

import ast
import contextlib
import importlib.util
import io
import linecache
import re
from pathlib import Path

import course_mini as mini
import pytest

from minidl.course import CheckFailed
from minidl.course import notebook as nb
from minidl.course.examine import examine
from minidl.course.release import HIDDEN, SOLUTION, release, without

SOURCES = {path.name.partition("_")[0]: path for path in mini.build.assignments()}
NOTEBOOKS = {name: mini.build.read(path) for name, path in SOURCES.items()}
each = pytest.mark.parametrize("name", SOURCES)


def mistakes(name: str) -> list[tuple]:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "mistakes" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MISTAKES


def solutions(notebook: dict) -> dict[str, str]:
    return {nb.identity(cell): nb.source(cell) for cell in nb.cells(notebook, "solution")}


def run(notebook: dict, answers: dict[str, str]) -> dict[str, str]:
    """Run the notebook as a kernel does, with these answers: {lost cell: what is said}."""
    space, lost = {"__name__": "__main__"}, {}
    for cell in nb.cells(notebook, "given", "solution", "test"):
        name = nb.identity(cell)
        text = answers.get(name, nb.source(cell))
        linecache.cache[f"<{name}>"] = (len(text), None, text.splitlines(True), f"<{name}>")
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(text, f"<{name}>", "exec"), space)
        except CheckFailed as failed:
            lost[name] = str(failed)
    return lost


def by_exercise(name: str) -> dict[str, list[tuple]]:
    found: dict[str, list[tuple]] = {}
    for mistake in mistakes(name):
        found.setdefault(mistake[0], []).append(mistake)
    return found


def planted(name: str, number: int, expected: dict[str, str]) -> tuple[dict[str, str], str]:
    """All answers, with mistake `number` of every exercise put in, and a text that names these mistakes."""
    answers, names = solutions(NOTEBOOKS[name]), []
    for exercise, known in by_exercise(name).items():
        for _, what, old, new, lost in known[number : number + 1]:
            answers[exercise] = answers[exercise].replace(old, new)
            expected.update(lost)
            names.append(f"{exercise}: {what}")
    return answers, "; ".join(names)


def names(text: str) -> tuple[set[str], set[str]]:
    """(what a cell defines or imports, what it uses)."""
    tree, used = ast.parse(text), set()
    defined = {a.asname or a.name.partition(".")[0] for n in ast.walk(tree) for a in getattr(n, "names", [])
               if isinstance(a, ast.alias)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else defined).add(node.id)
    return defined, used


@each
def test_exercises_are_independent(name):
    """A solution and its graded cells use nothing that another exercise asks for."""
    asked: dict[str, set[str]] = {}
    uses: dict[str, set[str]] = {}
    for cell in nb.cells(NOTEBOOKS[name], "solution", "test"):
        defined, used = names(nb.source(cell))
        if nb.role(cell) == "solution":
            exercise = nb.identity(cell)
            asked[exercise] = {node.name for node in ast.parse(nb.source(cell)).body
                               if isinstance(node, ast.FunctionDef | ast.ClassDef)}  # fmt: skip
            uses[exercise] = set()
        uses[exercise] |= used - (defined - asked[exercise])
    for exercise, mine in uses.items():
        others = set().union(*(theirs for other, theirs in asked.items() if other != exercise))
        assert not mine & others, exercise


@each
def test_what_is_stored_is_made_from_the_source(name):
    stored = mini.build.target(SOURCES[name])
    again = f"build anew: python notebooks/build.py assignments/{name}"
    assert stored.read_text(encoding="utf-8") == nb.dump(NOTEBOOKS[name]), again
    assert (mini.build.BLANKS / stored.name).read_text(encoding="utf-8") == nb.dump(release(NOTEBOOKS[name])), again


@each
def test_the_form(name):
    notebook = NOTEBOOKS[name]
    tests = list(nb.cells(notebook, "test"))
    assert sum(map(nb.points, tests)) == 100 and len(notebook["cells"]) <= 60
    assert nb.title(notebook).startswith(f"{name}. ") and nb.assignment(notebook) == name
    names = [nb.identity(cell) for cell in nb.cells(notebook, "given", "solution", "test")]
    assert len(names) == len(set(names)) and all(names)
    for cell in tests:
        assert nb.source(cell).count("course.checks(") == 1 and " as t:" in nb.source(cell)
    assert "plt." in "".join(nb.source(cell) for cell in nb.cells(notebook, "show"))  # something to look at


@each
def test_no_line_of_a_solution_and_no_hidden_check_is_released(name):
    notebook = NOTEBOOKS[name]
    lines: dict[bool, set[str]] = {True: set(), False: set()}  # with what is taken out, and without
    for cell in nb.cells(notebook, "solution", "test"):
        text = nb.source(cell)
        for whole, kept in ((True, text), (False, without(without(text, SOLUTION, name), HIDDEN, name))):
            lines[whole] |= {line.strip() for line in kept.splitlines()}
    secrets = {line for line in lines[True] - lines[False] if len(line) > 14 and not line.startswith(("#", ")  #"))}
    assert len(secrets) > 20
    released = [path.read_text(encoding="utf-8") for path in mini.build.BLANKS.glob("*.ipynb")]
    for text in [*released, nb.dump(release(notebook))]:
        cells = nb.parse(text.encode(), name)["cells"]
        assert {line.strip() for cell in cells for line in nb.source(cell).splitlines()} & secrets == set()
        assert not any(mark in text for mark in ("BEGIN SOLUTION", "HIDDEN TESTS", "t.hide()"))


@each
def test_the_reference_gets_all_marks_and_the_blank_none(name):
    notebook = NOTEBOOKS[name]
    assert run(notebook, {}) == {}
    assert set(run(release(notebook), {})) == {nb.identity(cell) for cell in nb.cells(notebook, "test")}


@pytest.mark.programs
@each
def test_the_grader_gives_the_reference_all_marks_and_the_blank_none(name):
    """In processes of their own."""
    source = NOTEBOOKS[name]
    right = examine(source, source)
    assert mini.marks(right) == {nb.identity(c): nb.points(c) for c in nb.cells(source, "test")}
    assert not right["notes"] + right["errors"] + right["flags"]
    assert all(cell["hidden"][1] for cell in right["cells"])
    blank = examine(source, release(source))
    assert not any(mini.marks(blank).values()) and not blank["errors"] + blank["notes"]


@each
def test_there_are_six_known_wrong_solutions_for_every_exercise(name):
    for exercise, text in solutions(NOTEBOOKS[name]).items():
        mine = by_exercise(name)[exercise]
        assert len(mine) >= 6 and len({m[1] for m in mine}) == len(mine)
        for _, what, old, new, lost in mine:
            assert text.count(old) == 1 and old != new and lost, what


@each
def test_known_wrong_solutions_lose_what_they_should(name):
    """One of every exercise, and in CI all."""
    for number in range(max(map(len, by_exercise(name).values())) if mini.IN_CI else 1):
        expected: dict[str, str] = {}
        answers, what = planted(name, number, expected)
        lost = run(NOTEBOOKS[name], answers)
        assert set(lost) == set(expected), what
        for cell, words in expected.items():
            assert words in lost[cell], f"{what}\n{lost[cell]}"


@pytest.mark.programs
@pytest.mark.parametrize("name, number", [(name, number) for name in SOURCES for number in range(2)])
def test_the_grader_takes_the_same_marks(name, number):
    """In processes of their own, with the marks and the reasons that the notebook gives."""
    source, expected = NOTEBOOKS[name], {}
    answers, what = planted(name, number, expected)
    cells = [nb.with_source(c, answers.get(nb.identity(c), nb.source(c))) for c in source["cells"]]
    result = examine(source, {**source, "cells": cells})
    full = {nb.identity(c): nb.points(c) for c in nb.cells(source, "test")}
    assert mini.marks(result) == {**full, **dict.fromkeys(expected, 0)}, what
    assert not result["notes"] + result["flags"]
    texts = {cell["id"]: cell["text"] for cell in result["cells"]}
    for cell, words in expected.items():
        hidden = re.search(r"wrong: hidden", texts[cell])
        assert hidden or words in texts[cell], f"{what}\n{texts[cell]}"
