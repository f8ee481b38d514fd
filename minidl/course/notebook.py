"""Notebooks as plain data: reading them safely, and what each cell is for.

A cell's role stands in its metadata, in nbgrader's form (https://nbgrader.readthedocs.io, "Metadata"): a *solution*
cell is the student's, a *test* cell is graded, a *given* cell is locked. A cell with the tag "show" is there to play
with and is not run by the grader; every other code cell is *extra*.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

LARGEST = 20_000_000  # bytes; pictures in the outputs of a notebook can be large, but not as large as this


class BadNotebook(ValueError):
    """A file that is no notebook that can be read."""


def parse(raw: bytes, name: str) -> dict:
    """The notebook in these bytes. Raises BadNotebook, which names the file and says what is wrong with it."""
    if len(raw) > LARGEST:
        raise BadNotebook(f"{name} has {len(raw):,} bytes, more than {LARGEST:,}: clear its outputs and save it again")
    try:
        notebook = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadNotebook(f"{name} is no notebook: it cannot be read as JSON ({type(error).__name__})") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or not all(map(_is_cell, cells)):
        raise BadNotebook(f"{name} is no notebook of format 4: open it in Jupyter and save it again")
    if not isinstance(notebook.get("metadata"), dict):
        notebook["metadata"] = {}
    return notebook


def load(path: str | Path) -> dict:
    """The notebook in a file."""
    path = Path(path)
    if path.stat().st_size > LARGEST:
        raise BadNotebook(f"{path.name} has more than {LARGEST:,} bytes: clear its outputs and save it again")
    return parse(path.read_bytes(), path.name)


def dump(notebook: dict) -> str:
    """Its text, always the same for the same notebook."""
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _is_cell(cell) -> bool:
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        return False
    text = cell.get("source")
    lines = isinstance(text, list) and all(isinstance(line, str) for line in text)
    return (lines or isinstance(text, str)) and isinstance(cell.get("metadata", {}), dict)


def source(cell: dict) -> str:
    """The text of a cell, which may be stored as lines."""
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def with_source(cell: dict, text: str) -> dict:
    return {**cell, "source": text.splitlines(keepends=True)}


def role(cell: dict) -> str:
    """text, solution, test, given, show or extra."""
    if cell["cell_type"] != "code":
        return "text"
    about = _about(cell)
    if about.get("grade") and not about.get("solution"):
        return "test"
    if about.get("solution"):
        return "solution"
    if about.get("locked"):
        return "given"
    tags = cell.get("metadata", {}).get("tags")
    return "show" if isinstance(tags, list) and "show" in tags else "extra"


def identity(cell: dict) -> str:
    """The name by which a cell is found again in a submission; empty if it has none."""
    name = _about(cell).get("grade_id")
    return name if isinstance(name, str) else ""


def points(cell: dict) -> int:
    """The marks of a test cell."""
    return _about(cell)["points"]


def cells(notebook: dict, *roles: str) -> Iterator[dict]:
    """The cells with one of these roles, in order."""
    return (cell for cell in notebook["cells"] if role(cell) in roles)


def assignment(notebook: dict) -> str:
    """Such as "A6"; empty if the notebook does not say."""
    own = notebook["metadata"].get("minidl")
    name = own.get("assignment") if isinstance(own, dict) else None
    return name if isinstance(name, str) else ""


def title(notebook: dict) -> str:
    """The first heading, without its sign."""
    text = next((source(cell) for cell in notebook["cells"] if cell["cell_type"] == "markdown"), "")
    return text.partition("\n")[0].lstrip("# ")


def _about(cell: dict) -> dict:
    about = cell.get("metadata", {}).get("nbgrader")
    return about if isinstance(about, dict) else {}
