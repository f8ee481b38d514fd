"""Build the notebooks: from NAME.py, the source, to NAME.ipynb, executed and with its outputs.

    python notebooks/build.py                    build all
    python notebooks/build.py tour lessons/03    build those whose path begins like this
    python notebooks/build.py assignments/A6     an assignment: with its solutions, not run; and its blank copy

A source is Python in the percent format, which editors run cell by cell and in which a change is easy to see: `# %%`
begins a code cell, `# %% [markdown]` a text cell, whose lines are comments, and `# %% tags=["varies"]` gives a cell
tags. "varies" says that the numbers which the cell prints differ from machine to machine: times, or where a long
training run ends. Of the outputs, text and pictures are kept. Needs nbformat, nbclient and ipykernel.

In an assignment a code cell says what it is: `# %% given` (the student keeps it as it is), `# %% show` (to play with;
not run by the grader), `# %% solution id="conv_forward"`, `# %% test id="conv_dx" points=8`.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import sys
import time
from pathlib import Path

from minidl.course.notebook import dump as json_text
from minidl.course.release import release

HERE = Path(__file__).resolve().parent
BLANKS = HERE.parent / "minidl" / "course" / "blanks"  # the students' copies, which travel with the package
HEADER = re.compile(
    r"# %%(?: \[(?P<kind>markdown)\])?(?: (?P<role>given|show|solution|test))?"
    r'(?: id="(?P<id>\w+)")?(?: points=(?P<points>\d+))?(?: tags=(?P<tags>\[.*\]))?$'
)
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
METADATA = {"kernelspec": KERNEL, "language_info": {"name": "python"}}


def sources() -> list[Path]:
    """Every source of a notebook that is stored with its outputs, in order."""
    return [f for f in sorted([*HERE.glob("*.py"), *HERE.glob("lessons/*.py")]) if f != Path(__file__).resolve()]


def assignments() -> list[Path]:
    """Every source of an assignment, in order."""
    return sorted(HERE.glob("assignments/*.py"))


def target(source: Path) -> Path:
    """Where the notebook goes: beside its source; an assignment to where nbgrader looks for it."""
    if source.parent.name != "assignments":
        return source.with_suffix(".ipynb")
    return source.parent / "source" / source.stem.partition("_")[0] / f"{source.stem}.ipynb"


def read(source: Path) -> dict:
    """The notebook that a source describes, as the plain data of an .ipynb file, without outputs."""
    cells: list[dict] = []
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
        header, text = HEADER.match(line), bool(cells) and cells[-1]["cell_type"] == "markdown"
        if header:
            kind, metadata = header["kind"] or "code", _metadata(header, len(cells))
            told = [f"# {header['points']} marks: run this cell, it needs no change"] * (header["role"] == "test")
            cell = {"cell_type": kind, "id": f"{len(cells):02d}", "metadata": metadata, "source": told}
            cells.append(cell if header["kind"] else {**cell, "execution_count": None, "outputs": []})
        elif line.startswith("# %%") or (text and line.strip() and not line.startswith("#")):
            raise ValueError(f"{source.name}, line {number}: neither begins a cell nor belongs to one: {line!r}")
        else:
            cells[-1]["source"].append(line[2:] if text else line)
    for cell in cells:
        cell["source"] = "\n".join(cell["source"]).strip("\n").splitlines(keepends=True)
    own = {"minidl": {"assignment": source.stem.partition("_")[0]}} if source.parent.name == "assignments" else {}
    return {"cells": cells, "metadata": {**METADATA, **own}, "nbformat": 4, "nbformat_minor": 5}


def _metadata(header: re.Match, number: int) -> dict:
    """Tags, and what nbgrader wants to know of a cell with a role."""
    tags, role = json.loads(header["tags"] or "[]"), header["role"]
    if (role in ("solution", "test") and not header["id"]) or (role == "test" and not header["points"]):
        raise ValueError(f"a {role} cell needs id=\"...\"{' and points=...' * (role == 'test')}: {header[0]!r}")
    if role == "show":
        return {"tags": [*tags, "show"]}
    if role:
        grading = {
            "grade": role == "test", "solution": role == "solution", "locked": role != "solution", "task": False,
            "grade_id": header["id"] or f"{role}_{number:02d}", "schema_version": 3,
        }  # fmt: skip
        if role == "test":
            grading["points"] = int(header["points"])
    return {**({"tags": tags} if tags else {}), **({"nbgrader": grading} if role else {})}


def execute(notebook: dict, folder: Path, timeout: int = 600) -> dict:
    """The notebook with its outputs, run in a new kernel whose working folder is `folder`.

    An error in a cell is raised here, with its traceback; RuntimeError if a cell writes to stderr, as warnings do.
    """
    import nbformat
    from nbclient import NotebookClient

    os.environ["IPYKERNEL_CELL_NAME"] = "<cell>"  # what messages call a cell, else a file in a temporary folder
    node = nbformat.reads(json.dumps(notebook), as_version=4)
    options = {"record_timing": False, "coalesce_streams": True, "resources": {"metadata": {"path": str(folder)}}}
    NotebookClient(node, timeout=timeout, kernel_name="python3", **options).execute()
    cells = json.loads(nbformat.writes(node))["cells"]
    for cell in cells:
        if cell["cell_type"] == "code":
            cell["outputs"] = [kept for out in cell["outputs"] if (kept := _kept(out, cell["id"]))]
    return {**notebook, "cells": cells}


def _kept(output: dict, cell: str) -> dict | None:
    """What is stored of an output: printed text, pictures, and the text of a result; no widgets, no HTML."""
    if output["output_type"] == "stream":
        text = "".join(output["text"])
        if output["name"] == "stderr" and not text.startswith("minidl: compiling"):
            raise RuntimeError(f"cell {cell} wrote to stderr: {text}")
        return output if output["name"] == "stdout" else None
    data = {kind: output["data"][kind] for kind in ("image/png", "text/plain") if kind in output["data"]}
    if "image/png" in data:
        data["image/png"] = _smaller(data["image/png"])
    return {**output, "data": data, "metadata": {}} if data and "widget" not in str([*output["data"]]) else None


def _smaller(png: str) -> str:
    """A picture with 256 colours, which looks the same and takes a third of the room."""
    from PIL import Image

    picture, out = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


if __name__ == "__main__":
    for path in [*sources(), *assignments()]:
        name = path.relative_to(HERE).as_posix()
        if not sys.argv[1:] or name.startswith(tuple(sys.argv[1:])):
            start, built = time.perf_counter(), read(path)
            if path in sources():
                built = execute(built, path.parent)
            stored = json_text(built)
            target(path).parent.mkdir(parents=True, exist_ok=True)
            target(path).write_text(stored, encoding="utf-8", newline="\n")
            if path in assignments():
                BLANKS.joinpath(target(path).name).write_text(json_text(release(built)), encoding="utf-8", newline="\n")
            print(f"{name}: {len(built['cells'])} cells, {time.perf_counter() - start:.0f} s, {len(stored) // 1000} kB")
