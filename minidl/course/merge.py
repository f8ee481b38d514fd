"""A submission put together for grading: the student's answers, and everything else as it was handed out."""

from __future__ import annotations

import ast
import re
from collections import Counter

from . import notebook as nb
from .release import release


def merge(source: dict, submission: dict) -> tuple[list[dict], list[str]]:
    """(code cells in the order in which they are run, notes about what was put right).

    The order is that of the source. Answers come from the submission; given cells and tests from the source, with their
    marks, whatever became of them in the submission. A cell of the student's own, or a further copy of an answer, runs
    behind the known cell that it stands behind. An answer that was deleted is not replaced by its blank: the code may
    stand elsewhere.
    """
    known = {nb.identity(cell): cell for cell in nb.cells(source, "given", "solution", "test")}
    handed_out = {nb.identity(cell): nb.source(cell).split() for cell in release(source)["cells"]}
    answers: dict[str, dict] = {}
    behind: dict[str, list[dict]] = {name: [] for name in ("", *known)}
    seen, changed, last = Counter(), set(), ""
    for number, cell in enumerate(submission["cells"], 1):
        name, kind = nb.identity(cell), nb.role(cell)
        original = known.get(name)
        if cell["cell_type"] != "code":
            continue
        if original is None:
            if kind in ("solution", "extra"):
                behind[last].append(_student(cell, f"extra {number}", answer=False))
            continue
        seen[name] += 1
        if nb.role(original) != "solution":
            if nb.source(cell).split() not in (handed_out[name], nb.source(original).split()):
                changed.add(name)
        elif name in answers:
            behind[last].append(_student(cell, name, answer=True))
        else:
            answers[name] = _student(cell, name, answer=True)
        last = name
    cells, notes = list(behind[""]), []
    for name, original in known.items():
        kind = nb.role(original)
        cells += [answers[name]] if name in answers else [original] if kind != "solution" else []
        cells += behind[name]
        if not seen[name]:
            put_right = "its code is looked for in the other cells" if kind == "solution" else "restored"
            notes.append(f"the {kind} cell '{name}' was deleted, or has lost its name: {put_right}")
        elif seen[name] > 1:
            notes.append(f"the cell '{name}' is there {seen[name]} times")
        if name in changed:
            notes.append(f"the {kind} cell '{name}' was changed: restored")
    if not seen:
        notes = ["no cell has a name any more (a program dropped the metadata): compare marks and code by hand"]
    return cells, notes


def _student(cell: dict, name: str, answer: bool) -> dict:
    """A cell of the student's: its text, and no marks or roles that it may claim."""
    grading = {"grade_id": name, "solution": answer, "grade": False, "locked": False}
    return {"cell_type": "code", "metadata": {"nbgrader": grading}, "source": _plain(nb.source(cell))}


def _plain(text: str) -> str:
    """What only a notebook understands, %magic and !command, does nothing here."""
    try:
        ast.parse(text)
    except SyntaxError:
        if re.match(r"\s*%%\w", text):
            text = text.partition("\n")[2]
        return re.sub(r"^([ \t]*)[%!][\w%!].*$", r"\1pass", text, flags=re.MULTILINE)
    except (ValueError, RecursionError, MemoryError):
        pass  # it is told when it runs
    return text


def blanks_left(blank: dict, submission: dict) -> list[str]:
    """A line for each exercise that is as it was handed out, or is gone."""
    texts = {nb.identity(cell): nb.source(cell).split() for cell in nb.cells(submission, "solution")}
    lines = []
    for cell in nb.cells(blank, "solution"):
        name = nb.identity(cell)
        if texts.get(name) is None:
            lines.append(f"the exercise '{name}' is missing: its cell was deleted")
        elif texts[name] == nb.source(cell).split():
            lines.append(f"the exercise '{name}' is still blank")
    return lines
