"""From an instructor's notebook to the student's: solutions become blanks, hidden tests and outputs go.

The same as nbgrader's `generate_assignment` makes of it, without its database.
"""

from __future__ import annotations

from pathlib import Path

from . import notebook as nb

STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")
SOLUTION = ("### BEGIN SOLUTION", "### END SOLUTION")
HIDDEN = ("### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS")


def release(source: dict) -> dict:
    """The student's copy. Raises ValueError for a solution or hidden tests that would not be taken out."""
    seen: set[str] = set()
    return {**source, "cells": [_released(cell, seen) for cell in source["cells"]]}


def _released(cell: dict, seen: set[str]) -> dict:
    kind, text, name = nb.role(cell), nb.source(cell), nb.identity(cell)
    if name and name in seen:
        raise ValueError(f"two cells are called {name!r}: a submission could not be put together")
    seen.add(name)
    if kind == "solution":
        text = without(text, SOLUTION, name, STUB)
        if STUB[1] not in text:
            raise ValueError(f"the solution cell {name!r} has no {SOLUTION[0]}: it would be handed out")
    elif kind == "test":
        text = without(text, HIDDEN, name)
    if any(mark in text for mark in (*SOLUTION, *HIDDEN)):
        raise ValueError(f"a {kind} cell {name!r} holds a solution or a hidden test that would not be taken out")
    out = {**nb.with_source(cell, text), "metadata": {**cell["metadata"], **_protection(kind)}}
    return {**out, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else out


def without(text: str, marks: tuple[str, str], name: str, stub: tuple[str, ...] = ()) -> str:
    """The text without what stands between the marks; the stub, indented as they are, in its place."""
    out, inside = [], False
    for line in text.splitlines():
        if any(mark in line for mark in marks) and (marks[inside] not in line):
            raise ValueError(f"cell {name!r}: {marks[0]} and {marks[1]} do not come in pairs")
        if marks[0] in line:
            inside = True
            indent = line[: len(line) - len(line.lstrip())]
            out += [indent + part for part in stub]
        elif marks[1] in line:
            inside = False
        elif not inside:
            out.append(line)
    if inside:
        raise ValueError(f"cell {name!r}: {marks[0]} without {marks[1]}")
    return "\n".join(out)


def _protection(kind: str) -> dict:
    """Jupyter's own flags: what is given cannot be edited or deleted by a slip."""
    if kind in ("given", "test"):
        return {"deletable": False, "editable": False}
    return {"deletable": False} if kind == "solution" else {}


def sources(folder: str | Path) -> dict[str, Path]:
    """The instructor's notebooks in nbgrader's layout, FOLDER/A6/*.ipynb, by assignment."""
    found: dict[str, Path] = {}
    for path in sorted(Path(folder).glob("[!.]*/[!.]*.ipynb")):
        if path.parent.name in found:
            raise ValueError(f"{path.parent} holds more than one notebook: an assignment is one")
        found[path.parent.name] = path
    return found
