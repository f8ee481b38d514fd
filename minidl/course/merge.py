"""A submission put together for grading: the student's answers, and everything else as it was handed out."""

from __future__ import annotations

from collections import Counter

from . import notebook as nb
from .release import release


def merge(source: dict, submission: dict) -> tuple[list[dict], list[str]]:
    """(code cells in the order in which they are run, notes about what was put right).

    Solution cells and cells of the student's own are taken from the submission, in its order; given cells and tests
    from the source, with their marks. A cell that was deleted comes back behind the one that stood before it.
    """
    own = [cell for cell in source["cells"] if nb.role(cell) in ("given", "solution", "test")]
    known = {nb.identity(cell): cell for cell in own}
    blank = {nb.identity(cell): nb.source(cell) for cell in release(source)["cells"]}
    merged: list[dict] = []
    notes: list[str] = []
    count: Counter[str] = Counter()
    for cell in submission["cells"]:
        name, kind = nb.identity(cell), nb.role(cell)
        original = known.get(name)
        if cell["cell_type"] != "code" or kind == "show" or (original is None and kind in ("test", "given")):
            continue
        if original is None or nb.role(original) == "solution":
            merged.append(_answer(cell, original, name or f"extra {len(merged)}"))
        elif not count[name]:
            merged.append(original)
            if nb.source(cell).split() not in (blank[name].split(), nb.source(original).split()):
                notes.append(f"the {nb.role(original)} cell '{name}' was changed: restored")
        count[name] += 1
        if original is not None and count[name] > 1:
            notes.append(f"the cell '{name}' is there {count[name]} times")
    for before, cell in zip([None, *own], own, strict=False):
        name = nb.identity(cell)
        if not count[name]:
            notes.append(f"the {nb.role(cell)} cell '{name}' was deleted: restored")
            at = max((i for i, c in enumerate(merged) if before and nb.identity(c) == nb.identity(before)), default=-1)
            merged.insert(at + 1, {**cell, "source": blank[name]} if nb.role(cell) == "solution" else cell)
    return merged, notes


def _answer(cell: dict, original: dict | None, name: str) -> dict:
    """A cell of the student's: its text, and no marks or roles that it may claim."""
    grading = {"grade_id": name, "solution": original is not None, "grade": False, "locked": False}
    return {"cell_type": "code", "metadata": {"nbgrader": grading}, "source": nb.source(cell)}


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
