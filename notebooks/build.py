"""Build the notebooks: from NAME.py, the source, to NAME.ipynb, executed and with its outputs.

    python notebooks/build.py                    build all
    python notebooks/build.py tour lessons/03    build those whose path begins like this

A source is Python in the percent format, which editors run cell by cell and in which a change is easy to see: `# %%`
begins a code cell, `# %% [markdown]` a text cell, whose lines are comments, and `# %% tags=["varies"]` gives a cell
tags. "varies" says that the numbers which the cell prints differ from machine to machine: times, or where a long
training run ends. Of the outputs, text and pictures are kept. Needs nbformat, nbclient and ipykernel.
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

HERE = Path(__file__).resolve().parent
HEADER = re.compile(r"# %%(?: \[(?P<kind>markdown)\])?(?: tags=(?P<tags>\[.*\]))?$")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
METADATA = {"kernelspec": KERNEL, "language_info": {"name": "python"}}


def sources() -> list[Path]:
    """Every source in this folder and below, in order."""
    return [f for f in sorted(HERE.rglob("*.py")) if f.read_text(encoding="utf-8").startswith("# %%")]


def read(source: Path) -> dict:
    """The notebook that a source describes, as the plain data of an .ipynb file, without outputs."""
    cells: list[dict] = []
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
        header, text = HEADER.match(line), bool(cells) and cells[-1]["cell_type"] == "markdown"
        if header:
            kind, tags = header["kind"] or "code", {"tags": json.loads(header["tags"])} if header["tags"] else {}
            cell = {"cell_type": kind, "id": f"{len(cells):02d}", "metadata": tags, "source": []}
            cells.append(cell if header["kind"] else {**cell, "execution_count": None, "outputs": []})
        elif line.startswith("# %%") or (text and line.strip() and not line.startswith("#")):
            raise ValueError(f"{source.name}, line {number}: neither begins a cell nor belongs to one: {line!r}")
        else:
            cells[-1]["source"].append(line[2:] if text else line)
    for cell in cells:
        cell["source"] = "\n".join(cell["source"]).strip("\n").splitlines(keepends=True)
    return {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}


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
    for path in sources():
        name = path.relative_to(HERE).as_posix()
        if not sys.argv[1:] or name.startswith(tuple(sys.argv[1:])):
            start, built = time.perf_counter(), execute(read(path), path.parent)
            stored = json.dumps(built, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
            path.with_suffix(".ipynb").write_text(stored, encoding="utf-8")
            print(f"{name}: {len(built['cells'])} cells, {time.perf_counter() - start:.0f} s, {len(stored) // 1000} kB")
